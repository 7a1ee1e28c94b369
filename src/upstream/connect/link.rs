//! Opening a connect link, or pressing Connect on the consent page.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::{Connect, EXPIRED_LINK, NO_SUCH_CONNECTION, api_key::Asked, begin::ADMIN_ONLY};
use crate::{
    identity::{SignedIn, Then, Trouble, page_response, store_trouble, trouble_page},
    oauth::{ClientIdUrl, Params},
    pages::{self, ClientIdentity, LocalHref, safe_host, safe_text},
    routes::Route,
    store::{ClientId, InteractionId, Owner},
    upstream::{
        CredentialSource, Need, Server, authorization,
        connections::{connect_path, key_for, key_settings, oauth_settings, ticket},
    },
    web::{Request, Response},
};

impl Connect {
    /// Shows what will be connected, to the person whose ticket it is; from the consent page it begins at once.
    pub(super) async fn show(&self, upstream_id: &str, request: &Request) -> Response {
        let Ok(params) = Params::parse(request.query.as_deref().unwrap_or_default().as_bytes()) else {
            return trouble_page(request, &Trouble::MALFORMED);
        };
        if let Ok(Some(interaction)) = params.get("interaction") {
            let interaction = InteractionId(interaction.to_owned());
            return self.begin_for_interaction(upstream_id, request, &params, interaction).await;
        }
        let text = match params.get("browserTicket") {
            Ok(Some(text)) => text,
            Ok(None) => return self.show_own_accord(upstream_id, request, &params).await,
            Err(_duplicate) => return trouble_page(request, &Trouble::MALFORMED),
        };
        let Some(ticket) = ticket::read(&self.key_ring, text, self.clock.now()) else {
            return trouble_page(request, &EXPIRED_LINK);
        };
        let Some((route, server)) =
            self.route(&ticket.operation_id, upstream_id).filter(|_| ticket.upstream_id == upstream_id)
        else {
            return trouble_page(request, &NO_SUCH_CONNECTION);
        };
        let redirect = matches!(params.get("redirect"), Ok(Some("true")));
        if !redirect && !accepts_html(request) {
            return payload(route, server, request);
        }
        if let CredentialSource::IdJag(_) = server.credential {
            return self.sign_in_again(request, &params, &ticket.subject).await;
        }
        let signed_in = match self.signed_in_or_login(request).await {
            Ok(signed_in) => signed_in,
            Err(answer) => return answer,
        };
        if signed_in.user().subject != ticket.subject {
            return self.wrong_person(request, &signed_in);
        }
        if redirect && key_settings(server).is_none() {
            return self.spend_and_begin(request, &signed_in, &ticket, route, server).await;
        }
        self.ask(request, &signed_in, &ticket, text, route, server).await
    }

    /// For a person who comes of their own accord, as from the account page.
    async fn show_own_accord(&self, upstream_id: &str, request: &Request, params: &Params) -> Response {
        let operation_id = params.get("operationId").ok().flatten().unwrap_or_default();
        let Some((route, server)) = self.route(operation_id, upstream_id) else {
            return trouble_page(request, &NO_SUCH_CONNECTION);
        };
        let signed_in = match self.signed_in_or_login(request).await {
            Ok(signed_in) => signed_in,
            Err(answer) => return answer,
        };
        let issued = ticket::issue(&self.key_ring, &signed_in.user().subject, None, route, self.clock.now());
        let ticket = issued.ok().and_then(|(text, _)| {
            let ticket = ticket::read(&self.key_ring, &text, self.clock.now())?;
            Some((text, ticket))
        });
        match ticket {
            Some((text, ticket)) => self.ask(request, &signed_in, &ticket, &text, route, server).await,
            None => trouble_page(request, &Trouble::BROKEN),
        }
    }

    /// Who sits at the browser, or the way to the sign-in and back here.
    pub(super) async fn signed_in_or_login(&self, request: &Request) -> Result<SignedIn, Response> {
        match self.identity.signed_in(request).await {
            Ok(Some(signed_in)) => Ok(signed_in),
            Ok(None) => {
                let query = request.query.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
                let back = Then::Path(format!("{}{query}", request.path));
                Err(self.identity.begin_login(request, &back).await.unwrap_or_else(|page| page))
            }
            Err(error) => Err(store_trouble(request, &error)),
        }
    }

