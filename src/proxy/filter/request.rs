//! The message of a client, judged before any of it goes upstream.

use http::{HeaderMap, Method, StatusCode, header};
use pingora::http::RequestHeader;

use super::{Answer, Filter};
use crate::{
    mcp::{
        self, Code, Era, Head,
        filter::{Batch, Edits, Refusal, Request, judge},
    },
    policy::CallerView,
    proxy::exchange::Exchange,
    web::Response,
};

impl Filter {
    /// Judges the body that was read, and makes ready what narrows the answer; or answers in place of the upstream.
    ///
    /// Only a POST has a message. An answer to any other method is narrowed all the same.
    pub fn open(head: &RequestHeader, exchange: &mut Exchange, view: CallerView) -> Option<Response> {
        let mut filter = Self { view, apology: None, trusts_json: false, answer: Answer::NotYet };
        if head.method == Method::POST {
            let body = exchange.body.clone().unwrap_or_default();
            match judged(&head.headers, &body, &filter.view) {
                Ok(judged) => {
                    filter.apology = judged.apology;
                    filter.trusts_json = judged.trusts_json;
                    if !judged.edits.is_empty() {
                        let text = std::str::from_utf8(&body).unwrap_or_default();
                        exchange.body = Some(judged.edits.apply(text).into());
                    }
                }
                Err(response) => return Some(*response),
            }
        }
        exchange.filter = Some(filter);
        None
    }
}

/// A body that may go upstream.
struct Judged {
    edits: Edits,
    apology: Option<String>,
    trusts_json: bool,
}

fn judged(headers: &HeaderMap, body: &[u8], view: &CallerView) -> Result<Judged, Box<Response>> {
    let Ok(head) = Head::parse(headers) else {
        return Err(invalid("The MCP headers are malformed.", Code::INVALID_REQUEST));
    };
    let batch = Batch::parse(body).map_err(|unreadable| invalid(unreadable.sentence(), unreadable.code()))?;
    // Read once already; nothing of it is copied.
    let text = std::str::from_utf8(body).unwrap_or_default();
    let mut edits = Edits::default();
    match &batch {
        Batch::One(request) => {
            let checked = request.check_era(&head).and_then(|()| judge(request, text, view, &mut edits));
            if let Err(refusal) = checked {
                let (status, body) = refusal.answer(request.id.as_ref(), head.era());
                return Err(Box::new(answered(status, body).because(refusal.reason())));
            }
        }
        Batch::Many(requests) => judge_batch(&head, requests, text, view, &mut edits)?,
    }
    let apology = match &batch {
        Batch::One(Request { id: Some(id), method: Some(_), .. }) => {
            Some(mcp::error_response(Some(id), Code::INTERNAL_ERROR, "The upstream's answer cannot be read.", None))
        }
        _ => None,
    };
    let trusts_json = matches!(&batch, Batch::One(request) if !request.asks_for_hideable(view));
    Ok(Judged { edits, apology, trusts_json })
}

/// A batch, which only revision 2025-03-26 knows: one message that does not pass blocks all of them.
fn judge_batch(
    head: &Head<'_>,
    requests: &[Request<'_>],
    text: &str,
    view: &CallerView,
    edits: &mut Edits,
) -> Result<(), Box<Response>> {
    if head.version.is_some_and(|version| version != mcp::Version::V2025_03_26) {
        return Err(invalid("Revision 2025-03-26 alone has batches.", Code::INVALID_REQUEST));
    }
    let verdicts: Vec<Result<(), Refusal>> = requests
        .iter()
        .map(|request| request.check_era(head).and_then(|()| judge(request, text, view, edits)))
        .collect();
    let Some(Err(first)) = verdicts.iter().find(|verdict| verdict.is_err()) else { return Ok(()) };
    let blocked =
        |id| mcp::error_response(Some(id), Code::INVALID_REQUEST, "Another message of the batch is refused.", None);
    let answers: Vec<String> = requests
        .iter()
        .zip(&verdicts)
        .filter(|(request, _)| request.method.is_some())
        .filter_map(|(request, verdict)| match verdict {
            Ok(()) => request.id.as_ref().map(blocked),
            Err(refusal) => refusal.answer(request.id.as_ref(), Era::Legacy).1,
        })
        .collect();
    let response = if answers.is_empty() {
        answered(StatusCode::ACCEPTED, None)
    } else {
        answered(StatusCode::OK, Some(format!("[{}]", answers.join(","))))
    };
    Err(Box::new(response.because(first.reason())))
}

fn invalid(message: &str, code: Code) -> Box<Response> {
    let body = mcp::error_response(None, code, message, None);
    Box::new(answered(StatusCode::BAD_REQUEST, Some(body)).because("invalid_request"))
}

fn answered(status: StatusCode, body: Option<String>) -> Response {
    let response = Response::empty(status);
    match body {
        None => response,
        Some(body) => {
            let mut response = response.with(header::CONTENT_TYPE, "application/json");
            response.body = body.into();
            response
        }
    }
}
