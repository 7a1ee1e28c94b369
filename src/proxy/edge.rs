//! The phases of Pingora's proxy, each a few lines: what is decided in them is decided elsewhere.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use pingora::{
    Error as PingoraError, ErrorType,
    http::{RequestHeader, ResponseHeader},
    modules::http::HttpModules,
    protocols::http::{ServerSession, v1::server::HttpSession},
    proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session},
    upstreams::peer::HttpPeer,
};
use tokio::sync::Semaphore;
use tracing::debug;

use super::{
    Error, Parts, access, answer,
    cors::Caller,
    exchange::Exchange,
    failure::Failure,
    filter::{Filter, Unfiltered, Watch},
    limits,
    open::{Step, Stop},
    refusal::Denial,
    relay::{self, Attempt, Resolve, Verdict},
    rules::CurrentRules,
    underway::{self, End, Full, Place, Underway},
};
use crate::{
    resource_server::Refusal,
    telemetry::Telemetry,
    web::{RequestId, Response},
};

/// The gateway as Pingora sees it.
pub struct Gateway {
    rules: Arc<CurrentRules>,
    resolver: Arc<dyn Resolve>,
    pub(super) underway: Arc<Underway>,
    pub(super) endpoint_lane: Semaphore,
    draining: Arc<AtomicBool>,
    pub(super) telemetry: Arc<Telemetry>,
}

impl Gateway {
    /// Makes the upstreams ready; fails where a route has none or its TLS material cannot be used.
    pub fn new(parts: Parts) -> Result<Self, Error> {
        Ok(Self {
            rules: Arc::new(CurrentRules::new(parts.setup)?),
            resolver: parts.resolver,
            underway: parts.underway,
            endpoint_lane: Semaphore::new(limits::ENDPOINT_LANE),
            draining: parts.draining,
            telemetry: parts.telemetry,
        })
    }

    /// The rules that hold, for whoever replaces them.
    pub fn rules(&self) -> Arc<CurrentRules> {
        Arc::clone(&self.rules)
    }

    /// Answers in place of the upstream.
    async fn answer(
        &self,
        session: &mut Session,
        exchange: &mut Exchange,
        mut response: Response,
    ) -> pingora::Result<()> {
        if self.draining.load(Ordering::Relaxed) {
            session.set_keepalive(None);
        }
        exchange.refused = exchange.refused.or(response.refusal);
        if exchange.route.is_some() {
            for (name, value) in exchange.caller.headers() {
                response.headers.append(name, value);
            }
        }
        answer::write(session, &exchange.id(), response).await
    }

    async fn fail(&self, session: &mut Session, exchange: &mut Exchange, failure: Failure) -> pingora::Result<()> {
        exchange.failure = Some(failure);
        let form = exchange.form(&session.req_header().method);
        let response = failure.response(form, &exchange.id());
        self.answer(session, exchange, response).await
    }

    /// Takes a request among what is under way, unless there is too much of it.
    pub(super) fn enter(&self, session: &Session, exchange: &mut Exchange) -> Result<(), Failure> {
        let (Some(permit), Some(target)) = (&exchange.permit, &exchange.target) else { return Err(Failure::Internal) };
        let kind = underway::kind(session.req_header());
        let place = self.underway.enter(permit, &exchange.line, kind, &target.calls).map_err(|full| match full {
            Full::User => Failure::TooManyRequests,
            Full::Route | Full::Streams | Full::Bodies => Failure::Overloaded,
        })?;
        exchange.place = Some(place);
        Ok(())
    }

