//! From an upstream's URL to its authorization server.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use quick_cache::sync::Cache;
use url::Url;

use super::{
    documents::{ResourceMetadata, ServerMetadata},
    fault::{Fault, loggable},
    server::{AuthorizationServer, Upstream},
    well_known,
};
use crate::{
    clock::{Clock, Timestamp},
    oauth::Challenge,
    outbound::{self, Limits, Prober},
    upstream::{OauthSettings, Resource},
};

/// Finds the authorization servers of upstreams and remembers them for ten minutes.
pub struct Discovery {
    client: outbound::Client,
    prober: Prober,
    clock: Clock,
    kept: Cache<Key, Kept>,
}

/// Why an upstream's authorization server could not be found or cannot be used.
///
/// `Display` is the operator's sentence; of URLs it names the host, and issuers and resources, which are public names.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The protected resource metadata could not be fetched.
    #[error("the protected resource metadata could not be read: {0}")]
    ResourceMetadata(#[source] outbound::Error),
    /// The challenge names a metadata URL that is not fetched.
    #[error("{host} names protected resource metadata at a URL that is neither https nor of its own origin")]
    MetadataUrl {
        /// The upstream.
        host: String,
    },
    /// The protected resource metadata is about something else (RFC 9728 section 3.3).
    #[error("the protected resource metadata of {host} is about {announced:?}, which is not the configured upstream")]
    ResourceMismatch {
        /// The upstream.
        host: String,
        /// The `resource` of the metadata, as far as it can be logged.
        announced: String,
    },
    /// The protected resource metadata names an authorization server by something that is no issuer.
    #[error("the upstream names {announced:?} as its authorization server, which is not an http or https URL")]
    BadIssuer {
        /// What it names, as far as it can be logged.
        announced: String,
    },
    /// The metadata of the authorization server could not be fetched.
    #[error("the metadata of the authorization server could not be read: {0}")]
    ServerMetadata(#[source] outbound::Error),
    /// There is no metadata at any of the well-known places.
    #[error("{host} has no authorization server metadata")]
    NoServerMetadata {
        /// The host of the issuer.
        host: String,
    },
    /// The metadata is that of another issuer (RFC 8414 section 3.3).
    #[error("the authorization server calls itself {announced:?}, but it was found as {expected:?}")]
    IssuerMismatch {
        /// The issuer that was asked for.
        expected: String,
        /// The `issuer` of the metadata, as far as it can be logged.
        announced: String,
    },
    /// The metadata lacks a usable endpoint.
    #[error("the metadata of the authorization server {host} has no usable `{member}`")]
    Endpoint {
        /// The host of the issuer.
        host: String,
        /// The member.
        member: &'static str,
    },
    /// The authorization server does not say that it checks PKCE with `S256`.
    #[error("the authorization server {host} does not offer PKCE with S256")]
    NoPkce {
        /// The host of the issuer.
        host: String,
    },
}

impl Error {
    /// Whether the same may work later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::ResourceMetadata(error) | Self::ServerMetadata(error) => Fault::of(error) == Fault::Transient,
            _ => false,
        }
    }

    /// What the person at the browser is told.
    pub fn user_sentence(&self) -> &'static str {
        if self.is_transient() {
            "The service can't be reached at the moment. Try again in a few minutes."
        } else {
            "The service and this gateway are not set up for each other. An administrator can see why in the gateway's log."
        }
    }

    /// What the operator can do.
    pub const fn operator_hint(&self) -> &'static str {
        match self {
            Self::ResourceMetadata(outbound::Error::Blocked { .. } | outbound::Error::NotHttps { .. })
            | Self::ServerMetadata(outbound::Error::Blocked { .. } | outbound::Error::NotHttps { .. }) => {
                "What an upstream names is fetched from public addresses over https only. For an internal server add its network to `outbound.allowPrivateNetworks`."
            }
            Self::ResourceMetadata(outbound::Error::Tls { .. }) | Self::ServerMetadata(outbound::Error::Tls { .. }) => {
                "Add the certificate authority of the server to `outbound.caFile`."
            }
            Self::ResourceMetadata(_) | Self::MetadataUrl { .. } => {
                "Check the upstream's `url`, or set its `protectedResourceMetadataUrl`."
            }
            Self::ResourceMismatch { .. } => {
                "Set the upstream's `url` to the spelling that it uses for itself, or its `resource` to the identifier that it announces, if that is really the same service."
            }
            Self::ServerMetadata(_) | Self::NoServerMetadata { .. } => {
                "The upstream may need no OAuth (`authMode: header` or `none`), or announce its metadata elsewhere (`protectedResourceMetadataUrl`)."
            }
            Self::BadIssuer { .. } | Self::IssuerMismatch { .. } | Self::Endpoint { .. } => {
                "The metadata of the upstream or of its authorization server is wrong; who runs it must correct it."
            }
            Self::NoPkce { .. } => {
                "The gateway never asks for a code without PKCE. Who runs the authorization server must announce `code_challenge_methods_supported: [S256]`; if it checks PKCE and does not say so, as Microsoft Entra does, set `assumePkce: true`."
            }
        }
    }
}

