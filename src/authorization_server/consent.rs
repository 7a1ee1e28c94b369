//! The consent page: what the person decides, and what follows from it.
//!
//! Consent is asked for every authorization, also of a client that was approved before, unless the client is proven to be
//! the one that was approved (OAuth 2.1, "Client Impersonation") and nothing else differs: see `remembered`.

use http::StatusCode;
use url::Url;

use super::{
    AuthorizationServer, CODE_TTL,
    authorize::{FOREIGN_REDIRECT, UNKNOWN_ROUTE, canonical, failure, no_client_page},
    clients::{Client, Known},
};
use crate::{
    crypto::{Digest, random_token},
    identity::{SETUP, SignedIn, Trouble, page_response, setup_location, store_trouble, trouble_page},
    interaction::{Dependency, DependencyState, is_ready},
    oauth::{AuthorizationError, NoMatch, Params, RedirectTarget},
    pages::{self, ClientIdentity, Consent, LocalHref, Redirect, Upstream, UpstreamState, safe_host, safe_text},
    routes::Route,
    store::{self, Grant, GrantId, Interaction, InteractionId, NewCode},
    web::{Request, Response, is_form},
};

/// An interaction under way, in the hands of the person it belongs to.
pub(super) struct Open {
    pub(super) signed_in: SignedIn,
    pub(super) interaction: Interaction,
    pub(super) client: Client,
    pub(super) target: RedirectTarget,
}

/// When the person consented to what is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Consented {
    Now,
    Before,
}

impl AuthorizationServer {
    /// Shows the consent page of an interaction that this browser may decide, or goes on where that was decided before.
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
        let route = match self.route_of(request, &open) {
            Ok(route) => route,
            Err(trouble) => return refused(request, trouble),
        };
        let dependencies = match self.dependencies(&open, route).await {
            Ok(dependencies) => dependencies,
            Err(error) => return store_trouble(request, &error),
        };
        if is_ready(&dependencies) {
            match self.is_remembered(&open).await {
                Ok(true) => return self.grant(request, &open, Consented::Before).await,
                Ok(false) => {}
                Err(error) => return store_trouble(request, &error),
            }
        }
        match self.page(&open, route, dependencies) {
            Some(page) => page_response(&page, StatusCode::OK),
            None => trouble_page(request, &Trouble::BROKEN),
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
        let client = match self.clients.find(&interaction.client_id).await {
            Ok(client) => client,
            Err(error) => return Err(no_client_page(request, &interaction.client_id, &error)),
        };
        let requested = Some(interaction.redirect_uri.as_str()).filter(|uri| !uri.is_empty());
        match RedirectTarget::matched(&client.redirect_uris, requested) {
            Ok(target) => Ok(Open { signed_in, interaction, client, target }),
            Err(NoMatch) => Err(refused(request, &FOREIGN_REDIRECT)),
        }
    }

    /// The route of an interaction; it may have gone while the person was deciding, and it may not be for them.
    fn route_of(&self, request: &Request, open: &Open) -> Result<&Route, &'static Trouble<'static>> {
        let route = self.routes.of(&open.interaction.operation_id).map(AsRef::as_ref);
        match route.filter(|route| canonical(&request.origin, route) == open.interaction.resource) {
            None => Err(&UNKNOWN_ROUTE),
            Some(route) if !self.prompts.is_open_to(open.signed_in.user(), route) => Err(&NOT_FOR_THIS_USER),
            Some(route) => Ok(route),
        }
    }

    async fn approve(&self, request: &Request, open: &Open) -> Response {
        let interaction = &open.interaction;
        let dependencies = match self.route_of(request, open) {
            Ok(route) => self.dependencies(open, route).await,
            Err(trouble) => return refused(request, trouble),
        };
        match dependencies {
            Ok(dependencies) if is_ready(&dependencies) => {}
            Ok(_) => {
                let setup = self.settings.base_path.path(SETUP);
                return Response::see_other(&setup_location(&setup, &interaction.id));
            }
            Err(error) => return store_trouble(request, &error),
        }
        self.grant(request, open, Consented::Now).await
    }

