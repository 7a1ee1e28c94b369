//! The provider, as a login sees it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use url::Url;

use super::{
    Error, IdTokenError, IdentityClaims,
    claims::Tokens,
    exchange::{self, Redemption},
    id_token::{self, Expected, Verified},
    kept::Kept,
    metadata::{Metadata, SecretIn, discovery_url},
    userinfo, workos,
};
use crate::{
    clock::Clock,
    crypto::{KeySet, KeySetDocument, Secret, random_token, s256},
    outbound::{self, Limits},
};

/// What the operator decides about the provider.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// The provider's short name, for logs.
    pub name: String,
    /// The issuer, to the letter as the provider spells it.
    pub issuer: String,
    /// Further spellings of the issuer that this provider is known to use in tokens.
    pub issuer_aliases: Vec<String>,
    /// What the provider speaks.
    pub dialect: Dialect,
    /// Endpoints that are known beforehand.
    pub endpoints: Endpoints,
    /// Who we are there.
    pub client_id: String,
    /// How we prove it; none for a public client.
    pub client_secret: Option<Secret>,
    /// The scope to ask for; must contain `openid`.
    pub scope: String,
    /// The `audience` parameter that some providers want.
    pub audience: Option<String>,
    /// Whether to use PKCE.
    pub pkce: Pkce,
    /// The deadline of each call to the provider.
    pub timeout: Duration,
}

/// Endpoints given by the configuration; they win over discovered ones, and with all three nothing is discovered.
#[derive(Debug, Clone, Default)]
pub struct Endpoints {
    /// The authorization endpoint.
    pub authorize: Option<Url>,
    /// The token endpoint.
    pub token: Option<Url>,
    /// The key set.
    pub jwks: Option<Url>,
    /// The `UserInfo` endpoint; nothing else makes up for it.
    pub userinfo: Option<Url>,
}

/// What a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// OpenID Connect.
    #[default]
    OpenIdConnect,
    /// The user management API of `WorkOS`.
    WorkOs,
}

/// Whether a login uses PKCE (RFC 7636).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pkce {
    /// If discovery advertises S256. Set [`Pkce::S256`] for providers that take it without saying so.
    #[default]
    Auto,
    /// Always.
    S256,
    /// Never.
    None,
}

/// The start of a login.
pub struct Begin {
    /// Where to send the browser.
    pub url: Url,
    /// What the ID token must repeat; to be kept with the login.
    pub nonce: String,
    /// The PKCE verifier, if PKCE is used; to be kept with the login, sealed.
    pub code_verifier: Option<Secret>,
}

impl fmt::Debug for Begin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Begin(..)")
    }
}

/// An OpenID provider that people sign in at.
pub struct Provider {
    settings: ProviderSettings,
    /// Every spelling of the issuer that a token may have.
    issuers: Vec<String>,
    /// Where the secret was accepted last.
    secret_in_body: AtomicBool,
    discovery: Url,
    client: outbound::Client,
    clock: Clock,
    metadata: Kept<Metadata>,
    keys: Kept<KeySet>,
}

impl Provider {
    /// A provider that nothing has been asked of yet; fails only on an issuer that is no URL.
    pub fn new(settings: ProviderSettings, client: outbound::Client, clock: Clock) -> Result<Self, Error> {
        let discovery = discovery_url(&settings.issuer).map_err(Error::Issuer)?;
        let (metadata, keys) = (Kept::new(clock.clone()), Kept::new(clock.clone()));
        let issuers = [std::slice::from_ref(&settings.issuer), &settings.issuer_aliases].concat();
        let secret_in_body = AtomicBool::new(false);
        Ok(Self { settings, issuers, secret_in_body, discovery, client, clock, metadata, keys })
    }

