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
}

/// The way to one exchange: a connection's own over HTTP/1, a stream's over HTTP/2.
#[derive(Debug, Default)]
pub struct Line {
    end: AtomicU8,
    /// Milliseconds since the start of the process at which something must have come; 0 where nothing must.
    due: AtomicU64,
    chunked: AtomicBool,
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
            _ => Some(End::RouteChanged),
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

    /// Whether what must come has not come at `now`.
    pub(super) fn is_overdue(&self, now: Duration) -> bool {
        let due = self.due.load(Ordering::Relaxed);
        due != 0 && due <= millis(now)
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

/// The time since the process began, as lines count it.
pub(super) fn now() -> Duration {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGIN.elapsed()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
