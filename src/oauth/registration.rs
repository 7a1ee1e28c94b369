//! Dynamic client registration (RFC 7591): what a client asks for, and what it is told.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::{
    AuthMethod, ClientId, ClientKeys, ErrorBody, InvalidClientKeys, RedirectKind, RegisteredRedirect,
    RegistrationError,
    display::{Unshowable, is_link, shown_text},
    scope,
};
use crate::crypto::Secret;

/// What is registered of a client, with every member checked (RFC 7591 section 2).
///
/// Members that we do not know are ignored; those that we cannot honour are dropped or replaced where the standard lets
/// us, and the response says so (RFC 7591 section 3.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Registration {
    /// The usable ones of the redirect URIs; at least one.
    pub redirect_uris: Vec<String>,
    /// How the client will authenticate.
    #[serde(rename = "token_endpoint_auth_method")]
    pub auth_method: AuthMethod,
    /// `authorization_code`, and `refresh_token` if asked for.
    pub grant_types: Vec<&'static str>,
    /// Always `code`.
    pub response_types: [&'static str; 1],
    /// The scope that it will be granted.
    pub scope: String,
    /// The name that it chose; nothing proves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// A page about it, `https` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    /// Its picture, `https` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<String>,
    /// Its terms of service, `https` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<String>,
    /// Its privacy policy, `https` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    /// How to reach the people behind it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    /// Names the software, the same for all its installations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_id: Option<String>,
    /// The software's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_version: Option<String>,
    /// `native` or `web` (OpenID Connect Registration section 2).
    pub application_type: ApplicationType,
    /// Its public keys, exactly where it authenticates with a key pair.
    #[serde(flatten)]
    pub keys: Option<ClientKeys>,
}

/// What kind of program the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ApplicationType {
    /// A program on the person's machine.
    Native,
    /// A web site.
    Web,
}

/// Why a registration is refused.
#[derive(Debug, Error)]
pub enum InvalidRegistration {
    /// Above [`MAX_REGISTRATION_BYTES`].
    #[error("the registration is longer than {MAX_REGISTRATION_BYTES} bytes")]
    TooLong,
    /// Not a JSON object with members of the right types.
    #[error("the registration is not a JSON object of the right form")]
    Json(#[from] serde_json::Error),
    /// No redirect URI, or none that is usable.
    #[error("there is no usable redirect URI")]
    NoRedirectUri,
    /// More than [`MAX_REDIRECT_URIS`].
    #[error("there are more than {MAX_REDIRECT_URIS} redirect URIs")]
    TooManyRedirectUris,
    /// A token endpoint authentication method that we do not have.
    #[error("the token endpoint authentication method is not supported")]
    AuthMethod,
    /// It authenticates with keys that cannot be used.
    #[error(transparent)]
    Keys(#[from] InvalidClientKeys),
    /// The scope is malformed, or holds nothing that we know.
    #[error("the scope is not usable")]
    Scope(#[from] scope::InvalidScope),
    /// A text that is too long to show, or has characters that could mislead who reads it.
    #[error("`{member}` cannot be shown")]
    Text {
        /// The member that holds it.
        member: &'static str,
        /// What is wrong with it.
        source: Unshowable,
    },
    /// More than [`MAX_CONTACTS`].
    #[error("there are more than {MAX_CONTACTS} contacts")]
    TooManyContacts,
}

impl Registration {
    /// Reads the body of a registration request (RFC 7591 section 3.1).
    pub fn parse(body: &[u8]) -> Result<Self, InvalidRegistration> {
        if body.len() > MAX_REGISTRATION_BYTES {
            return Err(InvalidRegistration::TooLong);
        }
        let request: Request = serde_json::from_slice(body)?;
        let redirect_uris = usable_redirect_uris(&request.redirect_uris.unwrap_or_default())?;
        let auth_method = auth_method(request.token_endpoint_auth_method.as_deref())?;
        let keys = match auth_method {
            AuthMethod::PrivateKeyJwt => Some(ClientKeys::parse(request.jwks, request.jwks_uri.as_deref())?),
            AuthMethod::None | AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost => None,
        };
        Ok(Self {
            application_type: application_type(request.application_type.as_deref(), &redirect_uris),
            redirect_uris,
            auth_method,
            grant_types: grant_types(&request.grant_types.unwrap_or_default()),
            response_types: ["code"],
            scope: scope::registration_scope(request.scope.as_deref())?,
            client_name: text("client_name", request.client_name)?,
            client_uri: request.client_uri.filter(|uri| is_link(uri)),
            logo_uri: request.logo_uri.filter(|uri| is_link(uri)),
            tos_uri: request.tos_uri.filter(|uri| is_link(uri)),
            policy_uri: request.policy_uri.filter(|uri| is_link(uri)),
            contacts: contacts(request.contacts.unwrap_or_default())?,
            software_id: text("software_id", request.software_id)?,
            software_version: text("software_version", request.software_version)?,
            keys,
        })
    }

    /// The body of the 201 answer (RFC 7591 section 3.2.1): what was registered, and the client's credentials.
    ///
    /// `issued_at` is in seconds since the Unix epoch. `secret` is told only to clients whose method has one; it never
    /// expires by itself.
    pub fn response(&self, id: &ClientId, issued_at: i64, secret: Option<&Secret>) -> Response<'_> {
        let secret = secret.filter(|_| self.auth_method.has_secret()).cloned();
        Response {
            client_id: id.as_str().to_owned(),
            client_id_issued_at: issued_at,
            client_secret_expires_at: secret.as_ref().map(|_| 0),
            client_secret: secret,
            registration: self,
        }
    }
}

/// The JSON of a registration that succeeded. It may hold the client's secret: render it once and forget it.
#[derive(Debug, Serialize)]
pub struct Response<'a> {
    client_id: String,
    client_id_issued_at: i64,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "expose")]
    client_secret: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_expires_at: Option<u8>,
    #[serde(flatten)]
    registration: &'a Registration,
}

