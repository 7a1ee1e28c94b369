//! What `WorkOS` does in place of OpenID Connect: its user management API.
//!
//! There is no ID token and no nonce. The code is redeemed with a JSON document, and the answer holds the person beside
//! an access token that the keys of the client sign. The code arrives over the same browser as ever (`state` and the
//! login's cookie) and is worth nothing without the PKCE verifier of this login, so a code of another login does not
//! pass; whose the token is, the token endpoint itself says, which is asked over TLS with the client secret.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Error, IdTokenError,
    claims::Tokens,
    exchange::{Client, Redemption, error_code},
    id_token::{Verified, check_issuer, check_times, subject},
    metadata::Metadata,
    signed::{self, text},
};
use crate::{
    clock::Timestamp,
    crypto::{KeySet, Secret},
    outbound::{self, Limits},
};

/// A redeemed code: the tokens, of which the access token is the signed one, and the person.
pub(super) struct Redeemed {
    pub(super) tokens: Tokens,
    user: User,
}

#[derive(Deserialize)]
struct Answer {
    user: Option<User>,
    access_token: Option<String>,
    refresh_token: Option<String>,
    /// RFC 6749 errors, and the API's own.
    error: Option<String>,
    code: Option<String>,
}

#[derive(Deserialize)]
struct User {
    id: String,
    email: Option<String>,
    email_verified: Option<bool>,
    first_name: Option<String>,
    last_name: Option<String>,
}

/// What the access token must say.
pub(super) struct Expected<'a> {
    pub(super) issuers: &'a [String],
    pub(super) client_id: &'a str,
    pub(super) now: Timestamp,
}

/// Redeems a code at `/user_management/authenticate`.
pub(super) async fn redeem(
    outbound: &outbound::Client,
    metadata: &Metadata,
    client: Client<'_>,
    redemption: &Redemption<'_>,
    limits: Limits,
) -> Result<Redeemed, Error> {
    let document = json!({
        "client_id": client.id,
        "client_secret": client.secret.map(Secret::expose),
        "grant_type": "authorization_code",
        "code": redemption.code,
        "code_verifier": redemption.code_verifier.map(Secret::expose),
    });
    let answer = outbound.post_json(&metadata.token, &document, limits).await;
    let answer = answer.map_err(|error| Error::Exchange(Arc::new(error)))?;
    let status = answer.status;
    let Ok(response) = serde_json::from_slice::<Answer>(&answer.body) else {
        return Err(Error::NotATokenResponse { status });
    };
    if !status.is_success() {
        return Err(match response.error.or(response.code) {
            Some(code) => Error::Refused { status, code: error_code(&code) },
            None => Error::NotATokenResponse { status },
        });
    }
    let (Some(user), Some(access_token)) = (response.user, response.access_token) else {
        return Err(Error::NotATokenResponse { status });
    };
    let (id, access) = (Secret::new(access_token.clone()), Some(Secret::new(access_token)));
    Ok(Redeemed { tokens: Tokens { id, access, refresh: response.refresh_token.map(Secret::new) }, user })
}

/// Verifies the access token, which must be about the person in the answer, and adds what the answer says of them.
pub(super) fn verify(redeemed: &Redeemed, keys: &KeySet, expected: &Expected<'_>) -> Result<Verified, IdTokenError> {
    let Redeemed { tokens, user } = redeemed;
    let mut claims = signed::open(tokens.id.expose(), keys)?.claims;
    check_issuer(&claims, expected.issuers)?;
    if claims.contains_key("client_id") && text(&claims, "client_id") != Some(expected.client_id) {
        return Err(IdTokenError::Audience);
    }
    check_times(&claims, expected.now)?;
    let subject = subject(&claims)?;
    if subject != user.id {
        return Err(IdTokenError::Subject);
    }
    user.describe(&mut claims);
    Ok(Verified { subject, claims })
}

impl User {
    /// Puts the person into claims, by the names that OpenID Connect has for them.
    fn describe(&self, claims: &mut Map<String, Value>) {
        let names = [&self.first_name, &self.last_name];
        let name: Vec<&str> = names.into_iter().flatten().map(String::as_str).collect();
        let mut set = |claim: &str, value: Option<Value>| {
            if let Some(value) = value {
                claims.insert(claim.to_owned(), value);
            }
        };
        set("email", self.email.clone().map(Value::String));
        set("email_verified", self.email_verified.map(Value::Bool));
        set("given_name", self.first_name.clone().map(Value::String));
        set("family_name", self.last_name.clone().map(Value::String));
        set("name", (!name.is_empty()).then(|| Value::String(name.join(" "))));
    }
}
