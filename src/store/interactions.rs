//! Authorization requests that wait for a person, and logins under way at the identity provider.

use async_trait::async_trait;

use super::{ClientId, NewCode, NewGrant, Result};
use crate::{clock::Timestamp, crypto::Digest};

/// Names an interaction in URLs and forms; 128 random bits or more, and worth nothing without the browser's cookie.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InteractionId(pub String);

/// An accepted authorization request that waits for login, consent or connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interaction {
    /// Its name.
    pub id: InteractionId,
    /// The client that asks.
    pub client_id: ClientId,
    /// The redirect URI of this request, as the client sent it; empty if it sent none. It is matched with what the client registered every time
    /// that it is used.
    pub redirect_uri: String,
    /// The client's `state`, to be returned.
    pub state: Option<String>,
    /// The PKCE `S256` challenge (RFC 7636). Empty only where `error` is set.
    pub code_challenge: String,
    /// The route that the token will be good for.
    pub operation_id: String,
    /// The canonical resource URI, as this request's origin names it (RFC 8707).
    pub resource: String,
    /// The issuer that the client talks to, to be returned as `iss` (RFC 9207).
    pub issuer: String,
    /// Granted scope, space separated.
    pub scope: String,
    /// An error that the client is to be told once the person has signed in, instead of consent.
    pub error: Option<String>,
    /// Whether the client wants the person to be asked, also where a consent is remembered.
    pub ask_again: bool,
    /// The browser session that may act on it; none until the person has signed in.
    pub session: Option<Digest>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops being usable.
    pub expires_at: Timestamp,
}

/// A login under way at the identity provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The digest of the `state` that the identity provider returns.
    pub state: Digest,
    /// The digest of the cookie that binds the login to one browser.
    pub browser: Digest,
    /// The `nonce` that the ID token must carry.
    pub nonce: String,
    /// The PKCE verifier towards the identity provider, sealed with the key ring (context `logins/code_verifier`).
    pub sealed_verifier: Option<Vec<u8>>,
    /// The redirect URI sent to the identity provider, which the token request must repeat.
    pub redirect_uri: String,
    /// What goes on after the login.
    pub interaction: Option<InteractionId>,
    /// When it stops being usable.
    pub expires_at: Timestamp,
}

/// Interactions and logins.
#[async_trait]
pub trait Interactions {
    /// Keeps a new interaction.
    async fn create_interaction(&self, interaction: &Interaction) -> Result<()>;

    /// The interaction of that name, unless it is over or expired at `now`.
    async fn interaction(&self, id: &InteractionId, now: Timestamp) -> Result<Option<Interaction>>;

    /// Binds an interaction to the browser session that just signed in; false if it is over, expired, or already bound
    /// to another session.
    async fn bind_interaction(&self, id: &InteractionId, session: &Digest, now: Timestamp) -> Result<bool>;

    /// Ends an interaction with consent: in one transaction the interaction is spent, the grant made and its code kept.
    ///
    /// False, and nothing changed, if the interaction is over, expired, or not bound to `session`, or the session itself
    /// has ended or expired at `now`.
    async fn approve_interaction(
        &self,
        id: &InteractionId,
        session: &Digest,
        grant: &NewGrant,
        code: &NewCode,
        now: Timestamp,
    ) -> Result<bool>;

    /// Ends an interaction without consent; false if it was over, expired, or not bound to `session`.
    async fn cancel_interaction(&self, id: &InteractionId, session: &Digest, now: Timestamp) -> Result<bool>;

    /// Keeps a login that begins.
    async fn create_login(&self, login: &Login) -> Result<()>;

    /// Takes a login out of the store, at most once, if `browser` is the one that began it and it has not expired.
    ///
    /// A wrong browser takes nothing, so that a stranger who learned the state cannot end the login either.
    async fn take_login(&self, state: &Digest, browser: &Digest, now: Timestamp) -> Result<Option<Login>>;
}

impl Interaction {
    /// Whether `session` may act on it.
    pub fn is_bound_to(&self, session: &Digest) -> bool {
        self.session.as_ref().is_some_and(|bound| bound.matches(session))
    }
}
