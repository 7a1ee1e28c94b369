//! Our Client ID Metadata Documents: what authorization servers read when our client id is a URL
//! (draft-ietf-oauth-client-id-metadata-document, CL-14).
//!
//! Every connection has its own, because every connection has its own redirect URI. There are two for each: one for a
//! public client, and one for a client that signs, at the authorization servers that take no public ones. A client id has
//! no query, since strict servers refuse one; a document that is asked for with its `authProfileId` says so in its id.

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::json;

use super::{
    ClientAuthentication, CredentialSource, Server,
    authorization::{AuthorizationServer, KeyError, RegisteredClient},
    connections::callback_path,
};
use crate::{
    crypto::{Digest, SigningKey},
    oauth::Params,
    web::{BasePath, Origin, Request, Response},
};

/// The client that the document of a connection describes, where `server` takes it and can read it.
pub(super) fn client_at(server: &AuthorizationServer, origin: &Origin, upstream_id: &str) -> Option<RegisteredClient> {
    if !server.cimd_supported || !is_reachable(origin) {
        return None;
    }
    let silent = server.token_endpoint_auth_methods.is_empty();
    let (kind, authentication) = if silent || server.offers_method("none") {
        (Kind::Public, ClientAuthentication::None)
    } else if server.offers_method("private_key_jwt") && server.takes_es256() {
        (Kind::Signing, ClientAuthentication::PrivateKeyJwt)
    } else if server.registration_endpoint.is_none() {
        // It names only methods with a secret, which a document cannot hold; the way of last resort.
        (Kind::Public, ClientAuthentication::None)
    } else {
        return None;
    };
    Some(RegisteredClient {
        client_id: format!("{origin}{}", path(upstream_id, kind)),
        authentication,
        secret_expires_at: None,
        document: true,
    })
}

/// Whether somebody on the public internet can fetch from us (CL-18), as far as the name tells: not from an address, nor
/// from a name that only a local network knows.
fn is_reachable(origin: &Origin) -> bool {
    let host = origin.authority().split(':').next().unwrap_or_default();
    let local = ["localhost", "local", "internal", "lan", "home", "corp", "test", "invalid", "arpa"];
    let last_label = host.rsplit('.').next().unwrap_or_default();
    let is_address = host.starts_with('[') || last_label.bytes().all(|byte| byte.is_ascii_digit());
    origin.is_secure() && host.contains('.') && !is_address && !local.contains(&last_label)
}

/// Which of a connection's documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Public,
    Signing,
}

/// One of our documents for authorization servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Document<'p> {
    /// The public half of our key.
    Keys,
    /// The client of a connection.
    Client(Client<'p>),
}

/// The client of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Client<'p> {
    pub(super) upstream_id: &'p str,
    kind: Kind,
}

impl<'p> Document<'p> {
    /// The document at a path, which lies at the origin root and below the base path.
    pub(super) fn at(path: &'p str) -> Option<Self> {
        if path == KEYS {
            return Some(Self::Keys);
        }
        let (upstream_id, kind) = match path.strip_prefix(CLIENT)?.split_once('/') {
            Some((upstream_id, SIGNING)) => (upstream_id, Kind::Signing),
            Some(_) => return None,
            None => (path.strip_prefix(CLIENT)?, Kind::Public),
        };
        (!upstream_id.is_empty()).then_some(Self::Client(Client { upstream_id, kind }))
    }
}

/// Whether `path` is that of such a document.
pub fn is_document(path: &str) -> bool {
    Document::at(path).is_some()
}

/// The keys as authorization servers fetch them (RFC 7517 section 5).
pub(super) fn keys_response(request: &Request, key: &SigningKey) -> Result<Response, KeyError> {
    Ok(response(request, &json!({"keys": [key.public_jwk()?]})))
}

/// The document of a connection, or none if it is asked for under another profile.
pub(super) fn client_response(
    request: &Request,
    base_path: &BasePath,
    server: &Server,
    client: Client<'_>,
) -> Option<Response> {
    if !names_profile(request, server) {
        return None;
    }
    let (origin, query) = (&request.origin, request.query.as_deref());
    let callback = base_path.url(origin, &callback_path(&server.id));
    Some(response(
        request,
        &Metadata {
            client_id: &format!(
                "{origin}{}{}",
                request.path,
                query.map(|query| format!("?{query}")).unwrap_or_default()
            ),
            client_name: CLIENT_NAME,
            client_uri: &base_path.url(origin, "/"),
            redirect_uris: [&callback],
            application_type: "web",
            grant_types: ["authorization_code", "refresh_token"],
            response_types: ["code"],
            token_endpoint_auth_method: match client.kind {
                Kind::Public => "none",
                Kind::Signing => "private_key_jwt",
            },
            token_endpoint_auth_signing_alg: (client.kind == Kind::Signing).then_some("ES256"),
            jwks_uri: (client.kind == Kind::Signing).then(|| format!("{origin}{KEYS}")),
        },
    ))
}