impl Discovery {
    /// Discovery that fetches through `client`, and asks the configured upstreams themselves through `prober`.
    pub fn new(client: outbound::Client, prober: Prober, clock: Clock) -> Self {
        Self { client, prober, clock, kept: Cache::new(CAPACITY) }
    }

    /// The authorization server of the upstream at `server_url`.
    ///
    /// `challenge` is the `WWW-Authenticate` of an answer of the upstream, where the caller has one; otherwise the
    /// upstream is asked. Concurrent calls share one discovery.
    pub async fn discover(
        &self,
        server_url: &Url,
        settings: &OauthSettings,
        challenge: Option<&str>,
    ) -> Result<Arc<AuthorizationServer>, Error> {
        let key = Key::of(server_url, settings);
        let hint = challenge.map(|challenge| Hint::parse([challenge.as_bytes()]));
        let now = self.clock.now();
        self.kept.remove_if(&key, |kept| !kept.serves(hint.as_ref(), now));
        match self.kept.get_value_or_guard_async(&key).await {
            Ok(kept) => Ok(kept.server),
            Err(guard) => {
                let hint = match hint {
                    Some(hint) => hint,
                    None => self.probe(server_url, settings).await,
                };
                let server = Arc::new(self.find(server_url, settings, &hint).await?);
                let until = self.clock.now().plus(TTL);
                // Fails only if the place was evicted meanwhile; the answer stays good for this caller.
                let _evicted = guard.insert(Kept { server: Arc::clone(&server), hint, until });
                Ok(server)
            }
        }
    }

    /// Forgets what was found for an upstream, because it proved stale.
    pub fn forget(&self, server_url: &Url) {
        self.kept.retain(|key, _| key.server_url != *server_url);
    }

    /// Whether the upstream answers 401 to a call with this header.
    pub async fn refuses(&self, server_url: &Url, header: (HeaderName, HeaderValue)) -> bool {
        let mut headers = probe_headers();
        headers.insert(header.0, header.1);
        let answer = self.prober.post(server_url, headers, PROBE, LIMITS.timeout).await;
        answer.is_ok_and(|answer| answer.status() == StatusCode::UNAUTHORIZED)
    }

    /// What the upstream demands of a client without a token.
    ///
    /// Without an answer the well-known places remain, so a failure is no error yet.
    async fn probe(&self, server_url: &Url, settings: &OauthSettings) -> Hint {
        if settings.protected_resource_metadata_url.is_some() && !settings.scopes.is_empty() {
            return Hint::default();
        }
        match self.prober.post(server_url, probe_headers(), PROBE, LIMITS.timeout).await {
            Ok(answer) if matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                let lines = answer.headers().get_all(header::WWW_AUTHENTICATE);
                Hint::parse(lines.iter().map(HeaderValue::as_bytes))
            }
            Ok(_) => Hint::default(),
            Err(error) => {
                tracing::debug!(fault = %error, "an upstream was asked for its challenge and did not answer");
                Hint::default()
            }
        }
    }

    async fn find(
        &self,
        server_url: &Url,
        settings: &OauthSettings,
        hint: &Hint,
    ) -> Result<AuthorizationServer, Error> {
        let metadata = self.resource_metadata(server_url, settings, hint).await?;
        let (resource, scopes, mut issuers) = match metadata {
            Some(ResourceMetadata { resource, authorization_servers, scopes_supported }) => {
                (resource, scopes_supported, authorization_servers)
            }
            None => (None, Vec::new(), Vec::new()),
        };
        if issuers.is_empty() {
            issuers.push(well_known::origin_issuer(server_url));
        }
        let upstream = Upstream {
            resource: resource.unwrap_or_else(|| well_known::default_resource(server_url)),
            scopes,
            challenge_scope: hint.scope.clone(),
        };
        let mut first_problem = None;
        for issuer in issuers.iter().take(MAX_ISSUERS) {
            match self.server_metadata(issuer, &upstream, settings.assume_pkce).await {
                // One that is down is waited for: its registration and its connections belong to it alone.
                Err(error) if !error.is_transient() => first_problem = first_problem.or(Some(error)),
                outcome => return outcome,
            }
        }
        let host = || host_of(server_url);
        Err(first_problem.unwrap_or_else(|| Error::NoServerMetadata { host: host() }))
    }

    /// The metadata of the upstream, checked to be its own; none if it has none.
    async fn resource_metadata(
        &self,
        server_url: &Url,
        settings: &OauthSettings,
        hint: &Hint,
    ) -> Result<Option<ResourceMetadata>, Error> {
        let configured = settings.protected_resource_metadata_url.as_ref();
        let candidates = match (configured, &hint.resource_metadata) {
            (Some(url), _) => vec![url.clone()],
            (None, Some(announced)) => {
                let mut urls = vec![metadata_url(announced, server_url)?];
                urls.extend(well_known::protected_resource_urls(server_url));
                urls
            }
            (None, None) => well_known::protected_resource_urls(server_url),
        };
        let mut outage = None;
        for url in candidates {
            let error = match self.client.get_json::<ResourceMetadata>(&url, LIMITS).await {
                Ok(fetched) => {
                    check_resource(&fetched.body, server_url, settings)?;
                    return Ok(Some(fetched.body));
                }
                Err(error) => error,
            };
            match Fault::of(&error) {
                Fault::Absent if configured.is_none() => {}
                Fault::Transient => outage = outage.or(Some(error)),
                Fault::Absent | Fault::Lasting => return Err(Error::ResourceMetadata(error)),
            }
        }
        match outage {
            // "It has none" may only be concluded from answers: another server would be found.
            Some(error) => Err(Error::ResourceMetadata(error)),
            None => Ok(None),
        }
    }

    async fn server_metadata(
        &self,
        issuer: &str,
        upstream: &Upstream,
        assume_pkce: bool,
    ) -> Result<AuthorizationServer, Error> {
        let url = issuer_url(issuer).ok_or_else(|| Error::BadIssuer { announced: loggable(issuer) })?;
        let (mut outage, mut problem) = (None, None);
        for place in well_known::authorization_server_urls(&url) {
            match self.client.get_json::<ServerMetadata>(&place, LIMITS).await {
                Ok(fetched) => match AuthorizationServer::check(fetched.body, issuer, &url, upstream, assume_pkce) {
                    Ok(server) => return Ok(server),
                    Err(error) => problem = problem.or(Some(error)),
                },
                Err(error) => match Fault::of(&error) {
                    Fault::Absent => {}
                    Fault::Transient => outage = outage.or(Some(error)),
                    Fault::Lasting => return Err(Error::ServerMetadata(error)),
                },
            }
        }
        Err(match (outage, problem) {
            (Some(error), _) => Error::ServerMetadata(error),
            (None, Some(error)) => error,
            (None, None) => Error::NoServerMetadata { host: host_of(&url) },
        })
    }
}

