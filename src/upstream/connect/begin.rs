//! Sending the browser to the upstream's authorization server.

use std::{sync::Arc, time::Duration};

use http::StatusCode;

use super::{Connect, Details, details_context, link::may_connect};
use crate::{
    crypto::{Digest, Secret, random_token},
    identity::{SignedIn, Trouble, page_response, store_trouble, trouble_page},
    pages::{self, LocalHref, safe_paragraph, safe_text},
    routes::Route,
    store::{ConnectFlow, ConnectionKey, InteractionId},
    upstream::{
        OauthSettings, Server,
        authorization::{self, AuthorizationRequest, AuthorizationServer, RegisteredClient},
        connections::{
            ConnectError, callback_path, key_for, oauth_settings,
            sealed::{self, KeptClient},
        },
    },
    web::{Request, Response},
};

impl Connect {
    /// Discovers the authorization server, makes us its client if we are not, and sends the browser there.
    pub(super) async fn begin(
        &self,
        request: &Request,
        signed_in: &SignedIn,
        route: &Arc<Route>,
        server: &Arc<Server>,
        interaction: Option<InteractionId>,
    ) -> Response {
        let user = signed_in.user();
        let Some((settings, key)) = oauth_settings(server).zip(key_for(&user.subject, server)) else {
            return trouble_page(request, &super::NO_SUCH_CONNECTION);
        };
        if !may_connect(signed_in, server, self.is_admin(user)) {
            return trouble_page(request, &ADMIN_ONLY);
        }
        let redirect_uri = self.settings.base_path.url(&request.origin, &callback_path(&server.id));
        let prepared = self.prepare(request, &key, server, settings, &redirect_uri).await;
        let (authorization_server, client) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return self.failed(request, route, &error, interaction.as_ref()),
        };
        let (state, code_verifier) = (Secret::new(random_token("")), Secret::new(random_token("")));
        let extra_scope = match self.connections.extra_scope(&key).await {
            Ok(extra_scope) => extra_scope,
            Err(error) => return store_trouble(request, &error),
        };
        let asked = authorization::authorization_url(
            &authorization_server,
            settings,
            AuthorizationRequest {
                client_id: &client.client_id,
                redirect_uri: &redirect_uri,
                state: &state,
                code_verifier: &code_verifier,
                extra_scope: &extra_scope,
            },
        );
        let details = Details {
            server: (*authorization_server).clone(),
            client: KeptClient::from(&client),
            redirect_uri,
            code_verifier,
            scope: asked.scope,
        };
        let sealed_details = match sealed::seal(&self.key_ring, &details_context(&server.id), &details) {
            Ok(sealed) => sealed,
            Err(error) => {
                tracing::error!(event = "mcp_auth_connect_rejected", requestId = %request.id, %error, "cannot seal");
                return trouble_page(request, &Trouble::BROKEN);
            }
        };
        let flow = ConnectFlow {
            state: Digest::of(state.expose()),
            session: *signed_in.digest(),
            key,
            operation_id: route.operation_id.clone(),
            issuer: authorization_server.issuer.clone(),
            sealed_details,
            interaction,
            expires_at: self.clock.now().plus(FLOW_TTL),
        };
        match self.store.create_connect_flow(&flow).await {
            Ok(()) => Response::see_other(asked.url.as_str()),
            Err(error) => store_trouble(request, &error),
        }
    }

    async fn prepare(
        &self,
        request: &Request,
        key: &ConnectionKey,
        server: &Server,
        settings: &OauthSettings,
        redirect_uri: &str,
    ) -> Result<(Arc<AuthorizationServer>, RegisteredClient), ConnectError> {
        let authorization_server = self.connections.discover(key, server, settings).await?;
        let client =
            self.connections.client(&server.id, &request.origin, &authorization_server, redirect_uri, settings).await?;
        Ok((authorization_server, client))
    }

    /// The page for an upstream that does not let us connect.
    pub(super) fn failed(
        &self,
        request: &Request,
        route: &Route,
        error: &ConnectError,
        interaction: Option<&InteractionId>,
    ) -> Response {
        tracing::warn!(event = "mcp_auth_connect_failed", requestId = %request.id, operationId = %route.operation_id,
            upstreamServerId = %route.upstream_id, %error, "connecting failed");
        let page = pages::ConnectFailed {
            upstream: safe_text(&route.upstream_title),
            happened: safe_paragraph(error.user_sentence()),
            you_can: vec![safe_paragraph(
                "Try again, and tell your administrator the request id if it keeps happening.",
            )],
            administrator_can: vec![safe_paragraph(error.operator_hint())],
            try_again: interaction.map(|interaction| LocalHref::new(&self.setup_path(interaction))),
            request_id: safe_text(request.id.as_str()),
            answer: error.upstream_error().map(|said| pages::UpstreamError {
                code: safe_text(said.code()),
                description: said.description().map(safe_paragraph),
            }),
            details: Vec::new(),
        };
        page_response(&page, StatusCode::BAD_GATEWAY)
    }

    pub(super) fn setup_path(&self, interaction: &InteractionId) -> String {
        crate::identity::setup_location(&self.settings.base_path.path(crate::identity::SETUP), interaction)
    }
}

pub(super) const ADMIN_ONLY: Trouble<'static> = Trouble {
    status: StatusCode::FORBIDDEN,
    reason: "admin_only",
    title: "An administrator must connect this service",
    happened: "This service has one connection for everybody, which only an administrator of the gateway can make.",
    next: "Ask your administrator to connect it, then try again.",
    details: &[],
};

const FLOW_TTL: Duration = Duration::from_mins(10);
