//! The clients' connections: how many there may be, and how long one may take to say what it wants.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use ipnet::IpNet;

use super::line::{End, Line};
use crate::telemetry::counters::CONNECTIONS_REFUSED;

/// How many connections there may be.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// All together.
    pub all: usize,
    /// From one address.
    pub of_address: usize,
    /// Networks from whose addresses there may be as many as there may be together: proxies speak for many.
    pub proxies: Vec<IpNet>,
    /// How long each may be waited for.
    pub patience: Patience,
}

/// How long a client may leave its connection waiting.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For the end of the TLS handshake.
    pub handshake: Duration,
    /// For the whole head of the first request after it.
    pub first_head: Duration,
    /// For the whole of a body that is kept.
    pub kept_body: Duration,
    /// For the next request over HTTP/1, in whole seconds.
    pub next_request: Duration,
    /// For the next request over HTTP/2, while none is under way; it counts as it is when the edge is built.
    pub next_stream: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { all: 20_000, of_address: 1_000, proxies: Vec::new(), patience: Patience::default() }
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            first_head: Duration::from_secs(30),
            kept_body: Duration::from_secs(300),
            next_request: Duration::from_secs(60),
            next_stream: Duration::from_secs(300),
        }
    }
}

/// The connections that are open.
pub(super) struct Connections {
    limits: Mutex<ConnectionLimits>,
    most: AtomicUsize,
    /// How many seconds the next request of a connection may take to come.
    next_request: AtomicU64,
    open: AtomicUsize,
    next: AtomicU64,
    by_address: Mutex<HashMap<IpAddr, usize>>,
    lines: [Mutex<HashMap<u64, Arc<Line>>>; SHARDS],
}

/// The place of a connection among the open ones, which it leaves with this.
pub(super) struct OpenConnection {
    all: Arc<Connections>,
    address: Option<IpAddr>,
    number: u64,
    line: Arc<Line>,
}

impl Connections {
    pub(super) fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self {
            most: AtomicUsize::new(limits.all),
            next_request: AtomicU64::new(limits.patience.next_request.as_secs()),
            limits: Mutex::new(limits),
            open: AtomicUsize::new(0),
            next: AtomicU64::new(0),
            by_address: Mutex::default(),
            lines: Default::default(),
        })
    }

    /// Limits connections otherwise from now on; those that are open stay.
    pub(super) fn limit(&self, limits: ConnectionLimits) {
        self.most.store(limits.all, Ordering::Relaxed);
        self.next_request.store(limits.patience.next_request.as_secs(), Ordering::Relaxed);
        *lock(&self.limits) = limits;
    }

    /// How long each may be waited for.
    pub(super) fn patience(&self) -> Patience {
        lock(&self.limits).patience
    }

    /// How long the next request of a connection may take to begin to come.
    pub(super) fn next_request(&self) -> Duration {
        Duration::from_secs(self.next_request.load(Ordering::Relaxed))
    }

    /// Takes a connection in, unless there are too many; its handshake is waited for from here on.
    pub(super) fn open(self: &Arc<Self>, address: Option<IpAddr>, line: &Arc<Line>) -> Option<OpenConnection> {
        let limits = lock(&self.limits);
        let mut by_address = lock(&self.by_address);
        let counted = address.filter(|address| !limits.proxies.iter().any(|network| network.contains(address)));
        let full = counted
            .is_some_and(|address| by_address.get(&address).is_some_and(|open| *open >= limits.of_address))
            || self.open.load(Ordering::Acquire) >= limits.all;
        if full {
            CONNECTIONS_REFUSED.count();
            return None;
        }
        if let Some(address) = counted {
            *by_address.entry(address).or_default() += 1;
        }
        self.open.fetch_add(1, Ordering::AcqRel);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        line.awaits_within(limits.patience.handshake);
        self.shard(number).insert(number, Arc::clone(line));
        Some(OpenConnection { all: Arc::clone(self), address: counted, number, line: Arc::clone(line) })
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Whether there is only room left for people who sign in.
    pub(super) fn is_crowded(&self) -> bool {
        let most = self.most.load(Ordering::Relaxed);
        self.open.load(Ordering::Relaxed) > most - most / 10
    }

    /// Ends what has been waiting for too long at `now`: a head that comes byte by byte.
    pub(super) fn end_overdue(&self, now: Duration) {
        for shard in &self.lines {
            for line in lock(shard).values().filter(|line| line.is_overdue(now)) {
                line.end(End::Silent);
            }
        }
    }

    fn shard(&self, number: u64) -> MutexGuard<'_, HashMap<u64, Arc<Line>>> {
        lock(&self.lines[usize::try_from(number).unwrap_or(0) % SHARDS])
    }
}