/// The client metadata (RFC 7591 section 2).
#[derive(Serialize)]
struct Metadata<'a> {
    client_id: &'a str,
    client_name: &'a str,
    client_uri: &'a str,
    redirect_uris: [&'a str; 1],
    application_type: &'a str,
    grant_types: [&'a str; 2],
    response_types: [&'a str; 1],
    token_endpoint_auth_method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_endpoint_auth_signing_alg: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<String>,
}

/// No query, or the connection's profile and nothing else.
fn names_profile(request: &Request, server: &Server) -> bool {
    let Some(query) = request.query.as_deref() else { return true };
    let Ok(params) = Params::parse(query.as_bytes()) else { return false };
    let profile = params.get("authProfileId").ok().flatten();
    profile == Some(&auth_profile_id(server)) && form_urlencoded::parse(query.as_bytes()).count() == 1
}

/// A document that everybody may keep for some minutes.
fn response(request: &Request, document: &impl Serialize) -> Response {
    let mut response = Response::json(StatusCode::OK, document).for_every_origin();
    let tag = Digest::of(&String::from_utf8_lossy(&response.body)).as_bytes()[..12]
        .iter()
        .fold(String::with_capacity(26), |tag, byte| tag + &format!("{byte:02x}"));
    let tag = format!("\"{tag}\"");
    if request.header(&header::IF_NONE_MATCH).is_some_and(|known| known.split(',').any(|known| known.trim() == tag)) {
        response.status = StatusCode::NOT_MODIFIED;
        response.body.clear();
        response.headers.remove(header::CONTENT_TYPE);
    }
    response.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response.with(header::ETAG, &tag).with(header::VARY, "Host, X-Forwarded-Host, X-Forwarded-Proto")
}

/// The name of a connection's profile in answers and URLs.
pub(super) fn auth_profile_id(server: &Server) -> String {
    let mode = match server.credential {
        CredentialSource::SharedOauth(_) => "shared-oauth",
        CredentialSource::UserKey(_) => "user-key",
        CredentialSource::IdJag(_) => "id-jag",
        _ => "user-oauth",
    };
    format!("{}:{mode}", server.id)
}

fn path(upstream_id: &str, kind: Kind) -> String {
    match kind {
        Kind::Public => format!("{CLIENT}{upstream_id}"),
        Kind::Signing => format!("{CLIENT}{upstream_id}/{SIGNING}"),
    }
}

const CLIENT: &str = "/.well-known/oauth-client/";
const KEYS: &str = "/.well-known/jwks.json";
const SIGNING: &str = "private_key_jwt";
/// What authorization servers call us.
pub(super) const CLIENT_NAME: &str = "Sallyport";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_a_connection_and_a_kind_or_nothing() {
        let client = |upstream_id, kind| Some(Document::Client(Client { upstream_id, kind }));
        assert_eq!(Document::at(KEYS), Some(Document::Keys));
        assert_eq!(Document::at("/.well-known/oauth-client/linear"), client("linear", Kind::Public));
        assert_eq!(Document::at("/.well-known/oauth-client/linear/private_key_jwt"), client("linear", Kind::Signing));
        for path in ["/.well-known/oauth-client", "/.well-known/oauth-client/", "/.well-known/oauth-client/a/b", "/"] {
            assert_eq!(Document::at(path), None, "{path}");
        }
    }

    /// CL-18: an authorization server on the internet could not fetch the document from these.
    #[test]
    fn a_gateway_that_only_a_local_network_knows_has_no_document() {
        for origin in [
            "http://gateway.example.com",
            "https://localhost:8443",
            "https://gateway",
            "https://10.0.0.7",
            "https://[2001:db8::1]",
            "https://gateway.corp.internal",
            "https://gateway.local",
        ] {
            assert!(!is_reachable(&Origin::parse(origin).unwrap()), "{origin}");
        }
        for origin in ["https://gateway.example.com", "https://gateway.example.com:8443", "https://1.gateway.dev"] {
            assert!(is_reachable(&Origin::parse(origin).unwrap()), "{origin}");
        }
    }
}
