//! Documents of clients, fetched when needed and kept for as long as their hosts allow.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use quick_cache::sync::Cache;

use crate::{
    clock::{Clock, Timestamp},
    outbound::Freshness,
};

/// A bounded number of documents by their URLs. Failures are never kept.
pub(super) struct Cached<T> {
    slots: Cache<String, Arc<Slot<T>>>,
    clock: Clock,
}

/// A document that was fetched just now.
pub(super) struct New<T> {
    pub(super) document: T,
    pub(super) freshness: Freshness,
}

struct Slot<T> {
    state: RwLock<State<T>>,
    /// Held while fetching, so that callers who come at the same time share one fetch.
    turn: tokio::sync::Mutex<()>,
}

struct State<T> {
    document: Arc<T>,
    fetched_at: Timestamp,
    refresh_at: Timestamp,
    reloaded_at: Option<Timestamp>,
}

impl<T> Cached<T> {
    pub(super) fn new(capacity: usize, clock: Clock) -> Self {
        Self { slots: Cache::new(capacity), clock }
    }

    /// The document, if it is at hand and needs no refresh.
    pub(super) fn fresh(&self, url: &str) -> Option<Arc<T>> {
        self.slots.get(url)?.fresh(self.clock.now())
    }

    /// The document, fetched if it is missing or old.
    ///
    /// If fetching fails an old one stays in use, for a week at most: a client's host that cannot be reached must not log
    /// its users out.
    pub(super) async fn load<E: fmt::Display>(
        &self,
        url: &str,
        fetch: impl Future<Output = Result<New<T>, E>>,
    ) -> Result<Arc<T>, E> {
        match self.slots.get_value_or_guard_async(url).await {
            Ok(slot) => slot.load(fetch, &self.clock).await,
            Err(guard) => {
                let slot = Slot::new(fetch.await?, self.clock.now());
                let document = slot.read().document.clone();
                // An entry that was removed meanwhile is fetched again by the next caller.
                let _kept = guard.insert(Arc::new(slot));
                Ok(document)
            }
        }
    }

    /// The document, fetched again because the kept one did not do; at most once in ten seconds.
    pub(super) async fn reload<E: fmt::Display>(
        &self,
        url: &str,
        fetch: impl Future<Output = Result<New<T>, E>>,
    ) -> Result<Arc<T>, E> {
        match self.slots.get(url) {
            Some(slot) => slot.reload(fetch, &self.clock).await,
            None => self.load(url, fetch).await,
        }
    }
}

impl<T> Slot<T> {
    fn new(new: New<T>, now: Timestamp) -> Self {
        Self { state: RwLock::new(State::of(new, now)), turn: tokio::sync::Mutex::default() }
    }

    fn fresh(&self, now: Timestamp) -> Option<Arc<T>> {
        let state = self.read();
        state.refresh_at.is_to_come(MAX_LIFETIME, now).then(|| Arc::clone(&state.document))
    }

    async fn load<E: fmt::Display>(
        &self,
        fetch: impl Future<Output = Result<New<T>, E>>,
        clock: &Clock,
    ) -> Result<Arc<T>, E> {
        if let Some(document) = self.fresh(clock.now()) {
            return Ok(document);
        }
        let _turn = self.turn.lock().await;
        if let Some(document) = self.fresh(clock.now()) {
            return Ok(document);
        }
        let fetched = fetch.await;
        self.write().record(fetched, clock.now())
    }

    async fn reload<E: fmt::Display>(
        &self,
        fetch: impl Future<Output = Result<New<T>, E>>,
        clock: &Clock,
    ) -> Result<Arc<T>, E> {
        let _turn = self.turn.lock().await;
        {
            let (mut state, now) = (self.write(), clock.now());
            if state.reloaded_at.is_some_and(|last| last.is_within(RELOAD_EVERY, now)) {
                return Ok(Arc::clone(&state.document));
            }
            state.reloaded_at = Some(now);
        }
        let fetched = fetch.await;
        self.write().record(fetched, clock.now())
    }

    fn read(&self) -> RwLockReadGuard<'_, State<T>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<T>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn of(New { document, freshness }: New<T>, now: Timestamp) -> Self {
        let lifetime = freshness.max_age.unwrap_or(LIFETIME).clamp(MIN_LIFETIME, MAX_LIFETIME);
        Self { document: Arc::new(document), fetched_at: now, refresh_at: now.plus(lifetime), reloaded_at: None }
    }

    fn record<E: fmt::Display>(&mut self, fetched: Result<New<T>, E>, now: Timestamp) -> Result<Arc<T>, E> {
        match fetched {
            Ok(new) => *self = Self { reloaded_at: self.reloaded_at, ..Self::of(new, now) },
            Err(error) if now < self.fetched_at.plus(KEPT_FOR) => {
                tracing::warn!(event = "mcp_auth_client_document_failed", outcome = "failure",
                    failureOrigin = "client", error = %error, "an older document of a client stays in use");
                self.refresh_at = now.plus(MIN_LIFETIME);
            }
            Err(error) => return Err(error),
        }
        Ok(Arc::clone(&self.document))
    }
}

