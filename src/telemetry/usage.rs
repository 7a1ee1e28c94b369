//! Exchanges added up between two visits to the store: what the analytics page lives on.
//!
//! What exchanges have in common is bounded: of each hour so many combinations are told apart in this process, and
//! whatever comes after them counts for others.

use std::hash::{BuildHasher, Hash};

use foldhash::{HashMap, HashSet, quality::RandomState};

use super::{Exchange, Fault, counters::DROPPED_USAGE};
use crate::{
    clock::Timestamp,
    store::{GATEWAY_BOUNDS, UPSTREAM_BOUNDS, Usage, UsageKey},
};

/// What was not taken to the store yet.
#[derive(Default)]
pub(super) struct Pending {
    rows: HashMap<u64, Usage>,
    hour: i64,
    known: HashSet<u64>,
    hasher: RandomState,
}

/// The parts of a key, borrowed.
#[derive(Clone, Copy, Hash, PartialEq)]
struct Parts<'e> {
    operation_id: &'e str,
    method: &'e str,
    capability: &'e str,
    subject: &'e str,
    client_id: &'e str,
    outcome: &'e str,
    origin: &'e str,
    reason: &'e str,
}

impl Pending {
    /// Adds an exchange, if it was for a route.
    pub(super) fn count(&mut self, exchange: &Exchange, now: Timestamp) {
        let Some(route) = exchange.route() else { return };
        let (subject, client_id) =
            exchange.caller.as_ref().map_or(("", ""), |caller| (caller.subject_id(), caller.client_id()));
        let mut parts = Parts {
            operation_id: &route.operation_id,
            method: exchange.call.as_ref().map_or(exchange.http_method.as_str(), |call| call.method.as_str()),
            capability: exchange.call.as_ref().and_then(|call| call.name.as_deref()).unwrap_or_default(),
            subject,
            client_id,
            outcome: exchange.outcome.as_str(),
            origin: exchange.fault.map_or("", Fault::as_str),
            reason: exchange.reason.unwrap_or_default(),
        };
        let hour = now.as_seconds().div_euclid(3600);
        if std::mem::replace(&mut self.hour, hour) != hour {
            self.known.clear();
        }
        let mut hash = parts.hash(&self.hasher);
        if !self.known.contains(&hash) {
            if self.known.len() < MOST {
                self.known.insert(hash);
            } else {
                let other = |text: &'static str, own: &str| if own.is_empty() { "" } else { text };
                parts.capability = other(OTHERS, parts.capability);
                parts.subject = other(OTHERS, parts.subject);
                parts.client_id = other(OTHERS, parts.client_id);
                hash = parts.hash(&self.hasher);
            }
        }
        let row = self.rows.entry(hash).or_insert_with(|| parts.row());
        row.calls += 1;
        if let (Some(upstream), Some(_)) = (exchange.upstream, &exchange.call) {
            row.gateway[bucket(exchange.gateway(), &GATEWAY_BOUNDS)] += 1;
            row.upstream[bucket(upstream, &UPSTREAM_BOUNDS)] += 1;
        }
    }

    /// Everything so far.
    pub(super) fn take(&mut self) -> Vec<Usage> {
        self.rows.drain().map(|(_, usage)| usage).collect()
    }

    /// What the store did not take comes back, as far as there is room.
    pub(super) fn put_back(&mut self, rows: Vec<Usage>) {
        for row in rows {
            let hash = Parts::of(&row.key).hash(&self.hasher);
            let room = self.rows.len() < 2 * MOST;
            match self.rows.get_mut(&hash) {
                Some(known) => add(known, &row),
                None if room => drop(self.rows.insert(hash, row)),
                None => DROPPED_USAGE.add(row.calls.unsigned_abs()),
            }
        }
    }
}

fn add(known: &mut Usage, more: &Usage) {
    known.calls += more.calls;
    for (sum, more) in known.gateway.iter_mut().zip(more.gateway).chain(known.upstream.iter_mut().zip(more.upstream)) {
        *sum += more;
    }
}

