//! The consent page: what the person decides, and what follows from it.
//!
//! Consent is asked for every authorization, also of a client that was approved before: a public client cannot prove
//! that it is the one that was approved (OAuth 2.1, "Client Impersonation").

use http::StatusCode;
use url::Url;

use super::{AuthorizationServer, CODE_TTL, authorize::failure};
use crate::{
    crypto::{Digest, random_token},
    identity::{SETUP, SignedIn, Trouble, page_response, setup_location, trouble_page},
    oauth::{AuthorizationError, Params, RedirectTarget},
    pages::{self, ClientIdentity, Consent, LocalHref, Redirect, Upstream, UpstreamState, safe_text},
    store::{Client, Grant, GrantId, Interaction, InteractionId, NewCode},
    web::{Request, Response, is_form},
};

impl AuthorizationServer {
    /// Shows the consent page of an interaction that this browser may decide.
    pub(super) async fn show_consent(&self, request: &Request) -> Response {
        let query = request.query.as_deref().unwrap_or_default();
        let Ok(params) = Params::parse(query.as_bytes()) else { return trouble_page(request, &Trouble::MALFORMED) };
        let (signed_in, interaction, target) = match self.open_interaction(request, &params).await {
            Ok(open) => open,
            Err(page) => return page,
        };
        if let Some(error) = &interaction.error {
            return self.end(request, &signed_in, &interaction, &failure(&target, error, &interaction)).await;
        }
        match self.store.client(&interaction.client_id).await {
            Ok(Some(client)) => match self.page(&signed_in, &interaction, &client, &target) {
                Some(page) => page_response(&page, StatusCode::OK),
                None => trouble_page(request, &Trouble::STALE),
            },
            Ok(None) => trouble_page(request, &Trouble::STALE),
            Err(error) => Self::store_trouble(request, &error),
        }
    }

    /// Does what the person decided on the form.
    pub(super) async fn decide(&self, request: &Request) -> Response {
        let Ok(form) = Params::parse(&request.body) else { return trouble_page(request, &Trouble::MALFORMED) };
        if !is_form(request) || !request.is_same_origin() {
            return refused_form(request);
        }
        let (signed_in, interaction, target) = match self.open_interaction(request, &form).await {
            Ok(open) => open,
            Err(page) => return page,
        };
        let csrf = signed_in.csrf(&interaction.id.0);
        if !form.get("csrf").ok().flatten().is_some_and(|presented| csrf.matches(presented)) {
            return refused_form(request);
        }
        match form.get("decision") {
            Ok(Some("approve")) if interaction.error.is_none() => {
                self.approve(request, &signed_in, &interaction, &target).await
            }
            Ok(Some("cancel")) => {
                tracing::info!(event = "mcp_auth_consent_denied", requestId = %request.id,
                    clientId = %interaction.client_id, subjectId = %signed_in.user().subject,
                    operationId = %interaction.operation_id, "consent denied");
                let location = failure(&target, AuthorizationError::AccessDenied.as_str(), &interaction);
                self.end(request, &signed_in, &interaction, &location).await
            }
            Ok(Some("continue")) => {
                Response::see_other(&setup_location(&self.settings.base_path.path(SETUP), &interaction.id))
            }
            _ => trouble_page(request, &Trouble::MALFORMED),
        }
    }

    /// The interaction that the parameters name, if this browser session may act on it.
    async fn open_interaction(
        &self,
        request: &Request,
        params: &Params,
    ) -> Result<(SignedIn, Interaction, RedirectTarget), Response> {
        let Ok(Some(id)) = params.get("interaction") else {
            return Err(trouble_page(request, &Trouble::MALFORMED));
        };
        let id = InteractionId(id.to_owned());
        let signed_in = self.identity.signed_in(request).await;
        let interaction = self.store.interaction(&id, self.clock.now()).await;
        match (signed_in, interaction) {
            (Err(error), _) | (_, Err(error)) => Err(Self::store_trouble(request, &error)),
            (Ok(Some(signed_in)), Ok(Some(interaction))) if interaction.is_bound_to(signed_in.digest()) => {
                match RedirectTarget::from_stored(&interaction.redirect_uri) {
                    Ok(target) => Ok((signed_in, interaction, target)),
                    Err(error) => {
                        tracing::error!(event = "mcp_auth_store_failed", requestId = %request.id, %error,
                            "an interaction holds an impossible redirect URI");
                        Err(trouble_page(request, &Trouble::STALE))
                    }
                }
            }
            _ => Err(trouble_page(request, &Trouble::STALE)),
        }
    }

    async fn approve(
        &self,
        request: &Request,
        signed_in: &SignedIn,
        interaction: &Interaction,
        target: &RedirectTarget,
    ) -> Response {
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
            expires_at: now.plus(CODE_TTL),
        };
        match self.store.approve_interaction(&interaction.id, signed_in.digest(), &grant, &kept, now).await {
            Ok(true) => {
                tracing::info!(event = "mcp_auth_consent_approved", requestId = %request.id,
                    clientId = %grant.client_id, subjectId = %grant.subject, operationId = %grant.operation_id,
                    grantId = %grant.id, "consent approved");
                Response::see_other(&target.success(&code, interaction.state.as_deref(), &interaction.issuer))
            }
            Ok(false) => trouble_page(request, &Trouble::STALE),
            Err(error) => Self::store_trouble(request, &error),
        }
    }

    /// Ends an interaction without consent and sends the browser back to the client.
    async fn end(
        &self,
        request: &Request,
        signed_in: &SignedIn,
        interaction: &Interaction,
        location: &str,
    ) -> Response {
        match self.store.cancel_interaction(&interaction.id, signed_in.digest(), self.clock.now()).await {
            Ok(true) => Response::see_other(location),
            Ok(false) => trouble_page(request, &Trouble::STALE),
            Err(error) => Self::store_trouble(request, &error),
        }
    }

    fn page(
        &self,
        signed_in: &SignedIn,
        interaction: &Interaction,
        client: &Client,
        target: &RedirectTarget,
    ) -> Option<Consent> {
        let route = self.routes.of(&interaction.operation_id)?;
        let user = signed_in.user();
        let name = user.name.as_deref().or(user.email.as_deref()).unwrap_or(&user.sub);
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
                email: user.email.as_deref().filter(|email| *email != name).map(safe_text),
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

fn refused_form(request: &Request) -> Response {
    tracing::warn!(event = "mcp_auth_consent_rejected", requestId = %request.id, reasonCode = "foreign_form",
        "a consent form came from elsewhere");
    trouble_page(request, &Trouble::FOREIGN_FORM)
}
