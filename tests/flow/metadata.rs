//! Discovery documents.

use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::support::TestGateway;

async fn document(gateway: &TestGateway, path: &str) -> (StatusCode, Value) {
    let response = reqwest::get(gateway.url(path)).await.unwrap();
    let status = response.status();
    if status == StatusCode::OK {
        assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*", "{path}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json", "{path}");
    }
    (status, response.json().await.unwrap_or(Value::Null))
}

/// RFC 8414 section 3.3: the issuer in the document is the one that its URL was built from.
#[tokio::test]
async fn every_form_of_authorization_server_metadata_names_its_own_issuer() {
    let gateway = TestGateway::start().await;
    for (path, issuer) in [
        ("/.well-known/oauth-authorization-server", ""),
        ("/.well-known/openid-configuration", ""),
        ("/.well-known/oauth-authorization-server/mcp/one", "/mcp/one"),
        ("/.well-known/openid-configuration/mcp/one", "/mcp/one"),
        ("/mcp/one/.well-known/openid-configuration", "/mcp/one"),
        ("/.well-known/oauth-authorization-server/mcp/two", "/mcp/two"),
    ] {
        let (status, document) = document(&gateway, path).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        let origin = &gateway.origin;
        assert_eq!(
            document,
            json!({
                "issuer": format!("{origin}{issuer}"),
                "authorization_endpoint": format!("{origin}/oauth/authorize{issuer}"),
                "token_endpoint": format!("{origin}/oauth/token"),
                "registration_endpoint": format!("{origin}/oauth/register"),
                "revocation_endpoint": format!("{origin}/oauth/revoke"),
                "scopes_supported": ["mcp:tools", "offline_access"],
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "refresh_token"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported":
                    ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"],
                "token_endpoint_auth_signing_alg_values_supported":
                    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"],
                "authorization_response_iss_parameter_supported": true,
                "client_id_metadata_document_supported": true,
            }),
            "{path}"
        );
    }
}

/// RFC 9728 section 3.3: `resource` is the URL that the client uses, letter by letter.
#[tokio::test]
async fn protected_resource_metadata_names_the_url_as_the_client_spells_it() {
    let gateway = TestGateway::start().await;
    for spelled in ["/mcp/one", "/mcp/one/"] {
        let (status, document) = document(&gateway, &format!("/.well-known/oauth-protected-resource{spelled}")).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(
            document,
            json!({
                "resource": gateway.url(spelled),
                "resource_name": "Route One",
                "authorization_servers": [gateway.url("/mcp/one")],
                "bearer_methods_supported": ["header"],
                "scopes_supported": ["mcp:tools"],
                "mcp_protocol_version": "2025-11-25",
            })
        );
    }
}

#[tokio::test]
async fn the_root_resource_document_exists_only_for_a_sole_route() {
    let gateway = TestGateway::start().await;
    assert_eq!(document(&gateway, "/.well-known/oauth-protected-resource").await.0, StatusCode::NOT_FOUND);

    let upstream = gateway.upstream.url("/one");
    let sole = TestGateway::with(json!({"routes": [
        {"path": "/mcp/one", "operationId": "one", "summary": "Route One", "upstream": {"url": upstream, "authMode": "none"}}
    ]}))
    .await;
    let (status, document) = document(&sole, "/.well-known/oauth-protected-resource").await;
    assert_eq!((status, &document["resource"]), (StatusCode::OK, &json!(sole.url("/mcp/one"))));
}

#[tokio::test]
async fn discovery_stays_at_the_root_when_the_endpoints_move_below_a_base_path() {
    let gateway = TestGateway::with(json!({"server": {"basePath": "/_gw"}})).await;
    let (_, document) = document(&gateway, "/.well-known/oauth-authorization-server/mcp/one").await;
    assert_eq!(document["issuer"], json!(gateway.url("/mcp/one")));
    assert_eq!(document["authorization_endpoint"], json!(gateway.url("/_gw/oauth/authorize/mcp/one")));
    assert_eq!(document["token_endpoint"], json!(gateway.url("/_gw/oauth/token")));
    let outside = reqwest::Client::new().post(gateway.url("/oauth/token")).send().await.unwrap();
    assert_eq!(outside.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn unknown_routes_have_no_documents() {
    let gateway = TestGateway::start().await;
    for path in [
        "/.well-known/oauth-protected-resource/mcp/three",
        "/.well-known/oauth-authorization-server/mcp/one/x",
        "/.well-known/openid-configurationx",
        "/.well-known/oauth-protected-resource/mcp/../mcp/one/%2e%2e",
    ] {
        assert_eq!(reqwest::get(gateway.url(path)).await.unwrap().status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn browser_resident_clients_may_read_and_preflight() {
    let gateway = TestGateway::start().await;
    let http = reqwest::Client::new();
    for path in ["/.well-known/oauth-authorization-server", "/oauth/token", "/oauth/register"] {
        let preflight = http
            .request(Method::OPTIONS, gateway.url(path))
            .header(header::ORIGIN, "https://inspector.example")
            .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "mcp-protocol-version")
            .send()
            .await
            .unwrap();
        assert_eq!(preflight.status(), StatusCode::NO_CONTENT, "{path}");
        assert_eq!(preflight.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*", "{path}");
        let allowed = preflight.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap().to_ascii_lowercase();
        assert!(allowed.contains("mcp-protocol-version") && allowed.contains("authorization"), "{path}: {allowed}");
        assert!(!preflight.headers().contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS), "{path}");
    }
}

#[tokio::test]
async fn head_is_answered_wherever_get_is() {
    let gateway = TestGateway::start().await;
    let http = reqwest::Client::new();
    for path in ["/", "/.well-known/oauth-authorization-server", "/oauth/logout"] {
        let head = http.head(gateway.url(path)).send().await.unwrap();
        assert_eq!(head.status(), StatusCode::OK, "{path}");
        assert!(head.bytes().await.unwrap().is_empty(), "{path}");
    }
}
