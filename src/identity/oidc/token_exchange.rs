//! What becomes of a sign-in's tokens later: renewing the ID token (OpenID Connect Core section 12), and exchanging it for
//! an identity assertion (RFC 8693, profile ID-JAG).

use serde::Deserialize;

use super::{
    Error, IdTokenError,
    exchange::{self, Client},
    id_token::{self, Expected},
    metadata::Metadata,
    provider::Provider,
    signed::date,
};
use crate::{clock::Timestamp, crypto::Secret, identity::Wanted, store::SubjectId};

/// A renewed ID token.
pub(in crate::identity) struct Renewed {
    pub(in crate::identity) id_token: Secret,
    pub(in crate::identity) expires_at: Timestamp,
    /// A new refresh token, if the provider rotates them.
    pub(in crate::identity) refresh_token: Option<Secret>,
}

#[derive(Deserialize)]
struct Renewal {
    id_token: Option<String>,
    refresh_token: Option<String>,
}

/// The answer to an exchange (RFC 8693 section 2.2.1); the assertion stands where access tokens do.
#[derive(Deserialize)]
struct Exchanged {
    access_token: Option<String>,
    issued_token_type: Option<String>,
    token_type: Option<String>,
}

impl Provider {
    /// A new ID token of the same person.
    pub(in crate::identity) async fn renew(
        &self,
        refresh_token: &Secret,
        subject: &SubjectId,
    ) -> Result<Renewed, Error> {
        let metadata = self.metadata().await?;
        let form = vec![("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())];
        let answer: Renewal = self.ask(&metadata, form).await?;
        let renewed = Secret::new(answer.id_token.ok_or(IdTokenError::Missing)?);
        let expected = Expected { nonce: None, access_token: None, ..self.expected() };
        let verified = self.verify(&metadata, |keys| id_token::verify(renewed.expose(), keys, &expected)).await?;
        // Core section 12.2: the same `sub` as before.
        if SubjectId::derive(self.issuer(), &verified.subject) != *subject {
            return Err(IdTokenError::Subject.into());
        }
        let expires_at = Timestamp::from_seconds(date(&verified.claims, "exp").unwrap_or_default());
        Ok(Renewed { id_token: renewed, expires_at, refresh_token: answer.refresh_token.map(Secret::new) })
    }

    /// An identity assertion for one authorization server.
    pub(in crate::identity) async fn exchange(&self, id_token: &Secret, wanted: &Wanted) -> Result<Secret, Error> {
        let metadata = self.metadata().await?;
        let mut form = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("requested_token_type", ID_JAG),
            ("audience", wanted.audience.as_str()),
            ("subject_token", id_token.expose()),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
        ];
        form.extend(wanted.resource.as_deref().map(|resource| ("resource", resource)));
        form.extend(wanted.scope.as_deref().map(|scope| ("scope", scope)));
        let answer: Exchanged = self.ask(&metadata, form).await?;
        let is_assertion = answer.issued_token_type.as_deref() == Some(ID_JAG)
            && answer.token_type.is_some_and(|kind| kind.eq_ignore_ascii_case("N_A"));
        answer.access_token.filter(|_| is_assertion).map(Secret::new).ok_or(Error::NotAnAssertion)
    }

    async fn ask<T: for<'de> Deserialize<'de>>(
        &self,
        metadata: &Metadata,
        form: Vec<(&str, &str)>,
    ) -> Result<T, Error> {
        let us: Client<'_> = self.at_token_endpoint(self.secret_goes_in_body(metadata));
        let (status, body) = exchange::ask(self.outbound(), metadata, us, form, self.limits()).await?;
        serde_json::from_slice(&body).or(Err(Error::NotATokenResponse { status }))
    }
}

const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
