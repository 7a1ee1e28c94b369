//! The answer to a request whose upstream is not connected.

use http::{HeaderMap, Method, StatusCode, header};
use pingora::proxy::Session;

use crate::{
    mcp::{
        self, Code, Message,
        connect_required::{self, Answer, Notice},
        modern,
    },
    proxy::{exchange::Exchange, relay::MCP_SESSION_ID, rules::Rules},
    upstream::Need,
    web::Response,
};

/// Why a message is refused instead of being answered.
pub(super) struct Refused {
    /// For the log.
    pub reason: &'static str,
    /// For the client.
    pub answer: Answer,
}

impl Rules {
    /// Answers a request, whose body is kept, in place of the upstream, because `need` stands in the way.
    pub(in crate::proxy) fn connection_required(
        &self,
        session: &Session,
        exchange: &mut Exchange,
        need: Need,
    ) -> Response {
        exchange.connect = Some(need);
        let id = exchange.id();
        match (&session.req_header().method, exchange.sessionless) {
            (&Method::POST, _) => {}
            (&Method::DELETE, false) => return Response::empty(StatusCode::OK),
            (_, false) => {
                // With the upstream there may be a stream, so this refuses nothing.
                let without_streams = Response::method_not_allowed(&id, "POST, DELETE, OPTIONS");
                return Response { refusal: None, ..without_streams };
            }
            (_, true) => return Response::method_not_allowed(&id, "POST, OPTIONS"),
        }
        match self.answer_in_place(&session.req_header().headers, exchange, need) {
            Ok(answer) => self.response(answer, exchange),
            Err(Refused { reason, answer }) => self.response(answer, exchange).because(reason),
        }
    }

    fn answer_in_place(&self, headers: &HeaderMap, exchange: &Exchange, need: Need) -> Result<Answer, Refused> {
        let (Some(origin), Some(permit), Some(target)) = (&exchange.origin, &exchange.permit, &exchange.target) else {
            return Err(Refused::invalid("The gateway failed to handle the request.", Code::INTERNAL_ERROR));
        };
        let message = Message::parse(exchange.body.as_deref().unwrap_or_default()).map_err(Refused::of)?;
        let route = permit.route();
        let link = self.credentials.connect_link(origin, permit, &target.server);
        let notice = Notice {
            service: &route.title,
            operation_id: &route.operation_id,
            upstream_id: &target.server.id,
            upstream_title: &route.upstream_title,
            state: need.state(),
            message: &need.message(&route.upstream_title),
            url: &link.url,
            elicitation_id: &link.elicitation_id,
            auth_profile_id: &link.auth_profile_id,
        };
        if !exchange.sessionless {
            return Ok(connect_required::legacy_answer(&message, &notice));
        }
        let request = match &message {
            Message::Request(request) => request,
            Message::Notification => return Ok(Answer::ACCEPTED),
            Message::Response => {
                return Err(Refused::invalid("Responses of clients are not accepted.", Code::INVALID_REQUEST));
            }
        };
        let Ok(head) = mcp::Head::parse(headers) else {
            return Err(Refused::invalid("The MCP headers are malformed.", Code::INVALID_REQUEST));
        };
        let abilities = modern::check(&head, request).map_err(|misfit| {
            let (status, body) = misfit.answer(&request.id);
            Refused { reason: "invalid_request", answer: Answer::message(status, body) }
        })?;
        let returned =
            self.states.open(origin, permit, &target.server.id, request).map_err(|bad| bad.refuse(request))?;
        if returned.as_ref().is_some_and(|returned| returned.declined) {
            return Ok(connect_required::declined_answer(request, notice.service, notice.upstream_title));
        }
        let state = || self.states.seal(origin, permit, request, returned);
        Ok(connect_required::modern_answer(request, abilities, &notice, state))
    }

    /// An answer on the wire.
    pub(super) fn response(&self, answer: Answer, exchange: &Exchange) -> Response {
        let mut response = Response::empty(answer.status);
        if let Some(body) = answer.body {
            response = response.with(header::CONTENT_TYPE, "application/json");
            response.body = body.into();
        }
        if answer.opens_session
            && let Some(name) = exchange.permit.as_ref().and_then(|permit| self.sessions.seal_own(permit))
        {
            response.headers.insert(MCP_SESSION_ID, name);
        }
        response
    }
}

impl Refused {
    /// A body that is not one message.
    pub(super) fn of(error: mcp::MessageError) -> Self {
        Self::invalid(error.sentence(), error.code())
    }

    fn invalid(message: &str, code: Code) -> Self {
        let body = mcp::error_response(None, code, message, None);
        Self { reason: "invalid_request", answer: Answer::message(StatusCode::BAD_REQUEST, body) }
    }
}
