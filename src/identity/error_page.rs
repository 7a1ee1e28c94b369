//! The page for everything that can be told to the person only.

use http::{StatusCode, header};

use crate::{
    pages::{self, Detail, Page, content_security_policy, safe_paragraph, safe_text},
    store,
    web::{Request, Response},
};

/// What went wrong at the browser, and what the person can do.
#[derive(Debug, Clone, Copy)]
pub struct Trouble<'a> {
    /// The status of the answer.
    pub status: StatusCode,
    /// The reason in the log.
    pub reason: &'static str,
    /// In a few words.
    pub title: &'a str,
    /// In a sentence.
    pub happened: &'a str,
    /// What to do next.
    pub next: &'a str,
    /// Technical values, folded away.
    pub details: &'a [(&'a str, &'a str)],
}

/// Sends a page with the policy that it needs.
pub fn page_response<P: Page>(page: &P, status: StatusCode) -> Response {
    Response::page(status, Page::render(page), &content_security_policy(P::FORM_ACTION))
}

/// Renders trouble as a page with the request id.
pub fn trouble_page(request: &Request, trouble: &Trouble<'_>) -> Response {
    let page = pages::Error {
        title: safe_text(trouble.title),
        happened: safe_paragraph(trouble.happened),
        next: safe_paragraph(trouble.next),
        request_id: safe_text(request.id.as_str()),
        details: trouble
            .details
            .iter()
            .map(|(name, value)| Detail { name: safe_text(name), value: safe_paragraph(value) })
            .collect(),
        link: None,
    };
    let response = page_response(&page, trouble.status).because(trouble.reason);
    match trouble.status {
        StatusCode::SERVICE_UNAVAILABLE => response.with(header::RETRY_AFTER, RETRY_AFTER),
        _ => response,
    }
}

/// The page for a request that the store did not let us finish.
pub fn store_trouble(request: &Request, error: &store::Error) -> Response {
    trouble_page(request, if log_store_failure(request, error) { &Trouble::STORE } else { &Trouble::BROKEN })
}

/// Logs why the store did not do its part, and says whether it may do so later.
pub fn log_store_failure(request: &Request, error: &store::Error) -> bool {
    let passing = matches!(error, store::Error::Unavailable(_));
    tracing::error!(event = "mcp_auth_store_failed", requestId = %request.id, passing,
        error = %crate::telemetry::causes(error), "the store did not do its part");
    passing
}

impl Trouble<'_> {
    /// The same trouble for a more exact reason.
    #[must_use]
    pub const fn because(self, reason: &'static str) -> Self {
        Self { reason, ..self }
    }
}

impl Trouble<'static> {
    /// The database does not answer.
    pub const STORE: Self = Self {
        status: StatusCode::SERVICE_UNAVAILABLE,
        reason: "store_unavailable",
        title: "Please try again in a moment",
        happened: "The gateway cannot reach its database, so it cannot go on with your request.",
        next: "Wait a moment and reload this page. If it keeps happening, tell your administrator the request id.",
        details: &[],
    };
    /// The database answers what it must not.
    pub const BROKEN: Self = Self {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        reason: "store_failed",
        title: "The gateway is out of order",
        happened: "The gateway found something in its database that it cannot work with.",
        next: "Tell your administrator the request id.",
        details: &[],
    };
    /// The request does not belong to anything that is under way.
    pub const STALE: Self = Self {
        status: StatusCode::BAD_REQUEST,
        reason: "stale",
        title: "This sign-in is no longer open",
        happened: "It was finished already, took too long, or was started in another browser.",
        next: "Go back to your application and connect again.",
        details: &[],
    };
    /// The form was not sent by a page of ours.
    pub const FOREIGN_FORM: Self = Self {
        status: StatusCode::FORBIDDEN,
        reason: "foreign_form",
        title: "This form did not come from here",
        happened: "The request was not sent by a page of this gateway in this browser, so it was refused.",
        next: "Nothing was changed. Go back to your application and connect again.",
        details: &[],
    };
    /// Not understandable at all.
    pub const MALFORMED: Self = Self {
        status: StatusCode::BAD_REQUEST,
        reason: "malformed_parameters",
        title: "This link is not complete",
        happened: "The request does not have the form that it must have.",
        next: "Go back to your application and connect again.",
        details: &[],
    };
}

/// Seconds until a browser should try again.
const RETRY_AFTER: &str = "5";
