//! The `requestState` of a request to connect: everything we must know when the client comes back, sealed.
//!
//! It opens only for the same user, client and route, belongs to one method with one set of parameters, and ends after
//! ten minutes. It proves nothing but that we asked. It is not single-use, since all it leads to is another look for the
//! connection.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::required::Refused;
use crate::{
    clock::{Clock, Timestamp},
    crypto::{Digest, KeyRing},
    mcp::{self, Code, Request, connect_required::Answer, connect_required::input_key, write_object},
    policy::Permit,
    web::Origin,
};

/// Seals and opens the states of requests to connect.
pub struct ConnectStates {
    keys: Arc<KeyRing>,
    clock: Clock,
}

/// What a client brought back.
pub struct Returned {
    /// Whether the person said no.
    pub declined: bool,
    /// What other servers' questions were answered with in the same breath.
    others: Option<String>,
    carried: Carried,
}

/// What the upstream had given to the client before the connection was lost; JSON as it was written.
#[derive(Default, Serialize, Deserialize)]
struct Carried {
    request_state: Option<String>,
    input_responses: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    expires_at: i64,
    method: String,
    params: String,
    carried: Carried,
}

/// Why what a client brought back is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadReturn {
    /// Not sealed by us, or not for this user, client and route.
    #[error("the requestState is not valid here")]
    Foreign,
    /// For another request.
    #[error("the requestState belongs to another request")]
    OtherRequest,
    /// Too old.
    #[error("the requestState has expired")]
    Expired,
    /// The response to our question is none of those that there are.
    #[error("the inputResponses are malformed")]
    Malformed,
}

impl ConnectStates {
    /// States sealed with this ring.
    pub fn new(keys: Arc<KeyRing>, clock: Clock) -> Self {
        Self { keys, clock }
    }

    /// What our states for this route begin with.
    ///
    /// It holds the route's own URL, digested, because an upstream may be such a gateway itself.
    pub fn prefix(origin: &Origin, permit: &Permit) -> String {
        let digest = Digest::of(&format!("{origin}{}", permit.route().path));
        format!("sallyport.connect.{}.", URL_SAFE_NO_PAD.encode(&digest.as_bytes()[..9]))
    }

    /// The state for a request; what the client brought back with it, ours or the upstream's, is not lost.
    pub fn seal(&self, origin: &Origin, permit: &Permit, request: &Request<'_>, returned: Option<Returned>) -> String {
        let written = |name| request.params.get(name).map(|value| value.get().to_owned());
        let carried = returned.map_or_else(
            || Carried { request_state: written(STATE), input_responses: written(RESPONSES) },
            |returned| returned.carried,
        );
        let sealed = Sealed {
            expires_at: self.clock.now().plus(LIFETIME).as_millis(),
            method: request.method.clone(),
            params: digest(request),
            carried,
        };
        // Nothing in it can fail to be JSON: there are only texts and numbers.
        let plain = serde_json::to_vec(&sealed).unwrap_or_default();
        let mut state = Self::prefix(origin, permit);
        URL_SAFE_NO_PAD.encode_string(self.keys.seal(&context(permit), &plain), &mut state);
        state
    }

    /// What a client brought back to us; none if there is no state, or one of the upstream's.
    pub fn open(
        &self,
        origin: &Origin,
        permit: &Permit,
        upstream_id: &str,
        request: &Request<'_>,
    ) -> Result<Option<Returned>, BadReturn> {
        let Some(state) = request.params.string(STATE) else { return Ok(None) };
        let Some(state) = state.strip_prefix(&Self::prefix(origin, permit)) else { return Ok(None) };
        let sealed: Sealed = URL_SAFE_NO_PAD
            .decode(state)
            .ok()
            .and_then(|bytes| self.keys.open(&context(permit), &bytes).ok())
            .and_then(|plain| serde_json::from_slice(&plain).ok())
            .ok_or(BadReturn::Foreign)?;
        if sealed.method != request.method || sealed.params != digest(request) {
            return Err(BadReturn::OtherRequest);
        }
        if self.clock.now() >= Timestamp::from_millis(sealed.expires_at) {
            return Err(BadReturn::Expired);
        }
        let (declined, others) = responses(request, &input_key(upstream_id))?;
        Ok(Some(Returned { declined, others, carried: sealed.carried }))
    }
}

impl Returned {
    /// The parameters of a request as they would be if we had never asked.
    pub fn params(&self, request: &Request<'_>) -> String {
        let own = request.params.members().filter(|(name, _)| ![STATE, RESPONSES].contains(name));
        let responses = self.carried.input_responses.as_deref().or(self.others.as_deref());
        let put_back = [(RESPONSES, responses), (STATE, self.carried.request_state.as_deref())];
        write_object(own.chain(put_back.into_iter().filter_map(|(name, value)| Some((name, value?)))))
    }
}

impl BadReturn {
    /// The answer that says so.
    pub(super) fn refuse(self, request: &Request<'_>) -> Refused {
        let message = match self {
            Self::Foreign | Self::OtherRequest => "The requestState is not valid for this request.",
            Self::Expired => "The requestState has expired; send the request again without it.",
            Self::Malformed => "The inputResponses are malformed.",
        };
        let body = mcp::error_response(Some(&request.id), Code::INVALID_PARAMS, message, None);
        Refused { reason: "invalid_request_state", answer: Answer::message(StatusCode::BAD_REQUEST, body) }
    }
}

/// Whether the person said no to our question, and the responses to the questions of others.
fn responses(request: &Request<'_>, key: &str) -> Result<(bool, Option<String>), BadReturn> {
    if request.params.get(RESPONSES).is_none() {
        return Ok((false, None));
    }
    let responses = request.params.object(RESPONSES).ok_or(BadReturn::Malformed)?;
    let action = responses.object(key).and_then(|response| response.string("action"));
    let declined = match action.as_deref() {
        Some("accept") => false,
        Some("decline" | "cancel") => true,
        None if responses.get(key).is_none() => false,
        _ => return Err(BadReturn::Malformed),
    };
    let mut others = responses.members().filter(|(name, _)| *name != key).peekable();
    let others = others.peek().is_some().then(|| write_object(others));
    Ok((declined, others))
}

/// A digest of the parameters that make the request what it is.
///
/// A client repeats them as they were; `_meta` is about the exchange, and may differ.
fn digest(request: &Request<'_>) -> String {
    let mut members: Vec<_> =
        request.params.members().filter(|(name, _)| !["_meta", STATE, RESPONSES].contains(name)).collect();
    members.sort_unstable();
    URL_SAFE_NO_PAD.encode(Digest::of(&write_object(members)).as_bytes())
}

/// Whose state and where. The lengths keep one subject and client from reading like another.
fn context(permit: &Permit) -> String {
    let principal = permit.principal();
    let (subject, client) = (principal.subject().as_str(), principal.client_id().as_str());
    format!("connect-state\n{}\n{}\n{subject}\n{client}\n{}", subject.len(), client.len(), permit.route().operation_id)
}

const STATE: &str = "requestState";
const RESPONSES: &str = "inputResponses";
/// As long as the ticket in the link.
const LIFETIME: Duration = Duration::from_secs(600);
