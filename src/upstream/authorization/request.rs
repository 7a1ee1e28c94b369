//! The authorization request (RFC 6749 section 4.1.1, RFC 7636, RFC 8707).

use url::Url;

use super::AuthorizationServer;
use crate::{
    crypto::{Secret, s256},
    oauth::scope::OFFLINE_ACCESS,
    upstream::{OauthSettings, Prompt, Resource},
};

/// What an authorization request says beyond the settings.
#[derive(Debug, Clone, Copy)]
pub struct AuthorizationRequest<'a> {
    /// Our client id.
    pub client_id: &'a str,
    /// Where the browser is sent back to.
    pub redirect_uri: &'a str,
    /// The `state`, bound to the browser session.
    pub state: &'a Secret,
    /// The PKCE verifier, of which the request shows the challenge.
    pub code_verifier: &'a Secret,
    /// Scope to ask for beyond the usual, separated by spaces: what a challenge of the upstream asked for, and what was
    /// granted before.
    pub extra_scope: &'a str,
}

/// Where to send the browser.
pub struct AuthorizationUrl {
    /// The URL; it holds the `state`.
    pub url: Url,
    /// The scope that it asks for, separated by spaces.
    pub scope: Option<String>,
}

/// The URL that asks a person's permission.
pub fn authorization_url(
    server: &AuthorizationServer,
    settings: &OauthSettings,
    request: AuthorizationRequest<'_>,
) -> AuthorizationUrl {
    let scopes = scopes(server, settings, request.extra_scope);
    let scope = (!scopes.is_empty()).then(|| scopes.join(&settings.scope_delimiter));
    let challenge = s256(request.code_verifier.expose());
    let google = server.issuer == GOOGLE;
    let parameters = [
        ("response_type", Some("code")),
        ("client_id", Some(request.client_id)),
        ("redirect_uri", Some(request.redirect_uri)),
        ("state", Some(request.state.expose())),
        ("code_challenge", Some(challenge.as_str())),
        ("code_challenge_method", Some("S256")),
        ("scope", scope.as_deref()),
        ("resource", resource(server, settings)),
        ("prompt", prompt(settings.prompt, google || scopes.iter().any(|scope| scope == OFFLINE_ACCESS))),
        ("access_type", google.then_some("offline")),
    ];
    let mut url = server.authorization_endpoint.clone();
    url.set_query(None);
    {
        // RFC 6749 section 3.1: the endpoint's own query stays, and no parameter comes twice.
        let further = &settings.authorization_parameters;
        let own = |name: &str| parameters.iter().any(|(known, _)| *known == name) || further.contains_key(name);
        let kept = server.authorization_endpoint.query_pairs().filter(|(name, _)| !own(name));
        let usual = parameters.iter().filter(|(name, _)| !further.contains_key(*name));
        let mut query = url.query_pairs_mut();
        query.extend_pairs(kept);
        query.extend_pairs(usual.filter_map(|(name, value)| Some((name, (*value)?))));
        query.extend_pairs(further);
    }
    AuthorizationUrl { url, scope: (!scopes.is_empty()).then(|| scopes.join(" ")) }
}

/// The scopes to ask for: the configured ones, else those of the challenge, else those of the upstream's metadata, else
/// none; and `extra`, separated by spaces.
///
/// `offline_access` comes along where the authorization server knows it, but never alone, because a scope takes the
/// place of the server's default.
pub fn scopes(server: &AuthorizationServer, settings: &OauthSettings, extra: &str) -> Vec<String> {
    let challenge = server.challenge_scope.as_deref().unwrap_or_default();
    let base: Vec<&str> = if !settings.scopes.is_empty() {
        settings.scopes.iter().map(String::as_str).collect()
    } else if !challenge.trim().is_empty() {
        challenge.split_ascii_whitespace().collect()
    } else {
        server.prm_scopes.iter().map(String::as_str).collect()
    };
    let mut scopes = Vec::new();
    for scope in base.into_iter().chain(extra.split_ascii_whitespace()) {
        if is_scope(scope) && !scopes.iter().any(|known| known == scope) && scopes.len() < MAX_SCOPES {
            scopes.push(scope.to_owned());
        }
    }
    let knows_offline_access = server.scopes_supported.iter().any(|scope| scope == OFFLINE_ACCESS);
    if knows_offline_access && !scopes.is_empty() && !scopes.iter().any(|scope| scope == OFFLINE_ACCESS) {
        scopes.push(OFFLINE_ACCESS.to_owned());
    }
    scopes
}

/// The `resource` of every request to this server (RFC 8707 section 2).
pub fn resource<'a>(server: &'a AuthorizationServer, settings: &'a OauthSettings) -> Option<&'a str> {
    match &settings.resource {
        Resource::Send => Some(&server.resource),
        Resource::Omit => None,
        Resource::Uri(uri) => Some(uri),
    }
}

fn prompt(prompt: Prompt, offline: bool) -> Option<&'static str> {
    match prompt {
        // OpenID Connect Core section 11: without it `offline_access` is ignored.
        Prompt::Auto => offline.then_some("consent"),
        Prompt::Never => None,
        Prompt::Always(value) => Some(value),
    }
}

/// RFC 6749 section 3.3.
fn is_scope(text: &str) -> bool {
    (1..=MAX_SCOPE_BYTES).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

/// Quirk "Google: refresh token only with `access_type=offline` and first consent"; it knows no `offline_access`.
const GOOGLE: &str = "https://accounts.google.com";
const MAX_SCOPES: usize = 100;
const MAX_SCOPE_BYTES: usize = 256;
