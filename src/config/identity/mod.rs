//! `identity`: where users sign in.

mod derive;
mod rule;

pub use rule::issuer as issuer_url;

use std::time::Duration;

use url::Url;

use crate::config::at::At;
use crate::config::check::Check;
use crate::config::file;
use crate::config::file::{PkceMode, Provider};
use crate::config::problem::{Fault, Place};
use crate::config::server::Server;
use crate::crypto::Secret;

/// Where users sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// At an OpenID Connect provider.
    Oidc(Box<Oidc>),
    /// Nowhere: one of these users is chosen, on this machine only.
    Dev {
        /// The users; at least one.
        users: Vec<String>,
    },
}

/// An OpenID Connect provider and the gateway's registration there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oidc {
    /// Which provider it is.
    pub provider: Provider,
    /// The issuer, exactly as ID tokens must name it.
    pub issuer: String,
    /// Where its endpoints are.
    pub endpoints: Endpoints,
    /// The gateway's client id.
    pub client_id: String,
    /// The gateway's client secret; a public client has none.
    pub client_secret: Option<Secret>,
    /// The scope to ask for.
    pub scope: String,
    /// The `audience` to send.
    pub audience: Option<String>,
    /// Whether to use PKCE.
    pub pkce: PkceMode,
    /// How long a call to the provider may take.
    pub remote_timeout: Duration,
}

/// Endpoints of a provider; what is not given is discovered from the issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// The JWKS.
    pub jwks: Option<Url>,
    /// The authorization endpoint.
    pub authorize: Option<Url>,
    /// The token endpoint.
    pub token: Option<Url>,
    /// The `UserInfo` endpoint of a named provider that needs it.
    pub userinfo: Option<Url>,
}

impl Endpoints {
    /// Whether the discovery document has to be fetched.
    pub const fn need_discovery(&self) -> bool {
        self.jwks.is_none() || self.authorize.is_none() || self.token.is_none()
    }
}

impl Provider {
    /// The provider as the configuration spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auth0 => "auth0",
            Self::Cognito => "cognito",
            Self::Clerk => "clerk",
            Self::Google => "google",
            Self::Keycloak => "keycloak",
            Self::Logto => "logto",
            Self::Entra => "entra",
            Self::Okta => "okta",
            Self::OneLogin => "onelogin",
            Self::Ping => "ping",
            Self::WorkOs => "workos",
            Self::Oidc => "oidc",
            Self::Dev => "dev",
        }
    }

    /// Whether the provider accepts PKCE with S256 even if its discovery document does not say so.
    pub const fn accepts_pkce(self) -> bool {
        !matches!(self, Self::Oidc | Self::Dev)
    }
}

impl Identity {
    /// Checks the section. `dev` is only for listeners that nobody else can reach.
    pub fn check(file: &file::Identity, server: &Server, check: &mut Check) -> Option<Self> {
        check.require(&file.provider, "one of the identity providers, such as `oidc` (or `dev` to try the gateway)");
        let provider = *file.provider.get()?;
        for (place, belongs_to) in misplaced(file, provider) {
            let given = format!("provider `{}`", provider.name());
            check.report(place, Fault::Misplaced { belongs_to, given });
        }
        if provider != Provider::Dev {
            return oidc(file, provider, check).map(|oidc| Self::Oidc(Box::new(oidc)));
        }
        if let Some(listener) = server.remote_listener() {
            check.report(&file.provider.place, Fault::DevReachable { listener });
        }
        Some(Self::Dev { users: dev_users(&file.users, check) })
    }
}

fn dev_users(at: &At<Vec<At<String>>>, check: &mut Check) -> Vec<String> {
    let items = check.list(at);
    if at.is_unset() {
        return vec![file::DEV_USER.to_owned()];
    }
    if at.get().is_some() && items.is_empty() {
        check.invalid(at, "at least one user");
    }
    let mut taken = Vec::new();
    for item in items {
        if let Some(user) = check.parse(item, |text| rule::dev_user(text)) {
            check.unique(&mut taken, user, &item.place, &item.shown);
        }
    }
    taken.into_iter().map(|(user, _)| user).collect()
}

fn oidc(file: &file::Identity, provider: Provider, check: &mut Check) -> Option<Oidc> {
    let client_id = check.parse_required(&file.client_id, "the client id that the provider gave", |text| {
        rule::client_id(provider, text)
    });
    let client_secret = check.secret(&file.client_secret);
    let pkce = file.pkce.get().copied().unwrap_or(PkceMode::Auto);
    let secret = &file.client_secret.0;
    if provider != Provider::Oidc {
        check.require(secret, "the client secret, as $env(NAME) or $file(path)");
    } else if pkce == PkceMode::None {
        check.require(secret, "the client secret, since without one the provider needs PKCE, and `pkce` is `none`");
    }
    if provider == Provider::WorkOs && pkce == PkceMode::None {
        check.invalid(&file.pkce, "auto or S256, since WorkOS has no nonce and only PKCE ties its code to the browser");
    }
    let derived = derive::derive(file, provider, client_id.as_deref(), check);
    let scope = check.parse(&file.scope, |text| rule::scope(provider, text));
    let audience = check.text(&file.audience);
    let remote_timeout = check.millis(&file.remote_timeout_ms, file::REMOTE_TIMEOUT_MS, 100..=120_000);
    let (issuer, endpoints) = derived?;
    Some(Oidc {
        provider,
        issuer,
        endpoints,
        client_id: client_id?,
        client_secret,
        scope: scope.unwrap_or_else(|| file::IDENTITY_SCOPE.to_owned()),
        audience,
        pkce,
        remote_timeout,
    })
}

/// The keys that are set and that the provider does not have, with the providers that have them.
fn misplaced(file: &file::Identity, provider: Provider) -> Vec<(&Place, String)> {
    use Provider::{Auth0, Clerk, Cognito, Dev, Entra, Keycloak, Logto, Oidc, Okta, OneLogin, Ping};
    let owned = [
        (set(&file.issuer), Oidc),
        (set(&file.jwks_url), Oidc),
        (set(&file.authorize_url), Oidc),
        (set(&file.token_url), Oidc),
        (set(&file.auth0_domain), Auth0),
        (set(&file.aws_region), Cognito),
        (set(&file.user_pool_id), Cognito),
        (set(&file.user_pool_domain), Cognito),
        (set(&file.frontend_api_url), Clerk),
        (set(&file.keycloak_base_url), Keycloak),
        (set(&file.realm), Keycloak),
        (set(&file.logto_endpoint), Logto),
        (set(&file.tenant_id), Entra),
        (set(&file.okta_domain), Okta),
        (set(&file.authorization_server_id), Okta),
        (set(&file.one_login_subdomain), OneLogin),
        (set(&file.environment_id), Ping),
        (set(&file.region), Ping),
        (set(&file.custom_domain), Ping),
        (set(&file.users), Dev),
    ];
    let other = owned.into_iter().filter(|(_, owner)| *owner != provider);
    let other = other.filter_map(|(place, owner)| Some((place?, format!("provider `{}`", owner.name()))));
    let real = [
        set(&file.client_id),
        set(&file.client_secret.0),
        set(&file.scope),
        set(&file.audience),
        set(&file.pkce),
        set(&file.remote_timeout_ms),
    ];
    let real =
        real.into_iter().flatten().filter(|_| provider == Dev).map(|place| (place, "a real provider".to_owned()));
    other.chain(real).collect()
}

const fn set<T>(at: &At<T>) -> Option<&Place> {
    if at.is_unset() { None } else { Some(&at.place) }
}

#[cfg(test)]
mod tests;
