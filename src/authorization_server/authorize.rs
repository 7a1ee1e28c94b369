//! The authorization endpoint (RFC 6749 section 3.1).
//!
//! Until the client and its redirect URI are proven, an error is a page. After that it is a redirect, but only once the
//! person has signed in: who can register a client must not be able to bounce strangers off us (OAuth 2.1, "Authorization
//! Server as Open Redirector").

use http::StatusCode;

use super::{
    AuthorizationServer,
    clients::{Client, NoClient},
};
use crate::{
    clock::Timestamp,
    crypto::random_token,
    identity::{SETUP, Then, Trouble, setup_location, store_trouble, trouble_page},
    oauth::{
        AuthorizationError, CodeChallenge, Duplicate, Params, PkceError, RedirectTarget, RegisteredRedirect,
        ResourceUri, scope,
    },
    routes::Route,
    store::{ClientId, Interaction, InteractionId},
    web::{Origin, Request, Response},
};

/// What a request is for, once everything about it is right.
#[derive(Default)]
struct Asked {
    operation_id: String,
    resource: String,
    code_challenge: String,
    scope: String,
}

/// What is wrong with a request: what the client is told, and the reason for the log.
struct Flaw(AuthorizationError, &'static str);

/// Where the answer is to go.
enum Redirect {
    /// One of the client's redirect URIs.
    Matched(RedirectTarget),
    /// What the request says; the client's document will be looked at once the person has signed in, and nothing goes
    /// anywhere before.
    Claimed(RegisteredRedirect),
    /// The request leaves it to the document, which may have only one.
    Implied,
}

impl Redirect {
    fn of(client: Option<&Client>, requested: Option<&str>) -> Option<Self> {
        match client {
            Some(client) => RedirectTarget::matched(&client.redirect_uris, requested).ok().map(Self::Matched),
            None => match requested {
                Some(requested) => RegisteredRedirect::parse(requested).ok().map(Self::Claimed),
                None => Some(Self::Implied),
            },
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Matched(target) => target.as_str(),
            Self::Claimed(redirect) => redirect.as_str(),
            Self::Implied => "",
        }
    }
}

impl AuthorizationServer {
    /// Accepts an authorization request; `route_path` is what follows the endpoint's path.
    pub(super) async fn authorize(&self, request: &Request, route_path: &str) -> Response {
        let implied = match route_path {
            "" => None,
            path => match self.routes.at(path) {
                Some(route) => Some(route.as_ref()),
                None => return refused(request, None, &UNKNOWN_ROUTE),
            },
        };
        let Ok(params) = Params::parse(request.query.as_deref().unwrap_or_default().as_bytes()) else {
            return refused(request, None, &Trouble::MALFORMED);
        };
        let Ok(Some(client_id)) = params.get("client_id").map(|id| id.map(ClientId::new)) else {
            return refused(request, None, &UNKNOWN_CLIENT);
        };
        let signed_in = match self.identity.signed_in(request).await {
            Ok(signed_in) => signed_in,
            Err(error) => return store_trouble(request, &error),
        };
        let client = match &signed_in {
            Some(_) => self.clients.find(&client_id).await.map(Some),
            None => self.clients.find_at_hand(&client_id).await,
        };
        let client = match client {
            Ok(client) => client,
            Err(error) => return no_client_page(request, &client_id, &error),
        };
        let Some(redirect) =
            params.get("redirect_uri").ok().and_then(|requested| Redirect::of(client.as_ref(), requested))
        else {
            return refused(request, Some(&client_id), &FOREIGN_REDIRECT);
        };
        let state = match params.get("state") {
            Ok(state) => state.map(ToOwned::to_owned),
            Err(_duplicate) => return refused(request, Some(&client_id), &Trouble::MALFORMED),
        };
        let issuer = implied.map_or_else(|| request.origin.to_string(), |route| canonical(&request.origin, route));
        let (asked, flaw) = match self.check(&params, &request.origin, implied) {
            Ok(asked) => (asked, None),
            Err(flaw) => (Asked::default(), Some(flaw)),
        };
        let now = self.clock.now();
        let interaction = Interaction {
            id: InteractionId(random_token("")),
            client_id,
            redirect_uri: redirect.as_str().to_owned(),
            state,
            code_challenge: asked.code_challenge,
            operation_id: asked.operation_id,
            resource: asked.resource,
            issuer,
            scope: asked.scope,
            error: flaw.as_ref().map(|Flaw(error, _)| error.as_str().to_owned()),
            ask_again: asks_again(&params),
            session: signed_in.as_ref().map(|signed_in| *signed_in.digest()),
            created_at: now,
            expires_at: now.plus(self.settings.interaction_ttl),
        };
        if let Some(Flaw(error, reason)) = flaw {
            log_refusal(request, Some(&interaction.client_id), reason);
            if let (Some(_), Redirect::Matched(target)) = (&signed_in, &redirect) {
                return Response::see_other(&failure(target, error.as_str(), &interaction)).because(reason);
            }
        }
        self.begin(request, &interaction, now).await
    }

    /// Sends the browser to its first prompt and keeps the interaction.
    async fn begin(&self, request: &Request, interaction: &Interaction, now: Timestamp) -> Response {
        let prompt = if interaction.session.is_some() {
            Response::see_other(&setup_location(&self.settings.base_path.path(SETUP), &interaction.id))
        } else {
            match self.identity.begin_login(request, &Then::Interaction(interaction.id.clone())).await {
                Ok(login) => login,
                Err(page) => return page,
            }
        };
        if let Err(error) = self.store.create_interaction(interaction).await {
            return store_trouble(request, &error);
        }
        match self.store.touch_client(&interaction.client_id, now).await {
            Ok(()) => prompt,
            Err(error) => store_trouble(request, &error),
        }
    }

    /// Checks everything that the client can be told about by redirect.
    fn check(&self, params: &Params, origin: &Origin, implied: Option<&Route>) -> Result<Asked, Flaw> {
        use AuthorizationError as Error;
        let one = |name| params.get(name).map_err(|Duplicate(_)| Flaw(Error::InvalidRequest, "repeated_parameter"));
        if one("request")?.is_some() || one("request_uri")?.is_some() {
            return Err(Flaw(Error::InvalidRequest, "request_object"));
        }
        match one("response_type")? {
            Some("code") => {}
            Some(_) => return Err(Flaw(Error::UnsupportedResponseType, "unsupported_response_type")),
            None => return Err(Flaw(Error::InvalidRequest, "missing_response_type")),
        }
        if one("response_mode")?.is_some_and(|mode| mode != "query") {
            return Err(Flaw(Error::InvalidRequest, "unsupported_response_mode"));
        }
        let challenge = CodeChallenge::parse(one("code_challenge")?, one("code_challenge_method")?)
            .map_err(|error| Flaw(Error::InvalidRequest, pkce_reason(error)))?;
        let scope =
            scope::grant_scope(one("scope")?).map_err(|_syntax| Flaw(Error::InvalidScope, "malformed_scope"))?;
        let resource =
            params.get("resource").map_err(|Duplicate(_)| Flaw(Error::InvalidTarget, "several_resources"))?;
        let route = self.route(resource, origin, implied)?;
        Ok(Asked {
            operation_id: route.operation_id.clone(),
            resource: canonical(origin, route),
            code_challenge: challenge.as_str().to_owned(),
            scope,
        })
    }

    /// The route that the request is for (RFC 8707): the one it names, which must be the implied one if there is one.
    fn route<'s>(
        &'s self,
        requested: Option<&str>,
        origin: &Origin,
        implied: Option<&'s Route>,
    ) -> Result<&'s Route, Flaw> {
        let only = implied.or_else(|| self.routes.sole().map(AsRef::as_ref));
        let Some(requested) = requested else {
            return only.ok_or(Flaw(AuthorizationError::InvalidTarget, "missing_resource"));
        };
        self.routes
            .iter()
            .map(AsRef::as_ref)
            .filter(|route| implied.is_none_or(|implied| implied == *route))
            .find(|route| is_resource(&canonical(origin, route), requested))
            .ok_or(Flaw(AuthorizationError::InvalidTarget, "wrong_resource"))
    }
}