/// What a challenge of the upstream says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Hint {
    resource_metadata: Option<String>,
    scope: Option<String>,
}

impl Hint {
    fn parse<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let challenges = Challenge::parse(lines);
        let first = |name| {
            let mut bearer = challenges.iter().filter(|challenge| challenge.is("Bearer"));
            bearer.find_map(|challenge| challenge.parameter(name)).filter(|value| !value.is_empty()).map(str::to_owned)
        };
        Self { resource_metadata: first("resource_metadata"), scope: first("scope") }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    server_url: Url,
    metadata_url: Option<Url>,
    resource: Option<String>,
    assume_pkce: bool,
}

impl Key {
    fn of(server_url: &Url, settings: &OauthSettings) -> Self {
        let resource = match &settings.resource {
            Resource::Uri(uri) => Some(uri.clone()),
            Resource::Send | Resource::Omit => None,
        };
        let metadata_url = settings.protected_resource_metadata_url.clone();
        Self { server_url: server_url.clone(), metadata_url, resource, assume_pkce: settings.assume_pkce }
    }
}

#[derive(Clone)]
struct Kept {
    server: Arc<AuthorizationServer>,
    hint: Hint,
    until: Timestamp,
}

impl Kept {
    /// A challenge that says something else than the one before asks for a new look.
    fn serves(&self, hint: Option<&Hint>, now: Timestamp) -> bool {
        self.until.is_to_come(TTL, now) && hint.is_none_or(|hint| *hint == self.hint)
    }
}

/// RFC 9728 section 3.3. The operator may vouch for an identifier that is not the URL.
fn check_resource(metadata: &ResourceMetadata, server_url: &Url, settings: &OauthSettings) -> Result<(), Error> {
    let announced = metadata.resource.as_deref().unwrap_or_default();
    let vouched = matches!(&settings.resource, Resource::Uri(uri) if well_known::same_resource(uri, announced));
    if vouched || well_known::covers(announced, server_url) {
        Ok(())
    } else {
        Err(Error::ResourceMismatch { host: host_of(server_url), announced: loggable(announced) })
    }
}

/// The URL that a challenge names: https, or of the upstream's own origin.
fn metadata_url(announced: &str, server_url: &Url) -> Result<Url, Error> {
    let url = Url::parse(announced).ok().filter(|url| url.scheme() == "https" || url.origin() == server_url.origin());
    url.ok_or_else(|| Error::MetadataUrl { host: host_of(server_url) })
}

/// RFC 8414 section 2: an issuer has neither query nor fragment.
pub(super) fn issuer_url(issuer: &str) -> Option<Url> {
    let url = Url::parse(issuer).ok()?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    (plain && matches!(url.scheme(), "https" | "http") && url.has_host()).then_some(url)
}

fn probe_headers() -> HeaderMap {
    HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream")),
    ])
}

fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

/// Harmless where it is understood, and known by every revision.
const PROBE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"ping"}"#;
const LIMITS: Limits = Limits { body: 256 * 1024, timeout: Duration::from_secs(10) };
const TTL: Duration = Duration::from_mins(10);
const CAPACITY: usize = 1024;
const MAX_ISSUERS: usize = 8;
