//! Dynamic registration at an upstream's authorization server (RFC 7591).

use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use super::{
    AuthorizationClient, AuthorizationServer, KeyError, RegisteredClient, UpstreamError,
    client::LIMITS,
    fault::{Fault, is_busy},
};
use crate::{
    clock::Timestamp,
    crypto::Secret,
    outbound::{self, Fetched},
    upstream::ClientAuthentication,
};

/// Who registers.
#[derive(Debug, Clone, Copy)]
pub struct Registrant<'a> {
    /// The callback of the connection; one per connection, against mix-up.
    pub redirect_uri: &'a str,
    /// The name that people see when they are asked.
    pub client_name: &'a str,
    /// The gateway's page.
    pub client_uri: Option<&'a str>,
    /// The scope that will be asked for, separated by spaces, where it is known.
    pub scope: Option<&'a str>,
}

/// Why there is no registration.
///
/// `Display` is the operator's sentence; it names hosts only.
#[derive(Debug, Error)]
pub enum Error {
    /// The authorization server has no registration endpoint.
    #[error("the authorization server {host} does not let clients register themselves")]
    NotOffered {
        /// The authorization server.
        host: String,
    },
    /// The authorization server takes only methods of client authentication that we have not.
    #[error("the authorization server {host} takes no method of client authentication that the gateway has")]
    NoMethod {
        /// The authorization server.
        host: String,
    },
    /// Registering needs a permission that we have not: an initial access token, or a place on a list.
    #[error("{host} does not let this gateway register itself (status {status})")]
    Forbidden {
        /// The authorization server.
        host: String,
        /// The status.
        status: StatusCode,
    },
    /// The authorization server does not like what it was told (RFC 7591 section 3.2.2).
    #[error("{host} refused the registration with status {status}: {error}")]
    Refused {
        /// The authorization server.
        host: String,
        /// The status.
        status: StatusCode,
        /// What it says.
        error: UpstreamError,
    },
    /// The authorization server can't answer now.
    #[error("{host} can't register a client at the moment (status {status})")]
    Busy {
        /// The authorization server.
        host: String,
        /// The status.
        status: StatusCode,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The answer is no registration.
    #[error("{host} answered a registration with status {status} and no client")]
    NotARegistration {
        /// The authorization server.
        host: String,
        /// The status.
        status: StatusCode,
    },
    /// The client was registered by hand with another authorization server than the upstream names now (CL-17).
    #[error("the client was registered by hand at {expected}, but the upstream names {found}")]
    OtherIssuer {
        /// The issuer that the client belongs to.
        expected: String,
        /// The issuer that was found.
        found: String,
    },
    /// Our public key, which the registration needs, is not to be had.
    #[error("the gateway's own key could not be had: {0}")]
    Key(#[from] KeyError),
    /// The registration endpoint could not be reached.
    #[error("the registration endpoint failed: {0}")]
    Unreachable(#[source] outbound::Error),
}

impl Error {
    /// Whether the same may work later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Key(_) => true,
            Self::Unreachable(error) => Fault::of(error) == Fault::Transient,
            _ => false,
        }
    }

    /// The upstream's own error, which may be shown to the person.
    pub const fn upstream_error(&self) -> Option<&UpstreamError> {
        match self {
            Self::Refused { error, .. } => Some(error),
            _ => None,
        }
    }

    /// What the person at the browser is told.
    pub fn user_sentence(&self) -> &'static str {
        if self.is_transient() {
            "The service can't be reached at the moment. Try again in a few minutes."
        } else {
            "The service does not know this gateway yet. An administrator must register it there."
        }
    }

