//! Time as a parameter, so that tests turn the clock instead of sleeping.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A moment, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The moment `seconds` seconds after the Unix epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, as JWT `NumericDate` counts.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment moved into the future; saturates at the end of time.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// This moment moved into the past; saturates at the beginning of time.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// Whether this moment, of which something was remembered, is less than `span` from `now`, on either side: a clock that
    /// was set back must not make what is old look like new until it has caught up.
    pub fn is_within(self, span: Duration, now: Self) -> bool {
        now < self.plus(span) && self < now.plus(span)
    }

    /// Whether this moment, the end of something that lasts `span` at most, is still to come. One that is further away was
    /// set before the clock was set back, and counts as over.
    pub fn is_to_come(self, span: Duration, now: Self) -> bool {
        now < self && self <= now.plus(span)
    }

    /// How long it is until `later`; zero if `later` has passed.
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }
}

/// The clock that everything asks for the time.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    offset_millis: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The machine's clock.
    pub const fn system() -> Self {
        Self { offset_millis: None }
    }

    /// The machine's clock plus an offset that [`Clock::advance`] moves; all clones share it.
    pub fn adjustable() -> Self {
        Self { offset_millis: Some(Arc::default()) }
    }

    /// Moves an adjustable clock forward; a system clock does not move.
    pub fn advance(&self, by: Duration) {
        if let Some(offset) = &self.offset_millis {
            offset.fetch_add(millis(by), Ordering::SeqCst);
        }
    }

    /// Sets an adjustable clock back; a system clock does not move.
    pub fn set_back(&self, by: Duration) {
        if let Some(offset) = &self.offset_millis {
            offset.fetch_sub(millis(by), Ordering::SeqCst);
        }
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let offset = self.offset_millis.as_ref().map_or(0, |offset| offset.load(Ordering::SeqCst));
        Timestamp(millis(since_epoch).saturating_add(offset))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advanced_clock_moves_all_its_clones() {
        let clock = Clock::adjustable();
        let clone = clock.clone();
        let before = clone.now();
        clock.advance(Duration::from_secs(3600));
        assert!(before.until(clone.now()) >= Duration::from_secs(3600));
    }

    #[test]
    fn an_end_from_before_the_clock_was_set_back_is_over() {
        let (now, span) = (Timestamp::from_seconds(1_800_000_000), Duration::from_secs(10));
        let (end, moment) = (now.plus(span), Duration::from_millis(1));
        assert!(end.is_to_come(span, now) && end.is_to_come(span, end.minus(moment)));
        assert!(!end.is_to_come(span, end) && !end.is_to_come(span, now.minus(moment)));
    }

    #[test]
    fn what_was_remembered_before_the_clock_was_set_back_is_not_recent() {
        let (now, span) = (Timestamp::from_seconds(1_800_000_000), Duration::from_secs(10));
        assert!(now.is_within(span, now) && now.minus(Duration::from_secs(9)).is_within(span, now));
        assert!(!now.minus(span).is_within(span, now));
        assert!(!now.plus(Duration::from_hours(1)).is_within(span, now));
    }

    #[test]
    fn arithmetic_saturates_instead_of_wrapping() {
        let end = Timestamp::from_millis(i64::MAX);
        assert_eq!(end.plus(Duration::from_secs(1)), end);
        assert_eq!(end.until(Timestamp::from_millis(0)), Duration::ZERO);
        assert_eq!(Timestamp::from_millis(-1).as_seconds(), -1);
    }
}
