//! Connecting an upstream: the browser's way to its authorization server and back.
//!
//! It begins on the consent page or from a connect link. Whoever begins must be, and whoever returns must still be, the
//! person whose connection it becomes. `state` is single use and bound to the browser session, `iss` is checked, and
//! every connection has its own redirect URI, so that no authorization server can answer for another.

mod account;
mod api_key;
mod begin;
mod callback;
mod documents;
mod link;
mod prompts;
mod remembered;
mod sign_in;

use std::sync::Arc;

pub use account::ACCOUNT;

use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    Server, Servers,
    authorization::AuthorizationServer,
    client_document,
    connections::{Connections, sealed::KeptClient},
};
use crate::{
    clock::Clock,
    crypto::{KeyRing, Secret, in_clear},
    identity::{Identity, Trouble},
    policy::Policies,
    routes::{Route, Routes},
    store::{Changes, Store, User},
    web::{BasePath, Request, Response},
};

/// What the connect side needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the endpoints are.
    pub base_path: BasePath,
    /// E-mail addresses or subject ids of those who may make shared connections.
    pub admins: Vec<String>,
    /// Who may use which route.
    pub policies: Arc<Policies>,
}

/// The connect endpoints of one gateway.
pub struct Connect {
    settings: Settings,
    connections: Arc<Connections>,
    identity: Arc<Identity>,
    store: Arc<dyn Store>,
    changes: Arc<Changes>,
    key_ring: Arc<KeyRing>,
    clock: Clock,
    routes: Arc<Routes>,
    servers: Arc<Servers>,
}

/// What a flow under way has to remember, sealed.
#[derive(Serialize, Deserialize)]
struct Details {
    server: AuthorizationServer,
    client: KeptClient,
    redirect_uri: String,
    #[serde(serialize_with = "in_clear")]
    code_verifier: Secret,
    scope: Option<String>,
}

impl Connect {
    /// The connect side of a gateway.
    #[expect(clippy::too_many_arguments, reason = "the parts of a gateway, each once")]
    pub fn new(
        settings: Settings,
        connections: Arc<Connections>,
        identity: Arc<Identity>,
        store: Arc<dyn Store>,
        changes: Arc<Changes>,
        key_ring: Arc<KeyRing>,
        clock: Clock,
        routes: Arc<Routes>,
        servers: Arc<Servers>,
    ) -> Self {
        Self { settings, connections, identity, store, changes, key_ring, clock, routes, servers }
    }

    /// Answers a request to one of the connect endpoints; `endpoint` is the path below the base path.
    pub async fn answer(&self, endpoint: &str, request: &Request) -> Response {
        if client_document::is_document(endpoint) {
            return self.show_document(endpoint, request).await;
        }
        if endpoint == ACCOUNT {
            return self.account(request).await;
        }
        match (parse(endpoint), &request.method) {
            (Some((upstream, Action::Connect)), &Method::GET) => self.show(upstream, request).await,
            (Some((upstream, Action::Connect)), &Method::POST) => self.confirm(upstream, request).await,
            (Some((_, Action::Connect)), _) => Response::method_not_allowed(&request.id, "GET, HEAD, POST"),
            (Some((upstream, Action::Callback)), &Method::GET) => self.callback(upstream, request).await,
            (Some((_, Action::Callback)), _) => Response::method_not_allowed(&request.id, "GET, HEAD"),
            (None, _) => Response::empty(StatusCode::NOT_FOUND),
        }
    }

    /// The route of this operation id with its upstream, if that is `upstream_id`.
    fn route(&self, operation_id: &str, upstream_id: &str) -> Option<(&Arc<Route>, &Arc<Server>)> {
        let route = self.routes.of(operation_id)?;
        let server = self.servers.of(operation_id).filter(|server| server.id == upstream_id)?;
        Some((route, server))
    }

    fn is_admin(&self, user: &User) -> bool {
        self.settings.admins.iter().any(|admin| {
            admin == user.subject.as_str()
                || user.email.as_deref().is_some_and(|email| email.eq_ignore_ascii_case(admin))
        })
    }
}

/// Whether `endpoint`, a path below the base path, is one of ours.
pub fn is_endpoint(endpoint: &str) -> bool {
    endpoint == ACCOUNT || parse(endpoint).is_some() || client_document::is_document(endpoint)
}

#[derive(Clone, Copy)]
enum Action {
    Connect,
    Callback,
}

fn parse(endpoint: &str) -> Option<(&str, Action)> {
    let (upstream, action) = endpoint.strip_prefix("/auth/connections/")?.split_once('/')?;
    match action {
        "connect" => Some((upstream, Action::Connect)),
        "callback" => Some((upstream, Action::Callback)),
        _ => None,
    }
}

/// The place of a flow's sealed details.
fn details_context(upstream_id: &str) -> String {
    format!("connect/flow/{upstream_id}")
}

const EXPIRED_LINK: Trouble<'static> = Trouble {
    status: StatusCode::BAD_REQUEST,
    reason: "stale_ticket",
    title: "This link has expired",
    happened: "Connect links work once and for ten minutes.",
    next: "Go back to your application and try again; it gives you a new link.",
    details: &[],
};

const NO_SUCH_CONNECTION: Trouble<'static> = Trouble {
    status: StatusCode::NOT_FOUND,
    reason: "unknown_connection",
    title: "There is nothing to connect here",
    happened: "This gateway has no such service, or the service needs no connection.",
    next: "Go back to your application and try again.",
    details: &[],
};
