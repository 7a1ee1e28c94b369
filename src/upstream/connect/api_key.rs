//! Asking a person for an API key of their own, where the upstream has no OAuth.

use http::StatusCode;

use super::{Connect, NO_SUCH_CONNECTION, link::shown};
use crate::{
    identity::{SignedIn, page_response, store_trouble, trouble_page},
    oauth::Params,
    pages::{self, Field, LocalHref, safe_paragraph, safe_text},
    routes::Route,
    store::InteractionId,
    upstream::{
        Server,
        connections::{connect_path, key_for, key_settings},
    },
    web::{Request, Response},
};

/// What the form must bring back: where the person came from.
pub(super) enum Asked<'a> {
    /// A connect link, or the account page.
    Ticket {
        /// The ticket as it is sent.
        text: &'a str,
        /// What binds the form to it.
        purpose: String,
    },
    /// The consent page.
    Interaction(&'a InteractionId),
}

impl Asked<'_> {
    /// What binds the form to what it is about.
    pub(super) fn purpose(&self) -> String {
        match self {
            Self::Ticket { purpose, .. } => purpose.clone(),
            Self::Interaction(interaction) => format!("api key {}", interaction.0),
        }
    }

    fn field(&self) -> Field {
        match self {
            Self::Ticket { text, .. } => Field { name: "ticket", value: (*text).to_owned() },
            Self::Interaction(interaction) => Field { name: "interaction", value: interaction.0.clone() },
        }
    }
}

/// Why the form comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// What was pasted can be no key.
    Malformed,
    /// The upstream does not take it.
    Refused,
}

impl Connect {
    /// The page with the form.
    pub(super) fn ask_key(
        &self,
        request: &Request,
        signed_in: &SignedIn,
        route: &Route,
        server: &Server,
        asked: &Asked<'_>,
        again: Option<Again>,
    ) -> Response {
        let Some(settings) = key_settings(server) else { return trouble_page(request, &NO_SUCH_CONNECTION) };
        let page = pages::ConnectKey {
            action: LocalHref::new(&self.settings.base_path.path(&connect_path(&server.id))),
            asked: asked.field(),
            csrf: signed_in.csrf(&asked.purpose()).as_str().to_owned(),
            upstream: safe_text(&route.upstream_title),
            route: pages::Route { title: safe_text(&route.title), path: safe_text(&route.path) },
            help: settings.help.as_deref().map(safe_paragraph),
            problem: again.map(|again| {
                safe_paragraph(match again {
                    Again::Malformed => "This is no API key. A key is one line without spaces.",
                    Again::Refused => {
                        "The service does not accept this key. Check that it is complete and still valid."
                    }
                })
            }),
            user: shown(signed_in),
            sign_out: LocalHref::new(&self.identity.sign_out_path()),
        };
        page_response(&page, if again.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK })
    }

    /// The key in a form, if it can be one and the upstream does not refuse it.
    pub(super) async fn checked_key(&self, server: &Server, form: &Params) -> Result<String, Again> {
        let key = form.get("key").ok().flatten().unwrap_or_default().trim();
        let header = key_settings(server).and_then(|settings| settings.header(key)).ok_or(Again::Malformed)?;
        if self.connections.refuses(server, header).await { Err(Again::Refused) } else { Ok(key.to_owned()) }
    }

    /// Keeps a key, and goes back to where the person came from.
    pub(super) async fn keep_key(
        &self,
        request: &Request,
        signed_in: &SignedIn,
        route: &Route,
        server: &Server,
        key: &str,
        interaction: Option<&InteractionId>,
    ) -> Response {
        let Some(connection) = key_for(&signed_in.user().subject, server) else {
            return trouble_page(request, &NO_SUCH_CONNECTION);
        };
        if let Err(error) = self.connections.establish_key(&connection, key).await {
            return self.failed(request, route, &error, interaction);
        }
        tracing::info!(event = "mcp_auth_upstream_connection_established", requestId = %request.id,
            subjectId = %signed_in.user().subject, operationId = %route.operation_id, upstreamServerId = server.id,
            outcome = "success", "connected with an API key");
        if let Some(interaction) = interaction {
            return Response::see_other(&self.setup_path(interaction));
        }
        let account = LocalHref::new(&self.settings.base_path.path(super::ACCOUNT));
        let page = pages::Connected { upstream: safe_text(&route.upstream_title), back: Some(account) };
        page_response(&page, StatusCode::OK)
    }

    /// Takes the form of a person who came from the consent page.
    pub(super) async fn confirm_key_for_interaction(
        &self,
        upstream_id: &str,
        request: &Request,
        signed_in: &SignedIn,
        form: &Params,
        interaction: InteractionId,
    ) -> Response {
        let asked = Asked::Interaction(&interaction);
        if !signed_in.sent(request, form, &asked.purpose()) {
            return trouble_page(request, &crate::identity::Trouble::FOREIGN_FORM);
        }
        let found = match self.store.interaction(&interaction, self.clock.now()).await {
            Ok(Some(found)) if found.is_bound_to(signed_in.digest()) => found,
            Ok(_) => return trouble_page(request, &crate::identity::Trouble::STALE),
            Err(error) => return store_trouble(request, &error),
        };
        let Some((route, server)) = self.route(&found.operation_id, upstream_id) else {
            return trouble_page(request, &NO_SUCH_CONNECTION);
        };
        match self.checked_key(server, form).await {
            Ok(key) => self.keep_key(request, signed_in, route, server, &key, Some(&interaction)).await,
            Err(again) => self.ask_key(request, signed_in, route, server, &asked, Some(again)),
        }
    }
}