    /// Says why an exchange was ended, to the client as far as it has no answer yet, and to the log.
    async fn end(&self, session: &mut Session, exchange: &mut Exchange, end: End) {
        let answered = session.response_written().is_some_and(|head| !head.status.is_informational());
        session.set_keepalive(None);
        let told = match end {
            End::Leaving | End::RouteChanged | End::Silent => {
                let failure = match end {
                    End::Leaving => Failure::Leaving,
                    End::RouteChanged => Failure::RouteChanged,
                    _ => Failure::UpstreamTimeout,
                };
                exchange.failure = Some(failure);
                if answered { Ok(()) } else { self.fail(session, exchange, failure).await }
            }
            End::TokenExpired | End::TokenRevoked if answered => Ok(()),
            End::Unheard => Ok(()),
            End::TokenExpired | End::TokenRevoked => {
                self.deny(session, exchange, &Denial::Token(Refusal::Invalid)).await
            }
        };
        if matches!(end, End::TokenExpired | End::TokenRevoked) {
            exchange.refused = Some(end.reason());
        }
        if let Err(gone) = told {
            debug!(cause = ?gone.etype(), "nobody is left to tell");
        }
    }

    async fn deny(&self, session: &mut Session, exchange: &mut Exchange, denial: &Denial) -> pingora::Result<()> {
        exchange.refused = Some(denial.reason());
        if let Denial::Token(Refusal::Unavailable(source)) = denial {
            tracing::error!(
                event = "mcp_auth_store_failed",
                requestId = exchange.id().as_str(),
                error = %crate::telemetry::causes(source),
                "the store cannot check an access token"
            );
        }
        let Some(origin) = exchange.origin.clone() else { return Err(exchange.fail(Failure::Internal)) };
        let head = session.req_header();
        let response = denial.response(&head.headers, &origin, head.uri.path(), &exchange.id());
        self.answer(session, exchange, response).await
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    /// Boxed, since what Pingora keeps of a request holds it several times over.
    type CTX = Box<Exchange>;

    fn new_ctx(&self) -> Box<Exchange> {
        Box::new(Exchange::begin(self.rules.load()))
    }

    /// None: Pingora's default is a compression that would stay off, at its cost for every piece of an exchange.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, exchange: &mut Box<Exchange>) -> pingora::Result<()> {
        exchange.line.answers_in_chunks(false);
        exchange.line.needs_client(true);
        exchange.line.awaits_nothing();
        if let ServerSession::H1(http1) = session.as_downstream_mut() {
            http1.set_merge_response_writes(true);
        }
        session.set_read_timeout(Some(limits::BODY_SILENCE));
        session.set_write_timeout(Some(limits::WRITE));
        let kept = session.as_http1().is_none_or(HttpSession::will_keepalive);
        let draining = self.draining.load(Ordering::Relaxed);
        session.set_keepalive((kept && !draining).then_some(UNTIL_OVERDUE));
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, exchange: &mut Box<Exchange>) -> pingora::Result<bool> {
        match self.open(session, exchange).await {
            Ok(Step::Relay) => {
                if let Some(kept) = &exchange.body {
                    session.as_downstream_mut().set_retry_body(kept.clone());
                }
                return Ok(false);
            }
            Ok(Step::Answer(response)) => self.answer(session, exchange, response).await?,
            Err(Stop::Failed(failure)) => self.fail(session, exchange, failure).await?,
            Err(Stop::Denied(denial)) => self.deny(session, exchange, &denial).await?,
            Err(Stop::Broken(error)) => return Err(error.into_down()),
        }
        Ok(true)
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        exchange: &mut Box<Exchange>,
    ) -> pingora::Result<Box<HttpPeer>> {
        let Some(target) = exchange.target.clone() else { return Err(exchange.fail(Failure::Internal)) };
        exchange.notes.begin_upstream();
        let address = match &target.host {
            Ok(address) => *address,
            Err(name) => {
                let addresses = match self.resolver.lookup(name).await {
                    Ok(addresses) if !addresses.is_empty() => addresses,
                    Ok(_) => return Err(exchange.fail(Failure::UpstreamUnreachable)),
                    Err(error) => {
                        debug!(upstream = target.server.id, %error, "the upstream's name does not resolve");
                        return Err(exchange.fail(Failure::UpstreamUnreachable));
                    }
                };
                exchange.addresses_known = addresses.len().min(ADDRESSES_TRIED);
                addresses[exchange.addresses_tried % addresses.len()]
            }
        };
        let may_be_silent = exchange.place.as_ref().is_some_and(Place::may_be_silent);
        let mut silence = (!may_be_silent).then_some(target.server.response_timeout);
        if !session.is_http2() {
            // A look in the table costs less than a timer for each part of the answer.
            exchange.silence = silence.take();
            exchange.hear_upstream(false);
        }
        let large = exchange.body.as_ref().is_some_and(|body| body.len() > relay::HTTP2_WINDOW);
        Ok(Box::new(target.peer(address, large, silence)))
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        exchange: &mut Box<Exchange>,
        mut error: Box<PingoraError>,
    ) -> Box<PingoraError> {
        exchange.addresses_tried += 1;
        error.set_retry(exchange.addresses_tried < exchange.addresses_known);
        error
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        head: &mut RequestHeader,
        exchange: &mut Box<Exchange>,
    ) -> pingora::Result<()> {
        relay::write_head(head, exchange, session)
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        exchange: &mut Box<Exchange>,
    ) -> pingora::Result<()> {
        exchange.received += body.as_ref().map_or(0, Bytes::len);
        if exchange.received > limits::STREAMED_BODY {
            return Err(exchange.fail(Failure::BodyTooLarge));
        }
        access::see_request(&self.telemetry, exchange, body.as_ref());
        if end {
            relay::see_through(session, exchange);
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        exchange: &mut Box<Exchange>,
    ) -> pingora::Result<()> {
        if head.status.is_informational() {
            relay::relay_head(head, exchange, false);
            return Ok(());
        }
        match relay::judge(head, exchange) {
            Verdict::Relay => {
                let stream = relay::is_event_stream(head);
                access::see_answer_head(exchange, head, stream, &session.req_header().method);
                if stream {
                    exchange.silence = None;
                }
                exchange.hear_upstream(false);
                relay::relay_head(head, exchange, stream);
                Ok(())
            }
            Verdict::Refuse(failure) => {
                debug!(
                    status = head.status.as_u16(),
                    reason = failure.reason(),
                    "the upstream's answer is not relayed"
                );
                Err(exchange.fail(failure))
            }
            Verdict::Renew => Err(Arc::clone(&exchange.rules).renew(exchange).await),
            Verdict::MoreScope(scope) => {
                Err(Arc::clone(&exchange.rules).ask_for_scope(exchange, scope.as_deref()).await)
            }
            Verdict::Redirect(location) => {
                let Some(target) = exchange.target.clone() else { return Err(exchange.fail(Failure::Internal)) };
                let method = &session.req_header().method;
                match relay::follow(&mut exchange.redirects, head.status, method, &target.server.url, &location) {
                    Ok(()) => {
                        exchange.again = true;
                        Err(PingoraError::explain(ErrorType::Custom("Redirect"), "following a redirect"))
                    }
                    Err(failure) => Err(exchange.fail(failure)),
                }
            }
        }
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        exchange: &mut Box<Exchange>,
    ) -> pingora::Result<()> {
        if head.status.is_informational() {
            return Ok(());
        }
        if let Some(filter) = &mut exchange.filter
            && let Err(Unfiltered) = filter.head(head, session.req_header())?
        {
            return Err(exchange.fail(Failure::UpstreamUnreadable));
        }
        exchange.watch = Watch::of(exchange, head);
        if let Caller::Page(_) = exchange.caller {
            for (name, value) in exchange.caller.headers() {
                head.append_header(name, value)?;
            }
        }
        if self.draining.load(Ordering::Relaxed) {
            session.set_keepalive(None);
        }
        exchange.line.answers_in_chunks(head.headers.contains_key(http::header::TRANSFER_ENCODING));
        Ok(())
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        exchange: &mut Box<Exchange>,
    ) -> pingora::Result<Option<Duration>> {
        if let Some(Err(Unfiltered)) = exchange.filter.as_mut().map(|filter| filter.body(body, end)) {
            return Err(exchange.fail(Failure::UpstreamUnreadable));
        }
        if let Some(watch) = &mut exchange.watch {
            watch.see(body.as_ref(), end);
        }
        exchange.notes.see_answer(body.as_ref(), end);
        relay::see_unheard(exchange, body.as_ref());
        exchange.hear_upstream(end);
        Ok(None)
    }

    async fn response_trailer_filter(
        &self,
        _session: &mut Session,
        _trailers: &mut http::HeaderMap,
        exchange: &mut Box<Exchange>,
    ) -> pingora::Result<Option<Bytes>> {
        match exchange.filter.as_mut().map(Filter::rest) {
            Some(Err(Unfiltered)) => Err(exchange.fail(Failure::UpstreamUnreadable)),
            Some(Ok(rest)) => Ok(rest),
            None => Ok(None),
        }
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<PingoraError>,
        exchange: &mut Box<Exchange>,
        reused: bool,
    ) -> Box<PingoraError> {
        if std::mem::take(&mut exchange.again) {
            error.set_retry(true);
            return error;
        }
        let answered = session.response_written().is_some_and(|head| !head.status.is_informational());
        let attempt = Attempt {
            method: &session.req_header().method,
            reused,
            answered,
            replayable: !session.as_ref().retry_buffer_truncated(),
            resent: exchange.resent,
        };
        exchange.resent |= relay::decide(&mut error, attempt);
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &PingoraError,
        exchange: &mut Box<Exchange>,
    ) -> FailToProxy {
        let nothing = FailToProxy { error_code: 0, can_reuse_downstream: false };
        if let Some(end) = exchange.line.ended() {
            self.end(session, exchange, end).await;
            return nothing;
        }
        if let Some(need) = exchange.connect {
            session.set_keepalive(None);
            let rules = Arc::clone(&exchange.rules);
            let response = rules.connection_required(session, exchange, need);
            let error_code = response.status.as_u16();
            return match self.answer(session, exchange, response).await {
                Ok(()) => FailToProxy { error_code, can_reuse_downstream: false },
                Err(_gone) => nothing,
            };
        }
        let Some(failure) = exchange.failure.or_else(|| Failure::of(error)) else { return nothing };
        if session.response_written().is_some_and(|head| !head.status.is_informational()) {
            exchange.failure = Some(failure);
            return nothing;
        }
        debug!(reason = failure.reason(), cause = ?error.etype(), "the request failed");
        session.set_keepalive(None);
        match self.fail(session, exchange, failure).await {
            Ok(()) => FailToProxy { error_code: failure.status().as_u16(), can_reuse_downstream: false },
            Err(_gone) => nothing,
        }
    }

    async fn logging(&self, session: &mut Session, error: Option<&PingoraError>, exchange: &mut Box<Exchange>) {
        access::record(&self.telemetry, session, exchange, error);
        exchange.line.answers_in_chunks(false);
        exchange.line.needs_client(true);
        exchange.line.awaits_request_within(self.underway.next_request());
        if let Some(place) = exchange.place.take() {
            place.leave();
        }
    }

    fn suppress_error_log(&self, _session: &Session, _exchange: &Box<Exchange>, _error: &PingoraError) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _exchange: &Box<Exchange>,
        error: &PingoraError,
        _context: ProxyWarnLogContext,
    ) -> bool {
        debug!(cause = ?error.etype(), "another attempt is made");
        true
    }

    /// For Pingora's own lines: without the query, which may hold what no log may hold.
    fn request_summary(&self, session: &Session, exchange: &Box<Exchange>) -> String {
        let head = session.req_header();
        let id = exchange.id.as_ref().map_or("-", RequestId::as_str);
        format!("{} {} request {id}", head.method, head.uri.path())
    }
}

/// Pingora keeps no time for the next request of a connection: its line does.
const UNTIL_OVERDUE: u64 = 0;
/// How many addresses of one upstream are tried for one request.
const ADDRESSES_TRIED: usize = 3;
