//! A client's metadata document: what stands at a client id that is a URL (OAuth Client ID Metadata Document).

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::{
    AuthMethod, ClientIdUrl, ClientKeys, InvalidClientKeys, RegisteredRedirect,
    display::{Unshowable, is_link, shown_text},
    registration::MAX_REDIRECT_URIS,
};

/// What a client says of itself at its own URL, with every member checked. Members that we do not know are ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientDocument {
    /// Its client id and where this stands.
    pub url: ClientIdUrl,
    /// The name that it chose; what is proven of it is the host of its URL.
    pub name: Option<String>,
    /// A page about it, `https` only.
    pub uri: Option<String>,
    /// Its picture, `https` only; never loaded here.
    pub logo_uri: Option<String>,
    /// The usable ones of its redirect URIs; at least one.
    pub redirect_uris: Vec<String>,
    /// How it authenticates: not at all, or with a key pair.
    pub auth_method: AuthMethod,
    /// Its public keys, exactly where it authenticates with a key pair.
    pub keys: Option<ClientKeys>,
}

/// Why a document says nothing that we could work with.
#[derive(Debug, Error)]
pub enum InvalidClientDocument {
    /// Not a JSON object with members of the right types.
    #[error("it is not a JSON object of client metadata (line {}, column {})", .0.line(), .0.column())]
    Json(#[from] serde_json::Error),
    /// Its `client_id` is not the URL at which it stands.
    #[error("its `client_id` is not the URL at which it stands")]
    OtherClientId,
    /// It has a shared secret, which everybody can read.
    #[error("it has `{0}`, which a public document must not have")]
    SharedSecret(&'static str),
    /// A method that needs a shared secret, or one that we do not have.
    #[error("its `token_endpoint_auth_method` is neither `none` nor `private_key_jwt`")]
    AuthMethod,
    /// It authenticates with keys that cannot be used.
    #[error(transparent)]
    Keys(#[from] InvalidClientKeys),
    /// No redirect URI, or none that is usable, or more than 32.
    #[error("it has no usable `redirect_uris`, or too many")]
    RedirectUris,
    /// A name that cannot be shown.
    #[error("its `client_name` cannot be shown: {0}")]
    Name(#[from] Unshowable),
}

/// A document as it comes. Lists hold any JSON, so that one odd entry does not spoil the others.
#[derive(Deserialize)]
struct Members {
    client_id: String,
    client_name: Option<String>,
    client_uri: Option<String>,
    logo_uri: Option<String>,
    #[serde(default)]
    redirect_uris: Vec<Value>,
    token_endpoint_auth_method: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<Value>>,
    jwks: Option<Value>,
    jwks_uri: Option<String>,
    client_secret: Option<Value>,
    client_secret_expires_at: Option<Value>,
}

impl ClientDocument {
    /// Reads what was found at `url`.
    pub fn parse(url: &ClientIdUrl, body: &[u8]) -> Result<Self, InvalidClientDocument> {
        use InvalidClientDocument as Invalid;
        let members: Members = serde_json::from_slice(body)?;
        if members.client_id != url.url().as_str() {
            return Err(Invalid::OtherClientId);
        }
        if members.client_secret.is_some() {
            return Err(Invalid::SharedSecret("client_secret"));
        }
        if members.client_secret_expires_at.is_some() {
            return Err(Invalid::SharedSecret("client_secret_expires_at"));
        }
        let auth_method = auth_method(
            members.token_endpoint_auth_method.as_deref(),
            members.token_endpoint_auth_methods_supported.as_deref(),
        )?;
        let keys = match auth_method {
            AuthMethod::PrivateKeyJwt => Some(ClientKeys::parse(members.jwks, members.jwks_uri.as_deref())?),
            _ => None,
        };
        if members.redirect_uris.len() > MAX_REDIRECT_URIS {
            return Err(Invalid::RedirectUris);
        }
        let usable = members.redirect_uris.iter().filter_map(Value::as_str);
        let redirect_uris: Vec<_> =
            usable.filter(|uri| RegisteredRedirect::parse(uri).is_ok()).map(ToOwned::to_owned).collect();
        if redirect_uris.is_empty() {
            return Err(Invalid::RedirectUris);
        }
        Ok(Self {
            url: url.clone(),
            name: members.client_name.as_deref().map(shown_text).transpose()?.flatten(),
            uri: members.client_uri.filter(|uri| is_link(uri)),
            logo_uri: members.logo_uri.filter(|uri| is_link(uri)),
            redirect_uris,
            auth_method,
            keys,
        })
    }
}

/// The one method that the client must use.
///
/// `token_endpoint_auth_method` decides where it stands. ChatGPT's document has a list beside it, of what it could do as
/// well; where there is only the list, a key pair is preferred to nothing. A document without either is of a public
/// client: the default of RFC 7591, `client_secret_basic`, is impossible here.
fn auth_method(method: Option<&str>, supported: Option<&[Value]>) -> Result<AuthMethod, InvalidClientDocument> {
    let supports = |method: &str| supported.is_some_and(|all| all.iter().any(|one| one == method));
    match method {
        Some("private_key_jwt") => Ok(AuthMethod::PrivateKeyJwt),
        None if supports("private_key_jwt") => Ok(AuthMethod::PrivateKeyJwt),
        Some("none") => Ok(AuthMethod::None),
        None if supported.is_none() || supports("none") => Ok(AuthMethod::None),
        _ => Err(InvalidClientDocument::AuthMethod),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const URL: &str = "https://client.example/oauth/client.json";

    fn url() -> ClientIdUrl {
        ClientIdUrl::parse(URL).unwrap()
    }

    fn parse(changes: Value) -> Result<ClientDocument, InvalidClientDocument> {
        let mut document = json!({
            "client_id": URL, "client_name": "Client", "redirect_uris": ["http://127.0.0.1/callback"],
        });
        for (name, value) in changes.as_object().unwrap() {
            document[name] = value.clone();
        }
        ClientDocument::parse(&url(), document.to_string().as_bytes())
    }

    #[test]
    fn a_plain_document_is_of_a_public_client() {
        let document = parse(json!({"whatever": {"x": 1}, "grant_types": ["authorization_code"]})).unwrap();
        assert_eq!((document.auth_method, document.keys), (AuthMethod::None, None));
        assert_eq!(document.name.as_deref(), Some("Client"));
        assert_eq!(document.redirect_uris, ["http://127.0.0.1/callback"]);
    }

    /// AS-35: simple string comparison.
    #[test]
    fn the_client_id_in_the_document_is_its_url_to_the_letter() {
        for other in
            ["https://client.example/oauth/client.json/", "https://CLIENT.example/oauth/client.json", "", "dcr:x"]
        {
            assert!(matches!(parse(json!({"client_id": other})), Err(InvalidClientDocument::OtherClientId)), "{other}");
        }
    }

    /// AS-42: nothing that needs a shared secret.
    #[test]
    fn shared_secrets_are_refused() {
        assert!(matches!(
            parse(json!({"client_secret": "s"})),
            Err(InvalidClientDocument::SharedSecret("client_secret"))
        ));
        assert!(parse(json!({"client_secret_expires_at": 0})).is_err());
        for method in ["client_secret_basic", "client_secret_post", "client_secret_jwt", "tls_client_auth", "", "NONE"]
        {
            let refused = parse(json!({"token_endpoint_auth_method": method}));
            assert!(matches!(refused, Err(InvalidClientDocument::AuthMethod)), "{method}");
        }
        let only_secrets = parse(json!({"token_endpoint_auth_methods_supported": ["client_secret_post"]}));
        assert!(matches!(only_secrets, Err(InvalidClientDocument::AuthMethod)));
        let oct = json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]});
        let shared = parse(json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": oct}));
        assert!(matches!(shared, Err(InvalidClientDocument::Keys(InvalidClientKeys::Secret))));
    }

    /// django-oauth-toolkit#1845: the document of ChatGPT.
    #[test]
    fn chatgpts_document_asks_for_its_key_pair() {
        let document = parse(json!({
            "client_uri": "https://chatgpt.com/",
            "redirect_uris": ["https://chatgpt.com/connector_platform_oauth_redirect"],
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
            "token_endpoint_auth_signing_alg": "RS256",
            "jwks_uri": "https://chatgpt.com/oauth/jwks.json",
        }))
        .unwrap();
        assert_eq!(document.auth_method, AuthMethod::PrivateKeyJwt);
        assert!(matches!(document.keys, Some(ClientKeys::At(_))));
    }

    #[test]
    fn the_list_of_methods_decides_only_where_the_method_is_missing() {
        let keys = json!("https://client.example/keys");
        for (method, supported, expected) in [
            (json!("none"), json!(["none", "private_key_jwt"]), AuthMethod::None),
            (Value::Null, json!(["none", "private_key_jwt"]), AuthMethod::PrivateKeyJwt),
            (Value::Null, json!(["client_secret_post", "none"]), AuthMethod::None),
            (json!("private_key_jwt"), json!(["none"]), AuthMethod::PrivateKeyJwt),
        ] {
            let document = parse(json!({"token_endpoint_auth_method": method, "jwks_uri": keys,
                                        "token_endpoint_auth_methods_supported": supported}));
            assert_eq!(document.unwrap().auth_method, expected, "{method} {supported}");
        }
    }

    #[test]
    fn a_document_without_what_we_need_is_refused() {
        for changes in [
            json!({"redirect_uris": []}),
            json!({"redirect_uris": "http://127.0.0.1/callback"}),
            json!({"redirect_uris": ["javascript:alert(1)", "http://evil.example/", 7]}),
            json!({"redirect_uris": vec!["http://127.0.0.1/callback"; 33]}),
            json!({"client_name": "a\u{202e}b"}),
            json!({"client_name": 7}),
            json!({"token_endpoint_auth_method": "private_key_jwt"}),
        ] {
            assert!(parse(changes.clone()).is_err(), "{changes}");
        }
        for body in ["", "[]", "null", "{\"client_id\":\"a\",\"client_id\":\"b\"}"] {
            assert!(ClientDocument::parse(&url(), body.as_bytes()).is_err(), "{body}");
        }
        let one_odd = parse(json!({"redirect_uris": ["javascript:alert(1)", "http://localhost/callback"]})).unwrap();
        assert_eq!(one_odd.redirect_uris, ["http://localhost/callback"]);
    }

    proptest! {
        #[test]
        fn no_document_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ClientDocument::parse(&url(), &body);
        }
    }
}
