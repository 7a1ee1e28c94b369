//! The authorization endpoint (RFC 6749 section 3.1).
//!
//! Until the client and its redirect URI are proven, an error is a page. After that it is a redirect, but only once the
//! person has signed in: who can register a client must not be able to bounce strangers off us (OAuth 2.1, "Authorization
//! Server as Open Redirector").

use http::StatusCode;

use super::AuthorizationServer;
use crate::{
    clock::Timestamp,
    crypto::random_token,
    identity::{SETUP, Trouble, setup_location, trouble_page},
    oauth::{AuthorizationError, CodeChallenge, Params, RedirectTarget, ResourceUri, scope},
    routes::Route,
    store::{Client, ClientId, Interaction, InteractionId},
    web::{Origin, Request, Response},
};

/// What a request is for, once everything about it is right.
struct Asked {
    operation_id: String,
    resource: String,
    code_challenge: String,
    scope: String,
}

impl AuthorizationServer {
    /// Accepts an authorization request; `route_path` is what follows the endpoint's path.
    pub(super) async fn authorize(&self, request: &Request, route_path: &str) -> Response {
        let implied = match route_path {
            "" => None,
            path => match self.routes.at(path) {
                Some(route) => Some(route.as_ref()),
                None => return trouble_page(request, &UNKNOWN_ROUTE),
            },
        };
        let Ok(params) = Params::parse(request.query.as_deref().unwrap_or_default().as_bytes()) else {
            return trouble_page(request, &Trouble::MALFORMED);
        };
        let client = match self.client(&params).await {
            Ok(Some(client)) => client,
            Ok(None) => return unknown_client(request),
            Err(error) => return Self::store_trouble(request, &error),
        };
        let Some(target) = params
            .get("redirect_uri")
            .ok()
            .and_then(|requested| RedirectTarget::matched(&client.redirect_uris, requested).ok())
        else {
            return foreign_redirect(request, &client.id);
        };
        let state = match params.get("state") {
            Ok(state) => state.map(ToOwned::to_owned),
            Err(_duplicate) => return trouble_page(request, &Trouble::MALFORMED),
        };
        let issuer = implied.map_or_else(|| request.origin.to_string(), |route| canonical(&request.origin, route));
        let asked = self.check(&params, &request.origin, implied);

        let now = self.clock.now();
        let interaction = interaction(client.id, &target, state, issuer, asked, now, self.settings.interaction_ttl);
        self.begin(request, interaction, &target, now).await
    }

    /// Keeps the interaction and sends the browser to its first prompt.
    async fn begin(
        &self,
        request: &Request,
        mut interaction: Interaction,
        target: &RedirectTarget,
        now: Timestamp,
    ) -> Response {
        if let Some(error) = &interaction.error {
            tracing::info!(event = "mcp_auth_authorization_rejected", requestId = %request.id,
                clientId = %interaction.client_id, reasonCode = %error, "authorization request refused");
        }
        let signed_in = match self.identity.signed_in(request).await {
            Ok(signed_in) => signed_in,
            Err(error) => return Self::store_trouble(request, &error),
        };
        if let (Some(_), Some(error)) = (&signed_in, &interaction.error) {
            return Response::see_other(&failure(target, error, &interaction));
        }
        interaction.session = signed_in.as_ref().map(|signed_in| *signed_in.digest());
        if let Err(error) = self.store.create_interaction(&interaction).await {
            return Self::store_trouble(request, &error);
        }
        if let Err(error) = self.store.touch_client(&interaction.client_id, now).await {
            return Self::store_trouble(request, &error);
        }
        match signed_in {
            Some(_) => Response::see_other(&setup_location(&self.settings.base_path.path(SETUP), &interaction.id)),
            None => self.identity.begin_login(request, &interaction.id).await,
        }
    }

    async fn client(&self, params: &Params) -> crate::store::Result<Option<Client>> {
        match params.get("client_id") {
            Ok(Some(id)) => self.store.client(&ClientId::new(id)).await,
            Ok(None) | Err(_) => Ok(None),
        }
    }

