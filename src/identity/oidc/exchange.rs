//! The token request (OpenID Connect Core section 3.1.3, RFC 6749 sections 4.1.3 and 6).

use std::sync::Arc;

use http::StatusCode;
use serde::Deserialize;

use super::{Error, IdTokenError, claims::Tokens, metadata::Metadata};
use crate::{
    crypto::Secret,
    outbound::{self, Authorization, Limits},
};

/// Us at the token endpoint.
#[derive(Clone, Copy)]
pub(super) struct Client<'a> {
    pub(super) id: &'a str,
    pub(super) secret: Option<&'a Secret>,
    /// Whether the secret goes into the body instead of the `Authorization` header.
    pub(super) secret_in_body: bool,
}

/// One code to be redeemed.
pub(super) struct Redemption<'a> {
    pub(super) code: &'a str,
    pub(super) redirect_uri: &'a str,
    pub(super) code_verifier: Option<&'a Secret>,
}

impl<'a> Redemption<'a> {
    pub(super) fn form(&self) -> Vec<(&'a str, &'a str)> {
        let mut form =
            vec![("grant_type", "authorization_code"), ("code", self.code), ("redirect_uri", self.redirect_uri)];
        form.extend(self.code_verifier.map(|verifier| ("code_verifier", verifier.expose())));
        form
    }
}

/// The members of a token response that are used, of the good and of the bad one.
#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names of RFC 6749 section 5.1")]
struct TokenResponse {
    id_token: Option<String>,
    access_token: Option<String>,
    refresh_token: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: Option<String>,
}

/// Redeems a code. It is asked once: a code that got lost on the way is not sent again.
pub(super) async fn redeem(
    outbound: &outbound::Client,
    metadata: &Metadata,
    client: Client<'_>,
    redemption: &Redemption<'_>,
    limits: Limits,
) -> Result<Tokens, Error> {
    let (status, body) = ask(outbound, metadata, client, redemption.form(), limits).await?;
    let Ok(response) = serde_json::from_slice::<TokenResponse>(&body) else {
        return Err(Error::NotATokenResponse { status });
    };
    Ok(Tokens {
        id: Secret::new(response.id_token.ok_or(IdTokenError::Missing)?),
        access: response.access_token.map(Secret::new),
        refresh: response.refresh_token.map(Secret::new),
    })
}

/// Sends `form` with our authentication and returns a successful answer's body.
pub(super) async fn ask<'a>(
    outbound: &outbound::Client,
    metadata: &Metadata,
    client: Client<'a>,
    mut form: Vec<(&'a str, &'a str)>,
    limits: Limits,
) -> Result<(StatusCode, bytes::Bytes), Error> {
    let authorization = match client.secret.map(Secret::expose) {
        Some(client_secret) if !client.secret_in_body => Authorization::Basic { client_id: client.id, client_secret },
        Some(client_secret) => {
            form.extend([("client_id", client.id), ("client_secret", client_secret)]);
            Authorization::None
        }
        None => {
            form.push(("client_id", client.id));
            Authorization::None
        }
    };
    let answer = outbound.post_form(&metadata.token, &form, authorization, limits).await;
    let answer = answer.map_err(|error| Error::Exchange(Arc::new(error)))?;
    let status = answer.status;
    let Ok(refusal) = serde_json::from_slice::<Refusal>(&answer.body) else {
        return Err(Error::NotATokenResponse { status });
    };
    match refusal.error {
        Some(error) => Err(Error::Refused { status, code: error_code(&error) }),
        None if !status.is_success() => Err(Error::NotATokenResponse { status }),
        None => Ok((status, answer.body)),
    }
}

/// An error code as far as it can be logged; real ones are short words.
pub(super) fn error_code(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')).take(64).collect()
}
