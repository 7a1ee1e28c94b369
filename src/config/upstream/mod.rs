//! `routes[].upstream`: the MCP server behind a route.

mod headers;
mod registration;
mod user_key;

pub use headers::fixed as fixed_headers;

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use url::Url;

pub use registration::{ClientAuth, ClientRegistration, Prompt, ResourceParameter, UpstreamOauth};
pub use user_key::UserKey;

use crate::config::at::{At, State};
use crate::config::check::Check;
use crate::config::file;
use crate::config::file::{AuthMode, RegistrationMode, Scalar};
use crate::config::parse;
use crate::config::problem::{Fault, Hint};

/// The MCP server behind a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Its Streamable HTTP endpoint.
    pub url: Url,
    /// Names the connection in URLs and events; unique.
    pub id: String,
    /// What people see.
    pub display_name: String,
    /// How the gateway authenticates itself there.
    pub auth: UpstreamAuth,
    /// Certificates for this upstream.
    pub tls: UpstreamTls,
    /// The HTTP version to speak.
    pub http: HttpVersion,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// The longest silence, before the answer begins and within it.
    pub response_timeout: Duration,
    /// Whether the client's query string is passed on.
    pub forward_search: bool,
    /// Whether redirects are followed instead of passed to the client.
    pub follow_redirects: bool,
}

/// How the gateway authenticates itself at an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamAuth {
    /// Not at all.
    None,
    /// With fixed headers. Their values are marked sensitive.
    Header(Vec<(HeaderName, HeaderValue)>),
    /// Every user has an own connection.
    UserOauth(UpstreamOauth),
    /// One connection for all users, made by an administrator.
    SharedOauth(UpstreamOauth),
    /// Every user gives an API key of their own.
    UserKey(UserKey),
    /// The user's identity assertion is exchanged for an ID-JAG.
    IdJag(UpstreamOauth),
}

/// Certificates for one upstream, PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Further certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// What the gateway presents.
    pub client: Option<ClientCertificate>,
}

/// A client certificate for mutual TLS, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The chain.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// The HTTP version to speak to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// What TLS negotiates; HTTP/1.1 over plaintext.
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2; over plaintext with prior knowledge.
    Http2,
}

impl UpstreamAuth {
    /// The mode as the configuration spells it.
    pub const fn mode(&self) -> AuthMode {
        match self {
            Self::None => AuthMode::None,
            Self::Header(_) => AuthMode::Header,
            Self::UserOauth(_) => AuthMode::UserOauth,
            Self::SharedOauth(_) => AuthMode::SharedOauth,
            Self::UserKey(_) => AuthMode::UserKey,
            Self::IdJag(_) => AuthMode::IdJag,
        }
    }

    /// Whether there are connections, which people make by OAuth.
    pub const fn has_connections(&self) -> bool {
        matches!(self, Self::UserOauth(_) | Self::SharedOauth(_))
    }
}

impl AuthMode {
    /// The mode as the configuration spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UserOauth => "user-oauth",
            Self::SharedOauth => "shared-oauth",
            Self::UserKey => "user-key",
            Self::IdJag => "id-jag",
            Self::Header => "header",
            Self::None => "none",
        }
    }
}

impl Upstream {
    /// Checks the section. The route's names are the defaults of the upstream's.
    pub fn check(
        file: &file::Upstream,
        operation_id: Option<&str>,
        summary: Option<&str>,
        check: &mut Check,
    ) -> Option<Self> {
        let url = check.parse_required(
            &file.url,
            "the URL of the MCP endpoint, such as https://mcp.example.com/mcp",
            parse::http_url,
        );
        let id = check.parse(&file.id, |text| parse::slug(text));
        let display_name = check.text(&file.display_name);
        let auth = auth(file, check);
        let tls = tls(&file.tls, url.as_ref(), check);
        let http = check_http(&file.http, check);
        let connect_timeout = check.millis(&file.connect_timeout_ms, file::CONNECT_TIMEOUT_MS, 1..=600_000);
        let response_timeout = check.millis(&file.response_timeout_ms, file::RESPONSE_TIMEOUT_MS, 1..=86_400_000);
        let id = id.or_else(|| file.id.is_unset().then(|| default_id(operation_id)).flatten())?;
        Some(Self {
            url: url?,
            display_name: display_name.or_else(|| summary.map(str::to_owned)).unwrap_or_else(|| id.clone()),
            id,
            auth,
            tls,
            http,
            connect_timeout,
            response_timeout,
            forward_search: file.forward_search.get().copied().unwrap_or(true),
            follow_redirects: file.follow_redirects.get().copied().unwrap_or(false),
        })
    }
}