/// Where the host says nothing.
const LIFETIME: Duration = Duration::from_hours(1);
/// Also where the host says less, so that a busy client does not make us fetch for every request.
const MIN_LIFETIME: Duration = Duration::from_mins(1);
const MAX_LIFETIME: Duration = Duration::from_hours(24);
/// How long a document that cannot be refreshed is used.
const KEPT_FOR: Duration = Duration::from_hours(7 * 24);
const RELOAD_EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const URL: &str = "https://client.example/c";

    /// A host that numbers its answers, and can be made to fail.
    #[derive(Default)]
    struct Host {
        fetches: AtomicUsize,
        max_age: Option<Duration>,
        down: bool,
    }

    impl Host {
        async fn fetch(&self) -> Result<New<usize>, &'static str> {
            let document = self.fetches.fetch_add(1, Ordering::SeqCst) + 1;
            tokio::task::yield_now().await;
            let freshness = Freshness { max_age: self.max_age, etag: None };
            if self.down { Err("down") } else { Ok(New { document, freshness }) }
        }
    }

    fn cached() -> (Cached<usize>, Clock) {
        let clock = Clock::adjustable();
        (Cached::new(4, clock.clone()), clock)
    }

    /// AS-41: the host's caching headers within our bounds.
    #[tokio::test]
    async fn a_document_is_fetched_again_when_its_time_is_over() {
        for (max_age, lifetime) in [
            (None, LIFETIME),
            (Some(0), MIN_LIFETIME),
            (Some(300), Duration::from_secs(300)),
            (Some(u64::MAX), MAX_LIFETIME),
        ] {
            let (cached, clock) = cached();
            let host = Host { max_age: max_age.map(Duration::from_secs), ..Host::default() };
            assert_eq!(cached.fresh(URL), None);
            assert_eq!(*cached.load(URL, host.fetch()).await.unwrap(), 1);
            let (nearly, moment) = (lifetime.mul_f64(0.9), lifetime.mul_f64(0.1));
            clock.advance(nearly);
            assert_eq!(*cached.load(URL, host.fetch()).await.unwrap(), 1, "{max_age:?}");
            assert_eq!(cached.fresh(URL).as_deref(), Some(&1));
            clock.advance(moment);
            assert_eq!(cached.fresh(URL), None);
            assert_eq!(*cached.load(URL, host.fetch()).await.unwrap(), 2, "{max_age:?}");
        }
    }

    #[tokio::test]
    async fn failures_are_not_kept() {
        let (cached, _) = cached();
        let (down, up) = (Host { down: true, ..Host::default() }, Host::default());
        for _ in 0..2 {
            cached.load(URL, down.fetch()).await.unwrap_err();
        }
        assert_eq!(*cached.load(URL, up.fetch()).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_document_outlasts_its_host_for_a_week() {
        let (cached, clock) = cached();
        let (up, down) = (Host::default(), Host { down: true, ..Host::default() });
        cached.load(URL, up.fetch()).await.unwrap();
        clock.advance(Duration::from_hours(2));
        for _ in 0..2 {
            assert_eq!(*cached.load(URL, down.fetch()).await.unwrap(), 1);
        }
        assert_eq!(down.fetches.load(Ordering::SeqCst), 1, "the next attempt is a minute later");
        clock.advance(Duration::from_mins(1));
        assert_eq!(*cached.load(URL, down.fetch()).await.unwrap(), 1);
        assert_eq!(down.fetches.load(Ordering::SeqCst), 2);
        clock.advance(KEPT_FOR);
        cached.load(URL, down.fetch()).await.unwrap_err();
        assert_eq!(*cached.load(URL, up.fetch()).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn callers_who_come_at_once_share_one_fetch() {
        let (cached, clock) = cached();
        let host = Host::default();
        let all = || async { futures_util::future::join_all((0..16).map(|_| cached.load(URL, host.fetch()))).await };
        assert!(all().await.into_iter().all(|loaded| *loaded.unwrap() == 1));
        clock.advance(LIFETIME);
        assert!(all().await.into_iter().all(|loaded| *loaded.unwrap() == 2));
    }

    #[tokio::test]
    async fn a_reload_is_made_once_in_ten_seconds() {
        let (cached, clock) = cached();
        let host = Host::default();
        cached.load(URL, host.fetch()).await.unwrap();
        for _ in 0..3 {
            assert_eq!(*cached.reload(URL, host.fetch()).await.unwrap(), 2);
        }
        clock.advance(RELOAD_EVERY);
        assert_eq!(*cached.reload(URL, host.fetch()).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn the_number_of_documents_is_bounded() {
        let (cached, _) = cached();
        let host = Host::default();
        for number in 0..100 {
            cached.load(&format!("{URL}/{number}"), host.fetch()).await.unwrap();
        }
        assert!(cached.slots.len() <= 4);
    }
}
