//! The capability filter at the edge: what goes upstream is judged whole, what comes back is narrowed as it comes.

mod answer;
mod request;
mod watch;

use bytes::Bytes;

use self::answer::Answer;
pub use self::watch::Watch;
use crate::policy::CallerView;

/// The filter of one exchange.
pub struct Filter {
    view: CallerView,
    /// The message to send where the answer cannot be read.
    apology: Option<String>,
    /// Whether a plain answer is let through unread, because nothing in it could be hidden.
    trusts_json: bool,
    answer: Answer,
}

/// The answer of an upstream that cannot be narrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfiltered;

impl Filter {
    /// Takes a part of the answer's body and leaves of it what goes on.
    pub fn body(&mut self, body: &mut Option<Bytes>, end: bool) -> Result<(), Unfiltered> {
        self.answer.body(&self.view, &mut self.apology, body, end)
    }

    /// What is left when the body ended without saying so, before its trailers.
    pub fn rest(&mut self) -> Result<Option<Bytes>, Unfiltered> {
        let mut body = None;
        self.body(&mut body, true)?;
        Ok(body)
    }
}
