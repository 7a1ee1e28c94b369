//! Token buckets by key, as the one number that the generic cell rate algorithm needs of each.

use std::{
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use quick_cache::sync::Cache;

use crate::clock::Timestamp;

/// A bounded number of buckets; one that is forgotten is full.
pub(super) struct Buckets<K> {
    /// When each bucket will be full, in milliseconds since the Unix epoch.
    full_at: Cache<K, Arc<AtomicI64>>,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { full_at: Cache::new(capacity) }
    }

    /// Takes one of `limit` a minute, or says in how many seconds there will be one; 0 means no limit.
    pub(super) fn take(&self, key: K, limit: u32, now: Timestamp) -> Result<(), u64> {
        if limit == 0 {
            return Ok(());
        }
        let each = MINUTE / i64::from(limit).min(MINUTE);
        let fresh = || Ok::<_, std::convert::Infallible>(Arc::default());
        let Ok(bucket) = self.full_at.get_or_insert_with(&key, fresh);
        let now = now.as_millis();
        // What is further away was noted before the clock was set back, and would refuse everybody until it has caught up.
        let taken = |full_at: i64| if full_at > now + MINUTE { now + each } else { full_at.max(now) + each };
        let fits = |full_at: i64| Some(taken(full_at)).filter(|full_at| full_at - now <= MINUTE);
        match bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_before) => Ok(()),
            Err(full_at) => Err(u64::try_from(taken(full_at) - now - MINUTE).unwrap_or_default().div_ceil(1000).max(1)),
        }
    }
}

const MINUTE: i64 = 60_000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    #[test]
    fn a_bucket_holds_a_minutes_worth_and_fills_up_evenly() {
        let buckets = Buckets::new(16);
        for _ in 0..30 {
            assert_eq!(buckets.take("a", 30, NOW), Ok(()));
        }
        assert_eq!(buckets.take("a", 30, NOW), Err(2));
        assert_eq!(buckets.take("b", 30, NOW), Ok(()), "another bucket is untouched");
        let later = NOW.plus(Duration::from_secs(2));
        assert_eq!((buckets.take("a", 30, later), buckets.take("a", 30, later)), (Ok(()), Err(2)));
        let full = later.plus(Duration::from_secs(120));
        assert_eq!((0..40).filter(|_| buckets.take("a", 30, full).is_ok()).count(), 30);
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let buckets = Buckets::new(16);
        assert_eq!(buckets.take("a", 1, NOW.plus(Duration::from_hours(1))), Ok(()));
        assert_eq!(buckets.take("a", 1, NOW), Ok(()));
        assert!(buckets.take("a", 1, NOW).is_err());
    }

    #[test]
    fn refused_attempts_cost_nothing() {
        let buckets = Buckets::new(16);
        for _ in 0..1000 {
            let _ = buckets.take("a", 1, NOW);
        }
        assert_eq!(buckets.take("a", 1, NOW), Err(60));
        assert_eq!(buckets.take("a", 1, NOW.plus(Duration::from_secs(60))), Ok(()));
    }

    #[test]
    fn zero_is_no_limit_and_a_huge_one_is_none_either() {
        let buckets = Buckets::new(16);
        assert!((0..1000).all(|_| buckets.take("a", 0, NOW).is_ok()));
        assert!((0..1000).all(|_| buckets.take("b", u32::MAX, NOW).is_ok()));
    }

    #[test]
    fn the_number_of_buckets_is_bounded() {
        let buckets = Buckets::new(64);
        for key in 0..10_000 {
            buckets.take(key, 1, NOW).unwrap();
        }
        assert!(buckets.full_at.len() <= 64);
    }

    #[test]
    fn of_many_threads_no_more_get_through_than_may() {
        let buckets = Buckets::new(16);
        let through: usize = std::thread::scope(|scope| {
            let take = || (0..100).filter(|_| buckets.take("a", 60, NOW).is_ok()).count();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(through, 60);
    }
}