impl OpenConnection {
    /// The handshake is done, and the head of the first request is waited for.
    pub(super) fn await_first_head(&self) {
        self.line.awaits_within(self.all.patience().first_head);
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.all.shard(self.number).remove(&self.number);
        self.all.open.fetch_sub(1, Ordering::AcqRel);
        if let Some(address) = self.address {
            let mut by_address = lock(&self.all.by_address);
            if let Some(open) = by_address.get_mut(&address) {
                *open -= 1;
                if *open == 0 {
                    by_address.remove(&address);
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const SHARDS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(all: usize, of_address: usize) -> Arc<Connections> {
        let proxies = vec!["10.0.0.0/8".parse().unwrap()];
        Connections::new(ConnectionLimits { all, of_address, proxies, ..ConnectionLimits::default() })
    }

    fn open(connections: &Arc<Connections>, address: &str) -> Option<OpenConnection> {
        connections.open(Some(address.parse().unwrap()), &Arc::default())
    }

    #[test]
    fn one_address_gets_its_share_and_a_proxy_what_there_is() {
        let connections = connections(5, 2);
        let mut held: Vec<_> = (0..2).map(|_| open(&connections, "192.0.2.1").unwrap()).collect();
        assert!(open(&connections, "192.0.2.1").is_none());
        held.push(open(&connections, "192.0.2.2").unwrap());
        held.extend((0..2).map(|_| open(&connections, "10.1.1.1").unwrap()));
        assert!(open(&connections, "10.1.1.1").is_none(), "there are five");
        held.clear();
        assert_eq!(connections.count(), 0);
        assert!(lock(&connections.by_address).is_empty());
        assert!(open(&connections, "192.0.2.1").is_some());
    }

    #[test]
    fn the_last_tenth_is_for_people_who_sign_in() {
        let connections = connections(20, 20);
        let held: Vec<_> = (0..18).map(|_| open(&connections, "192.0.2.1").unwrap()).collect();
        assert!(!connections.is_crowded());
        let more = open(&connections, "192.0.2.1").unwrap();
        assert!(connections.is_crowded());
        drop(more);
        assert!(!connections.is_crowded());
        drop(held);
    }

    #[test]
    fn a_head_that_does_not_come_ends_its_connection_and_one_that_came_does_not() {
        let connections = connections(20, 20);
        let lines: [Arc<Line>; 3] = Default::default();
        let [begun, silent, served] = &lines;
        let held = lines.each_ref().map(|line| connections.open(None, line).unwrap());
        held[1..].iter().for_each(OpenConnection::await_first_head);
        served.awaits_nothing();
        let (now, patience) = (super::super::line::now(), connections.patience());
        let ended = || [begun, silent, served].map(|line| line.ended());
        connections.end_overdue(now);
        assert_eq!(ended(), [None; 3]);
        connections.end_overdue(now + patience.handshake + Duration::from_secs(1));
        assert_eq!(ended(), [Some(End::Silent), None, None]);
        connections.end_overdue(now + patience.first_head + Duration::from_secs(1));
        assert_eq!(ended(), [Some(End::Silent), Some(End::Silent), None]);
    }
}