/// The canonical resource URI of a route, which is also the issuer of its own authorization server document.
pub(super) fn canonical(origin: &Origin, route: &Route) -> String {
    format!("{origin}{}", route.path)
}

/// Whether a client means `canonical` when it names `requested`; clients differ in slashes, ports and queries.
pub(super) fn is_resource(canonical: &str, requested: &str) -> bool {
    ResourceUri::parse(canonical).is_ok_and(|canonical| canonical.matches(requested))
}

/// Where the browser takes an error that the interaction ends with.
pub(super) fn failure(target: &RedirectTarget, error: &str, interaction: &Interaction) -> String {
    let error = AuthorizationError::from_code(error).unwrap_or(AuthorizationError::ServerError);
    target.failure(error, error.description(), interaction.state.as_deref(), &interaction.issuer)
}

const fn pkce_reason(error: PkceError) -> &'static str {
    match error {
        PkceError::MissingChallenge => "missing_code_challenge",
        PkceError::Method => "code_challenge_method",
        PkceError::MalformedChallenge | PkceError::MalformedVerifier | PkceError::Mismatch => {
            "malformed_code_challenge"
        }
    }
}

/// Whether the client wants the person to be asked whatever was consented to before (OpenID Connect Core section
/// 3.1.2.1). Whoever wants another sign-in or another account does not want an earlier answer either.
fn asks_again(params: &Params) -> bool {
    let prompt = params.get("prompt").ok().flatten().unwrap_or_default();
    prompt.split(' ').any(|one| matches!(one, "consent" | "login" | "select_account"))
}

