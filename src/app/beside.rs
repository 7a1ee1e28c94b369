//! A small HTTP server beside the gateway, for answers that need neither time nor streams.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode, header};
use pingora::{
    apps::http_app::ServeHttp,
    protocols::http::ServerSession,
    services::{ServiceWithDependents, listening},
};

/// Answers one whole request.
pub type Answer = fn(&Request<Bytes>) -> Response<Vec<u8>>;

/// A service that answers at `address` with `answer`.
pub fn service(name: &str, address: &str, answer: Answer) -> Box<dyn ServiceWithDependents> {
    let mut service = listening::Service::new(name.to_owned(), Beside { answer });
    service.add_tcp(address);
    Box::new(service)
}

struct Beside {
    answer: Answer,
}

#[async_trait]
impl ServeHttp for Beside {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let mut body = BytesMut::new();
        let whole = loop {
            match session.read_request_body().await {
                Ok(Some(part)) if body.len() + part.len() <= LARGEST_BODY => body.extend_from_slice(&part),
                Ok(Some(_)) => break Err(StatusCode::PAYLOAD_TOO_LARGE),
                Ok(None) => break Ok(body.freeze()),
                Err(_) => break Err(StatusCode::BAD_REQUEST),
            }
        };
        let mut response = match whole {
            Ok(body) => {
                let head = session.req_header();
                let mut request = Request::new(body);
                *request.method_mut() = head.method.clone();
                *request.uri_mut() = head.uri.clone();
                *request.headers_mut() = head.headers.clone();
                (self.answer)(&request)
            }
            Err(status) => {
                let mut refusal = Response::new(Vec::new());
                *refusal.status_mut() = status;
                refusal
            }
        };
        let length = response.body().len();
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        response
    }
}

const LARGEST_BODY: usize = 1024 * 1024;
