//! The token request (OpenID Connect Core section 3.1.3).

use std::sync::Arc;

use serde::Deserialize;

use super::{Error, IdTokenError, claims::Tokens, metadata::Metadata};
use crate::{
    crypto::Secret,
    outbound::{self, Authorization, Limits},
};

/// One code to be redeemed.
pub(super) struct Redemption<'a> {
    pub(super) client_id: &'a str,
    pub(super) client_secret: Option<&'a Secret>,
    pub(super) code: &'a str,
    pub(super) redirect_uri: &'a str,
    pub(super) code_verifier: Option<&'a Secret>,
}

/// The members of a token response that are used, of the good and of the bad one.
#[derive(Deserialize)]
struct TokenResponse {
    id_token: Option<String>,
    access_token: Option<String>,
    refresh_token: Option<String>,
    error: Option<String>,
}

/// Redeems a code. It is asked once: a code that got lost on the way is not sent again.
pub(super) async fn redeem(
    client: &outbound::Client,
    metadata: &Metadata,
    redemption: &Redemption<'_>,
    limits: Limits,
) -> Result<Tokens, Error> {
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", redemption.code),
        ("redirect_uri", redemption.redirect_uri),
    ];
    if let Some(verifier) = redemption.code_verifier {
        form.push(("code_verifier", verifier.expose()));
    }
    let client_id = redemption.client_id;
    let authorization = match redemption.client_secret.map(Secret::expose) {
        Some(client_secret) if !metadata.secret_in_body_only => Authorization::Basic { client_id, client_secret },
        Some(client_secret) => {
            form.extend([("client_id", client_id), ("client_secret", client_secret)]);
            Authorization::None
        }
        None => {
            form.push(("client_id", client_id));
            Authorization::None
        }
    };
    let answer = client.post_form(&metadata.token, &form, authorization, limits).await;
    let answer = answer.map_err(|error| Error::Exchange(Arc::new(error)))?;
    let status = answer.status;
    let Ok(response) = serde_json::from_slice::<TokenResponse>(&answer.body) else {
        return Err(Error::NotATokenResponse { status });
    };
    if let Some(error) = response.error {
        return Err(Error::Refused { status, code: error_code(&error) });
    }
    if !status.is_success() {
        return Err(Error::NotATokenResponse { status });
    }
    Ok(Tokens {
        id: Secret::new(response.id_token.ok_or(IdTokenError::Missing)?),
        access: response.access_token.map(Secret::new),
        refresh: response.refresh_token.map(Secret::new),
    })
}

/// An error code as far as it can be logged; real ones are short words.
fn error_code(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')).take(64).collect()
}
