//! How much of a request we are willing to hold, and for how long.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Version;
use pingora::{protocols::http::ServerSession, proxy::Session};
use tokio::time::{Instant, timeout, timeout_at};

use super::failure::Failure;

/// The longest request target.
pub const TARGET: usize = 8 * 1024;
/// The largest header block, in bytes as sent.
pub const HEAD: usize = 32 * 1024;
/// The most header fields.
pub const FIELDS: usize = 100;
/// The largest body of a request to an endpoint of ours.
pub const ENDPOINT_BODY: usize = 64 * 1024;
/// The longest that a body to an endpoint of ours may take.
pub const ENDPOINT_BODY_TIME: Duration = Duration::from_secs(10);
/// The largest body that is kept for a replay.
pub const REPLAY_BODY: usize = 4 * 1024 * 1024;
/// The longest silence within a request body.
pub const BODY_SILENCE: Duration = Duration::from_secs(60);
/// The longest that a client may leave our answer unread.
pub const WRITE: Duration = Duration::from_secs(60);
/// The largest body of a request to a route that is passed on as it comes.
pub const STREAMED_BODY: usize = 64 * 1024 * 1024;
/// How many requests to endpoints of ours are worked on at once.
pub const ENDPOINT_LANE: usize = 256;
/// How long one more waits for its turn.
pub const ENDPOINT_PATIENCE: Duration = Duration::from_secs(2);
/// How long the rest of a refused body is read, so that the client gets to see the answer.
const DRAIN: Duration = Duration::from_secs(1);

/// Checks the sizes of a request head, and that it names one length if any (RFC 9110 section 8.6 lets us refuse lists).
pub fn check_head(session: &Session) -> Result<(), Failure> {
    let head = session.req_header();
    if head.raw_path().len() > TARGET {
        return Err(Failure::TargetTooLong);
    }
    let size = match session.as_http1() {
        Some(http1) => http1.get_headers_raw_bytes().len(),
        None => head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum(),
    };
    if size > HEAD || head.headers.len() > FIELDS {
        return Err(Failure::HeadTooLarge);
    }
    let mut lengths = head.headers.get_all(http::header::CONTENT_LENGTH).iter();
    let plain = lengths.next().is_none_or(|length| length.as_bytes().iter().all(u8::is_ascii_digit));
    if plain && lengths.next().is_none() { Ok(()) } else { Err(Failure::BadRequest) }
}

/// Reads a whole body of at most `limit` bytes within `time`.
pub async fn read_body(session: &mut Session, limit: usize, time: Duration) -> Result<Bytes, ReadError> {
    if content_length(session).is_some_and(|length| length > limit) {
        return Err(ReadError::Failed(Failure::BodyTooLarge));
    }
    let deadline = Instant::now() + time;
    let mut body = BytesMut::new();
    send_continue(session).await?;
    loop {
        match timeout_at(deadline, session.read_request_body()).await {
            Err(_elapsed) => return Err(ReadError::Failed(Failure::BodyTooSlow)),
            Ok(Err(error)) => return Err(ReadError::Broken(error)),
            Ok(Ok(None)) => return Ok(body.freeze()),
            Ok(Ok(Some(part))) if body.len() + part.len() > limit => {
                return Err(ReadError::Failed(Failure::BodyTooLarge));
            }
            Ok(Ok(Some(part))) => body.extend_from_slice(&part),
        }
    }
}

/// Why a body was not read.
#[derive(Debug)]
pub enum ReadError {
    /// A limit.
    Failed(Failure),
    /// The connection, or the framing of the body.
    Broken(Box<pingora::Error>),
}

impl From<Box<pingora::Error>> for ReadError {
    fn from(error: Box<pingora::Error>) -> Self {
        Self::Broken(error)
    }
}

/// Lets a client go on that waits for leave to send its body (RFC 9110 section 10.1.1).
pub async fn send_continue(session: &mut Session) -> pingora::Result<()> {
    if session.req_header().version == Version::HTTP_11 && expects_continue(session) {
        session.as_downstream_mut().write_continue_response().await?;
    }
    Ok(())
}

/// Whether the client waits before it sends its body.
pub fn expects_continue(session: &Session) -> bool {
    session
        .req_header()
        .headers
        .get(http::header::EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Reads and forgets a small body before the answer, so that the connection can be used again.
pub async fn discard_small_body(session: &mut Session) {
    if expects_continue(session) || content_length(session).is_some_and(|length| length > ENDPOINT_BODY) {
        return;
    }
    let mut left = ENDPOINT_BODY;
    let read = async {
        while let Ok(Some(part)) = session.read_request_body().await {
            left = left.saturating_sub(part.len());
            if left == 0 {
                break;
            }
        }
    };
    let _ended_or_not = timeout(DRAIN, read).await;
}

/// Reads on for a moment after an early answer: unread bytes would reset the connection and lose the answer.
pub async fn drain(session: &mut Session) {
    let downstream: &mut ServerSession = session.as_downstream_mut();
    if !downstream.is_body_done() {
        let _ended_or_not = timeout(DRAIN, downstream.drain_request_body()).await;
    }
}

/// The declared length of the request body.
pub fn content_length(session: &Session) -> Option<usize> {
    session.req_header().headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}