    /// Begins a login that comes back to `redirect_uri` with `state` (Core section 3.1.2.1).
    pub async fn begin(&self, redirect_uri: &str, state: &str) -> Result<Begin, Error> {
        let metadata = self.metadata().await?;
        let nonce = random_token("");
        let code_verifier = match self.settings.pkce {
            Pkce::S256 => true,
            Pkce::Auto => metadata.offers_s256,
            Pkce::None => false,
        }
        .then(|| random_token(""));
        let mut url = metadata.authorize.clone();
        {
            let mut query = url.query_pairs_mut();
            query
                .append_pair("response_type", "code")
                .append_pair("client_id", &self.settings.client_id)
                .append_pair("redirect_uri", redirect_uri)
                .append_pair("state", state);
            match self.settings.dialect {
                Dialect::OpenIdConnect => {
                    query.append_pair("scope", &self.settings.scope).append_pair("nonce", &nonce);
                }
                Dialect::WorkOs => {
                    query.append_pair("provider", "authkit");
                }
            }
            if let Some(verifier) = &code_verifier {
                query.append_pair("code_challenge", &s256(verifier)).append_pair("code_challenge_method", "S256");
            }
            if let Some(audience) = &self.settings.audience {
                query.append_pair("audience", audience);
            }
        }
        Ok(Begin { url, nonce, code_verifier: code_verifier.map(Secret::new) })
    }

    /// Checks the `iss` of an authorization response, good or bad, before anything else of it is used
    /// (RFC 9207 section 2.4).
    pub async fn check_callback_iss(&self, iss: Option<&str>) -> Result<(), Error> {
        match iss {
            Some(iss) if iss == self.settings.issuer => Ok(()),
            Some(_) => Err(Error::CallbackIssuer { present: true }),
            None if self.metadata().await?.names_issuer => Err(Error::CallbackIssuer { present: false }),
            None => Ok(()),
        }
    }

    /// Redeems the code of an authorization response and verifies who signed in.
    ///
    /// `redirect_uri`, `nonce` and `code_verifier` are those of the login's [`Begin`].
    pub async fn finish(
        &self,
        code: &str,
        redirect_uri: &str,
        nonce: &str,
        code_verifier: Option<&Secret>,
    ) -> Result<IdentityClaims, Error> {
        let metadata = self.metadata().await?;
        let redemption = Redemption { code, redirect_uri, code_verifier };
        if self.settings.dialect == Dialect::WorkOs {
            return self.finish_at_workos(&metadata, &redemption).await;
        }
        let tokens = self.redeem(&metadata, &redemption).await.inspect_err(|error| self.distrust_metadata(error))?;
        let access_token = tokens.access.as_ref().map(Secret::expose);
        let expected = Expected { nonce: Some(nonce), access_token, ..self.expected() };
        let verified = self.verify(&metadata, |keys| id_token::verify(tokens.id.expose(), keys, &expected));
        let Verified { subject, mut claims } = verified.await?;
        if let Some(url) = metadata.userinfo.as_ref().filter(|_| userinfo::is_wanted(&self.settings.scope, &claims)) {
            let complete = userinfo::complete(&self.client, url, &tokens, claims, self.limits());
            claims = complete.await.inspect_err(|error| self.distrust_metadata(error))?;
        }
        Ok(IdentityClaims::new(&self.settings.issuer, subject, claims, tokens))
    }

    async fn finish_at_workos(
        &self,
        metadata: &Metadata,
        redemption: &Redemption<'_>,
    ) -> Result<IdentityClaims, Error> {
        let us = self.at_token_endpoint(true);
        let redeemed = workos::redeem(&self.client, metadata, us, redemption, self.limits()).await?;
        let expected =
            workos::Expected { issuers: &self.issuers, client_id: &self.settings.client_id, now: self.clock.now() };
        let verified = self.verify(metadata, |keys| workos::verify(&redeemed, keys, &expected));
        let Verified { subject, claims } = verified.await?;
        Ok(IdentityClaims::new(&self.settings.issuer, subject, claims, redeemed.tokens))
    }

