//! Identity assertions that clients bring (ID-JAG, draft-ietf-oauth-identity-assertion-authz-grant): which are believed.
//!
//! An identity provider of the operator's choice says of a person that a client may act for them here. What it says of
//! the request (audience, client, resource, scope) is compared by `authorization_server`; what makes it believable is
//! checked here.

use serde_json::{Map, Value};
use thiserror::Error;
use url::Url;

use super::oidc::{
    self, IdTokenError,
    id_token::{SKEW_SECONDS, check_times, subject},
    issuer_keys::IssuerKeys,
    signed::{self, Signed, date, text},
};
use crate::{
    clock::{Clock, Timestamp},
    crypto::Digest,
    outbound,
    store::{SubjectId, User},
};

/// An identity provider whose assertions are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedIssuer {
    /// The issuer, to the letter as its assertions name it.
    pub issuer: String,
    /// Its keys; discovered from the issuer if not given.
    pub jwks: Option<Url>,
}

/// Everybody whose assertions are believed; nobody by default.
#[derive(Default)]
pub struct TrustedIssuers {
    keys: Vec<IssuerKeys>,
    clock: Option<Clock>,
}

/// An assertion whose signature, issuer and time hold. Only [`TrustedIssuers::verify`] makes one.
pub struct Assertion {
    /// Names it, so that it is used once: its issuer, subject and `jti`.
    pub name: Digest,
    /// When it would no longer be accepted anyway.
    pub remember_until: Timestamp,
    /// The authorization server that it is for: one, and exactly one.
    pub audience: String,
    /// The client that may present it.
    pub client_id: String,
    /// The resources that it is for, if it says so.
    pub resources: Vec<String>,
    /// The scope that the identity provider allows, if it says so.
    pub scope: Option<String>,
    /// Whom it is about: the same person as in a sign-in at that provider.
    pub user: User,
}

/// Why an assertion is not believed. The client learns none of it: who is trusted is nobody's business.
#[derive(Debug, Clone, Error)]
pub enum Refused {
    /// No JWT, or of an issuer that is not trusted.
    #[error("its issuer is not trusted")]
    Issuer,
    /// Another kind of token: an ID token, or an access token, of the same issuer.
    #[error("its `typ` is not oauth-id-jag+jwt")]
    Type,
    /// Signature or claims do not hold.
    #[error(transparent)]
    Token(#[from] IdTokenError),
    /// It may be used for longer than it can sensibly be remembered.
    #[error("it is valid for more than an hour")]
    TooLong,
    /// A claim is missing or has the wrong form.
    #[error("its `{0}` is missing or malformed")]
    Claim(&'static str),
    /// It is bound to a key of the client (`cnf`), of which no proof can be asked here.
    #[error("it is bound to a key by `cnf`")]
    Bound,
    /// It is of one tenant of an issuer that has many, whose people could not be told apart.
    #[error("it names a tenant; only issuers with one tenant are supported")]
    Tenant,
    /// The keys of the issuer could not be had.
    #[error(transparent)]
    Keys(oidc::Error),
}

impl Refused {
    /// A word for the log.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Issuer => "assertion_issuer",
            Self::Type => "assertion_type",
            Self::Token(IdTokenError::Expired) => "assertion_expired",
            Self::Token(_) => "assertion_invalid",
            Self::TooLong => "assertion_too_long",
            Self::Claim(_) => "assertion_claim",
            Self::Bound => "assertion_bound",
            Self::Tenant => "assertion_tenant",
            Self::Keys(_) => "assertion_keys",
        }
    }
}

impl TrustedIssuers {
    /// Those issuers; nothing is asked of them before the first assertion comes.
    ///
    /// # Errors
    /// If an issuer is no URL.
    pub fn new(issuers: Vec<TrustedIssuer>, client: &outbound::Client, clock: &Clock) -> Result<Self, oidc::Error> {
        let keys = issuers
            .into_iter()
            .map(|TrustedIssuer { issuer, jwks }| IssuerKeys::new(issuer, jwks, client.clone(), clock.clone()));
        Ok(Self { keys: keys.collect::<Result<_, _>>()?, clock: Some(clock.clone()) })
    }

