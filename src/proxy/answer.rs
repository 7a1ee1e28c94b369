//! Writes an answer of our own to the client.

use http::{Method, StatusCode, header};
use pingora::{http::ResponseHeader, protocols::http::date::get_cached_date, proxy::Session};

use super::limits;
use crate::web::{RequestId, Response};

/// Writes `response` with its length, the date and the request id; to a HEAD without the body.
///
/// A small request body is read to its end first, so that the connection stays usable; of a large one only so much that
/// the client gets to see the answer.
pub async fn write(session: &mut Session, id: &RequestId, response: Response) -> pingora::Result<()> {
    limits::discard_small_body(session).await;
    let unread = !session.as_downstream_mut().is_body_done();
    if unread {
        session.set_keepalive(None);
    }
    let Response { status, headers, body, .. } = response;
    let mut head = ResponseHeader::build(status, Some(headers.len() + 3))?;
    for (name, value) in &headers {
        head.append_header(name, value)?;
    }
    head.insert_header(header::DATE, get_cached_date())?;
    head.insert_header("X-Request-Id", id.as_str())?;
    if status != StatusCode::NO_CONTENT {
        head.insert_header(header::CONTENT_LENGTH, body.len())?;
    }
    let bodiless = body.is_empty() || session.req_header().method == Method::HEAD;
    session.write_response_header(Box::new(head), bodiless).await?;
    if !bodiless {
        session.write_response_body(Some(body), true).await?;
    }
    if unread {
        limits::drain(session).await;
    }
    Ok(())
}
