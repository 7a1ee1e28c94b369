//! The public keys by which a client's assertions are verified (RFC 7591 section 2, `jwks` and `jwks_uri`).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;
use url::Url;

use super::display::is_link;

/// Where a client's public keys are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientKeys {
    /// In its metadata.
    #[serde(rename = "jwks")]
    Inline(Value),
    /// At a URL, so that the client can change them.
    #[serde(rename = "jwks_uri")]
    At(Url),
}

/// Why a client's keys cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidClientKeys {
    /// Neither `jwks` nor `jwks_uri`.
    #[error("`private_key_jwt` needs `jwks` or `jwks_uri`")]
    Missing,
    /// Both, which RFC 7591 forbids.
    #[error("there must not be both `jwks` and `jwks_uri`")]
    Both,
    /// A `jwks_uri` that is not https.
    #[error("`jwks_uri` is not an https URL")]
    Uri,
    /// A `jwks` that is not a key set, or an empty or a large one.
    #[error("`jwks` is not a set of 1 to {MAX_INLINE_KEYS} keys")]
    NotAKeySet,
    /// A shared secret or a private key; whoever publishes one can be impersonated by everybody.
    #[error("`jwks` holds a key that must not be published")]
    Secret,
}

impl ClientKeys {
    /// Reads the two members of a client's metadata.
    pub fn parse(jwks: Option<Value>, jwks_uri: Option<&str>) -> Result<Self, InvalidClientKeys> {
        match (jwks, jwks_uri) {
            (None, None) => Err(InvalidClientKeys::Missing),
            (Some(_), Some(_)) => Err(InvalidClientKeys::Both),
            (None, Some(uri)) => {
                let url = Url::parse(uri).ok().filter(|url| is_link(uri) && url.fragment().is_none());
                url.map(Self::At).ok_or(InvalidClientKeys::Uri)
            }
            (Some(jwks), None) => {
                let keys = jwks.get("keys").and_then(Value::as_array).ok_or(InvalidClientKeys::NotAKeySet)?;
                if keys.is_empty() || keys.len() > MAX_INLINE_KEYS {
                    return Err(InvalidClientKeys::NotAKeySet);
                }
                let is_secret = |key: &Value| {
                    key.get("kty").is_some_and(|kind| kind == "oct")
                        || ["d", "k", "p", "q"].iter().any(|member| key.get(member).is_some())
                };
                if keys.iter().any(is_secret) { Err(InvalidClientKeys::Secret) } else { Ok(Self::Inline(jwks)) }
            }
        }
    }
}

/// How many keys may stand in a client's metadata.
pub const MAX_INLINE_KEYS: usize = 16;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(jwks: Value, jwks_uri: Option<&str>) -> Result<ClientKeys, InvalidClientKeys> {
        ClientKeys::parse(Some(jwks).filter(|jwks| !jwks.is_null()), jwks_uri)
    }

    /// RFC 7591 section 2: the two members must not both be present.
    #[test]
    fn keys_are_in_the_metadata_or_at_a_url() {
        let inline = json!({"keys": [{"kty": "EC", "crv": "P-256", "x": "x", "y": "y"}]});
        assert_eq!(parse(inline.clone(), None), Ok(ClientKeys::Inline(inline.clone())));
        let uri = "https://chatgpt.com/oauth/jwks.json";
        assert_eq!(parse(Value::Null, Some(uri)), Ok(ClientKeys::At(Url::parse(uri).unwrap())));
        assert_eq!(parse(inline, Some(uri)), Err(InvalidClientKeys::Both));
        assert_eq!(parse(Value::Null, None), Err(InvalidClientKeys::Missing));
    }

    #[test]
    fn what_is_no_public_key_set_is_refused() {
        for uri in ["http://a.example/k", "/k", "https://u@a.example/k", "https://a.example/k#f", "file:///etc/passwd"]
        {
            assert_eq!(parse(Value::Null, Some(uri)), Err(InvalidClientKeys::Uri), "{uri}");
        }
        for jwks in
            [json!([]), json!({}), json!({"keys": []}), json!({"keys": {}}), json!({"keys": vec![json!({}); 17]})]
        {
            assert_eq!(parse(jwks.clone(), None), Err(InvalidClientKeys::NotAKeySet), "{jwks}");
        }
        for key in [json!({"kty": "oct", "k": "c2VjcmV0"}), json!({"kty": "RSA", "n": "n", "e": "AQAB", "d": "d"})] {
            assert_eq!(parse(json!({"keys": [key]}), None), Err(InvalidClientKeys::Secret));
        }
    }

    #[test]
    fn keys_survive_the_store() {
        for keys in
            [ClientKeys::Inline(json!({"keys": [1]})), ClientKeys::At(Url::parse("https://a.example/k").unwrap())]
        {
            let text = serde_json::to_string(&keys).unwrap();
            assert_eq!(serde_json::from_str::<ClientKeys>(&text).unwrap(), keys);
        }
    }
}
