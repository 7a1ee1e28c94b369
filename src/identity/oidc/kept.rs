//! A document of the provider, kept and refreshed.

use std::{
    future::Future,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use super::Error;
use crate::clock::{Clock, Timestamp};

/// A document that is fetched when first needed, again after an hour, and kept if that fails.
pub(super) struct Kept<T> {
    state: RwLock<State<T>>,
    /// Held while fetching, so that callers who come at the same time share one fetch.
    turn: tokio::sync::Mutex<()>,
    clock: Clock,
}

struct State<T> {
    /// The last good document; a failure only as long as there never was one.
    last: Option<Result<Arc<T>, Error>>,
    refresh_at: Timestamp,
    reloaded_at: Option<Timestamp>,
    attempts: u64,
}

impl<T> Kept<T> {
    pub(super) fn new(clock: Clock) -> Self {
        let state = State { last: None, refresh_at: clock.now(), reloaded_at: None, attempts: 0 };
        Self { state: RwLock::new(state), turn: tokio::sync::Mutex::default(), clock }
    }

    /// The document, fetched if it is missing or old; an old one if fetching fails.
    pub(super) async fn load(&self, fetch: impl Future<Output = Result<T, Error>>) -> Result<Arc<T>, Error> {
        let attempts = {
            let state = self.read();
            match &state.last {
                Some(Ok(document)) if state.refresh_at.is_to_come(LIFETIME, self.clock.now()) => {
                    return Ok(Arc::clone(document));
                }
                _ => state.attempts,
            }
        };
        let _turn = self.turn.lock().await;
        if let Some(outcome) = self.read().outcome_since(attempts) {
            return outcome;
        }
        let fetched = fetch.await;
        self.write().record(fetched, self.clock.now())
    }

    /// The document, fetched again because the kept one did not do; at most once in ten seconds.
    pub(super) async fn reload(&self, fetch: impl Future<Output = Result<T, Error>>) -> Result<Arc<T>, Error> {
        let attempts = self.read().attempts;
        let _turn = self.turn.lock().await;
        let now = self.clock.now();
        {
            let mut state = self.write();
            if let Some(outcome) = state.outcome_since(attempts) {
                return outcome;
            }
            match &state.last {
                Some(outcome) if state.reloaded_at.is_some_and(|last| last.is_within(RETRY, now)) => {
                    return outcome.clone();
                }
                _ => state.reloaded_at = Some(now),
            }
        }
        let fetched = fetch.await;
        self.write().record(fetched, self.clock.now())
    }

    /// Has the document fetched again before its hour is over, ten seconds from now at the earliest.
    pub(super) fn distrust(&self) {
        let soon = self.clock.now().plus(RETRY);
        let mut state = self.write();
        state.refresh_at = state.refresh_at.min(soon);
    }

    fn read(&self) -> RwLockReadGuard<'_, State<T>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<T>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    /// The outcome of a fetch that someone else made while we waited for our turn.
    fn outcome_since(&self, attempts: u64) -> Option<Result<Arc<T>, Error>> {
        if self.attempts == attempts { None } else { self.last.clone() }
    }

    fn record(&mut self, fetched: Result<T, Error>, now: Timestamp) -> Result<Arc<T>, Error> {
        self.attempts += 1;
        let outcome = match (fetched, &self.last) {
            (Ok(document), _) => {
                self.refresh_at = now.plus(LIFETIME);
                Ok(Arc::new(document))
            }
            (Err(error), Some(Ok(document))) => {
                tracing::warn!(fault = %error, "an older document of the identity provider stays in use");
                self.refresh_at = now.plus(RETRY);
                Ok(Arc::clone(document))
            }
            (Err(error), _) => Err(error),
        };
        self.last = Some(outcome.clone());
        outcome
    }
}

const LIFETIME: Duration = Duration::from_hours(1);
const RETRY: Duration = Duration::from_secs(10);