impl InvalidRegistration {
    /// What the client is told, with status 400 (RFC 7591 section 3.2.2).
    pub const fn body(&self) -> ErrorBody {
        use RegistrationError::{InvalidClientMetadata, InvalidRedirectUri};
        match self {
            Self::TooLong => InvalidClientMetadata.described("The registration is too long."),
            Self::Json(_) => InvalidClientMetadata.described("The body is not a JSON object of client metadata."),
            Self::NoRedirectUri => InvalidRedirectUri
                .described("No redirect URI is usable: use https, http to a loopback host, or a private-use scheme."),
            Self::TooManyRedirectUris => InvalidRedirectUri.described("There are too many redirect URIs."),
            Self::AuthMethod => {
                InvalidClientMetadata.described("The token endpoint authentication method is not supported.")
            }
            Self::Keys(_) => InvalidClientMetadata
                .described("private_key_jwt needs public keys, in jwks or at an https jwks_uri, not both."),
            Self::Scope(_) => InvalidClientMetadata.described("The scope is malformed or holds no known scope."),
            Self::Text { .. } | Self::TooManyContacts => {
                InvalidClientMetadata.described("A text is too long, too many, or has control characters.")
            }
        }
    }
}

/// A registration as it comes. Lists hold any JSON, so that one odd entry does not spoil the others.
#[derive(Deserialize)]
struct Request {
    redirect_uris: Option<Vec<Value>>,
    token_endpoint_auth_method: Option<String>,
    grant_types: Option<Vec<Value>>,
    scope: Option<String>,
    client_name: Option<String>,
    client_uri: Option<String>,
    logo_uri: Option<String>,
    tos_uri: Option<String>,
    policy_uri: Option<String>,
    contacts: Option<Vec<String>>,
    software_id: Option<String>,
    software_version: Option<String>,
    application_type: Option<String>,
    jwks: Option<Value>,
    jwks_uri: Option<String>,
}

