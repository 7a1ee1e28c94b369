//! The `UserInfo` endpoint (OpenID Connect Core section 5.3), for providers that keep claims out of the ID token.
//!
//! Core section 5.4 lets a provider answer `profile` and `email` there only, and Okta and npm oidc-provider do. So it is
//! asked where an e-mail address was wanted and the ID token has none.

use std::sync::Arc;

use serde_json::{Map, Value};
use url::Url;

use super::{
    Error,
    claims::Tokens,
    signed::{MAX_CLAIMS, text},
};
use crate::outbound::{self, Limits};

/// Whether the ID token left out what was asked for.
pub(super) fn is_wanted(scope: &str, claims: &Map<String, Value>) -> bool {
    scope.split(' ').any(|token| token == "email") && !claims.contains_key("email")
}

/// The claims of the ID token, with those of the endpoint that the token does not have.
///
/// Core section 5.3.2: an answer about another subject must not be used.
pub(super) async fn complete(
    client: &outbound::Client,
    url: &Url,
    tokens: &Tokens,
    mut claims: Map<String, Value>,
    limits: Limits,
) -> Result<Map<String, Value>, Error> {
    let Some(access_token) = &tokens.access else { return Ok(claims) };
    let fetched = client.get_json_with::<Map<String, Value>>(url, access_token.expose(), limits).await;
    let answer = fetched.map_err(|error| Error::UserInfo(Arc::new(error)))?.body;
    if text(&answer, "sub") != text(&claims, "sub") {
        return Err(Error::UserInfoSubject);
    }
    for (name, value) in answer {
        claims.entry(name).or_insert(value);
    }
    let size = serde_json::to_string(&claims).map_or(usize::MAX, |text| text.len());
    if size > 2 * MAX_CLAIMS { Err(Error::UserInfoTooLarge) } else { Ok(claims) }
}
