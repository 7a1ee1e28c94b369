//! Serving what authorization servers read about us: our client metadata documents and our public key.

use http::{Method, StatusCode};

use super::Connect;
use crate::{
    telemetry::causes,
    upstream::{
        client_document::{self, Document},
        connections::oauth_settings,
    },
    web::{Request, Response},
};

impl Connect {
    /// Answers a request to the document at `path`, which is the request's own or the part of it below the base path.
    pub(super) async fn show_document(&self, path: &str, request: &Request) -> Response {
        if request.method != Method::GET {
            return Response::method_not_allowed(&request.id, "GET, HEAD").for_every_origin();
        }
        match Document::at(path) {
            Some(Document::Keys) => self.show_keys(request).await,
            Some(Document::Client(client)) => {
                let server = self
                    .routes
                    .iter()
                    .filter_map(|route| self.servers.of(&route.operation_id))
                    .find(|server| server.id == client.upstream_id && oauth_settings(server).is_some());
                server
                    .and_then(|server| {
                        client_document::client_response(request, &self.settings.base_path, server, client)
                    })
                    .unwrap_or_else(|| Response::not_found(&request.id).for_every_origin())
            }
            None => Response::not_found(&request.id),
        }
    }

    async fn show_keys(&self, request: &Request) -> Response {
        let shown = match self.connections.authorization().signing_key().await {
            Ok(key) => client_document::keys_response(request, &key),
            Err(error) => Err(error),
        };
        shown.unwrap_or_else(|error| {
            tracing::warn!(event = "mcp_auth_store_failed", requestId = %request.id, error = %causes(&error),
                "our public key cannot be shown");
            Response::empty(StatusCode::SERVICE_UNAVAILABLE).with(http::header::RETRY_AFTER, "5").for_every_origin()
        })
    }
}
