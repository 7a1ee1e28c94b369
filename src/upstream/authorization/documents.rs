//! The metadata documents as they come, before anything is checked.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Protected resource metadata (RFC 9728 section 2).
///
/// A member of the wrong type counts as left out, because servers write `null` and worse where they have nothing to say.
#[derive(Debug, Deserialize)]
pub(super) struct ResourceMetadata {
    #[serde(default, deserialize_with = "text")]
    pub(super) resource: Option<String>,
    #[serde(default, deserialize_with = "texts")]
    pub(super) authorization_servers: Vec<String>,
    #[serde(default, deserialize_with = "texts")]
    pub(super) scopes_supported: Vec<String>,
}

/// Authorization server metadata (RFC 8414 section 2) or an OpenID provider's.
#[derive(Debug, Deserialize)]
pub(super) struct ServerMetadata {
    #[serde(default, deserialize_with = "text")]
    pub(super) issuer: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) authorization_endpoint: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) token_endpoint: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) registration_endpoint: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) revocation_endpoint: Option<String>,
    #[serde(default, deserialize_with = "texts")]
    pub(super) scopes_supported: Vec<String>,
    #[serde(default, deserialize_with = "texts")]
    pub(super) code_challenge_methods_supported: Vec<String>,
    #[serde(default, deserialize_with = "texts")]
    pub(super) token_endpoint_auth_methods_supported: Vec<String>,
    #[serde(default, deserialize_with = "texts")]
    pub(super) token_endpoint_auth_signing_alg_values_supported: Vec<String>,
    #[serde(default, deserialize_with = "flag")]
    pub(super) authorization_response_iss_parameter_supported: bool,
    #[serde(default, deserialize_with = "flag")]
    pub(super) client_id_metadata_document_supported: bool,
    #[serde(default, deserialize_with = "texts")]
    pub(super) authorization_grant_profiles_supported: Vec<String>,
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) if !text.is_empty() => Some(text),
        _ => None,
    })
}

fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let Value::Array(values) = Value::deserialize(deserializer)? else { return Ok(Vec::new()) };
    let texts = values.into_iter().filter_map(|value| match value {
        Value::String(text) => Some(text),
        _ => None,
    });
    Ok(texts.take(MAX_ITEMS).collect())
}

fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(value == Value::Bool(true) || value == "true")
}

const MAX_ITEMS: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_the_wrong_type_count_as_left_out() {
        let document = r#"{"issuer": null, "token_endpoint": 1, "scopes_supported": null, "authorization_endpoint": "",
            "code_challenge_methods_supported": "S256", "token_endpoint_auth_methods_supported": ["none", 1, null],
            "authorization_response_iss_parameter_supported": "true", "client_id_metadata_document_supported": 1}"#;
        let metadata: ServerMetadata = serde_json::from_str(document).unwrap();
        assert_eq!((metadata.issuer, metadata.token_endpoint, metadata.authorization_endpoint), (None, None, None));
        assert!(metadata.scopes_supported.is_empty() && metadata.code_challenge_methods_supported.is_empty());
        assert_eq!(metadata.token_endpoint_auth_methods_supported, ["none"]);
        assert!(metadata.authorization_response_iss_parameter_supported);
        assert!(!metadata.client_id_metadata_document_supported);
    }
}
