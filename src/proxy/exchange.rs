//! What the edge remembers of one request while it is under way.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::HeaderValue;

use super::{
    access::Notes,
    cors::Caller,
    failure::{Failure, Form},
    filter::{Filter, Watch},
    relay::{Redirects, Target},
    rules::Rules,
    underway::{KeptBody, Line, Place},
};
use crate::{
    policy::Permit,
    routes::Route,
    upstream::{Credential, Need},
    web::{Origin, RequestId},
};

/// One request under way.
pub struct Exchange {
    /// The rules that held when it began.
    pub rules: Arc<Rules>,
    /// How it can be told to end.
    pub line: Arc<Line>,
    /// Its place among what is under way, once it goes upstream.
    pub place: Option<Place>,
    /// The longest silence of the upstream, where this is who minds it.
    pub silence: Option<Duration>,
    /// How much of the request's body went by.
    pub received: usize,
    /// When it began.
    pub started: Instant,
    /// Its name in answers and in the log.
    pub id: Option<RequestId>,
    /// How it reached us.
    pub origin: Option<Arc<Origin>>,
    /// The MCP route that it is for.
    pub route: Option<Arc<Route>>,
    /// Which web page asks.
    pub caller: Caller,
    /// The proof that the caller may use the route.
    pub permit: Option<Permit>,
    /// Where it goes.
    pub target: Option<Arc<Target>>,
    /// What goes upstream in place of the client's authorization.
    pub credential: Option<Credential>,
    /// Whether the credential is of a connection, so that it can be renewed.
    pub by_connection: bool,
    /// Whether the credential was renewed because the upstream refused it.
    pub renewed: bool,
    /// Why the upstream must be connected first, if it must.
    pub connect: Option<Need>,
    /// The MCP session of the request, as the client and as the upstream know it.
    pub mcp_session: Option<McpSession>,
    /// Whether the client speaks a revision of MCP that has no sessions.
    pub sessionless: bool,
    /// The whole request body, where it may be needed again.
    pub body: Option<Bytes>,
    /// The room that it takes, if it is not small.
    pub kept: Option<KeptBody>,
    /// What narrows the answer, where the route shows only a part of its upstream.
    pub filter: Option<Filter>,
    /// Whether the answer is a stream that its client can take up again, once something of it was seen.
    pub resumable: Option<bool>,
    /// How much of the answer came after the client had left.
    pub unheard: usize,
    /// What looks at a list of tools that passes whole.
    pub watch: Option<Watch>,
    /// The redirects followed so far.
    pub redirects: Redirects,
    /// How many addresses of the upstream were tried in vain.
    pub addresses_tried: usize,
    /// How many addresses the upstream has.
    pub addresses_known: usize,
    /// Whether a request was sent again because its connection had gone stale.
    pub resent: bool,
    /// Whether this error is to be followed by another attempt at once.
    pub again: bool,
    /// What telemetry has seen of it.
    pub notes: Notes,
    /// Why the request failed, if it did.
    pub failure: Option<Failure>,
    /// Why the answer refuses the request, where no failure says it.
    pub refused: Option<&'static str>,
}

/// An MCP session by its two names.
pub struct McpSession {
    /// The sealed name that the client has.
    pub sealed: HeaderValue,
    /// The upstream's own name; none for a session that the gateway opened because there was no connection.
    pub plain: Option<HeaderValue>,
}

impl Exchange {
    /// A request that has just begun.
    pub fn begin(rules: Arc<Rules>) -> Self {
        Self {
            rules,
            line: Line::current(),
            place: None,
            silence: None,
            received: 0,
            started: Instant::now(),
            id: None,
            origin: None,
            route: None,
            caller: Caller::NotABrowser,
            permit: None,
            target: None,
            credential: None,
            by_connection: false,
            renewed: false,
            connect: None,
            mcp_session: None,
            sessionless: false,
            body: None,
            kept: None,
            filter: None,
            resumable: None,
            unheard: 0,
            watch: None,
            redirects: Redirects::default(),
            addresses_tried: 0,
            addresses_known: 1,
            resent: false,
            again: false,
            notes: Notes::default(),
            failure: None,
            refused: None,
        }
    }

    /// The name of the request; a fresh one if it failed before it had one.
    pub fn id(&mut self) -> RequestId {
        self.id.get_or_insert_with(RequestId::random).clone()
    }

    /// The form in which this client reads a failure.
    pub fn form(&self, method: &http::Method) -> Form {
        if self.route.is_some() && method == http::Method::POST { Form::JsonRpc } else { Form::Problem }
    }

    /// The upstream was heard, for the last time or not.
    pub fn hear_upstream(&self, last: bool) {
        match self.silence.filter(|_| !last) {
            Some(silence) => self.line.awaits_within(silence),
            None => self.line.awaits_nothing(),
        }
    }

    /// Notes why the upstream must be connected first and makes the error that ends the request.
    pub fn require_connection(&mut self, need: Need) -> Box<pingora::Error> {
        self.connect = Some(need);
        pingora::Error::explain(pingora::ErrorType::Custom("ConnectRequired"), "the upstream must be connected")
    }

    /// Notes why the request fails and makes the error that ends it.
    pub fn fail(&mut self, failure: Failure) -> Box<pingora::Error> {
        self.failure = Some(failure);
        pingora::Error::explain(pingora::ErrorType::HTTPStatus(failure.status().as_u16()), failure.reason())
    }
}
