//! `identity`: where users sign in.

use schemars::JsonSchema;
use serde::Deserialize;

use super::default::{REMOTE_TIMEOUT_MS, auto, dev_users, identity_scope, north_america, null, number};
use crate::config::at::{At, AtSecret};

/// Where users sign in: one provider, the fields that it needs, and what all providers have in common.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identity {
    /// The identity provider.
    pub provider: At<Provider>,
    /// The client id that the provider gave to the gateway. All but `dev`.
    #[schemars(default = "null")]
    pub client_id: At<String>,
    /// The client secret. All but `dev`; `oidc` can do without one.
    #[schemars(default = "null")]
    pub client_secret: AtSecret,

    /// `oidc`: the issuer, such as `https://login.example.com`.
    #[schemars(default = "null")]
    pub issuer: At<String>,
    /// `oidc`: the provider's keys. Unset: discovered.
    #[schemars(default = "null")]
    pub jwks_url: At<String>,
    /// `oidc`: the authorization endpoint. Unset: discovered.
    #[schemars(default = "null")]
    pub authorize_url: At<String>,
    /// `oidc`: the token endpoint. Unset: discovered.
    #[schemars(default = "null")]
    pub token_url: At<String>,
    /// `auth0`: the tenant's domain, such as `acme.eu.auth0.com`.
    #[schemars(default = "null")]
    pub auth0_domain: At<String>,
    /// `cognito`: the region, such as `eu-central-1`.
    #[schemars(default = "null")]
    pub aws_region: At<String>,
    /// `cognito`: the user pool, such as `eu-central-1_AbCdEfGhI`.
    #[schemars(default = "null")]
    pub user_pool_id: At<String>,
    /// `cognito`: the user pool's domain, such as `acme.auth.eu-central-1.amazoncognito.com`.
    #[schemars(default = "null")]
    pub user_pool_domain: At<String>,
    /// `clerk`: the frontend API URL, such as `https://clerk.example.com`.
    #[schemars(default = "null")]
    pub frontend_api_url: At<String>,
    /// `keycloak`: the base URL before `/realms/`, such as `https://keycloak.example.com`.
    #[schemars(default = "null")]
    pub keycloak_base_url: At<String>,
    /// `keycloak`: the realm.
    #[schemars(default = "null")]
    pub realm: At<String>,
    /// `logto`: the endpoint, such as `https://acme.logto.app`.
    #[schemars(default = "null")]
    pub logto_endpoint: At<String>,
    /// `entra`: the tenant's id, a UUID.
    #[schemars(default = "null")]
    pub tenant_id: At<String>,
    /// `okta`: the organization's domain, such as `acme.okta.com`.
    #[schemars(default = "null")]
    pub okta_domain: At<String>,
    /// `okta`: the custom authorization server, such as `default`. Unset: the organization's own.
    #[schemars(default = "null")]
    pub authorization_server_id: At<String>,
    /// `onelogin`: the subdomain: `acme` of `acme.onelogin.com`.
    #[schemars(default = "null")]
    pub one_login_subdomain: At<String>,
    /// `ping`: the environment's id, a UUID.
    #[schemars(default = "null")]
    pub environment_id: At<String>,
    /// `ping`: the region of the environment.
    #[schemars(default = "north_america")]
    pub region: At<PingRegion>,
    /// `ping`: the custom domain, instead of `environmentId` and `region`.
    #[schemars(default = "null")]
    pub custom_domain: At<String>,
    /// `dev`: the users who may be chosen.
    #[schemars(default = "dev_users")]
    pub users: At<Vec<At<String>>>,

    /// The scope that is asked for at the provider.
    #[schemars(default = "identity_scope")]
    pub scope: At<String>,
    /// The `audience` that is sent to the provider.
    #[schemars(default = "null")]
    pub audience: At<String>,
    /// PKCE towards the provider. `auto`: S256 when its discovery document offers it, or says nothing and the provider is
    /// known to accept it.
    #[schemars(default = "auto")]
    pub pkce: At<PkceMode>,
    /// How long a call to the provider may take.
    #[schemars(default = "number::<REMOTE_TIMEOUT_MS>")]
    pub remote_timeout_ms: At<i64>,
    /// The same as `browserLogin.stateTtlSeconds`; set one of the two.
    #[schemars(default = "null")]
    pub state_ttl_seconds: At<i64>,
    /// The same as `browserLogin.sessionTtlSeconds`; set one of the two.
    #[schemars(default = "null")]
    pub session_ttl_seconds: At<i64>,
}

/// The identity providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Auth0.
    Auth0,
    /// Amazon Cognito.
    Cognito,
    /// Clerk.
    Clerk,
    /// Google.
    Google,
    /// Keycloak.
    Keycloak,
    /// Logto.
    Logto,
    /// Microsoft Entra ID.
    Entra,
    /// Okta.
    Okta,
    /// `OneLogin`.
    OneLogin,
    /// `PingOne`.
    Ping,
    /// `WorkOS`.
    WorkOs,
    /// Any OpenID Connect provider.
    Oidc,
    /// No provider: signs in fixed users, on loopback only.
    Dev,
}

/// The regions of `PingOne`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PingRegion {
    /// auth.pingone.com
    NorthAmerica,
    /// auth.pingone.ca
    Canada,
    /// auth.pingone.eu
    Europe,
    /// auth.pingone.sg
    Singapore,
    /// auth.pingone.com.au
    Australia,
    /// auth.pingone.asia
    AsiaPacific,
}

/// Whether PKCE is used towards the identity provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum PkceMode {
    /// S256 when the provider offers it, or says nothing and is known to accept it.
    #[serde(rename = "auto")]
    Auto,
    /// Always S256.
    S256,
    /// Never.
    #[serde(rename = "none")]
    None,
}