/// The page for a client that cannot be told, and the line that says why.
pub(super) fn no_client_page(request: &Request, id: &ClientId, error: &NoClient) -> Response {
    let (host, source) = match error {
        NoClient::Store(error) => return store_trouble(request, error),
        NoClient::Unknown => return refused(request, Some(id), &UNKNOWN_CLIENT),
        NoClient::Url(_) => return refused(request, Some(id), &UNKNOWN_CLIENT.because(error.reason())),
        NoClient::Document { host, source } => (host, source),
    };
    tracing::warn!(event = "mcp_auth_client_document_failed", requestId = %request.id, clientId = %id,
        outcome = "failure", failureOrigin = "client", reasonCode = error.reason(), error = %source,
        "the metadata document of a client is not usable");
    let page = if error.is_passing() { &UNREADABLE_CLIENT } else { &INVALID_CLIENT };
    trouble_page(request, &Trouble { details: &[("Application", host.as_str())], ..*page })
}

/// The page for a request that is answered to nobody but the person.
fn refused(request: &Request, client: Option<&ClientId>, trouble: &Trouble<'_>) -> Response {
    log_refusal(request, client, trouble.reason);
    trouble_page(request, trouble)
}

fn log_refusal(request: &Request, client: Option<&ClientId>, reason: &'static str) {
    tracing::info!(event = "mcp_auth_authorization_rejected", requestId = %request.id,
        clientId = client.map(ClientId::as_str), outcome = "denied", failureOrigin = "client", reasonCode = reason,
        "authorization request refused");
}

pub(super) const UNKNOWN_ROUTE: Trouble<'static> = Trouble {
    status: StatusCode::NOT_FOUND,
    reason: "unknown_route",
    title: "There is no such MCP server here",
    happened: "The address that your application asked for is not one of this gateway's routes.",
    next: "Check the server's URL in your application.",
    details: &[],
};

pub(super) const UNKNOWN_CLIENT: Trouble<'static> = Trouble {
    status: StatusCode::BAD_REQUEST,
    reason: "unknown_client",
    title: "This application is not registered here",
    happened: "The gateway does not know the application that sent you, or its registration has ended.",
    next: "Remove the server from your application and add it again, so that it registers anew.",
    details: &[],
};

const UNREADABLE_CLIENT: Trouble<'static> = Trouble {
    status: StatusCode::BAD_GATEWAY,
    reason: "unreadable_client_document",
    title: "The application cannot be checked at the moment",
    happened: "The gateway could not read the page on which the application says who it is. You were not sent there.",
    next: "Try again in a few minutes. If it keeps happening, tell your administrator the request id.",
    details: &[],
};

const INVALID_CLIENT: Trouble<'static> = Trouble {
    status: StatusCode::BAD_REQUEST,
    reason: "invalid_client_document",
    title: "The application does not say who it is",
    happened: "What the application's own site says about it is not complete or contradicts itself.",
    next: "There is nothing that you can do about it here. Tell the application's makers, or your administrator the request id.",
    details: &[],
};

pub(super) const FOREIGN_REDIRECT: Trouble<'static> = Trouble {
    status: StatusCode::BAD_REQUEST,
    reason: "foreign_redirect_uri",
    title: "This request is not safe to answer",
    happened: "The application asked to send you to an address that it did not register. You were not sent there.",
    next: "If you trust the application, remove the server from it and add it again.",
    details: &[],
};