fn auth(file: &file::Upstream, check: &mut Check) -> UpstreamAuth {
    let oauth = UpstreamOauth::check(file, check);
    let mode = match &file.auth_mode.state {
        State::Absent | State::Null => AuthMode::UserOauth,
        State::Value(mode) => *mode,
        State::Broken => return UpstreamAuth::None,
    };
    let headers = headers::check(&file.headers, mode, check);
    let user_key = UserKey::check(&file.user_key, mode, check);
    match mode {
        AuthMode::None => UpstreamAuth::None,
        AuthMode::Header => UpstreamAuth::Header(headers),
        AuthMode::UserOauth => UpstreamAuth::UserOauth(oauth),
        AuthMode::SharedOauth => UpstreamAuth::SharedOauth(oauth),
        AuthMode::UserKey => UpstreamAuth::UserKey(user_key),
        AuthMode::IdJag => {
            check.id_jag.push(file.auth_mode.place.clone());
            if file.client_registration.mode.get() != Some(&RegistrationMode::Manual) {
                let needs = "mode `manual` with a client id: for id-jag the identity provider must know who the gateway is \
                             at the upstream";
                check.report(&file.client_registration.mode.place, Fault::Missing { needs });
            }
            UpstreamAuth::IdJag(oauth)
        }
    }
}

fn tls(file: &file::UpstreamTls, url: Option<&Url>, check: &mut Check) -> UpstreamTls {
    let ca_file = check.path(&file.ca_file);
    let (cert, key) = (check.path(&file.client_cert), check.path(&file.client_key));
    if let Some(key) = &key {
        check.warn_if_open(&file.client_key.place, key);
    }
    if file.client_cert.is_unset() != file.client_key.is_unset() {
        check.require(&file.client_cert, "the certificate (PEM) that belongs to `clientKey`");
        check.require(&file.client_key, "the private key (PEM) that belongs to `clientCert`");
    }
    if url.is_some_and(|url| url.scheme() == "http") {
        for at in [&file.ca_file, &file.client_cert, &file.client_key].into_iter().filter(|at| !at.is_unset()) {
            check.warn(&at.place, Fault::NoEffect { given: "an http URL".to_owned() });
        }
    }
    UpstreamTls { ca_file, client: cert.zip(key).map(|(cert, key)| ClientCertificate { cert, key }) }
}

fn check_http(at: &At<Scalar>, check: &mut Check) -> HttpVersion {
    match at.get() {
        Some(Scalar::Integer(1)) | None => HttpVersion::Http1,
        Some(Scalar::Integer(2)) => HttpVersion::Http2,
        Some(Scalar::Word(word)) if word == "1" => HttpVersion::Http1,
        Some(Scalar::Word(word)) if word == "2" => HttpVersion::Http2,
        Some(Scalar::Word(word)) if word == "auto" => HttpVersion::Auto,
        Some(_) => {
            let hint = Hint::new(at.shown.trim_matches('"'), ["auto", "1", "2"]);
            check.report(&at.place, Fault::NotOneOf { given: at.shown.clone(), hint });
            HttpVersion::Http1
        }
    }
}

/// The `operationId` without a trailing `-mcp-server` or `-mcp`.
fn default_id(operation_id: Option<&str>) -> Option<String> {
    let operation_id = operation_id?;
    let short = operation_id.strip_suffix("-mcp-server").or_else(|| operation_id.strip_suffix("-mcp"));
    Some(short.filter(|id| parse::slug(id).is_ok()).unwrap_or(operation_id).to_owned())
}
