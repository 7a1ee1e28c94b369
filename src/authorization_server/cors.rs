//! What browser-resident clients are told about the endpoints they may call (Fetch standard, CORS protocol).

use http::{StatusCode, header};

use crate::web::Response;

/// Answers a preflight. No endpoint that answers so looks at cookies, so every origin may call it.
pub(super) fn preflight(methods: &str) -> Response {
    Response::empty(StatusCode::NO_CONTENT)
        .for_every_origin()
        .with(header::ACCESS_CONTROL_ALLOW_METHODS, methods)
        .with(header::ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type, Accept, MCP-Protocol-Version")
        .with(header::ACCESS_CONTROL_MAX_AGE, "86400")
}
