//! Dynamic client registration (RFC 7591).

use http::{StatusCode, header};

use super::{AuthorizationServer, token::token_unavailable};
use crate::{
    crypto::{Digest, Secret, random_token},
    oauth::{ErrorBody, RegistrationError, registration::Registration},
    store::{Client, ClientId},
    web::{Request, Response},
};

impl AuthorizationServer {
    /// Registers a client. Its secret, if it has one, is in this answer and nowhere else.
    pub(super) async fn register(&self, request: &Request) -> Response {
        let is_json = request.header(&header::CONTENT_TYPE).is_some_and(|value| {
            value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
        });
        if !is_json {
            return refused(
                request,
                RegistrationError::InvalidClientMetadata.described("The body must be application/json."),
            );
        }
        let registration = match Registration::parse(&request.body) {
            Ok(registration) => registration,
            Err(error) => return refused(request, error.body()),
        };
        let now = self.clock.now();
        let secret = registration.auth_method.has_secret().then(|| Secret::new(random_token("cs_")));
        let client = Client {
            id: ClientId::new(random_token("dcr:")),
            name: registration.client_name.clone(),
            uri: registration.client_uri.clone(),
            redirect_uris: registration.redirect_uris.clone(),
            auth_method: registration.auth_method,
            secret_digest: secret.as_ref().map(|secret| Digest::of(secret.expose())),
            keys: registration.keys.clone(),
            created_at: now,
            last_used_at: now,
        };
        if let Err(error) = self.store.create_client(&client).await {
            return token_unavailable(request, &error);
        }
        tracing::info!(event = "mcp_auth_client_registered", requestId = %request.id, clientId = %client.id,
            authMethod = client.auth_method.as_str(), outcome = "success", "client registered");
        Response::json(StatusCode::CREATED, &registration.response(&client.id, now.as_seconds(), secret.as_ref()))
    }
}

fn refused(request: &Request, error: ErrorBody) -> Response {
    tracing::info!(event = "mcp_auth_client_registration_rejected", requestId = %request.id, outcome = "denied",
        failureOrigin = "client", reasonCode = error.error, cause = error.error_description, "registration refused");
    Response::json(StatusCode::BAD_REQUEST, &error).because(error.error)
}
