//! The connections that are in use, opened, in memory.

use std::{
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use quick_cache::{Equivalent, sync::Cache};

use super::sealed::Held;
use crate::{
    clock::Timestamp,
    policy::Permit,
    store::{Change, Connection, ConnectionKey, Owner},
    upstream::Credential,
};

/// A live connection with its tokens open.
pub(super) struct Cached {
    /// None for an API key, which is neither refreshed nor revoked.
    pub(super) held: Option<Held>,
    pub(super) client_id: String,
    pub(super) version: i64,
    pub(super) loaded_at: Timestamp,
    pub(super) last_used_at: Option<Timestamp>,
    pub(super) wanted_scope: Option<String>,
    access_expires_at: Option<Timestamp>,
    refresh_from: Option<Timestamp>,
    headers: Arc<[(HeaderName, HeaderValue)]>,
}

impl Cached {
    pub(super) fn new(
        connection: Connection,
        held: Option<Held>,
        header: (HeaderName, HeaderValue),
        now: Timestamp,
    ) -> Self {
        let refreshable = held.as_ref().is_some_and(|held| held.refresh_token.is_some());
        let refresh_from = connection
            .access_expires_at
            .filter(|_| refreshable)
            .map(|end| end.minus((connection.updated_at.until(end) / 10).min(LONGEST_LEAD)));
        Self {
            held,
            client_id: connection.client_id,
            version: connection.version,
            loaded_at: now,
            last_used_at: connection.last_used_at,
            wanted_scope: connection.wanted_scope,
            access_expires_at: connection.access_expires_at,
            refresh_from,
            headers: Arc::new([header]),
        }
    }

    /// Whether it is time to refresh: shortly before the end, a tenth of the lifetime, at most a minute.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.refresh_from.is_some_and(|from| now >= from)
    }

    /// Whether the access token has ended, as far as the upstream said.
    pub(super) fn has_ended(&self, now: Timestamp) -> bool {
        self.access_expires_at.is_some_and(|end| now >= end)
    }

    /// Whether the access token may end before a call that begins now has reached the upstream.
    pub(super) fn ends_soon(&self, now: Timestamp) -> bool {
        self.access_expires_at.is_some_and(|end| now.plus(WAY_TO_UPSTREAM) >= end)
    }

    pub(super) fn credential(&self, permit: &Permit) -> Credential {
        Credential::of_connection(permit, Arc::clone(&self.headers), self.version)
    }
}

/// Connections by owner and upstream, found without copying either.
pub(super) struct Warm {
    connections: Cache<Name, Arc<Cached>>,
    not_before: Cache<Name, Timestamp>,
    refused: Cache<Name, (i64, Timestamp)>,
    changes: AtomicU64,
}

impl Default for Warm {
    fn default() -> Self {
        Self {
            connections: Cache::new(CONNECTIONS),
            not_before: Cache::new(FAILING),
            refused: Cache::new(FAILING),
            changes: AtomicU64::new(0),
        }
    }
}

impl Warm {
    pub(super) fn get(&self, subject: Option<&str>, upstream_id: &str) -> Option<Arc<Cached>> {
        self.connections.get(&NameRef { subject, upstream_id })
    }

    /// How much has changed so far; asked before a connection is read that may be kept.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Keeps a connection that was read after `changes`, unless something changed while it was read.
    pub(super) fn keep(&self, key: &ConnectionKey, cached: &Arc<Cached>, changes: u64) {
        let name = Name::of(key);
        self.connections.insert(name.clone(), Arc::clone(cached));
        if self.changes() != changes {
            self.connections.remove(&name.borrowed());
        }
    }

    pub(super) fn forget(&self, key: &ConnectionKey) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.connections.remove(&Name::of(key).borrowed());
    }

    /// Forgets what another process has overtaken.
    pub(super) fn hear(&self, change: &Change) {
        match change {
            Change::ConnectionGone(key) => self.forget(key),
            Change::ConnectionRefreshed(key, version) => {
                let name = Name::of(key);
                if self.connections.get(&name.borrowed()).is_none_or(|known| known.version < *version) {
                    self.forget(key);
                }
            }
            Change::Unheard => {
                self.changes.fetch_add(1, Ordering::AcqRel);
                self.connections.clear();
            }
            Change::GrantRevoked(_) | Change::AccessTokenRevoked(_) | Change::ToolPinsChanged => {}
        }
    }

    /// Lets nobody bother an authorization server that could not answer before `until`.
    pub(super) fn back_off(&self, key: &ConnectionKey, until: Timestamp) {
        self.not_before.insert(Name::of(key), until);
    }

    /// Remembers that a version of a connection was refused although it was new.
    pub(super) fn refused(&self, key: &ConnectionKey, version: i64, now: Timestamp) {
        self.refused.insert(Name::of(key), (version, now));
    }

    /// Whether this very version was refused although it was new, a moment ago.
    pub(super) fn was_refused(&self, key: &ConnectionKey, version: i64, now: Timestamp) -> bool {
        let refused = self.refused.get(&Name::of(key).borrowed());
        refused.is_some_and(|(known, at)| known == version && at.is_within(REFUSAL_COUNTS_FOR, now))
    }

    /// When the next refresh may be tried after one that could not be answered.
    pub(super) fn not_before(&self, key: &ConnectionKey) -> Option<Timestamp> {
        self.not_before.get(&Name::of(key).borrowed())
    }
}

#[derive(Clone, PartialEq, Eq)]
struct Name {
    subject: Option<String>,
    upstream_id: String,
}

struct NameRef<'a> {
    subject: Option<&'a str>,
    upstream_id: &'a str,
}

impl Name {
    fn of(key: &ConnectionKey) -> Self {
        let subject = match &key.owner {
            Owner::User(subject) => Some(subject.as_str().to_owned()),
            Owner::Shared => None,
        };
        Self { subject, upstream_id: key.upstream_id.clone() }
    }

    fn borrowed(&self) -> NameRef<'_> {
        NameRef { subject: self.subject.as_deref(), upstream_id: &self.upstream_id }
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.borrowed().hash(state);
    }
}

impl Hash for NameRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.subject.hash(state);
        self.upstream_id.hash(state);
    }
}

impl Equivalent<Name> for NameRef<'_> {
    fn equivalent(&self, name: &Name) -> bool {
        self.subject == name.subject.as_deref() && self.upstream_id == name.upstream_id
    }
}

const CONNECTIONS: usize = 50_000;
const FAILING: usize = 10_000;
/// How long no new token is asked for where the newest was refused.
const REFUSAL_COUNTS_FOR: Duration = Duration::from_secs(10);
/// How long a call may take from here until the upstream looks at its token.
const WAY_TO_UPSTREAM: Duration = Duration::from_secs(5);
const LONGEST_LEAD: Duration = Duration::from_mins(1);
