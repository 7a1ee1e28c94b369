//! The discovery documents: of the authorization server (RFC 8414) and of each protected resource (RFC 9728).

use serde::Serialize;

use super::{AuthMethod, scope};
use crate::crypto::SIGNING_ALGORITHMS;

/// What differs between one authorization server document and another.
#[derive(Debug, Clone)]
pub struct AsMetadata<'a> {
    /// The issuer: the origin, or the canonical URI of one route. It is returned as `iss` too (RFC 9207).
    pub issuer: &'a str,
    /// Where authorization requests go; for a route its own endpoint.
    pub authorization_endpoint: &'a str,
    /// Where codes and refresh tokens are redeemed.
    pub token_endpoint: &'a str,
    /// Where clients register.
    pub registration_endpoint: &'a str,
    /// Where tokens are revoked.
    pub revocation_endpoint: &'a str,
    /// How clients may authenticate.
    pub token_endpoint_auth_methods: &'a [AuthMethod],
    /// Whether client ids may be URLs of metadata documents.
    pub cimd_enabled: bool,
    /// Whether identity assertions (ID-JAG) can be redeemed; whose stays unsaid.
    pub id_jag_enabled: bool,
}

/// Authorization server metadata (RFC 8414 section 2).
#[derive(Debug, Clone, Serialize)]
pub struct AuthorizationServerDocument<'a> {
    issuer: &'a str,
    authorization_endpoint: &'a str,
    token_endpoint: &'a str,
    registration_endpoint: &'a str,
    revocation_endpoint: &'a str,
    scopes_supported: [&'static str; 2],
    response_types_supported: [&'static str; 1],
    grant_types_supported: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_grant_profiles_supported: Option<[&'static str; 1]>,
    code_challenge_methods_supported: [&'static str; 1],
    token_endpoint_auth_methods_supported: &'a [AuthMethod],
    token_endpoint_auth_signing_alg_values_supported: [&'static str; 9],
    authorization_response_iss_parameter_supported: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id_metadata_document_supported: Option<bool>,
}

/// What differs between one protected resource document and another.
#[derive(Debug, Clone)]
pub struct ResourceMetadata<'a> {
    /// The URL to which clients send their MCP requests, letter by letter (RFC 9728 section 3.3).
    pub resource: &'a str,
    /// What people call it.
    pub resource_name: Option<&'a str>,
    /// The issuer of its tokens; the document found there must carry the same text.
    pub authorization_server: &'a str,
    /// The newest MCP revision that it speaks.
    pub mcp_protocol_version: &'a str,
}

/// Protected resource metadata (RFC 9728 section 2).
#[derive(Debug, Clone, Serialize)]
pub struct ProtectedResourceDocument<'a> {
    resource: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_name: Option<&'a str>,
    authorization_servers: [&'a str; 1],
    bearer_methods_supported: [&'static str; 1],
    scopes_supported: [&'static str; 1],
    mcp_protocol_version: &'a str,
}

/// The document at every well-known URL of an authorization server, those of OpenID Connect Discovery included.
pub const fn authorization_server_document<'a>(metadata: &AsMetadata<'a>) -> AuthorizationServerDocument<'a> {
    AuthorizationServerDocument {
        issuer: metadata.issuer,
        authorization_endpoint: metadata.authorization_endpoint,
        token_endpoint: metadata.token_endpoint,
        registration_endpoint: metadata.registration_endpoint,
        revocation_endpoint: metadata.revocation_endpoint,
        scopes_supported: [scope::TOOLS, scope::OFFLINE_ACCESS],
        response_types_supported: ["code"],
        grant_types_supported: if metadata.id_jag_enabled { &GRANT_TYPES } else { GRANT_TYPES.split_at(2).0 },
        authorization_grant_profiles_supported: if metadata.id_jag_enabled { Some([ID_JAG]) } else { None },
        code_challenge_methods_supported: ["S256"],
        token_endpoint_auth_methods_supported: metadata.token_endpoint_auth_methods,
        token_endpoint_auth_signing_alg_values_supported: SIGNING_ALGORITHMS,
        authorization_response_iss_parameter_supported: true,
        client_id_metadata_document_supported: if metadata.cimd_enabled { Some(true) } else { None },
    }
}

/// The document of one route. Its scopes leave out `offline_access`, which says nothing about a resource.
pub const fn protected_resource_document<'a>(metadata: &ResourceMetadata<'a>) -> ProtectedResourceDocument<'a> {
    ProtectedResourceDocument {
        resource: metadata.resource,
        resource_name: metadata.resource_name,
        authorization_servers: [metadata.authorization_server],
        bearer_methods_supported: ["header"],
        scopes_supported: [scope::TOOLS],
        mcp_protocol_version: metadata.mcp_protocol_version,
    }
}

/// The grant of RFC 7523 section 2.1.
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The profile that says that the assertions of that grant are identity assertions.
pub const ID_JAG: &str = "urn:ietf:params:oauth:grant-profile:id-jag";
const GRANT_TYPES: [&str; 3] = ["authorization_code", "refresh_token", JWT_BEARER];

#[cfg(test)]
mod tests {
    use serde_json::{json, to_value};

    use super::*;

    const METADATA: AsMetadata<'_> = AsMetadata {
        issuer: "https://gw.example/mcp/a",
        authorization_endpoint: "https://gw.example/oauth/authorize/mcp/a",
        token_endpoint: "https://gw.example/oauth/token",
        registration_endpoint: "https://gw.example/oauth/register",
        revocation_endpoint: "https://gw.example/oauth/revoke",
        token_endpoint_auth_methods: &[
            AuthMethod::None,
            AuthMethod::ClientSecretBasic,
            AuthMethod::ClientSecretPost,
            AuthMethod::PrivateKeyJwt,
        ],
        cimd_enabled: false,
        id_jag_enabled: false,
    };

    /// RFC 8414 section 2, RFC 7636, RFC 9207 section 3.
    #[test]
    fn the_authorization_server_document_has_exactly_the_members_that_were_promised() {
        let expected = json!({
            "issuer": "https://gw.example/mcp/a",
            "authorization_endpoint": "https://gw.example/oauth/authorize/mcp/a",
            "token_endpoint": "https://gw.example/oauth/token",
            "registration_endpoint": "https://gw.example/oauth/register",
            "revocation_endpoint": "https://gw.example/oauth/revoke",
            "scopes_supported": ["mcp:tools", "offline_access"],
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported":
                ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported":
                ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"],
            "authorization_response_iss_parameter_supported": true,
        });
        assert_eq!(to_value(authorization_server_document(&METADATA)).unwrap(), expected);
    }

    #[test]
    fn metadata_documents_as_client_ids_are_announced_only_where_they_work() {
        let document = authorization_server_document(&AsMetadata { cimd_enabled: true, ..METADATA });
        assert_eq!(to_value(document).unwrap()["client_id_metadata_document_supported"], true);
    }

    /// EMA section 6: the profile is the only sign that clients have, and needs the grant beside it.
    #[test]
    fn identity_assertions_are_announced_only_where_they_can_be_redeemed() {
        let document = authorization_server_document(&AsMetadata { id_jag_enabled: true, ..METADATA });
        let document = to_value(document).unwrap();
        assert_eq!(document["authorization_grant_profiles_supported"], json!([ID_JAG]));
        assert_eq!(document["grant_types_supported"], json!(["authorization_code", "refresh_token", JWT_BEARER]));
    }

    /// RFC 9728 sections 2 and 3.2: members without a value are left out.
    #[test]
    fn the_resource_document_has_exactly_the_members_that_were_promised() {
        let metadata = ResourceMetadata {
            resource: "https://gw.example/mcp/a",
            resource_name: Some("A"),
            authorization_server: "https://gw.example/mcp/a",
            mcp_protocol_version: "2026-07-28",
        };
        let expected = json!({
            "resource": "https://gw.example/mcp/a",
            "resource_name": "A",
            "authorization_servers": ["https://gw.example/mcp/a"],
            "bearer_methods_supported": ["header"],
            "scopes_supported": ["mcp:tools"],
            "mcp_protocol_version": "2026-07-28",
        });
        assert_eq!(to_value(protected_resource_document(&metadata)).unwrap(), expected);
        let nameless = ResourceMetadata { resource_name: None, ..metadata };
        assert_eq!(to_value(protected_resource_document(&nameless)).unwrap().get("resource_name"), None);
    }
}
