//! The upstream's redirect back to us.

use http::StatusCode;

use super::{Connect, Details, details_context};
use crate::{
    crypto::Digest,
    identity::{Trouble, page_response, store_trouble, trouble_page},
    oauth::Params,
    pages::{self, LocalHref, safe_text},
    store::Owner,
    upstream::{
        authorization::{self, CodeExchange, RegisteredClient, TokenError},
        connections::{ConnectError, oauth_settings, sealed},
    },
    web::{Request, Response},
};

impl Connect {
    /// Spends the flow that this browser session began, redeems the code, and keeps the connection.
    pub(super) async fn callback(&self, upstream_id: &str, request: &Request) -> Response {
        let Ok(params) = Params::parse(request.query.as_deref().unwrap_or_default().as_bytes()) else {
            return trouble_page(request, &Trouble::MALFORMED);
        };
        let Ok(Some(state)) = params.get("state") else { return trouble_page(request, &Trouble::MALFORMED) };
        let signed_in = match self.identity.signed_in(request).await {
            Ok(Some(signed_in)) => signed_in,
            Ok(None) => return trouble_page(request, &Trouble::STALE.because("no_session")),
            Err(error) => return store_trouble(request, &error),
        };
        let flow = self.store.take_connect_flow(&Digest::of(state), signed_in.digest(), self.clock.now()).await;
        let flow = match flow {
            Ok(Some(flow)) => flow,
            Ok(None) => return trouble_page(request, &Trouble::STALE.because("stale_state")),
            Err(error) => return store_trouble(request, &error),
        };
        let is_owner = match &flow.key.owner {
            Owner::User(subject) => *subject == signed_in.user().subject,
            Owner::Shared => self.is_admin(signed_in.user()),
        };
        let Some((route, server)) =
            self.route(&flow.operation_id, upstream_id).filter(|_| is_owner && flow.key.upstream_id == upstream_id)
        else {
            tracing::warn!(event = "mcp_auth_connect_rejected", requestId = %request.id, reasonCode = "mix_up",
                upstreamServerId = upstream_id, "an answer came to the wrong callback");
            return trouble_page(request, &Trouble::STALE.because("mix_up"));
        };
        let details: Details = match sealed::open(&self.key_ring, &details_context(upstream_id), &flow.sealed_details) {
            Ok(details) => details,
            Err(error) => {
                tracing::error!(event = "mcp_auth_connect_rejected", requestId = %request.id,
                    error = %crate::telemetry::causes(&error), "a flow does not open");
                return trouble_page(request, &Trouble::STALE);
            }
        };
        let Some(settings) = oauth_settings(server) else { return trouble_page(request, &super::NO_SUCH_CONNECTION) };
        let client = RegisteredClient::from(details.client);
        let granted = match authorization::check_callback(&details.server, &params) {
            Ok(code) => {
                let exchange = CodeExchange {
                    code: &code,
                    redirect_uri: &details.redirect_uri,
                    code_verifier: &details.code_verifier,
                };
                let exchanged =
                    self.connections.authorization().exchange_code(&details.server, &client, exchange, settings);
                exchanged.await.map_err(ConnectError::from)
            }
            Err(error) => Err(error.into()),
        };
        let granted = match granted {
            Ok(granted) => granted,
            Err(error) => {
                if let ConnectError::Token(TokenError::ClientRejected { .. }) = error {
                    self.connections.forget_client(&details.server, &details.redirect_uri, &client.client_id).await;
                }
                return self.failed(request, route, &error, flow.interaction.as_ref());
            }
        };
        let kept = self
            .connections
            .establish(&flow.key, details.server, &client, &details.redirect_uri, granted, details.scope)
            .await;
        if let Err(error) = kept {
            return self.failed(request, route, &error, flow.interaction.as_ref());
        }
        tracing::info!(event = "mcp_auth_upstream_connection_established", requestId = %request.id,
            subjectId = %signed_in.user().subject, operationId = %route.operation_id, upstreamServerId = upstream_id,
            outcome = "success", "connected");
        if let Some(interaction) = &flow.interaction {
            return Response::see_other(&self.setup_path(interaction));
        }
        let account = LocalHref::new(&self.settings.base_path.path(super::ACCOUNT));
        page_response(
            &pages::Connected { upstream: safe_text(&route.upstream_title), back: Some(account) },
            StatusCode::OK,
        )
    }
}
