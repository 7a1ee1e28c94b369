//! Requests to the gateway's own endpoints: read within the limits, answered by somebody else.

use async_trait::async_trait;
use http::Method;
use pingora::proxy::Session;

use super::{
    limits::{self, ReadError},
    origins,
};
use crate::web::{Caller, Origin, Request, RequestId, Response};

/// Who answers the gateway's own endpoints.
#[async_trait]
pub trait Endpoints: Send + Sync + 'static {
    /// Whether a path is one of theirs, whatever the method.
    fn claims(&self, path: &str) -> bool;

    /// Whether a path says itself what it makes of PUT and PATCH, which no other path has.
    fn refuses_writes(&self, _path: &str) -> bool {
        false
    }

    /// The answer, which includes 405 for a method that a path does not have.
    async fn answer(&self, request: Request) -> Response;
}

/// Reads a request to an endpoint whole.
///
/// A HEAD becomes a GET, since the edge leaves the body out. The client gets 64 KiB and ten seconds.
pub async fn read_request(
    session: &mut Session,
    origin: &Origin,
    caller: Option<Caller>,
    id: &RequestId,
) -> Result<Request, ReadError> {
    let body = limits::read_body(session, limits::ENDPOINT_BODY, limits::ENDPOINT_BODY_TIME).await?;
    let peer = origins::peer(session);
    let head = session.req_header();
    Ok(Request {
        method: if head.method == Method::HEAD { Method::GET } else { head.method.clone() },
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        headers: head.headers.clone(),
        body,
        origin: origin.clone(),
        peer,
        caller,
        id: id.clone(),
    })
}
