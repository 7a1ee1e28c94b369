//! The gateway's own endpoints, in one visible table.

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;

use super::{
    analytics::{ADMIN, Analytics},
    landing::{self, Landing},
    tools::{TOOLS, Tools},
};
use crate::{
    authorization_server::{self, AuthorizationServer},
    identity::{self, Identity},
    proxy::Endpoints,
    registry::{self, Registry},
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
    pub(super) landing: Landing,
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
        let door = door(endpoint, &request).filter(|_| request.method != Method::OPTIONS);
        if let Some(refusal) = door.and_then(|door| self.throttle.refuse(door, &request)) {
            return refusal;
        }
        match endpoint {
            "/" => self.landing.answer(&request).await,
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
fn door(endpoint: &str, request: &Request) -> Option<Door> {
    match endpoint {
        "/" => landing::asks_for_sign_in(request).then_some(Door::Login),
        endpoint if registry::is_endpoint(endpoint) => None,
        authorization_server::REGISTER => Some(Door::Registration),
        authorization_server::TOKEN | authorization_server::REVOKE => Some(Door::Token),
        endpoint if identity::is_endpoint(endpoint) => Some(Door::Login),
        ADMIN | TOOLS => Some(Door::Connect),
        endpoint if connect::is_endpoint(endpoint) => Some(Door::Connect),
        _ => Some(Door::Authorization),
    }
}
