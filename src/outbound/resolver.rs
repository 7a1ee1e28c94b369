//! Host names to addresses, cached.

use std::{net::IpAddr, sync::Arc, time::Duration};

use quick_cache::sync::Cache;
use tokio::time::{Instant, timeout};

use super::dns::{Answer, Dns, DnsError, SystemDns};

/// Resolves host names and remembers the answers.
///
/// A remembered name costs one hash look-up and never waits. An expired name is asked for once, however many callers
/// want it. If that fails, the last good answer is used for up to an hour (RFC 8767), and the next question waits a few
/// seconds, so that dead name servers neither stop a running gateway nor get hammered.
pub struct Resolver {
    dns: Box<dyn Dns>,
    bounds: Bounds,
    current: Cache<String, Entry>,
    last_good: Cache<String, LastGood>,
}

#[derive(Clone)]
struct Entry {
    outcome: Result<Arc<[IpAddr]>, DnsError>,
    until: Instant,
}

#[derive(Clone)]
struct LastGood {
    addresses: Arc<[IpAddr]>,
    until: Instant,
}

/// How long answers live.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) shortest: Duration,
    pub(super) longest: Duration,
    pub(super) after_failure: Duration,
    pub(super) stale: Duration,
}

impl Resolver {
    /// Resolves like this machine does: `/etc/hosts` first, then the name servers of `/etc/resolv.conf`.
    ///
    /// Both files are read once. Without a usable `resolv.conf` only `/etc/hosts` and `localhost` are known.
    pub fn system() -> Self {
        Self::new(Box::new(SystemDns::load()), BOUNDS)
    }

    pub(super) fn new(dns: Box<dyn Dns>, bounds: Bounds) -> Self {
        Self { dns, bounds, current: Cache::new(CAPACITY), last_good: Cache::new(CAPACITY) }
    }

    /// The addresses of `host`, IPv4 first; never empty. An IP literal, bracketed or not, is its own address.
    pub async fn lookup(&self, host: &str) -> Result<Arc<[IpAddr]>, DnsError> {
        if let Some(entry) = self.current.get(host) {
            if Instant::now() < entry.until {
                return entry.outcome;
            }
            self.current.remove_if(host, |entry| entry.until <= Instant::now());
        }
        if let Some(address) = literal(host) {
            return Ok(Arc::new([address]));
        }
        if host.len() > MAX_NAME {
            return Err(DnsError::NoSuchName);
        }
        match self.current.get_value_or_guard_async(host).await {
            Ok(entry) => entry.outcome,
            Err(guard) => {
                let entry = self.ask(host).await;
                // Fails only if the place in the cache was evicted meanwhile; the answer stays good for this caller.
                let _evicted = guard.insert(entry.clone());
                entry.outcome
            }
        }
    }

    async fn ask(&self, host: &str) -> Entry {
        let answer = timeout(QUERY_DEADLINE, self.dns.query(host)).await.unwrap_or(Err(DnsError::Timeout));
        let now = Instant::now();
        match answer {
            Ok(Answer { addresses, ttl }) => {
                let addresses: Arc<[IpAddr]> = addresses.into();
                let until = now + ttl.clamp(self.bounds.shortest, self.bounds.longest);
                let last_good = LastGood { addresses: Arc::clone(&addresses), until: until + self.bounds.stale };
                self.last_good.insert(host.to_owned(), last_good);
                Entry { outcome: Ok(addresses), until }
            }
            Err(error) => {
                let outcome = match self.last_good.get(host) {
                    Some(last) if error.is_outage() && now < last.until => Ok(last.addresses),
                    _ => Err(error),
                };
                Entry { outcome, until: now + self.bounds.after_failure }
            }
        }
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver")
            .field("bounds", &self.bounds)
            .field("cached", &self.current.len())
            .finish_non_exhaustive()
    }
}

fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

