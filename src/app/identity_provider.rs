//! Where people sign in, from the configuration.

use anyhow::Context;

use crate::{
    clock::Clock,
    config::{self, Config},
    identity::{self, id_jag, oidc},
    outbound,
};

/// The identity provider of the configuration.
pub(super) fn provider(config: &Config, client: outbound::Client, clock: Clock) -> anyhow::Result<identity::Provider> {
    Ok(match &config.identity {
        config::Identity::Dev { users } => identity::Provider::Dev { users: users.clone() },
        config::Identity::Oidc(oidc) => {
            let provider = oidc::Provider::new(settings(oidc), client, clock).context("`identity` cannot be used")?;
            identity::Provider::Oidc(Box::new(provider))
        }
    })
}

/// Whose identity assertions are believed; of the identity provider itself the keys are known.
pub(super) fn trusted_issuers(
    config: &Config,
    client: &outbound::Client,
    clock: &Clock,
) -> anyhow::Result<id_jag::TrustedIssuers> {
    let known = match &config.identity {
        config::Identity::Oidc(oidc) => Some((oidc.issuer.as_str(), oidc.endpoints.jwks.as_ref())),
        config::Identity::Dev { .. } => None,
    };
    let trusted = config.gateway.id_jag_issuers.iter().map(|config::IdJagIssuer { issuer, jwks }| {
        let own = known.filter(|(own, _)| own == issuer).and_then(|(_, jwks)| jwks);
        id_jag::TrustedIssuer { issuer: issuer.clone(), jwks: jwks.as_ref().or(own).cloned() }
    });
    id_jag::TrustedIssuers::new(trusted.collect(), client, clock).context("`gateway.idJagIssuers` cannot be used")
}

fn settings(oidc: &config::Oidc) -> oidc::ProviderSettings {
    oidc::ProviderSettings {
        name: oidc.provider.name().to_owned(),
        issuer: oidc.issuer.clone(),
        issuer_aliases: issuer_aliases(oidc.provider),
        dialect: match oidc.provider {
            config::Provider::WorkOs => oidc::Dialect::WorkOs,
            _ => oidc::Dialect::OpenIdConnect,
        },
        endpoints: oidc::Endpoints {
            authorize: oidc.endpoints.authorize.clone(),
            token: oidc.endpoints.token.clone(),
            jwks: oidc.endpoints.jwks.clone(),
            userinfo: oidc.endpoints.userinfo.clone(),
        },
        client_id: oidc.client_id.clone(),
        client_secret: oidc.client_secret.clone(),
        scope: oidc.scope.clone(),
        audience: oidc.audience.clone(),
        pkce: pkce(oidc),
        timeout: oidc.remote_timeout,
    }
}

/// Other spellings of its issuer that a provider documents for its tokens, all of them its own names.
fn issuer_aliases(provider: config::Provider) -> Vec<String> {
    let aliases: &[&str] = match provider {
        config::Provider::Google => &["accounts.google.com"],
        config::Provider::WorkOs => &["https://api.workos.com", "https://api.workos.com/"],
        _ => &[],
    };
    aliases.iter().copied().map(str::to_owned).collect()
}

fn pkce(oidc: &config::Oidc) -> oidc::Pkce {
    match oidc.pkce {
        config::PkceMode::Auto if !oidc.provider.accepts_pkce() => oidc::Pkce::Auto,
        config::PkceMode::Auto | config::PkceMode::S256 => oidc::Pkce::S256,
        config::PkceMode::None => oidc::Pkce::None,
    }
}