    /// The page that names who asks, for what, and where the person will be sent.
    async fn ask(
        &self,
        request: &Request,
        signed_in: &SignedIn,
        ticket: &ticket::Ticket,
        text: &str,
        route: &Arc<Route>,
        server: &Arc<Server>,
    ) -> Response {
        if key_settings(server).is_some() {
            let asked = Asked::Ticket { text, purpose: ticket_purpose(ticket) };
            return self.ask_key(request, signed_in, route, server, &asked, None);
        }
        let Some((settings, key)) = oauth_settings(server).zip(key_for(&ticket.subject, server)) else {
            return trouble_page(request, &NO_SUCH_CONNECTION);
        };
        if !may_connect(signed_in, server, self.is_admin(signed_in.user())) {
            return trouble_page(request, &ADMIN_ONLY);
        }
        let asked_by = match &ticket.client_id {
            Some(client_id) => match self.client_name(client_id).await {
                Ok(name) => Some(pages::AskedBy { name, identity: identity_of(client_id) }),
                Err(error) => return store_trouble(request, &error),
            },
            None => None,
        };
        let discovered = match self.connections.discover(&key, server, settings).await {
            Ok(discovered) => discovered,
            Err(error) => return self.failed(request, route, &error, None),
        };
        let extra_scope = match self.connections.extra_scope(&key).await {
            Ok(extra_scope) => extra_scope,
            Err(error) => return store_trouble(request, &error),
        };
        let scopes = authorization::scopes(&discovered, settings, &extra_scope);
        let page = pages::Connect {
            action: LocalHref::new(&self.settings.base_path.path(&connect_path(&server.id))),
            ticket: text.to_owned(),
            csrf: signed_in.csrf(&ticket_purpose(ticket)).as_str().to_owned(),
            upstream: safe_text(&route.upstream_title),
            authorization_server: safe_host(discovered.authorization_endpoint.host_str().unwrap_or_default()),
            asked_by,
            route: pages::Route { title: safe_text(&route.title), path: safe_text(&route.path) },
            scopes: scopes.iter().map(|scope| safe_text(scope)).collect(),
            shared: key.owner == Owner::Shared,
            user: shown(signed_in),
            sign_out: LocalHref::new(&self.identity.sign_out_path()),
        };
        page_response(&page, StatusCode::OK)
    }

    /// Begins what the person confirmed on our page.
    pub(super) async fn confirm(&self, upstream_id: &str, request: &Request) -> Response {
        let Ok(form) = Params::parse(&request.body) else { return trouble_page(request, &Trouble::MALFORMED) };
        let signed_in = match self.identity.signed_in(request).await {
            Ok(Some(signed_in)) => signed_in,
            Ok(None) => return trouble_page(request, &Trouble::STALE),
            Err(error) => return store_trouble(request, &error),
        };
        if let Ok(Some(interaction)) = form.get("interaction") {
            let interaction = InteractionId(interaction.to_owned());
            return self.confirm_key_for_interaction(upstream_id, request, &signed_in, &form, interaction).await;
        }
        let text = form.get("ticket").ok().flatten().unwrap_or_default();
        let Some(ticket) = Some(text).and_then(|text| ticket::read(&self.key_ring, text, self.clock.now())) else {
            return trouble_page(request, &EXPIRED_LINK);
        };
        if !signed_in.sent(request, &form, &ticket_purpose(&ticket)) {
            return trouble_page(request, &Trouble::FOREIGN_FORM);
        }
        if signed_in.user().subject != ticket.subject {
            return self.wrong_person(request, &signed_in);
        }
        match self.route(&ticket.operation_id, upstream_id).filter(|_| ticket.upstream_id == upstream_id) {
            Some((route, server)) if key_settings(server).is_some() => {
                let asked = Asked::Ticket { text, purpose: ticket_purpose(&ticket) };
                self.spend_and_keep_key(request, &signed_in, &ticket, &form, (route, server), &asked).await
            }
            Some((route, server)) => self.spend_and_begin(request, &signed_in, &ticket, route, server).await,
            None => trouble_page(request, &NO_SUCH_CONNECTION),
        }
    }

    async fn spend_and_keep_key(
        &self,
        request: &Request,
        signed_in: &SignedIn,
        ticket: &ticket::Ticket,
        form: &Params,
        (route, server): (&Arc<Route>, &Arc<Server>),
        asked: &Asked<'_>,
    ) -> Response {
        let key = match self.checked_key(server, form).await {
            Ok(key) => key,
            Err(again) => return self.ask_key(request, signed_in, route, server, asked, Some(again)),
        };
        match self.store.spend_ticket(&ticket.digest, ticket.expires_at, self.clock.now()).await {
            Ok(true) => self.keep_key(request, signed_in, route, server, &key, None).await,
            Ok(false) => trouble_page(request, &EXPIRED_LINK),
            Err(error) => store_trouble(request, &error),
        }
    }

