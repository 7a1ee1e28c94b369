//! The consent page: what the person decides, and what follows from it.
//!
//! Consent is asked for every authorization, also of a client that was approved before: a public client cannot prove
//! that it is the one that was approved (OAuth 2.1, "Client Impersonation").

use http::StatusCode;
use url::Url;

use super::{
    AuthorizationServer, CODE_TTL,
    authorize::{UNKNOWN_CLIENT, UNKNOWN_ROUTE, canonical, failure},
};
use crate::{
    crypto::{Digest, random_token},
    identity::{SETUP, SignedIn, Trouble, page_response, setup_location, store_trouble, trouble_page},
    oauth::{AuthorizationError, Params, RedirectTarget},
    pages::{self, ClientIdentity, Consent, LocalHref, Redirect, Upstream, UpstreamState, safe_text},
    routes::Route,
    store::{Client, Grant, GrantId, Interaction, InteractionId, NewCode},
    web::{Request, Response, is_form},
};

/// An interaction under way, in the hands of the person it belongs to.
struct Open {
    signed_in: SignedIn,
    interaction: Interaction,
    target: RedirectTarget,
}

impl AuthorizationServer {
    /// Shows the consent page of an interaction that this browser may decide.
    pub(super) async fn show_consent(&self, request: &Request) -> Response {
        let query = request.query.as_deref().unwrap_or_default();
        let Ok(params) = Params::parse(query.as_bytes()) else { return refused(request, &Trouble::MALFORMED) };
        let open = match self.open_interaction(request, &params).await {
            Ok(open) => open,
            Err(page) => return page,
        };
        if let Some(error) = &open.interaction.error {
            return self.end(request, &open, error).await;
        }
        match self.parties(request, &open.interaction).await {
            Ok((client, route)) => match self.page(&open, &client, route) {
                Some(page) => page_response(&page, StatusCode::OK),
                None => trouble_page(request, &Trouble::BROKEN),
            },
            Err(page) => page,
        }
    }

    /// Does what the person decided on the form.
    pub(super) async fn decide(&self, request: &Request) -> Response {
        let Ok(form) = Params::parse(&request.body) else { return refused(request, &Trouble::MALFORMED) };
        if !is_form(request) || !request.is_same_origin() {
            return refused(request, &Trouble::FOREIGN_FORM);
        }
        let open = match self.open_interaction(request, &form).await {
            Ok(open) => open,
            Err(page) => return page,
        };
        let Open { signed_in, interaction, .. } = &open;
        let csrf = signed_in.csrf(&interaction.id.0);
        if !form.get("csrf").ok().flatten().is_some_and(|presented| csrf.matches(presented)) {
            return refused(request, &Trouble::FOREIGN_FORM);
        }
        match form.get("decision") {
            Ok(Some("approve")) if interaction.error.is_none() => self.approve(request, &open).await,
            Ok(Some("cancel")) => {
                tracing::info!(event = "mcp_auth_consent_denied", requestId = %request.id,
                    clientId = %interaction.client_id, subjectId = %signed_in.user().subject,
                    operationId = %interaction.operation_id, outcome = "denied", "consent denied");
                self.end(request, &open, AuthorizationError::AccessDenied.as_str()).await
            }
            Ok(Some("continue")) => {
                Response::see_other(&setup_location(&self.settings.base_path.path(SETUP), &interaction.id))
            }
            _ => refused(request, &Trouble::MALFORMED),
        }
    }

    /// The interaction that the parameters name, if this browser session may act on it.
    async fn open_interaction(&self, request: &Request, params: &Params) -> Result<Open, Response> {
        let Ok(Some(id)) = params.get("interaction") else {
            return Err(refused(request, &Trouble::MALFORMED));
        };
        let stale = |reason| refused(request, &Trouble::STALE.because(reason));
        let signed_in = match self.identity.signed_in(request).await {
            Ok(Some(signed_in)) => signed_in,
            Ok(None) => return Err(stale("not_signed_in")),
            Err(error) => return Err(store_trouble(request, &error)),
        };
        let interaction = match self.store.interaction(&InteractionId(id.to_owned()), self.clock.now()).await {
            Ok(Some(interaction)) if interaction.is_bound_to(signed_in.digest()) => interaction,
            Ok(Some(_)) => return Err(stale("interaction_of_another_session")),
            Ok(None) => return Err(stale("stale_interaction")),
            Err(error) => return Err(store_trouble(request, &error)),
        };
        match RedirectTarget::from_stored(&interaction.redirect_uri) {
            Ok(target) => Ok(Open { signed_in, interaction, target }),
            Err(error) => {
                tracing::error!(event = "mcp_auth_store_failed", requestId = %request.id, %error,
                    "an interaction holds an impossible redirect URI");
                Err(trouble_page(request, &Trouble::BROKEN))
            }
        }
    }

