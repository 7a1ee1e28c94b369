//! How something outside an exchange tells it to end.

use std::{
    future::poll_fn,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::task::AtomicWaker;

tokio::task_local! {
    /// The line of the exchange that this task works on.
    pub(super) static LINE: Arc<Line>;
}

/// Why an exchange is ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The token that opened it has expired.
    TokenExpired,
    /// The token that opened it was revoked.
    TokenRevoked,
    /// This process leaves.
    Leaving,
    /// The configuration of its route is another one now.
    RouteChanged,
    /// What was to come did not come in time.
    Silent,
    /// Its client has left, and the answer cannot be waited for any longer or need not be.
    Unheard,
}

/// The way to one exchange: a connection's own over HTTP/1, a stream's over HTTP/2.
#[derive(Debug, Default)]
pub struct Line {
    end: AtomicU8,
    /// Milliseconds since the start of the process at which something must have come; 0 where nothing must.
    due: AtomicU64,
    /// Whether what must come is the next request of the connection, of which nothing is there yet.
    between: AtomicBool,
    chunked: AtomicBool,
    /// Whether the client is needed, may leave, or has left.
    client: AtomicU8,
    /// Milliseconds since the start of the process until which an exchange goes on whose client has left.
    unheard_until: AtomicU64,
    waker: AtomicWaker,
}

impl Line {
    /// The line of the exchange that begins in this task.
    pub fn current() -> Arc<Self> {
        LINE.try_with(Arc::clone).unwrap_or_default()
    }

    /// Ends the exchange; the first reason stays.
    pub fn end(&self, why: End) {
        let code = match why {
            End::TokenExpired => 1,
            End::TokenRevoked => 2,
            End::Leaving => 3,
            End::Silent => 4,
            End::RouteChanged => 5,
            End::Unheard => 6,
        };
        if self.end.compare_exchange(0, code, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.waker.wake();
        }
    }

    /// Why the exchange is to end, if it is.
    pub fn ended(&self) -> Option<End> {
        match self.end.load(Ordering::Acquire) {
            0 => None,
            1 => Some(End::TokenExpired),
            2 => Some(End::TokenRevoked),
            3 => Some(End::Leaving),
            4 => Some(End::Silent),
            5 => Some(End::RouteChanged),
            _ => Some(End::Unheard),
        }
    }

    /// Something must have come within `time`: the whole head of a request, or a part of an answer.
    pub fn awaits_within(&self, time: Duration) {
        self.due.store(millis(now() + time).max(1), Ordering::Relaxed);
    }

    /// Nothing must come any more.
    pub fn awaits_nothing(&self) {
        self.due.store(0, Ordering::Relaxed);
    }

    /// The next request of the connection must begin to come within this time, and its whole head soon after that.
    pub fn awaits_request_within(&self, time: Duration) {
        self.awaits_within(time);
        self.between.store(true, Ordering::Relaxed);
    }

    /// Something came from the client.
    pub(super) fn hears_client(&self) {
        if self.between.load(Ordering::Relaxed) {
            self.between.store(false, Ordering::Relaxed);
            self.due.fetch_add(millis(NEXT_HEAD), Ordering::Relaxed);
        }
    }

    /// Whether what must come has not come at `now`.
    pub(super) fn is_overdue(&self, now: Duration) -> bool {
        let due = self.due.load(Ordering::Relaxed);
        due != 0 && due <= millis(now)
    }

    /// From now on the exchange needs its client, or does without: then it goes on when the client leaves.
    pub fn needs_client(&self, needed: bool) {
        self.client.store(if needed { NEEDED } else { MAY_LEAVE }, Ordering::Release);
    }

    /// The client has left; whether the exchange goes on all the same, for a while.
    pub fn goes_on_alone(&self) -> bool {
        match self.client.compare_exchange(MAY_LEAVE, LEFT, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                self.unheard_until.store(millis(now() + UNHEARD_FOR), Ordering::Relaxed);
                true
            }
            Err(state) => state == LEFT,
        }
    }

    /// Whether the client has left an exchange that goes on.
    pub fn is_unheard(&self) -> bool {
        self.client.load(Ordering::Acquire) == LEFT
    }

    /// Whether the exchange has gone on alone for long enough at `now`.
    pub(super) fn is_unheard_for_long(&self, now: Duration) -> bool {
        self.is_unheard() && self.unheard_until.load(Ordering::Relaxed) <= millis(now)
    }

    /// Completes when the exchange is to end.
    pub(super) async fn until_ended(&self) {
        poll_fn(|context| if self.poll_ended(context) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Whether the exchange is to end; if not yet, the task is woken when it is.
    pub(super) fn poll_ended(&self, context: &Context<'_>) -> bool {
        self.waker.register(context.waker());
        self.ended().is_some()
    }

    /// Notes whether an answer in chunks is under way, which has an end of its own to be written.
    pub fn answers_in_chunks(&self, chunked: bool) {
        self.chunked.store(chunked, Ordering::Release);
    }

    /// Whether the end of an answer in chunks is missing; true once.
    pub(super) fn take_unfinished_chunks(&self) -> bool {
        self.chunked.swap(false, Ordering::AcqRel)
    }
}

/// How long the head of a request may take that is not the first of its connection.
const NEXT_HEAD: Duration = Duration::from_secs(10);
/// How long an exchange goes on without its client.
const UNHEARD_FOR: Duration = Duration::from_mins(5);
const NEEDED: u8 = 0;
const MAY_LEAVE: u8 = 1;
const LEFT: u8 = 2;

/// The time since the process began, as lines count it.
pub(super) fn now() -> Duration {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGIN.elapsed()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_request_may_begin_to_come_until_its_time_and_then_take_its_own() {
        let line = Line::default();
        let second = Duration::from_secs(1);
        line.awaits_request_within(60 * second);
        assert!(!line.is_overdue(now() + 59 * second));
        assert!(line.is_overdue(now() + 61 * second));
        line.hears_client();
        line.hears_client();
        assert!(!line.is_overdue(now() + 69 * second));
        assert!(line.is_overdue(now() + 71 * second));
        line.awaits_nothing();
        line.hears_client();
        assert!(!line.is_overdue(now() + 1000 * second));
    }

    #[test]
    fn an_exchange_goes_on_alone_for_a_while_if_it_needs_its_client_no_more() {
        let line = Line::default();
        assert!(!line.goes_on_alone() && !line.is_unheard());
        line.needs_client(false);
        assert!(!line.is_unheard());
        assert!(line.goes_on_alone() && line.goes_on_alone() && line.is_unheard());
        assert!(!line.is_unheard_for_long(now()));
        assert!(line.is_unheard_for_long(now() + UNHEARD_FOR + Duration::from_secs(1)));
        line.needs_client(true);
        assert!(
            !line.is_unheard_for_long(now() + UNHEARD_FOR + Duration::from_secs(1)),
            "the next one on its connection"
        );
    }
}
