//! Whether a failed attempt is followed by another. Every path through here decides, since Pingora panics otherwise.

use http::Method;
use pingora::{Error, ErrorType, RetryType};

/// What is known of an attempt that failed after its connection was there.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The method.
    pub method: &'a Method,
    /// Whether the connection came out of the pool.
    pub reused: bool,
    /// Whether anything was sent to the client.
    pub answered: bool,
    /// Whether the body can be sent once more.
    pub replayable: bool,
    /// Whether the request was sent again before.
    pub resent: bool,
}

/// Decides about another attempt.
///
/// A tool call must not run twice, so a POST goes out again only when the upstream said that it did not look at it:
/// HTTP/2's `GOAWAY` and `REFUSED_STREAM`, which Pingora marks as safe (RFC 9113 section 8.7). A GET also goes out again
/// when its pooled connection turned out to be closed.
pub fn decide(error: &mut Error, attempt: Attempt<'_>) -> bool {
    let safe = match error.retry {
        RetryType::Decided(unprocessed) => unprocessed && *error.etype() != ErrorType::InvalidH2,
        RetryType::ReusedOnly => attempt.reused && *attempt.method == Method::GET,
    };
    let again = safe && !attempt.answered && attempt.replayable && !attempt.resent;
    error.set_retry(again);
    again
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(method: &Method) -> Attempt<'_> {
        Attempt { method, reused: true, answered: false, replayable: true, resent: false }
    }

    fn again(retry: RetryType, attempt: Attempt<'_>) -> bool {
        let mut error = Error::new_str("broken");
        error.retry = retry;
        let again = decide(&mut error, attempt);
        assert_eq!(error.retry(), again);
        again
    }

    /// MCP tool calls are not idempotent: no automatic replay of a POST that may have been processed.
    #[test]
    fn a_post_on_a_stale_connection_is_not_sent_twice() {
        assert!(!again(RetryType::ReusedOnly, attempt(&Method::POST)));
        assert!(!again(RetryType::ReusedOnly, attempt(&Method::DELETE)));
        assert!(again(RetryType::ReusedOnly, attempt(&Method::GET)));
    }

    #[test]
    fn a_request_that_the_upstream_did_not_look_at_is_sent_again_once() {
        assert!(again(RetryType::Decided(true), attempt(&Method::POST)));
        assert!(!again(RetryType::Decided(true), Attempt { resent: true, ..attempt(&Method::POST) }));
        assert!(!again(RetryType::Decided(true), Attempt { answered: true, ..attempt(&Method::GET) }));
        assert!(!again(RetryType::Decided(true), Attempt { replayable: false, ..attempt(&Method::POST) }));
        assert!(!again(RetryType::Decided(false), attempt(&Method::GET)));
    }
}