fn bucket(duration: std::time::Duration, bounds: &[u64; 11]) -> usize {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    bounds.iter().position(|bound| micros <= *bound).unwrap_or(bounds.len())
}

impl<'e> Parts<'e> {
    fn of(key: &'e UsageKey) -> Self {
        Self {
            operation_id: &key.operation_id,
            method: &key.method,
            capability: &key.capability,
            subject: &key.subject,
            client_id: &key.client_id,
            outcome: &key.outcome,
            origin: &key.origin,
            reason: &key.reason,
        }
    }

    /// Within one process and one hour nobody can choose two names of one hash; and two that meet are only added up.
    fn hash(&self, hasher: &RandomState) -> u64 {
        hasher.hash_one(self)
    }

    fn row(&self) -> Usage {
        // PostgreSQL keeps no NUL, and nobody wants to see other controls.
        let text = |text: &str| text.chars().filter(|c| !c.is_control()).collect();
        Usage {
            key: UsageKey {
                operation_id: text(self.operation_id),
                method: text(self.method),
                capability: text(self.capability),
                subject: text(self.subject),
                client_id: text(self.client_id),
                outcome: text(self.outcome),
                origin: text(self.origin),
                reason: text(self.reason),
            },
            calls: 0,
            gateway: [0; 12],
            upstream: [0; 12],
        }
    }
}

/// How many combinations of an hour are told apart.
const MOST: usize = 1000;
/// What stands for a name that came after them.
const OTHERS: &str = "(others)";

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        time::{Duration, Instant},
    };

    use super::*;
    use crate::{
        routes::Route,
        telemetry::{Call, Method, Outcome, Target},
    };

    fn exchange(tool: &str) -> Exchange {
        let text = || "a".to_owned();
        let route = Route {
            path: "/mcp/a".to_owned(),
            operation_id: text(),
            title: text(),
            upstream_id: text(),
            upstream_title: text(),
        };
        Exchange {
            started: Instant::now(),
            latency: Duration::from_millis(8),
            upstream: Some(Duration::from_millis(7)),
            upstream_began: None,
            request_id: Arc::default(),
            target: Target::Route(Arc::new(route)),
            caller: None,
            accepted: true,
            http_method: http::Method::POST,
            call: Some(Call::new(Method::named(b"tools/call"), Some(tool))),
            status: 200,
            outcome: Outcome::Success,
            fault: None,
            reason: None,
            received: 0,
            sent: 0,
            trace: None,
        }
    }

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    #[test]
    fn exchanges_are_added_up_and_come_back_when_the_store_is_down() {
        let mut pending = Pending::default();
        (0..3).for_each(|_| pending.count(&exchange("a"), NOW));
        let rows = pending.take();
        assert_eq!((rows.len(), rows[0].calls), (1, 3));
        assert_eq!((rows[0].gateway[3], rows[0].upstream[1]), (3, 3));
        pending.count(&exchange("a"), NOW);
        pending.put_back(rows);
        assert_eq!(pending.take()[0].calls, 4);
        assert!(pending.take().is_empty());
    }

    #[test]
    fn what_is_told_apart_in_an_hour_is_bounded_and_nothing_is_lost() {
        let mut pending = Pending::default();
        for number in 0..3000 {
            pending.count(&exchange(&format!("tool {number}")), NOW);
        }
        let rows = pending.take();
        assert_eq!(rows.len(), 1001);
        assert_eq!(rows.iter().map(|row| row.calls).sum::<i64>(), 3000);
        assert!(rows.iter().any(|row| row.key.capability == OTHERS && row.calls == 2000));
        pending.count(&exchange("a tool of the next hour"), NOW.plus(Duration::from_hours(1)));
        assert_eq!(pending.take()[0].key.capability, "a tool of the next hour");
    }

    #[test]
    fn no_control_character_gets_into_the_store() {
        let mut pending = Pending::default();
        pending.count(&exchange("a\0b\nc"), NOW);
        assert_eq!(pending.take()[0].key.capability, "abc");
    }
}