    /// What the operator can do.
    pub const fn operator_hint(&self) -> &'static str {
        match self {
            Self::NotOffered { .. } | Self::NoMethod { .. } => {
                "Register the gateway at the upstream by hand, with its callback as the redirect URI, and set `clientRegistration: {mode: manual, clientId: …}`."
            }
            Self::Forbidden { .. } => {
                "It wants an initial access token, or lets only clients register that it knows by name. Register the gateway by hand and set `clientRegistration: {mode: manual, clientId: …}`."
            }
            Self::Refused { .. } | Self::NotARegistration { .. } => {
                "If the upstream's own words do not help, register the gateway by hand and set `clientRegistration: {mode: manual, clientId: …}`."
            }
            Self::OtherIssuer { .. } => {
                "The credentials go to nobody but the authorization server that they are for. If the upstream really moved, register the gateway there and set `clientRegistration.issuer`."
            }
            Self::Key(_) => "See the gateway's log for the request id; its store keeps the key.",
            Self::Busy { .. } => "Nothing; it will be tried again when somebody connects.",
            Self::Unreachable(_) => {
                "For an internal authorization server see `outbound.allowPrivateNetworks` and `outbound.caFile`; or register the gateway by hand and set `clientRegistration: {mode: manual, clientId: …}`."
            }
        }
    }
}

impl AuthorizationClient {
    /// Registers the gateway at `server` (RFC 7591 section 3).
    pub async fn register(
        &self,
        server: &AuthorizationServer,
        registrant: &Registrant<'_>,
    ) -> Result<RegisteredClient, Error> {
        let Some(endpoint) = &server.registration_endpoint else {
            return Err(Error::NotOffered { host: host_of(&server.issuer) });
        };
        let host = endpoint.host_str().unwrap_or_default();
        let method = Method::choose(server);
        let method = method.ok_or_else(|| Error::NoMethod { host: host.to_owned() })?;
        let metadata = ClientMetadata {
            client_name: registrant.client_name,
            client_uri: registrant.client_uri,
            redirect_uris: [registrant.redirect_uri],
            // OpenID Connect Registration section 2: what is not served over https is no web application.
            application_type: if registrant.redirect_uri.starts_with("https://") { "web" } else { "native" },
            grant_types: ["authorization_code", "refresh_token"],
            response_types: ["code"],
            token_endpoint_auth_method: method,
            scope: registrant.scope,
            jwks: match method {
                Method::PrivateKeyJwt => {
                    Some(Jwks { keys: [self.signing_key().await?.public_jwk().map_err(KeyError::from)?] })
                }
                Method::None | Method::Basic | Method::Post => None,
            },
        };
        let answer = self.client.post_json(endpoint, &metadata, LIMITS).await.map_err(Error::Unreachable)?;
        read(answer, host, method, &server.token_endpoint_auth_methods)
    }
}

/// RFC 7591 section 2.
#[derive(Serialize)]
struct ClientMetadata<'a> {
    client_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_uri: Option<&'a str>,
    redirect_uris: [&'a str; 1],
    application_type: &'static str,
    grant_types: [&'static str; 2],
    response_types: [&'static str; 1],
    token_endpoint_auth_method: Method,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks: Option<Jwks>,
}

/// RFC 7517 section 5.
#[derive(Serialize)]
struct Jwks {
    keys: [Value; 1],
}

/// The methods of client authentication that we have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Method {
    #[serde(rename = "none")]
    None,
    #[serde(rename = "client_secret_basic")]
    Basic,
    #[serde(rename = "client_secret_post")]
    Post,
    #[serde(rename = "private_key_jwt")]
    PrivateKeyJwt,
}

impl Method {
    /// The method to ask for: no secret where none is needed. A server that lists nothing takes Basic (RFC 8414 section 2).
    fn choose(server: &AuthorizationServer) -> Option<Self> {
        let supported = &server.token_endpoint_auth_methods;
        if supported.is_empty() {
            return Some(Self::Basic);
        }
        let usable = |method: &Self| *method != Self::PrivateKeyJwt || server.takes_es256();
        [Self::None, Self::Post, Self::Basic, Self::PrivateKeyJwt]
            .into_iter()
            .find(|method| method.is_in(supported) && usable(method))
    }

    fn is_in(self, supported: &[String]) -> bool {
        supported.iter().any(|method| Self::of(method) == Some(self))
    }

    fn of(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "client_secret_basic" => Some(Self::Basic),
            "client_secret_post" => Some(Self::Post),
            "private_key_jwt" => Some(Self::PrivateKeyJwt),
            _ => None,
        }
    }
}

