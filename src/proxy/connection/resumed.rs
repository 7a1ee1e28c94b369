//! A request that comes back after the person was asked to connect, now that there is a connection.

use http::Method;
use pingora::proxy::Session;

use super::{
    required::Refused,
    state::{ConnectStates, Returned},
};
use crate::{
    mcp::{
        Message, Request,
        connect_required::{self, Answer, TOOL},
        modern,
    },
    proxy::{exchange::Exchange, rules::Rules},
    web::Response,
};

/// What becomes of a request.
enum Resumption {
    /// It goes on as it is.
    Untouched,
    /// It goes on with another body.
    Without(String),
    /// It is answered here.
    Answered(Answer),
}

impl Rules {
    /// Takes our own part out of a request that goes upstream, or answers it if it goes no further.
    ///
    /// The body is parsed only if it holds what only a state of ours has.
    pub(in crate::proxy) fn resume(&self, session: &Session, exchange: &mut Exchange) -> Option<Response> {
        if !exchange.sessionless || session.req_header().method != Method::POST {
            return None;
        }
        match self.resumption(exchange) {
            Ok(Resumption::Untouched) => None,
            Ok(Resumption::Without(body)) => {
                exchange.body = Some(body.into());
                None
            }
            Ok(Resumption::Answered(answer)) => Some(self.response(answer, exchange)),
            Err(Refused { reason, answer }) => Some(self.response(answer, exchange).because(reason)),
        }
    }

    fn resumption(&self, exchange: &Exchange) -> Result<Resumption, Refused> {
        let (Some(origin), Some(permit), Some(target), Some(body)) =
            (&exchange.origin, &exchange.permit, &exchange.target, &exchange.body)
        else {
            return Ok(Resumption::Untouched);
        };
        let prefix = ConnectStates::prefix(origin, permit);
        if !std::str::from_utf8(body).is_ok_and(|text| text.contains(&prefix)) {
            return Ok(Resumption::Untouched);
        }
        let Message::Request(request) = Message::parse(body).map_err(Refused::of)? else {
            return Ok(Resumption::Untouched);
        };
        if !modern::may_ask(&request.method) {
            return Ok(Resumption::Untouched);
        }
        match self.states.open(origin, permit, &target.server.id, &request).map_err(|bad| bad.refuse(&request))? {
            None => Ok(Resumption::Untouched),
            Some(returned) => Ok(decide(&request, &returned, exchange)),
        }
    }
}

fn decide(request: &Request<'_>, returned: &Returned, exchange: &Exchange) -> Resumption {
    let Some(route) = &exchange.route else { return Resumption::Untouched };
    if returned.declined {
        Resumption::Answered(connect_required::declined_answer(request, &route.title, &route.upstream_title))
    } else if request.method == "tools/call" && request.params.string("name").as_deref() == Some(TOOL) {
        Resumption::Answered(connect_required::connected_answer(&request.id, &route.title, &route.upstream_title))
    } else {
        Resumption::Without(request.with_params(&returned.params(request)))
    }
}