    /// Makes the grant that the person consented to, and sends the browser back to the client with a code for it.
    async fn grant(&self, request: &Request, open: &Open, consented: Consented) -> Response {
        let Open { signed_in, interaction, target, .. } = open;
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
            redirect_uri: target.as_str().to_owned(),
            code_challenge: interaction.code_challenge.clone(),
            expires_at: now.plus(CODE_TTL).min(grant.expires_at),
        };
        match self.store.approve_interaction(&interaction.id, signed_in.digest(), &grant, &kept, now).await {
            Ok(true) => {
                tracing::info!(event = "mcp_auth_consent_approved", requestId = %request.id,
                    clientId = %grant.client_id, subjectId = %grant.subject, operationId = %grant.operation_id,
                    grantId = %grant.id, remembered = consented == Consented::Before, outcome = "success",
                    "consent approved");
                if consented == Consented::Now {
                    self.remember(request, open, now).await;
                }
                Response::see_other(&target.success(&code, interaction.state.as_deref(), &interaction.issuer))
            }
            Ok(false) => refused(request, &Trouble::STALE.because("stale_interaction")),
            Err(error) => store_trouble(request, &error),
        }
    }

    /// Ends an interaction without consent and sends the browser back to the client.
    async fn end(&self, request: &Request, open: &Open, error: &str) -> Response {
        let Open { signed_in, interaction, target, .. } = open;
        match self.store.cancel_interaction(&interaction.id, signed_in.digest(), self.clock.now()).await {
            Ok(true) => Response::see_other(&failure(target, error, interaction)),
            Ok(false) => refused(request, &Trouble::STALE.because("stale_interaction")),
            Err(error) => store_trouble(request, &error),
        }
    }

    /// What this person has still to connect for the route.
    async fn dependencies(&self, open: &Open, route: &Route) -> store::Result<Vec<Dependency>> {
        self.prompts.dependencies(open.signed_in.user(), route, &open.interaction.id).await
    }

    fn page(&self, open: &Open, route: &Route, dependencies: Vec<Dependency>) -> Option<Consent> {
        let Open { signed_in, interaction, target, .. } = open;
        let client = &open.client;
        let name = signed_in.name();
        Some(Consent {
            action: LocalHref::new(&self.settings.base_path.path(SETUP)),
            interaction: interaction.id.0.clone(),
            csrf: signed_in.csrf(&interaction.id.0).as_str().to_owned(),
            client: pages::Client {
                name: safe_text(client.name.as_deref().unwrap_or_default()),
                identity: match &client.known {
                    Known::Document { host, .. } => ClientIdentity::Host(safe_host(host)),
                    Known::Registration { .. } => ClientIdentity::Unverified,
                },
                only_local_redirects: client.redirect_uris.iter().all(|uri| !uri.starts_with("https:")),
            },
            redirect: Redirect::to(&Url::parse(target.as_str()).ok()?),
            user: pages::User {
                name: safe_text(name),
                email: signed_in.user().email.as_deref().filter(|email| *email != name).map(safe_text),
            },
            sign_out: LocalHref::new(&self.identity.sign_out_path()),
            route: pages::Route { title: safe_text(&route.title), path: safe_text(&route.path) },
            upstreams: dependencies.into_iter().map(shown_upstream).collect(),
        })
    }
}

const NOT_FOR_THIS_USER: Trouble<'static> = Trouble {
    status: StatusCode::FORBIDDEN,
    reason: "access_denied",
    title: "This service is not available to you",
    happened: "The administrators of this gateway have not opened the service to your account.",
    next: "If you need it, ask them. If you have another account, sign out and sign in with that one.",
    details: &[],
};

/// The page for a decision that cannot be made, and the line that says why.
fn refused(request: &Request, trouble: &Trouble<'_>) -> Response {
    tracing::info!(event = "mcp_auth_consent_rejected", requestId = %request.id, outcome = "denied",
        failureOrigin = "client", reasonCode = trouble.reason, "consent refused");
    trouble_page(request, trouble)
}

fn shown_upstream(dependency: Dependency) -> Upstream {
    Upstream {
        name: safe_text(&dependency.title),
        scopes: dependency.scopes.iter().map(|scope| safe_text(scope)).collect(),
        state: match dependency.state {
            DependencyState::NothingNeeded => UpstreamState::NothingNeeded,
            DependencyState::Connected => UpstreamState::Connected,
            DependencyState::NeedsConnection { connect } => {
                UpstreamState::NeedsConnection { connect: LocalHref::new(&connect) }
            }
            DependencyState::NeedsAdministrator => UpstreamState::NeedsAdministrator,
        },
    }
}