    /// Whether anybody is trusted.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Believes an assertion, or says why not.
    ///
    /// # Errors
    /// Why not.
    pub async fn verify(&self, assertion: &str) -> Result<Assertion, Refused> {
        let claimed = signed::claimed_issuer(assertion).ok_or(Refused::Issuer)?;
        let issuer = self.keys.iter().find(|keys| keys.issuer() == claimed).ok_or(Refused::Issuer)?;
        let now = self.clock.as_ref().ok_or(Refused::Issuer)?.now();
        let Signed { typ, claims, .. } = issuer.open(assertion).await.map_err(|error| match error {
            oidc::Error::IdToken(error) => Refused::Token(error),
            error => Refused::Keys(error),
        })?;
        if typ.as_deref() != Some(TYPE) {
            return Err(Refused::Type);
        }
        if text(&claims, "iss") != Some(issuer.issuer()) {
            return Err(Refused::Issuer);
        }
        read(issuer.issuer(), claims, now)
    }
}

fn read(issuer: &str, mut claims: Map<String, Value>, now: Timestamp) -> Result<Assertion, Refused> {
    check_times(&claims, now)?;
    let end = date(&claims, "exp").unwrap_or_default().saturating_add(SKEW_SECONDS);
    if end > now.as_seconds().saturating_add(LONGEST_SECONDS) {
        return Err(Refused::TooLong);
    }
    if claims.contains_key("cnf") {
        return Err(Refused::Bound);
    }
    if claims.contains_key("tenant") {
        return Err(Refused::Tenant);
    }
    let subject = subject(&claims)?;
    let required = |name| {
        let value = text(&claims, name).filter(|value| !value.is_empty() && value.len() <= MAX_TEXT);
        value.map(str::to_owned).ok_or(Refused::Claim(name))
    };
    let (jti, client_id) = (required("jti")?, required("client_id")?);
    let audience = match texts(&claims, "aud")?.as_slice() {
        [audience] => audience.clone(),
        _ => return Err(Refused::Claim("aud")),
    };
    let resources = if claims.contains_key("resource") { texts(&claims, "resource")? } else { Vec::new() };
    let scope = match claims.get("scope") {
        None => None,
        Some(Value::String(scope)) => Some(scope.clone()),
        Some(_) => return Err(Refused::Claim("scope")),
    };
    let name = Digest::of(&format!("id-jag\0{issuer}\0{subject}\0{jti}"));
    claims.retain(|name, _| !PROTOCOL.contains(&name.as_str()));
    Ok(Assertion {
        name,
        remember_until: Timestamp::from_seconds(end),
        audience,
        client_id,
        resources,
        scope,
        user: user(issuer, subject, claims),
    })
}

/// An address is taken only if the provider says that it is verified: administrators are named by address.
fn user(issuer: &str, sub: String, claims: Map<String, Value>) -> User {
    let verified = claims.get("email_verified") == Some(&Value::Bool(true));
    User {
        subject: SubjectId::derive(issuer, &sub),
        issuer: issuer.to_owned(),
        sub,
        email: text(&claims, "email").filter(|_| verified).map(str::to_owned),
        name: text(&claims, "name").map(str::to_owned),
        claims,
    }
}

/// A text, or a short list of texts.
fn texts(claims: &Map<String, Value>, name: &'static str) -> Result<Vec<String>, Refused> {
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or(Refused::Claim(name));
    match claims.get(name) {
        Some(Value::Array(values)) if values.len() <= MAX_RESOURCES => values.iter().map(text).collect(),
        Some(value @ Value::String(_)) => Ok(vec![text(value)?]),
        _ => Err(Refused::Claim(name)),
    }
}

/// The `typ` that keeps an ID token or an access token from being taken for an assertion.
const TYPE: &str = "oauth-id-jag+jwt";
/// Claims about the assertion, not about the person.
const PROTOCOL: [&str; 13] =
    ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "resource", "scope", "auth_time", "acr", "amr"];
const LONGEST_SECONDS: i64 = 3600;
const MAX_TEXT: usize = 512;
const MAX_RESOURCES: usize = 16;
