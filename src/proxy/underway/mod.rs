//! The exchanges on MCP routes that are under way: each ends when its token does, and at the latest when the process
//! leaves.
//!
//! A stream may be open for hours, and nobody looks at its token again. So what is under way stands in one table, and one
//! task looks through it every second, instead of a timer for each stream. A revocation ends at once what it opened; one
//! that nobody heard of is found by asking the store every few seconds.

mod downstream;
mod line;
mod server;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::Method;
pub use line::{End, Line};
use pingora::http::RequestHeader;
pub use server::Edge;

use crate::{
    clock::Timestamp,
    policy::Permit,
    store::{self, Change, Changes, OpenToken, Store},
};

/// How long a call may go on after its token has expired: its client asked in time and waits for one answer, and would
/// ask once more for the same. A stream that answers nothing ends with its token.
pub const CALLS_OUTLIVE_THEIR_TOKEN: Duration = Duration::from_mins(5);

/// What is under way.
#[derive(Default)]
pub struct Underway {
    shards: [Mutex<HashMap<u64, Entry>>; SHARDS],
    next: AtomicU64,
}

struct Entry {
    permit: Permit,
    line: Arc<Line>,
    ends_at: Timestamp,
    streams: bool,
}

/// What an exchange is, as far as its end is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It answers a call.
    Call,
    /// It carries what the upstream has to say, for as long as both want.
    Stream,
}

/// The place of an exchange in the table, which it leaves with this.
pub struct Place {
    table: Arc<Underway>,
    number: u64,
    logged: bool,
}

/// What a request on a route will be: GET and `subscriptions/listen` open streams (MCP 2025-11-25 and 2026-07-28).
pub fn kind(head: &RequestHeader) -> Kind {
    let listens = head.headers.get("mcp-method").is_some_and(|method| method.as_bytes() == b"subscriptions/listen");
    if head.method == Method::GET || listens { Kind::Stream } else { Kind::Call }
}

impl Underway {
    /// A table whose exchanges end by what `changes` announces.
    pub fn new(changes: &Changes) -> Arc<Self> {
        let table = Arc::new(Self::default());
        let weak = Arc::downgrade(&table);
        changes.subscribe(move |change| {
            if let Some(table) = weak.upgrade() {
                table.hear(change);
            }
        });
        table
    }

    /// Enters an exchange.
    pub fn enter(self: &Arc<Self>, permit: &Permit, line: &Arc<Line>, kind: Kind) -> Place {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let expires_at = permit.principal().expires_at();
        let streams = kind == Kind::Stream;
        let entry = Entry {
            permit: permit.clone(),
            line: Arc::clone(line),
            ends_at: if streams { expires_at } else { expires_at.plus(CALLS_OUTLIVE_THEIR_TOKEN) },
            streams,
        };
        self.shard(number).insert(number, entry);
        Place { table: Arc::clone(self), number, logged: false }
    }

    /// How many exchanges are under way.
    pub fn count(&self) -> usize {
        (0..SHARDS).map(|shard| lock(&self.shards[shard]).len()).sum()
    }

    /// Ends what is open by tokens that have expired.
    pub fn end_expired(&self, now: Timestamp) {
        self.end_where(End::TokenExpired, |entry| entry.ends_at <= now);
    }

    /// Ends the streams that answer no call.
    pub fn end_streams(&self) {
        self.end_where(End::Leaving, |entry| entry.streams);
    }

    /// Ends everything.
    pub fn end_all(&self) {
        self.end_where(End::Leaving, |_| true);
    }

    /// Asks the store which tokens were revoked, and ends what is open by them.
    ///
    /// # Errors
    /// Those of the store; what was not asked about stays open.
    pub async fn end_revoked(&self, store: &dyn Store, now: Timestamp) -> store::Result<()> {
        let mut tokens = HashMap::new();
        for shard in &self.shards {
            for entry in lock(shard).values() {
                let principal = entry.permit.principal();
                tokens.entry(*principal.token()).or_insert_with(|| OpenToken {
                    digest: *principal.token(),
                    grant_id: principal.grant_id().clone(),
                    expires_at: principal.expires_at(),
                });
            }
        }
        let tokens: Vec<_> = tokens.into_values().collect();
        for some in tokens.chunks(ASKED_AT_ONCE) {
            let revoked = store.revoked_among(some, now).await?;
            if !revoked.is_empty() {
                self.end_where(End::TokenRevoked, |entry| revoked.contains(entry.permit.principal().token()));
            }
        }
        Ok(())
    }

    fn hear(&self, change: &Change) {
        match change {
            Change::GrantRevoked(grant) => {
                self.end_where(End::TokenRevoked, |entry| entry.permit.principal().grant_id() == grant);
            }
            Change::AccessTokenRevoked(token) => {
                self.end_where(End::TokenRevoked, |entry| entry.permit.principal().token() == token);
            }
            Change::ConnectionRefreshed(..) | Change::ConnectionGone(_) | Change::Unheard => {}
        }
    }

    /// An exchange that is ended here has not left its place, so its line is still its own.
    fn end_where(&self, why: End, ends: impl Fn(&Entry) -> bool) {
        for shard in &self.shards {
            for entry in lock(shard).values().filter(|entry| ends(entry)) {
                entry.line.end(why);
            }
        }
    }

    fn shard(&self, number: u64) -> MutexGuard<'_, HashMap<u64, Entry>> {
        lock(&self.shards[usize::try_from(number).unwrap_or(0) % SHARDS])
    }
}

impl Place {
    /// Leaves, after the line in the log is written.
    pub fn leave(mut self) {
        self.logged = true;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let entry = self.table.shard(self.number).remove(&self.number);
        if let Some(Entry { permit, line, .. }) = entry.filter(|_| !self.logged) {
            // Pingora was not asked: a stream over HTTP/2 that was ended.
            tracing::info!(
                target: "sallyport::access",
                event = "mcp_request_cut",
                operationId = permit.route().operation_id,
                subjectId = permit.principal().subject().as_str(),
                clientId = permit.principal().client_id().as_str(),
                reasonCode = line.ended().map_or("dropped", End::reason),
                "stream ended"
            );
        }
    }
}

impl End {
    /// The reason code for the log.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::TokenExpired => "token_expired",
            Self::TokenRevoked => "token_revoked",
            Self::Leaving => "leaving",
        }
    }
}

fn lock(shard: &Mutex<HashMap<u64, Entry>>) -> MutexGuard<'_, HashMap<u64, Entry>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

const SHARDS: usize = 16;
const ASKED_AT_ONCE: usize = 500;