    async fn begin_for_interaction(
        &self,
        upstream_id: &str,
        request: &Request,
        params: &Params,
        id: InteractionId,
    ) -> Response {
        let signed_in = match self.identity.signed_in(request).await {
            Ok(Some(signed_in)) => signed_in,
            Ok(None) => return trouble_page(request, &Trouble::STALE),
            Err(error) => return store_trouble(request, &error),
        };
        let interaction = match self.store.interaction(&id, self.clock.now()).await {
            Ok(Some(interaction)) if interaction.is_bound_to(signed_in.digest()) => interaction,
            Ok(_) => return trouble_page(request, &Trouble::STALE),
            Err(error) => return store_trouble(request, &error),
        };
        let named = params.get("operationId").ok().flatten();
        match self.route(&interaction.operation_id, upstream_id) {
            Some((route, server)) if named == Some(&interaction.operation_id) && key_settings(server).is_some() => {
                self.ask_key(request, &signed_in, route, server, &Asked::Interaction(&id), None)
            }
            Some((route, server)) if named == Some(&interaction.operation_id) => {
                self.begin(request, &signed_in, route, server, Some(id)).await
            }
            _ => trouble_page(request, &NO_SUCH_CONNECTION),
        }
    }

    async fn spend_and_begin(
        &self,
        request: &Request,
        signed_in: &SignedIn,
        ticket: &ticket::Ticket,
        route: &Arc<Route>,
        server: &Arc<Server>,
    ) -> Response {
        match self.store.spend_ticket(&ticket.digest, ticket.expires_at, self.clock.now()).await {
            Ok(true) => self.begin(request, signed_in, route, server, None).await,
            Ok(false) => trouble_page(request, &EXPIRED_LINK),
            Err(error) => store_trouble(request, &error),
        }
    }

    /// The link belongs to somebody else; whose it is stays unsaid.
    pub(super) fn wrong_person(&self, request: &Request, signed_in: &SignedIn) -> Response {
        tracing::warn!(event = "mcp_auth_connect_rejected", requestId = %request.id,
            subjectId = %signed_in.user().subject, reasonCode = "wrong_person", "somebody else's connect link");
        let page =
            pages::WrongPerson { user: shown(signed_in), sign_out: LocalHref::new(&self.identity.sign_out_path()) };
        page_response(&page, StatusCode::FORBIDDEN)
    }
}

pub(super) fn shown(signed_in: &SignedIn) -> pages::User {
    let (name, email) = (signed_in.name(), signed_in.user().email.as_deref());
    pages::User { name: safe_text(name), email: email.filter(|email| *email != name).map(safe_text) }
}

/// For callers that are no browser: what is missing, and where a browser has to go (428, RFC 6585 section 3).
fn payload(route: &Route, server: &Server, request: &Request) -> Response {
    let query = request.query.as_deref().unwrap_or_default();
    let url = format!("{}{}?{query}&redirect=true", request.origin, request.path);
    Response::json(
        StatusCode::PRECONDITION_REQUIRED,
        &json!({
            "state": Need::Authenticating.state(),
            "message": Need::Authenticating.message(&route.upstream_title),
            "upstreamServerId": server.id,
            "operationId": route.operation_id,
            "authUrl": url,
            "nextAction": "redirect",
        }),
    )
}

fn accepts_html(request: &Request) -> bool {
    let accept = request.headers.get(header::ACCEPT).map(HeaderValue::to_str);
    accept.is_some_and(|accept| accept.is_ok_and(|accept| accept.contains("text/html")))
}

fn identity_of(client: &ClientId) -> ClientIdentity {
    match ClientIdUrl::parse(client.as_str()) {
        Ok(url) => ClientIdentity::Host(safe_host(&url.host())),
        Err(_registered) => ClientIdentity::Unverified,
    }
}

fn ticket_purpose(ticket: &ticket::Ticket) -> String {
    format!("connect {:?}", ticket.digest.as_bytes())
}

/// Whether `signed_in` may make this connection: everybody their own, administrators the shared one.
pub(super) fn may_connect(signed_in: &SignedIn, server: &Server, is_admin: bool) -> bool {
    key_for(&signed_in.user().subject, server).is_some_and(|key| key.owner != Owner::Shared || is_admin)
}