    /// Checks everything that the client can be told about by redirect.
    fn check(&self, params: &Params, origin: &Origin, implied: Option<&Route>) -> Result<Asked, AuthorizationError> {
        let one = |name| params.get(name).map_err(|_duplicate| AuthorizationError::InvalidRequest);
        if one("request")?.is_some() {
            return Err(AuthorizationError::InvalidRequest);
        }
        match one("response_type")? {
            Some("code") => {}
            Some(_) => return Err(AuthorizationError::UnsupportedResponseType),
            None => return Err(AuthorizationError::InvalidRequest),
        }
        if one("response_mode")?.is_some_and(|mode| mode != "query") {
            return Err(AuthorizationError::InvalidRequest);
        }
        let challenge = CodeChallenge::parse(one("code_challenge")?, one("code_challenge_method")?)
            .map_err(|_pkce| AuthorizationError::InvalidRequest)?;
        let resource = params.get("resource").map_err(|_duplicate| AuthorizationError::InvalidTarget)?;
        let route = self.resource(resource, origin, implied)?;
        let scope = scope::grant_scope(one("scope")?).map_err(|_syntax| AuthorizationError::InvalidScope)?;
        Ok(Asked {
            operation_id: route.operation_id.clone(),
            resource: canonical(origin, route),
            code_challenge: challenge.as_str().to_owned(),
            scope,
        })
    }

    /// The route that the request is for (RFC 8707): the one it names, which must be the implied one if there is one.
    fn resource<'s>(
        &'s self,
        requested: Option<&str>,
        origin: &Origin,
        implied: Option<&'s Route>,
    ) -> Result<&'s Route, AuthorizationError> {
        let only = implied.or_else(|| self.routes.sole().map(AsRef::as_ref));
        let Some(requested) = requested else { return only.ok_or(AuthorizationError::InvalidTarget) };
        self.routes
            .iter()
            .map(AsRef::as_ref)
            .filter(|route| implied.is_none_or(|implied| implied == *route))
            .find(|route| is_resource(&canonical(origin, route), requested))
            .ok_or(AuthorizationError::InvalidTarget)
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

fn interaction(
    client_id: ClientId,
    target: &RedirectTarget,
    state: Option<String>,
    issuer: String,
    asked: Result<Asked, AuthorizationError>,
    now: Timestamp,
    ttl: std::time::Duration,
) -> Interaction {
    let (asked, error) = match asked {
        Ok(asked) => (Some(asked), None),
        Err(error) => (None, Some(error.as_str().to_owned())),
    };
    let asked = asked.unwrap_or_else(|| Asked {
        operation_id: String::new(),
        resource: String::new(),
        code_challenge: String::new(),
        scope: String::new(),
    });
    Interaction {
        id: InteractionId(random_token("")),
        client_id,
        redirect_uri: target.as_str().to_owned(),
        state,
        code_challenge: asked.code_challenge,
        operation_id: asked.operation_id,
        resource: asked.resource,
        issuer,
        scope: asked.scope,
        error,
        session: None,
        created_at: now,
        expires_at: now.plus(ttl),
    }
}

fn unknown_client(request: &Request) -> Response {
    tracing::info!(event = "mcp_auth_authorization_rejected", requestId = %request.id, reasonCode = "invalid_client",
        "authorization request of an unknown client");
    trouble_page(request, &UNKNOWN_CLIENT)
}

fn foreign_redirect(request: &Request, client: &ClientId) -> Response {
    tracing::warn!(event = "mcp_auth_authorization_rejected", requestId = %request.id, clientId = %client,
        reasonCode = "invalid_redirect_uri", "authorization request with a foreign redirect URI");
    trouble_page(request, &FOREIGN_REDIRECT)
}

const UNKNOWN_ROUTE: Trouble<'static> = Trouble {
    status: StatusCode::NOT_FOUND,
    title: "There is no such MCP server here",
    happened: "The address that your application asked for is not one of this gateway's routes.",
    next: "Check the server's URL in your application.",
    details: &[],
};

const UNKNOWN_CLIENT: Trouble<'static> = Trouble {
    status: StatusCode::BAD_REQUEST,
    title: "This application is not registered here",
    happened: "The gateway does not know the application that sent you, or its registration has ended.",
    next: "Remove the server from your application and add it again, so that it registers anew.",
    details: &[],
};

const FOREIGN_REDIRECT: Trouble<'static> = Trouble {
    status: StatusCode::BAD_REQUEST,
    title: "This request is not safe to answer",
    happened: "The application asked to send you to an address that it did not register. You were not sent there.",
    next: "If you trust the application, remove the server from it and add it again.",
    details: &[],
};