    /// Redeems a code with the secret where the provider takes it.
    ///
    /// Providers that do not say are asked the usual way first; several let the operator choose, and Auth0 and `OneLogin`
    /// refuse the other one. Who we are is checked before the code is looked at, so the code survives that.
    async fn redeem(&self, metadata: &Metadata, redemption: &Redemption<'_>) -> Result<Tokens, Error> {
        let in_body = self.secret_goes_in_body(metadata);
        let attempt = |in_body| {
            exchange::redeem(&self.client, metadata, self.at_token_endpoint(in_body), redemption, self.limits())
        };
        match attempt(in_body).await {
            Err(Error::Refused { status: StatusCode::UNAUTHORIZED, .. })
                if metadata.secret_in == SecretIn::Either && self.settings.client_secret.is_some() =>
            {
                let tokens = attempt(!in_body).await?;
                self.secret_in_body.store(!in_body, Ordering::Relaxed);
                Ok(tokens)
            }
            outcome => outcome,
        }
    }

    /// Where the token endpoint takes the secret, as far as it says or was found out.
    pub(super) fn secret_goes_in_body(&self, metadata: &Metadata) -> bool {
        match metadata.secret_in {
            SecretIn::Header => false,
            SecretIn::Body => true,
            SecretIn::Either => self.secret_in_body.load(Ordering::Relaxed),
        }
    }

    /// What every ID token for us must say; the rest is of one login.
    pub(super) fn expected(&self) -> Expected<'_> {
        Expected {
            issuers: &self.issuers,
            client_id: &self.settings.client_id,
            nonce: None,
            access_token: None,
            now: self.clock.now(),
        }
    }

    pub(super) fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    pub(super) const fn outbound(&self) -> &outbound::Client {
        &self.client
    }

    pub(super) fn at_token_endpoint(&self, secret_in_body: bool) -> exchange::Client<'_> {
        let ProviderSettings { client_id, client_secret, .. } = &self.settings;
        exchange::Client { id: client_id, secret: client_secret.as_ref(), secret_in_body }
    }

    /// Verifies with the keys at hand, and once more with fresh ones if the provider may have rotated them.
    pub(super) async fn verify(
        &self,
        metadata: &Metadata,
        check: impl Fn(&KeySet) -> Result<Verified, IdTokenError>,
    ) -> Result<Verified, Error> {
        let keys = self.keys.load(self.fetch_keys(&metadata.jwks)).await?;
        match check(&keys) {
            Err(error @ (IdTokenError::UnknownKey | IdTokenError::Signature)) => {
                let fresh = self.keys.reload(self.fetch_keys(&metadata.jwks)).await?;
                if Arc::ptr_eq(&keys, &fresh) {
                    return Err(error.into());
                }
                Ok(check(&fresh)?)
            }
            outcome => Ok(outcome?),
        }
    }

    async fn fetch_keys(&self, url: &Url) -> Result<KeySet, Error> {
        let fetched = self.client.get_json::<KeySetDocument>(url, self.limits()).await;
        let document =
            fetched.map_err(|error| Error::Keys(Arc::new(error))).inspect_err(|error| self.distrust_metadata(error))?;
        Ok(KeySet::new(document.body))
    }

    pub(super) async fn metadata(&self) -> Result<Arc<Metadata>, Error> {
        let settings = &self.settings;
        self.metadata
            .load(async {
                if let Some(metadata) = Metadata::configured(&settings.endpoints) {
                    return Ok(metadata);
                }
                let (client, limits) = (&self.client, self.limits());
                Metadata::discover(client, &self.discovery, &settings.issuer, &settings.endpoints, limits).await
            })
            .await
    }

    /// An endpoint that fails may have moved.
    fn distrust_metadata(&self, error: &Error) {
        if matches!(error, Error::Keys(_) | Error::UserInfo(_) | Error::Exchange(_) | Error::NotATokenResponse { .. }) {
            self.metadata.distrust();
        }
    }

    pub(super) const fn limits(&self) -> Limits {
        Limits { body: MAX_DOCUMENT, timeout: self.settings.timeout }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("name", &self.settings.name)
            .field("issuer", &self.settings.issuer)
            .finish_non_exhaustive()
    }
}

const MAX_DOCUMENT: usize = 256 * 1024;
/// For calls on which no setting bears.
pub(super) const LIMITS: Limits = Limits { body: MAX_DOCUMENT, timeout: Duration::from_secs(10) };