const CAPACITY: usize = 4096;
/// RFC 1035 section 2.3.4.
const MAX_NAME: usize = 253;
const QUERY_DEADLINE: Duration = Duration::from_secs(8);
const BOUNDS: Bounds = Bounds {
    shortest: Duration::from_secs(1),
    longest: Duration::from_mins(5),
    after_failure: Duration::from_secs(3),
    stale: Duration::from_hours(1),
};

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;
    use crate::outbound::dns::Query;

    /// Name servers with a script: the answers in order, the last one repeated.
    #[derive(Clone)]
    struct Scripted {
        answers: Arc<Mutex<Vec<Result<Answer, DnsError>>>>,
        asked: Arc<AtomicUsize>,
        delay: Duration,
    }

    impl Scripted {
        fn new(answers: Vec<Result<Answer, DnsError>>) -> Self {
            Self {
                answers: Arc::new(Mutex::new(answers.into_iter().rev().collect())),
                asked: Arc::default(),
                delay: Duration::from_millis(100),
            }
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }

        fn resolver(&self) -> Resolver {
            Resolver::new(Box::new(self.clone()), BOUNDS)
        }
    }

    impl Dns for Scripted {
        fn query<'a>(&'a self, _host: &'a str) -> Query<'a> {
            Box::pin(async move {
                self.asked.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(self.delay).await;
                let mut answers = self.answers.lock().unwrap();
                if answers.len() > 1 { answers.pop().unwrap() } else { answers[0].clone() }
            })
        }
    }

    #[allow(clippy::unnecessary_wraps)]
    fn answer(address: &str, ttl: u64) -> Result<Answer, DnsError> {
        Ok(Answer { addresses: vec![address.parse().unwrap()], ttl: Duration::from_secs(ttl) })
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    fn one(address: &str) -> Arc<[IpAddr]> {
        Arc::new([address.parse().unwrap()])
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_remembered_for_its_ttl_and_then_asked_for_again() {
        let dns = Scripted::new(vec![answer("192.0.2.1", 60), answer("192.0.2.2", 60)]);
        let resolver = dns.resolver();
        assert_eq!(resolver.lookup("a.example").await.unwrap(), one("192.0.2.1"));
        pass(59).await;
        assert_eq!(resolver.lookup("a.example").await.unwrap(), one("192.0.2.1"));
        assert_eq!(dns.asked(), 1);
        pass(2).await;
        assert_eq!(resolver.lookup("a.example").await.unwrap(), one("192.0.2.2"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cache_hit_is_ready_at_once() {
        let resolver = Scripted::new(vec![answer("192.0.2.1", 60)]).resolver();
        resolver.lookup("a.example").await.unwrap();
        let mut hit = Box::pin(resolver.lookup("a.example"));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(std::future::Future::poll(hit.as_mut(), &mut context).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn ttls_are_bounded_from_below_and_above() {
        let dns = Scripted::new(vec![answer("192.0.2.1", 0), answer("192.0.2.2", 86_400), answer("192.0.2.3", 60)]);
        let resolver = dns.resolver();
        resolver.lookup("a.example").await.unwrap();
        resolver.lookup("a.example").await.unwrap();
        assert_eq!(dns.asked(), 1);
        pass(2).await;
        resolver.lookup("a.example").await.unwrap();
        pass(301).await;
        assert_eq!(resolver.lookup("a.example").await.unwrap(), one("192.0.2.3"));
    }

    #[tokio::test(start_paused = true)]
    async fn many_callers_ask_once() {
        let dns = Scripted::new(vec![answer("192.0.2.1", 60)]);
        let resolver = Arc::new(dns.resolver());
        let callers: Vec<_> = (0..50)
            .map(|_| {
                let resolver = Arc::clone(&resolver);
                tokio::spawn(async move { resolver.lookup("a.example").await })
            })
            .collect();
        for caller in callers {
            assert_eq!(caller.await.unwrap().unwrap(), one("192.0.2.1"));
        }
        assert_eq!(dns.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_gives_up_does_not_take_the_others_with_it() {
        let dns = Scripted::new(vec![answer("192.0.2.1", 60)]);
        let resolver = dns.resolver();
        let given_up = timeout(Duration::from_millis(10), resolver.lookup("a.example"));
        let (given_up, patient) = tokio::join!(given_up, resolver.lookup("a.example"));
        assert!(given_up.is_err());
        assert_eq!(patient.unwrap(), one("192.0.2.1"));
    }

    #[tokio::test(start_paused = true)]
    async fn dead_name_servers_leave_the_last_answer_in_use_for_an_hour() {
        let dns = Scripted::new(vec![answer("192.0.2.1", 60), Err(DnsError::Timeout)]);
        let resolver = dns.resolver();
        resolver.lookup("a.example").await.unwrap();
        pass(61).await;
        assert_eq!(resolver.lookup("a.example").await.unwrap(), one("192.0.2.1"));
        assert_eq!(resolver.lookup("a.example").await.unwrap(), one("192.0.2.1"));
        assert_eq!(dns.asked(), 2, "the failure is remembered too");
        pass(3700).await;
        assert!(matches!(resolver.lookup("a.example").await, Err(DnsError::Timeout)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_was_deleted_is_gone_at_once() {
        let dns = Scripted::new(vec![answer("192.0.2.1", 60), Err(DnsError::NoSuchName)]);
        let resolver = dns.resolver();
        resolver.lookup("a.example").await.unwrap();
        pass(61).await;
        assert!(matches!(resolver.lookup("a.example").await, Err(DnsError::NoSuchName)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_forgotten_after_seconds() {
        let dns = Scripted::new(vec![Err(DnsError::NoSuchName), answer("192.0.2.1", 60)]);
        let resolver = dns.resolver();
        assert!(resolver.lookup("a.example").await.is_err());
        assert!(resolver.lookup("a.example").await.is_err());
        assert_eq!(dns.asked(), 1);
        pass(4).await;
        assert_eq!(resolver.lookup("a.example").await.unwrap(), one("192.0.2.1"));
    }

    #[tokio::test(start_paused = true)]
    async fn name_servers_that_never_answer_are_given_up() {
        let mut dns = Scripted::new(vec![answer("192.0.2.1", 60)]);
        dns.delay = Duration::from_hours(1);
        assert!(matches!(dns.resolver().lookup("a.example").await, Err(DnsError::Timeout)));
    }

    #[tokio::test]
    async fn literals_are_their_own_address() {
        let resolver = Scripted::new(vec![Err(DnsError::NoSuchName)]).resolver();
        assert_eq!(resolver.lookup("192.0.2.7").await.unwrap(), one("192.0.2.7"));
        assert_eq!(resolver.lookup("[2001:db8::1]").await.unwrap(), one("2001:db8::1"));
    }

    #[tokio::test]
    async fn localhost_resolves_on_this_machine() {
        let addresses = Resolver::system().lookup("localhost").await.unwrap();
        assert!(addresses.iter().all(IpAddr::is_loopback) && !addresses.is_empty());
    }
}
