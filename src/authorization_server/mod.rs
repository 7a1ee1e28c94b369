//! Issues codes and tokens to MCP clients (OAuth 2.1), with the login delegated to `identity`.

mod authorize;
mod client_authentication;
mod clients;
mod consent;
mod metadata;
mod register;
mod remembered;
mod revoke;
mod token;

use std::{sync::Arc, time::Duration};

use http::Method;

use self::clients::Clients;
use crate::{
    clock::Clock,
    identity::{Identity, SETUP},
    interaction::ConnectPrompts,
    outbound,
    routes::Routes,
    store::{Changes, Store},
    throttle::Throttle,
    web::{BasePath, Request, Response},
};

/// What the authorization server needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the action endpoints are.
    pub base_path: BasePath,
    /// How long an access token lives.
    pub access_token_ttl: Duration,
    /// How long a grant, and so its refresh tokens, lives.
    pub grant_ttl: Duration,
    /// How long a rotated refresh token still yields its successor.
    pub refresh_grace: Duration,
    /// How long a person may take between the authorization request and the decision.
    pub interaction_ttl: Duration,
    /// Whether client ids may be URLs of metadata documents.
    pub cimd_enabled: bool,
}

/// How long a code may be redeemed (RFC 6749 section 4.1.2 recommends at most ten minutes; ours is stricter).
const CODE_TTL: Duration = Duration::from_secs(60);

/// The authorization server of one gateway.
pub struct AuthorizationServer {
    settings: Settings,
    routes: Arc<Routes>,
    identity: Arc<Identity>,
    prompts: Arc<dyn ConnectPrompts>,
    store: Arc<dyn Store>,
    clients: Clients,
    throttle: Arc<Throttle>,
    changes: Arc<Changes>,
    clock: Clock,
}

impl AuthorizationServer {
    /// The authorization server for these routes; `client` fetches what clients publish of themselves.
    #[expect(clippy::too_many_arguments, reason = "the parts of a gateway, put together in one place")]
    pub fn new(
        settings: Settings,
        routes: Arc<Routes>,
        identity: Arc<Identity>,
        prompts: Arc<dyn ConnectPrompts>,
        store: Arc<dyn Store>,
        client: outbound::Client,
        throttle: Arc<Throttle>,
        changes: Arc<Changes>,
        clock: Clock,
    ) -> Self {
        let clients = Clients::new(Arc::clone(&store), client, settings.cimd_enabled, clock.clone());
        Self { settings, routes, identity, prompts, store, clients, throttle, changes, clock }
    }

    /// Answers a request to one of the action endpoints; `endpoint` is the path below the base path.
    pub async fn answer(&self, endpoint: &str, request: &Request) -> Response {
        if let Some(route_path) = authorize_route(endpoint) {
            return match request.method {
                Method::GET => self.authorize(request, route_path).await,
                _ => Response::method_not_allowed(&request.id, "GET, HEAD"),
            };
        }
        match (endpoint, &request.method) {
            (REGISTER, &Method::POST) => self.register(request).await.for_every_origin(),
            (TOKEN, &Method::POST) => self.token(request).await.for_every_origin(),
            (REGISTER | TOKEN, &Method::OPTIONS) => Response::preflight("POST"),
            (REVOKE, &Method::POST) => self.revoke(request).await,
            (SETUP, &Method::GET) => self.show_consent(request).await,
            (SETUP, &Method::POST) => self.decide(request).await,
            (REGISTER | TOKEN, _) => Response::method_not_allowed(&request.id, "POST, OPTIONS").for_every_origin(),
            (REVOKE, _) => Response::method_not_allowed(&request.id, "POST"),
            (SETUP, _) => Response::method_not_allowed(&request.id, "GET, HEAD, POST"),
            _ => Response::not_found(&request.id),
        }
    }

    /// Answers a request to a discovery document, which lie at the origin root.
    pub fn discover(&self, request: &Request) -> Option<Response> {
        let id_jag_enabled = !self.identity.trusted_issuers().is_empty();
        metadata::answer(&self.settings, &self.routes, id_jag_enabled, request)
    }
}

/// Whether `endpoint`, a path below the base path, is one of ours.
pub fn is_endpoint(endpoint: &str) -> bool {
    matches!(endpoint, REGISTER | TOKEN | REVOKE | SETUP) || authorize_route(endpoint).is_some()
}

/// Whether `path`, a path at the origin root, is that of a discovery document.
pub fn is_discovery(path: &str) -> bool {
    metadata::Document::at(path).is_some()
}

/// The route path behind the authorization endpoint; empty for the endpoint of the whole gateway.
fn authorize_route(endpoint: &str) -> Option<&str> {
    endpoint.strip_prefix(AUTHORIZE).filter(|rest| rest.is_empty() || rest.starts_with('/')).map(|rest| match rest {
        "/" => "",
        route_path => route_path,
    })
}

const AUTHORIZE: &str = "/oauth/authorize";
/// Where clients register.
pub const REGISTER: &str = "/oauth/register";
/// The token endpoint.
pub const TOKEN: &str = "/oauth/token";
/// The revocation endpoint.
pub const REVOKE: &str = "/oauth/revoke";
