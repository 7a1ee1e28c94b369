//! The exchanges on MCP routes that are under way: each ends when its token does, and at the latest when the process
//! leaves.
//!
//! A stream may be open for hours, and nobody looks at its token again. So what is under way stands in one table, and one
//! task looks through it every second, instead of a timer for each stream. A revocation ends at once what it opened; one
//! that nobody heard of is found by asking the store every few seconds.

mod connections;
mod downstream;
mod kept;
mod line;
mod server;

use std::{
    hash::BuildHasher,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

pub use connections::{ConnectionLimits, Patience};
use foldhash::{HashMap, HashMapExt, fast::FixedState};
use http::{HeaderName, Method};
pub use kept::KeptBody;
pub use line::{End, Line};
use pingora::http::RequestHeader;
pub use server::Edge;

use self::connections::Connections;
use crate::{
    clock::Timestamp,
    policy::Permit,
    routes::Route,
    store::{self, Change, Changes, OpenToken, Store, SubjectId},
};

/// How long a call may go on after its token has expired: its client asked in time and waits for one answer, and would
/// ask once more for the same. A stream that answers nothing ends with its token.
pub const CALLS_OUTLIVE_THEIR_TOKEN: Duration = Duration::from_mins(5);

/// How much may be under way at once.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections of clients.
    pub connections: ConnectionLimits,
    /// Requests and streams of one person.
    pub of_user: usize,
    /// Calls on one route; streams are counted apart.
    pub calls_of_route: usize,
    /// Streams that answer no call.
    pub streams: usize,
    /// Bytes of request bodies that are kept, without the small ones.
    pub kept_bodies: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: ConnectionLimits::default(),
            of_user: 500,
            calls_of_route: 2_000,
            streams: 10_000,
            kept_bodies: 256 * 1024 * 1024,
        }
    }
}

/// Why an exchange does not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// Its person has enough.
    User,
    /// Its route has enough.
    Route,
    /// There are enough streams.
    Streams,
    /// There are enough kept bodies.
    Bodies,
}

/// What is under way.
pub struct Underway {
    shards: [Mutex<Shard>; SHARDS],
    next: AtomicU64,
    streams: Arc<AtomicUsize>,
    of_user: AtomicUsize,
    calls_of_route: AtomicUsize,
    most_streams: AtomicUsize,
    kept: AtomicUsize,
    most_kept: AtomicUsize,
    connections: Arc<Connections>,
}

/// The exchanges of some people, all of each.
#[derive(Default)]
struct Shard {
    entries: HashMap<u64, Entry>,
    of_user: HashMap<SubjectId, usize>,
}

struct Entry {
    permit: Permit,
    line: Arc<Line>,
    ends_at: Timestamp,
    kind: Kind,
    /// Counts its like.
    counter: Arc<AtomicUsize>,
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
    home: usize,
    number: u64,
    kind: Kind,
    logged: bool,
}

/// What a request on a route will be: GET and `subscriptions/listen` open streams (MCP 2025-11-25 and 2026-07-28).
pub fn kind(head: &RequestHeader) -> Kind {
    let listens = head.headers.get(MCP_METHOD).is_some_and(|method| method.as_bytes() == b"subscriptions/listen");
    if head.method == Method::GET || listens { Kind::Stream } else { Kind::Call }
}

impl Underway {
    /// A table whose exchanges end by what `changes` announces.
    pub fn new(changes: &Changes, limits: Limits) -> Arc<Self> {
        let table = Arc::new(Self {
            shards: Default::default(),
            next: AtomicU64::new(0),
            streams: Arc::default(),
            of_user: AtomicUsize::new(limits.of_user),
            calls_of_route: AtomicUsize::new(limits.calls_of_route),
            most_streams: AtomicUsize::new(limits.streams),
            kept: AtomicUsize::new(0),
            most_kept: AtomicUsize::new(limits.kept_bodies),
            connections: Connections::new(limits.connections),
        });
        changes.subscribe(&table, Self::hear);
        table
    }

    /// Limits what begins otherwise from now on.
    pub fn limit(&self, limits: Limits) {
        self.of_user.store(limits.of_user, Ordering::Relaxed);
        self.calls_of_route.store(limits.calls_of_route, Ordering::Relaxed);
        self.most_streams.store(limits.streams, Ordering::Relaxed);
        self.most_kept.store(limits.kept_bodies, Ordering::Relaxed);
        self.connections.limit(limits.connections);
    }