/// Keeps the usable ones in their order: clients register several at once and use the one that their platform allows.
fn usable_redirect_uris(requested: &[Value]) -> Result<Vec<String>, InvalidRegistration> {
    if requested.len() > MAX_REDIRECT_URIS {
        return Err(InvalidRegistration::TooManyRedirectUris);
    }
    let mut usable: Vec<String> = Vec::with_capacity(requested.len());
    for uri in requested.iter().filter_map(Value::as_str) {
        if RegisteredRedirect::parse(uri).is_ok() && !usable.iter().any(|known| known == uri) {
            usable.push(uri.to_owned());
        }
    }
    if usable.is_empty() { Err(InvalidRegistration::NoRedirectUri) } else { Ok(usable) }
}

/// A missing method means `client_secret_basic` (RFC 7591 section 2).
fn auth_method(requested: Option<&str>) -> Result<AuthMethod, InvalidRegistration> {
    match requested {
        None | Some("client_secret_basic") => Ok(AuthMethod::ClientSecretBasic),
        Some("client_secret_post") => Ok(AuthMethod::ClientSecretPost),
        Some("none") => Ok(AuthMethod::None),
        Some("private_key_jwt") => Ok(AuthMethod::PrivateKeyJwt),
        Some(_) => Err(InvalidRegistration::AuthMethod),
    }
}

/// What the client says; where it says nothing, what its redirect URIs say.
///
/// The default of OpenID Connect, `web`, would be wrong for most MCP clients, and its rules would refuse redirect URIs
/// that they need: one registration may hold those of a desktop program and of a web site, as that of Cursor does. So
/// the type decides nothing, and the answer tells the truth about what was registered (RFC 7591 section 3.2.1).
fn application_type(requested: Option<&str>, redirect_uris: &[String]) -> ApplicationType {
    let is_web =
        |uri: &String| RegisteredRedirect::parse(uri).is_ok_and(|uri| matches!(uri.kind(), RedirectKind::Https { .. }));
    match requested {
        Some("native") => ApplicationType::Native,
        _ if !redirect_uris.iter().all(is_web) => ApplicationType::Native,
        _ => ApplicationType::Web,
    }
}

fn grant_types(requested: &[Value]) -> Vec<&'static str> {
    let mut granted = vec!["authorization_code"];
    granted.extend(requested.iter().any(|grant| grant == "refresh_token").then_some("refresh_token"));
    granted
}

fn contacts(requested: Vec<String>) -> Result<Vec<String>, InvalidRegistration> {
    if requested.len() > MAX_CONTACTS {
        return Err(InvalidRegistration::TooManyContacts);
    }
    let checked = requested.into_iter().map(|contact| text("contacts", Some(contact)));
    checked.filter_map(Result::transpose).collect()
}

fn text(member: &'static str, text: Option<String>) -> Result<Option<String>, InvalidRegistration> {
    let shown = text.as_deref().map(shown_text).transpose();
    shown.map(Option::flatten).map_err(|source| InvalidRegistration::Text { member, source })
}

#[expect(clippy::ref_option, reason = "the signature that serde wants")]
fn expose<S: serde::Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(serializer)
}

