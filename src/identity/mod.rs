//! Who the person at the browser is: OpenID Connect login, dev login, browser sessions.

mod dev;
mod error_page;
pub mod id_jag;
mod login;
pub mod oidc;
mod session;
mod sign_out;
mod subject_token;

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::Method;

pub use error_page::{Trouble, log_store_failure, page_response, store_trouble, trouble_page};
pub use login::{Then, setup_location};
pub use session::SignedIn;
pub use subject_token::{NoAssertion, Wanted};

use crate::{
    clock::Clock,
    crypto::KeyRing,
    store::Store,
    web::{BasePath, Request, Response},
};

/// How the gateway's people sign in.
pub enum Provider {
    /// At an OpenID provider.
    Oidc(Box<oidc::Provider>),
    /// By choosing a name, on this machine only.
    Dev {
        /// The names to choose from; at least one.
        users: Vec<String>,
    },
}

/// What the identity side needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the endpoints are.
    pub base_path: BasePath,
    /// How long a browser session lives.
    pub session_ttl: Duration,
    /// How long a login may take.
    pub state_ttl: Duration,
    /// Whether a route needs the identity provider's tokens later (`authMode: id-jag`).
    pub keep_tokens: bool,
}

/// Signs people in and out.
pub struct Identity {
    provider: Provider,
    trusted_issuers: id_jag::TrustedIssuers,
    settings: Settings,
    store: Arc<dyn Store>,
    key_ring: Arc<KeyRing>,
    clock: Clock,
}

impl Identity {
    /// The identity side of one gateway.
    pub fn new(
        provider: Provider,
        trusted_issuers: id_jag::TrustedIssuers,
        settings: Settings,
        store: Arc<dyn Store>,
        key_ring: Arc<KeyRing>,
        clock: Clock,
    ) -> Self {
        Self { provider, trusted_issuers, settings, store, key_ring, clock }
    }

    /// Answers a request to one of the identity endpoints.
    pub async fn answer(&self, endpoint: &str, request: &Request) -> Response {
        match (endpoint, &request.method) {
            (CALLBACK, &Method::GET) => self.callback(request).await,
            (DEV_LOGIN, &Method::GET) => self.dev_login(request).await,
            (SIGN_OUT, &Method::GET) => self.ask_to_sign_out(request).await,
            (SIGN_OUT, &Method::POST) => self.sign_out(request).await,
            (SIGN_OUT, _) => Response::method_not_allowed(&request.id, "GET, HEAD, POST"),
            _ => Response::method_not_allowed(&request.id, "GET, HEAD"),
        }
    }

    /// Whose identity assertions are believed.
    pub const fn trusted_issuers(&self) -> &id_jag::TrustedIssuers {
        &self.trusted_issuers
    }

    /// Where a signed-in person can sign out.
    pub fn sign_out_path(&self) -> String {
        self.settings.base_path.path(SIGN_OUT)
    }
}

/// Whether `endpoint`, a path below the base path, is one of ours.
pub fn is_endpoint(endpoint: &str) -> bool {
    matches!(endpoint, CALLBACK | DEV_LOGIN | SIGN_OUT)
}

/// The identity provider's redirect back to us.
pub const CALLBACK: &str = "/oauth/callback";
/// Signs in a development user.
pub const DEV_LOGIN: &str = "/oauth/dev-login";
/// Ends the browser session.
pub const SIGN_OUT: &str = "/oauth/logout";
/// Where the browser goes on after a login, with the interaction's name.
pub const SETUP: &str = "/oauth/setup";

fn is_loopback(peer: Option<IpAddr>) -> bool {
    peer.is_some_and(|peer| peer.to_canonical().is_loopback())
}