    /// The client and the route of an interaction; either may have gone while the person was deciding.
    async fn parties(&self, request: &Request, interaction: &Interaction) -> Result<(Client, &Route), Response> {
        let route = self.routes.of(&interaction.operation_id);
        let Some(route) = route.filter(|route| canonical(&request.origin, route) == interaction.resource) else {
            return Err(refused(request, &UNKNOWN_ROUTE));
        };
        match self.store.client(&interaction.client_id).await {
            Ok(Some(client)) => Ok((client, route)),
            Ok(None) => Err(refused(request, &UNKNOWN_CLIENT)),
            Err(error) => Err(store_trouble(request, &error)),
        }
    }

    async fn approve(&self, request: &Request, open: &Open) -> Response {
        let Open { signed_in, interaction, target } = open;
        if let Err(page) = self.parties(request, interaction).await {
            return page;
        }
        let now = self.clock.now();
        let code = random_token("ac_");
        let grant = Grant {
            id: GrantId(random_token("gr_")),
            subject: signed_in.user().subject.clone(),
            client_id: interaction.client_id.clone(),
            operation_id: interaction.operation_id.clone(),
            resource: interaction.resource.clone(),
            scope: interaction.scope.clone(),
            created_at: now,
            expires_at: now.plus(self.settings.grant_ttl),
        };
        let kept = NewCode {
            digest: Digest::of(&code),
            redirect_uri: interaction.redirect_uri.clone(),
            code_challenge: interaction.code_challenge.clone(),
            expires_at: now.plus(CODE_TTL).min(grant.expires_at),
        };
        match self.store.approve_interaction(&interaction.id, signed_in.digest(), &grant, &kept, now).await {
            Ok(true) => {
                tracing::info!(event = "mcp_auth_consent_approved", requestId = %request.id,
                    clientId = %grant.client_id, subjectId = %grant.subject, operationId = %grant.operation_id,
                    grantId = %grant.id, outcome = "success", "consent approved");
                Response::see_other(&target.success(&code, interaction.state.as_deref(), &interaction.issuer))
            }
            Ok(false) => refused(request, &Trouble::STALE.because("stale_interaction")),
            Err(error) => store_trouble(request, &error),
        }
    }

    /// Ends an interaction without consent and sends the browser back to the client.
    async fn end(&self, request: &Request, open: &Open, error: &str) -> Response {
        let Open { signed_in, interaction, target } = open;
        match self.store.cancel_interaction(&interaction.id, signed_in.digest(), self.clock.now()).await {
            Ok(true) => Response::see_other(&failure(target, error, interaction)),
            Ok(false) => refused(request, &Trouble::STALE.because("stale_interaction")),
            Err(error) => store_trouble(request, &error),
        }
    }

    fn page(&self, open: &Open, client: &Client, route: &Route) -> Option<Consent> {
        let Open { signed_in, interaction, target } = open;
        let name = signed_in.name();
        Some(Consent {
            action: LocalHref::new(&self.settings.base_path.path(SETUP)),
            interaction: interaction.id.0.clone(),
            csrf: signed_in.csrf(&interaction.id.0).as_str().to_owned(),
            client: pages::Client {
                name: safe_text(client.name.as_deref().unwrap_or_default()),
                identity: ClientIdentity::Unverified,
                only_local_redirects: client.redirect_uris.iter().all(|uri| !uri.starts_with("https:")),
            },
            redirect: Redirect::to(&Url::parse(target.as_str()).ok()?),
            user: pages::User {
                name: safe_text(name),
                email: signed_in.user().email.as_deref().filter(|email| *email != name).map(safe_text),
            },
            sign_out: LocalHref::new(&self.identity.sign_out_path()),
            route: pages::Route { title: safe_text(&route.title), path: safe_text(&route.path) },
            upstreams: vec![Upstream {
                name: safe_text(&route.upstream_title),
                scopes: Vec::new(),
                state: UpstreamState::NothingNeeded,
            }],
        })
    }
}

/// The page for a decision that cannot be made, and the line that says why.
fn refused(request: &Request, trouble: &Trouble<'_>) -> Response {
    tracing::info!(event = "mcp_auth_consent_rejected", requestId = %request.id, outcome = "denied",
        failureOrigin = "client", reasonCode = trouble.reason, "consent refused");
    trouble_page(request, trouble)
}