/// The client in an answer (RFC 7591 section 3.2.1), with status 201 or, from many servers, 200.
fn read(
    answer: Fetched<bytes::Bytes>,
    host: &str,
    asked: Method,
    supported: &[String],
) -> Result<RegisteredClient, Error> {
    let Fetched { status, retry_after, body, .. } = answer;
    let host = || host.to_owned();
    let members: Option<Map<String, Value>> = serde_json::from_slice(&body).ok();
    if is_busy(status) {
        return Err(Error::Busy { host: host(), status, retry_after });
    }
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return Err(Error::Forbidden { host: host(), status });
    }
    let not_a_registration = || Error::NotARegistration { host: host(), status };
    let members = members.ok_or_else(not_a_registration)?;
    let text = |name: &str| members.get(name).and_then(Value::as_str).filter(|text| is_credential(text));
    let Some(client_id) = text("client_id").filter(|_| status.is_success()) else {
        return Err(match UpstreamError::of(&members) {
            Some(error) => Error::Refused { host: host(), status, error },
            None => not_a_registration(),
        });
    };
    let returned = members.get("token_endpoint_auth_method").and_then(Value::as_str);
    let authentication = authentication(returned, asked, supported, text("client_secret"));
    let secret_expires_at = members.get("client_secret_expires_at").and_then(Value::as_i64).filter(|end| *end > 0);
    Ok(RegisteredClient {
        client_id: client_id.to_owned(),
        authentication: authentication.ok_or_else(|| Error::NoMethod { host: host() })?,
        secret_expires_at: secret_expires_at.map(Timestamp::from_seconds),
        document: false,
    })
}

/// The method that was registered: the one that is said, else the one that was asked for.
fn authentication(
    returned: Option<&str>,
    asked: Method,
    supported: &[String],
    secret: Option<&str>,
) -> Option<ClientAuthentication> {
    let method = returned.and_then(Method::of);
    match (asked, method) {
        (Method::PrivateKeyJwt, Some(Method::PrivateKeyJwt) | None) => {
            return Some(ClientAuthentication::PrivateKeyJwt);
        }
        // It has no key of ours to check a signature with.
        (_, Some(Method::PrivateKeyJwt)) => return None,
        _ => {}
    }
    let Some(secret) = secret.map(Secret::new) else {
        return match returned.map(Method::of) {
            Some(None) => None,
            Some(Some(_)) | None => Some(ClientAuthentication::None),
        };
    };
    let post_only = Method::Post.is_in(supported) && !Method::Basic.is_in(supported);
    let method = match (returned, method) {
        // Quirk "Figma: returns a secret while saying `none`, then demands it"; Supabase does, too. In the body a secret
        // that is not demanded does no harm, because the client id stands beside it as that of a public client.
        (_, Some(Method::Post | Method::None)) => Method::Post,
        (_, Some(Method::Basic)) => Method::Basic,
        (None, None) if asked != Method::None => asked,
        // RFC 7591 section 2: Basic is the default.
        _ => {
            if post_only {
                Method::Post
            } else {
                Method::Basic
            }
        }
    };
    Some(if method == Method::Post {
        ClientAuthentication::SecretPost(secret)
    } else {
        ClientAuthentication::SecretBasic(secret)
    })
}

/// RFC 6749 appendices A.1 and A.2: visible characters and spaces.
fn is_credential(text: &str) -> bool {
    (1..=MAX_CREDENTIAL).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

fn host_of(issuer: &str) -> String {
    url::Url::parse(issuer).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

const MAX_CREDENTIAL: usize = 4096;