    /// Enters an exchange, unless there are too many of its like; `route` counts the calls on its route.
    pub fn enter(
        self: &Arc<Self>,
        permit: &Permit,
        line: &Arc<Line>,
        kind: Kind,
        route: &Arc<AtomicUsize>,
    ) -> Result<Place, Full> {
        let (counter, most, full) = match kind {
            Kind::Call => (route, &self.calls_of_route, Full::Route),
            Kind::Stream => (&self.streams, &self.most_streams, Full::Streams),
        };
        let principal = permit.principal();
        let expires_at = principal.expires_at();
        let home = shard_of(principal.subject());
        let mut shard = lock(&self.shards[home]);
        let of_user = shard.of_user.get(principal.subject()).copied().unwrap_or(0);
        if of_user >= self.of_user.load(Ordering::Relaxed) {
            return Err(Full::User);
        }
        if counter.fetch_add(1, Ordering::AcqRel) >= most.load(Ordering::Relaxed) {
            counter.fetch_sub(1, Ordering::AcqRel);
            return Err(full);
        }
        match shard.of_user.get_mut(principal.subject()) {
            Some(count) => *count += 1,
            None => drop(shard.of_user.insert(principal.subject().clone(), 1)),
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let entry = Entry {
            permit: permit.clone(),
            line: Arc::clone(line),
            ends_at: if kind == Kind::Stream { expires_at } else { expires_at.plus(CALLS_OUTLIVE_THEIR_TOKEN) },
            kind,
            counter: Arc::clone(counter),
        };
        shard.entries.insert(number, entry);
        Ok(Place { table: Arc::clone(self), home, number, kind, logged: false })
    }

    /// How long clients may leave their connections waiting.
    pub fn patience(&self) -> Patience {
        self.connections.patience()
    }

    /// How long the next request of a connection may take to begin to come.
    pub fn next_request(&self) -> Duration {
        self.connections.next_request()
    }

    /// Whether there are so many connections that the rest is for people who sign in.
    pub fn is_crowded(&self) -> bool {
        self.connections.is_crowded()
    }

    /// Whether nothing is under way, and no client is connected.
    pub fn is_idle(&self) -> bool {
        self.count() == 0 && self.connections.count() == 0
    }

    /// How many exchanges are under way.
    pub fn count(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).entries.len()).sum()
    }

    /// How many of them go on although their client has left.
    pub fn unheard(&self) -> usize {
        let unheard = |shard| lock(shard).entries.values().filter(|entry| entry.line.is_unheard()).count();
        self.shards.iter().map(unheard).sum()
    }

    /// Ends what is open by tokens that have expired.
    pub fn end_expired(&self, now: Timestamp) {
        self.end_where(End::TokenExpired, |entry| entry.ends_at <= now);
    }

    /// Ends what has waited for too long: heads of requests, answers of upstreams, and those that nobody hears any more.
    pub fn end_overdue(&self) {
        let now = line::now();
        self.connections.end_overdue(now);
        self.end_where(End::Silent, |entry| entry.line.is_overdue(now));
        self.end_where(End::Unheard, |entry| entry.line.is_unheard_for_long(now));
    }

    /// Ends the streams that answer no call, one of so many shares of them.
    pub fn end_streams(&self, share: usize, shares: usize) {
        for (_, shard) in self.shards.iter().enumerate().filter(|(index, _)| index % shares == share) {
            let shard = lock(shard);
            shard
                .entries
                .values()
                .filter(|entry| entry.kind == Kind::Stream)
                .for_each(|entry| entry.line.end(End::Leaving));
        }
    }

    /// Ends the streams that answer no call on routes that are not what they were: their clients come back, and meet what
    /// holds now.
    pub fn end_streams_on(&self, changed: impl Fn(&Route) -> bool) {
        self.end_where(End::RouteChanged, |entry| entry.kind == Kind::Stream && changed(entry.permit.route()));
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
            for entry in lock(shard).entries.values() {
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
            Change::ConnectionRefreshed(..) | Change::ConnectionGone(_) | Change::ToolPinsChanged | Change::Unheard => {
            }
        }
    }

    /// An exchange that is ended here has not left its place, so its line is still its own.
    fn end_where(&self, why: End, ends: impl Fn(&Entry) -> bool) {
        for shard in &self.shards {
            for entry in lock(shard).entries.values().filter(|entry| ends(entry)) {
                entry.line.end(why);
            }
        }
    }
}

impl Place {
    /// Whether the upstream may be silent for as long as it likes.
    ///
    /// A GET opens a stream that may be quiet for hours, and a server may send its head with the first event; TCP
    /// keep-alive and HTTP/2 pings find dead peers there. The same goes for `subscriptions/listen`. Every other answer must
    /// begin before `responseTimeout` has passed, and go on within it unless it is a stream of events.
    pub fn may_be_silent(&self) -> bool {
        self.kind == Kind::Stream
    }

    /// Leaves, after the line in the log is written.
    pub fn leave(mut self) {
        self.logged = true;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut shard = lock(&self.table.shards[self.home]);
        let Some(Entry { permit, line, counter, .. }) = shard.entries.remove(&self.number) else { return };
        counter.fetch_sub(1, Ordering::AcqRel);
        let subject = permit.principal().subject();
        if let Some(count) = shard.of_user.get_mut(subject) {
            *count -= 1;
            if *count == 0 {
                shard.of_user.remove(subject);
            }
        }
        drop(shard);
        if !self.logged {
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
            Self::RouteChanged => "route_changed",
            Self::Silent => "timeout",
            Self::Unheard => "client_disconnected",
        }
    }
}

/// Where the exchanges of a person are.
fn shard_of(subject: &SubjectId) -> usize {
    usize::try_from(FixedState::default().hash_one(subject) % SHARDS as u64).unwrap_or(0)
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a request asks for, repeated in its headers (MCP 2026-07-28).
pub const MCP_METHOD: HeaderName = HeaderName::from_static("mcp-method");
const SHARDS: usize = 16;
const ASKED_AT_ONCE: usize = 500;
