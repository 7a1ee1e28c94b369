//! The gateway's own endpoints, in one visible table.

use std::sync::Arc;

use async_trait::async_trait;
use http::{Method, StatusCode};

use super::analytics::{ADMIN, Analytics};
use crate::{
    authorization_server::{self, AuthorizationServer},
    identity::{self, Identity, page_response},
    pages::{Landing, LandingRoute, safe_text},
    proxy::Endpoints,
    routes::Routes,
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
}

#[async_trait]
impl Endpoints for OwnEndpoints {
    fn claims(&self, path: &str) -> bool {
        authorization_server::is_discovery(path)
            || client_document::is_document(path)
            || self.base_path.endpoint(path).is_some_and(|endpoint| {
                endpoint == "/"
                    || endpoint == ADMIN
                    || authorization_server::is_endpoint(endpoint)
                    || identity::is_endpoint(endpoint)
                    || connect::is_endpoint(endpoint)
            })
    }

    async fn answer(&self, request: Request) -> Response {
        if let Some(document) = self.authorization_server.discover(&request) {
            return document;
        }
        if client_document::is_document(&request.path) {
            return self.connect.answer(&request.path, &request).await;
        }
        match self.base_path.endpoint(&request.path).unwrap_or_default() {
            "/" => self.landing(&request),
            ADMIN => self.analytics.answer(&request).await,
            endpoint if identity::is_endpoint(endpoint) => self.identity.answer(endpoint, &request).await,
            endpoint if connect::is_endpoint(endpoint) => self.connect.answer(endpoint, &request).await,
            endpoint => self.authorization_server.answer(endpoint, &request).await,
        }
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