/// How long a registration may be.
pub const MAX_REGISTRATION_BYTES: usize = 64 * 1024;
/// How many redirect URIs a client may have.
pub const MAX_REDIRECT_URIS: usize = 32;
/// How many contacts a client may have.
pub const MAX_CONTACTS: usize = 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(request: &Value) -> Result<Registration, InvalidRegistration> {
        Registration::parse(request.to_string().as_bytes())
    }

    fn code(request: &Value) -> &'static str {
        parse(request).unwrap_err().body().error
    }

    fn with(name: &str, value: Value) -> Value {
        let mut request = json!({"redirect_uris": ["http://localhost/cb"]});
        request[name] = value;
        request
    }

    fn response(request: &Value, secret: Option<&Secret>) -> Value {
        let registration = parse(request).unwrap();
        serde_json::to_value(registration.response(&ClientId::new("dcr:1"), 1_700_000_000, secret)).unwrap()
    }

    /// RFC 7591 section 3.2.1.
    #[test]
    fn a_public_client_is_told_what_was_registered_and_no_secret() {
        let cursor = json!({
            "client_name": "Cursor",
            "redirect_uris": [
                "cursor://anysphere.cursor-mcp/oauth/callback",
                "https://www.cursor.com/agents/mcp/oauth/callback",
                "http://localhost:8787/callback",
            ],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
        });
        let expected = json!({
            "client_id": "dcr:1",
            "client_id_issued_at": 1_700_000_000,
            "client_name": "Cursor",
            "redirect_uris": cursor["redirect_uris"],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
            "scope": "mcp:tools",
        });
        assert_eq!(response(&cursor, None), expected);
        assert_eq!(response(&cursor, Some(&Secret::new("never"))), expected);
    }

    /// RFC 7591 section 2: a missing method means `client_secret_basic`; section 3.2.1: 0 means it does not expire.
    #[test]
    fn a_client_that_names_no_method_gets_a_secret_for_basic() {
        let answer = response(&with("client_name", Value::Null), Some(&Secret::new("hunter2")));
        assert_eq!(answer["token_endpoint_auth_method"], "client_secret_basic");
        assert_eq!(answer["client_secret"], "hunter2");
        assert_eq!(answer["client_secret_expires_at"], 0);
        assert_eq!(answer["grant_types"], json!(["authorization_code"]));
    }

    #[test]
    fn methods_that_we_do_not_have_are_refused() {
        for method in ["private_key_jwt", "client_secret_jwt", "tls_client_auth", "NONE", ""] {
            assert_eq!(code(&with("token_endpoint_auth_method", json!(method))), "invalid_client_metadata", "{method}");
        }
        let post = parse(&with("token_endpoint_auth_method", json!("client_secret_post"))).unwrap();
        assert_eq!(post.auth_method, AuthMethod::ClientSecretPost);
    }

    #[test]
    fn unusable_redirect_uris_are_dropped_and_the_others_stay() {
        let uris = json!([
            "mcp",
            "javascript:alert(1)",
            5,
            "http://localhost/cb",
            "http://evil.example/cb",
            "http://localhost/cb",
            "https://a.example/cb#x",
            "https://a.example/cb"
        ]);
        let registration = parse(&json!({"redirect_uris": uris})).unwrap();
        assert_eq!(registration.redirect_uris, ["http://localhost/cb", "https://a.example/cb"]);
    }

    /// RFC 7591 section 3.2.2.
    #[test]
    fn no_usable_redirect_uri_is_an_error() {
        for request in [
            json!({}),
            json!({"redirect_uris": null}),
            json!({"redirect_uris": []}),
            json!({"redirect_uris": ["javascript:alert(1)", "mcp", null]}),
            json!({"redirect_uris": vec!["http://localhost/cb"; MAX_REDIRECT_URIS + 1]}),
        ] {
            assert_eq!(code(&request), "invalid_redirect_uri", "{request}");
        }
    }

    #[test]
    fn unknown_members_grants_and_response_types_do_not_spoil_a_registration() {
        let registration = parse(&json!({
            "redirect_uris": ["http://localhost/cb"],
            "grant_types": ["implicit", "urn:ietf:params:oauth:grant-type:device_code", "refresh_token", 7],
            "response_types": ["code id_token", "none"],
            "client_name#de": "Name",
            "jwks": {"keys": []},
            "application_type": "spaceship",
            "x": {"y": [null]},
        }))
        .unwrap();
        assert_eq!(registration.grant_types, ["authorization_code", "refresh_token"]);
        assert_eq!(registration.response_types, ["code"]);
        assert_eq!((registration.application_type, registration.keys), (ApplicationType::Native, None));
    }

    /// AS-50; OpenID Connect Registration section 2.
    #[test]
    fn the_application_type_is_what_the_client_says_or_else_what_its_redirects_say() {
        for (said, redirect, expected) in [
            (json!("native"), "https://a.example/cb", ApplicationType::Native),
            (json!("web"), "https://a.example/cb", ApplicationType::Web),
            (Value::Null, "https://a.example/cb", ApplicationType::Web),
            (Value::Null, "http://127.0.0.1/cb", ApplicationType::Native),
            (json!("web"), "cursor://callback", ApplicationType::Native),
        ] {
            let request = json!({"redirect_uris": [redirect], "application_type": said});
            assert_eq!(parse(&request).unwrap().application_type, expected, "{request}");
        }
    }

    /// RFC 7591 section 2: keys in `jwks` or at `jwks_uri`, never both.
    #[test]
    fn a_client_with_a_key_pair_registers_its_public_keys() {
        let with_keys = |keys: Value| {
            let mut request = keys;
            request["redirect_uris"] = json!(["https://a.example/cb"]);
            request["token_endpoint_auth_method"] = json!("private_key_jwt");
            request
        };
        let answer = response(&with_keys(json!({"jwks_uri": "https://a.example/keys"})), Some(&Secret::new("never")));
        assert_eq!(answer["jwks_uri"], "https://a.example/keys");
        assert_eq!(answer["token_endpoint_auth_method"], "private_key_jwt");
        assert_eq!(answer.get("client_secret"), None);
        let inline = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "x"}]});
        assert_eq!(response(&with_keys(json!({"jwks": inline})), None)["jwks"], inline);
        for keys in [
            json!({}),
            json!({"jwks_uri": "http://a.example/keys"}),
            json!({"jwks": inline, "jwks_uri": "https://a.example/keys"}),
            json!({"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}}),
        ] {
            assert_eq!(code(&with_keys(keys)), "invalid_client_metadata");
        }
    }

    #[test]
    fn a_scope_must_hold_something_known() {
        assert_eq!(code(&with("scope", json!("admin"))), "invalid_client_metadata");
        assert_eq!(code(&with("scope", json!("a\"b"))), "invalid_client_metadata");
        let registration = parse(&with("scope", json!("admin offline_access"))).unwrap();
        assert_eq!(registration.scope, "mcp:tools offline_access");
    }

    #[test]
    fn names_that_mislead_are_refused_and_odd_links_dropped() {
        assert_eq!(code(&with("client_name", json!("a\u{202e}b"))), "invalid_client_metadata");
        assert_eq!(code(&with("contacts", json!(["a\nb"]))), "invalid_client_metadata");
        assert_eq!(code(&with("contacts", json!(vec!["a"; MAX_CONTACTS + 1]))), "invalid_client_metadata");
        for member in ["client_uri", "logo_uri", "tos_uri", "policy_uri"] {
            assert_eq!(response(&with(member, json!("http://a.example/")), None).get(member), None);
            assert_eq!(response(&with(member, json!("https://a.example/")), None)[member], "https://a.example/");
        }
    }

    #[test]
    fn what_is_not_a_registration_is_refused() {
        for body in [
            "",
            "[]",
            "null",
            "{",
            "{\"redirect_uris\":\"http://localhost/cb\"}",
            "{\"redirect_uris\":[],\"redirect_uris\":[\"http://localhost/\"]}",
        ] {
            let refused = Registration::parse(body.as_bytes()).unwrap_err();
            assert_eq!(refused.body().error, "invalid_client_metadata", "{body}");
        }
        let long = format!("{{\"x\":\"{}\"}}", "x".repeat(MAX_REGISTRATION_BYTES));
        assert!(matches!(Registration::parse(long.as_bytes()), Err(InvalidRegistration::TooLong)));
        let deep = "[".repeat(50_000);
        assert!(matches!(Registration::parse(deep.as_bytes()), Err(InvalidRegistration::Json(_))));
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let registration = parse(&with("scope", Value::Null)).unwrap();
        let answer = registration.response(&ClientId::new("dcr:1"), 0, Some(&Secret::new("hunter2")));
        assert!(!format!("{answer:?}").contains("hunter2"));
    }

    proptest! {
        #[test]
        fn no_body_panics(body in "[\\[\\]{}\",:a-z0-9_\\\\]{0,80}", name in "\\PC{0,20}") {
            let _ = Registration::parse(body.as_bytes());
            let _ = parse(&with("client_name", json!(name)));
        }
    }
}
