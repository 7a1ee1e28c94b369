//! The gateway's own endpoints, in one visible table.

use std::sync::Arc;

use async_trait::async_trait;
use http::{Method, StatusCode};

use super::{
    analytics::{ADMIN, Analytics},
    tools::{TOOLS, Tools},
};
use crate::{
    authorization_server::{self, AuthorizationServer},
    identity::{self, Identity, page_response},
    pages::{Landing, LandingRoute, safe_text},
    proxy::Endpoints,
    registry::{self, Registry},
    routes::Routes,
    throttle::{Door, Throttle},
    upstream::{
        client_document,
        connect::{self, Connect},
    },
    web::{BasePath, Request, Response},
};

/// Everything that answers requests that are not for a route.
pub(super) struct OwnEndpoints {
    pub(super) base_path: BasePath,
    pub(super) authorization_server: AuthorizationServer,
    pub(super) identity: Arc<Identity>,
    pub(super) connect: Arc<Connect>,
    pub(super) routes: Arc<Routes>,
    pub(super) analytics: Analytics,
    pub(super) tools: Tools,
    pub(super) registry: Registry,
    pub(super) throttle: Arc<Throttle>,
}

#[async_trait]
impl Endpoints for OwnEndpoints {
    fn claims(&self, path: &str) -> bool {
        authorization_server::is_discovery(path)
            || client_document::is_document(path)
            || self.base_path.endpoint(path).is_some_and(|endpoint| {
                endpoint == "/"
                    || matches!(endpoint, ADMIN | TOOLS)
                    || registry::is_endpoint(endpoint)
                    || authorization_server::is_endpoint(endpoint)
                    || identity::is_endpoint(endpoint)
                    || connect::is_endpoint(endpoint)
            })
    }

    fn refuses_writes(&self, path: &str) -> bool {
        self.base_path.endpoint(path).is_some_and(registry::is_endpoint)
    }

    async fn answer(&self, request: Request) -> Response {
        if let Some(document) = self.authorization_server.discover(&request) {
            return document;
        }
        if client_document::is_document(&request.path) {
            return self.connect.answer(&request.path, &request).await;
        }
        let endpoint = self.base_path.endpoint(&request.path).unwrap_or_default();
        let door = door(endpoint).filter(|_| request.method != Method::OPTIONS);
        if let Some(refusal) = door.and_then(|door| self.throttle.refuse(door, &request)) {
            return refusal;
        }
        match endpoint {
            "/" => self.landing(&request),
            ADMIN => self.analytics.answer(&request).await,
            TOOLS => self.tools.answer(&request).await,
            endpoint if registry::is_endpoint(endpoint) => self.registry.answer(endpoint, &request),
            endpoint if identity::is_endpoint(endpoint) => self.identity.answer(endpoint, &request).await,
            endpoint if connect::is_endpoint(endpoint) => self.connect.answer(endpoint, &request).await,
            endpoint => self.authorization_server.answer(endpoint, &request).await,
        }
    }
}

/// What an endpoint is limited as.
fn door(endpoint: &str) -> Option<Door> {
    match endpoint {
        "/" => None,
        endpoint if registry::is_endpoint(endpoint) => None,
        authorization_server::REGISTER => Some(Door::Registration),
        authorization_server::TOKEN | authorization_server::REVOKE => Some(Door::Token),
        endpoint if identity::is_endpoint(endpoint) => Some(Door::Login),
        ADMIN | TOOLS => Some(Door::Connect),
        endpoint if connect::is_endpoint(endpoint) => Some(Door::Connect),
        _ => Some(Door::Authorization),
    }
}

impl OwnEndpoints {
    /// What a person sees who opens the gateway itself.
    fn landing(&self, request: &Request) -> Response {
        if request.method != Method::GET {
            return Response::method_not_allowed(&request.id, "GET, HEAD");
        }
        let routes = self
            .routes
            .iter()
            .map(|route| LandingRoute {
                title: safe_text(&route.title),
                name: route.operation_id.clone(),
                url: format!("{}{}", request.origin, route.path),
            })
            .collect();
        page_response(&Landing { routes }, StatusCode::OK)
    }
}
