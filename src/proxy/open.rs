//! From the first line of a request to what comes next for it.

use std::sync::Arc;

use http::Method;
use pingora::{Error as PingoraError, proxy::Session};
use tokio::{sync::SemaphorePermit, time::timeout};

use super::{
    access, cors,
    edge::Gateway,
    endpoint,
    exchange::Exchange,
    failure::Failure,
    filter::Filter,
    limits::{self, ReadError},
    refusal::Denial,
    relay,
    router::{self, Destination},
    rules::Rules,
};
use crate::{
    mcp,
    upstream::NoCredential,
    web::{Origin, RequestId, Response},
};

/// What comes next for a request.
pub(super) enum Step {
    /// It goes upstream.
    Relay,
    /// It is answered here.
    Answer(Response),
}

/// Why a request ends before it goes upstream.
pub(super) enum Stop {
    /// A rule of ours or of HTTP.
    Failed(Failure),
    /// Its token.
    Denied(Denial),
    /// Its connection.
    Broken(Box<PingoraError>),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Box<PingoraError>> for Stop {
    fn from(error: Box<PingoraError>) -> Self {
        Self::Broken(error)
    }
}

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Failed(failure) => Self::Failed(failure),
            ReadError::Broken(error) => Self::Broken(error),
        }
    }
}

impl Gateway {
    /// Takes a request from its first line to the point where it is answered or goes upstream.
    pub(super) async fn open(&self, session: &mut Session, exchange: &mut Exchange) -> Result<Step, Stop> {
        exchange.id =
            session.req_header().headers.get(relay::X_REQUEST_ID).and_then(|id| RequestId::accepted(id.to_str().ok()?));
        let id = exchange.id();
        let rules = Arc::clone(&exchange.rules);
        router::check_request_line(session, &*rules.endpoints)?;
        limits::check_head(session)?;
        let origin = rules.origins.resolve(session)?;
        exchange.origin = Some(Arc::clone(&origin));
        match router::destination(&rules.routes, &*rules.endpoints, session.req_header().uri.path())? {
            Destination::Endpoint => {
                let caller = rules.origins.caller(session);
                let request = endpoint::read_request(session, &origin, caller, &id).await?;
                let _turn = self.endpoint_turn().await?;
                Ok(Step::Answer(rules.endpoints.answer(request).await))
            }
            Destination::Route(route) => {
                exchange.route = Some(route);
                if self.underway.is_crowded() {
                    session.set_keepalive(None);
                    return Err(Failure::Overloaded.into());
                }
                self.open_route(&rules, session, exchange, &origin).await
            }
        }
    }

    /// A turn at the endpoints, which have a lane of their own beside the routes.
    async fn endpoint_turn(&self) -> Result<SemaphorePermit<'_>, Failure> {
        match timeout(limits::ENDPOINT_PATIENCE, self.endpoint_lane.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(Failure::Overloaded),
        }
    }

    /// Proves the caller before anything else about an MCP request is looked at; no connection is opened until then.
    async fn open_route(
        &self,
        rules: &Rules,
        session: &mut Session,
        exchange: &mut Exchange,
        origin: &Origin,
    ) -> Result<Step, Stop> {
        let Some(route) = exchange.route.clone() else { return Err(Failure::Internal.into()) };
        let head = session.req_header();
        access::see_trace(&self.telemetry, exchange, &head.headers);
        exchange.caller = rules.allowed_origins.check(&head.headers, origin)?;
        if head.method == Method::OPTIONS {
            return Ok(Step::Answer(cors::preflight_response(&head.headers)));
        }
        if head.uri.query().is_some_and(names_access_token) {
            return Err(Stop::Denied(Denial::of_query_token(&head.headers)));
        }
        let principal = rules
            .resource_server
            .authenticate(&head.headers, origin, &route, exchange.id.as_ref())
            .await
            .map_err(|refusal| Stop::Denied(Denial::of(refusal, &head.headers)))?;
        let permit = rules
            .policies
            .admit(principal, Arc::clone(&route))
            .map_err(|_denied| Stop::Denied(Denial::NotForThisUser))?;
        let head = session.req_header();
        if head.method == Method::HEAD {
            exchange.permit = Some(permit);
            return Err(Failure::MethodNotAllowed(cors::ROUTE_METHODS).into());
        }
        let mcp = mcp::Head::parse(&head.headers).map_err(|error| Failure::of_mcp_head(&error))?;
        exchange.sessionless = mcp.era() == mcp::Era::Modern;
        access::see_head(exchange, &mcp);
        exchange.mcp_session = mcp.session_id.map(|id| rules.sessions.open(id, &permit)).transpose()?;
        let target = Arc::clone(rules.targets.of(&route.operation_id).ok_or(Failure::Internal)?);
        exchange.permit = Some(permit);
        exchange.target = Some(target);
        // Before anything is read or fetched for it, so that what waits counts as well.
        self.enter(session, exchange)?;
        self.open_upstream(rules, session, exchange).await
    }

    /// Finds the credential, and reads the body where it may have to be sent again.
    async fn open_upstream(&self, rules: &Rules, session: &mut Session, exchange: &mut Exchange) -> Result<Step, Stop> {
        let (Some(permit), Some(target)) = (&exchange.permit, &exchange.target) else {
            return Err(Failure::Internal.into());
        };
        let fixed = target.server.credential.fixed(permit);
        exchange.by_connection = fixed.is_none();
        exchange.credential = match fixed.or_else(|| rules.credentials.at_hand(permit, &target.server)) {
            Some(fixed) => Some(fixed),
            None => match rules.credential(permit, &target.server).await {
                Ok(credential) => Some(credential),
                Err(NoCredential::ConnectRequired(need)) => {
                    if session.req_header().method == Method::POST {
                        relay::keep_body(session, exchange, &self.underway).await?;
                    }
                    return Ok(Step::Answer(rules.connection_required(session, exchange, need)));
                }
                Err(NoCredential::Denied) => return Err(Failure::CredentialDenied.into()),
                Err(NoCredential::Unavailable { retry_after }) => {
                    return Err(Failure::credential_unavailable(retry_after).into());
                }
            },
        };
        if exchange.mcp_session.as_ref().is_some_and(|session| session.plain.is_none()) {
            return Err(Failure::UnknownSession.into());
        }
        let view = permit.view();
        if !exchange.by_connection && !target.server.follow_redirects && view.is_none() {
            limits::send_continue(session).await?;
            return Ok(Step::Relay);
        }
        relay::keep_body(session, exchange, &self.underway).await?;
        access::see_kept(exchange);
        let resumed = if exchange.by_connection { rules.resume(session, exchange) } else { None };
        let answer = resumed.or_else(|| Filter::open(session.req_header(), exchange, view?));
        Ok(answer.map_or(Step::Relay, Step::Answer))
    }
}

/// Whether a query holds an access token, which RFC 6750 section 2.3 lets nobody rely on and we never read.
fn names_access_token(query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "access_token")
}
