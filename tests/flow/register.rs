//! Dynamic client registration (RFC 7591).

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Client, TestGateway};

async fn register(gateway: &TestGateway, metadata: &Value) -> (StatusCode, Value) {
    let response = reqwest::Client::new().post(gateway.url("/oauth/register")).json(metadata).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

#[tokio::test]
async fn a_public_client_gets_an_id_and_no_secret() {
    let gateway = TestGateway::start().await;
    let metadata = json!({
        "redirect_uris": ["http://localhost/callback"], "token_endpoint_auth_method": "none", "whatever": {"x": 1},
    });
    let (status, document) = register(&gateway, &metadata).await;
    assert_eq!(status, StatusCode::CREATED);
    assert!(document["client_id"].as_str().unwrap().starts_with("dcr:"));
    assert!(document.get("client_secret").is_none());
    assert_eq!(document["token_endpoint_auth_method"], "none");
}

#[tokio::test]
async fn a_confidential_client_gets_a_secret_that_the_store_does_not_hold() {
    let gateway = TestGateway::start().await;
    let metadata =
        json!({"redirect_uris": ["https://client.example/cb"], "token_endpoint_auth_method": "client_secret_post"});
    let (_, document) = register(&gateway, &metadata).await;
    let secret = document["client_secret"].as_str().unwrap();
    for entry in std::fs::read_dir(gateway.directory.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
}

/// Cursor registers three redirect URIs at once and needs all of them.
#[tokio::test]
async fn several_redirect_uris_of_different_kinds_register_together() {
    let gateway = TestGateway::start().await;
    let uris = json!([
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "https://www.cursor.com/agents/mcp/oauth/callback",
        "http://localhost:8787/callback"
    ]);
    let (status, document) =
        register(&gateway, &json!({"redirect_uris": uris, "token_endpoint_auth_method": "none"})).await;
    assert_eq!((status, &document["redirect_uris"]), (StatusCode::CREATED, &uris));
}

#[tokio::test]
async fn bad_registrations_get_the_standards_errors() {
    let gateway = TestGateway::start().await;
    for (metadata, error) in [
        (json!({}), "invalid_redirect_uri"),
        (json!({"redirect_uris": []}), "invalid_redirect_uri"),
        (json!({"redirect_uris": ["javascript:alert(1)"]}), "invalid_redirect_uri"),
        (json!({"redirect_uris": ["http://evil.example/cb"]}), "invalid_redirect_uri"),
        (json!({"redirect_uris": ["https://a.example/cb#fragment"]}), "invalid_redirect_uri"),
        (
            json!({"redirect_uris": ["https://a.example/cb"], "token_endpoint_auth_method": "tls_client_auth"}),
            "invalid_client_metadata",
        ),
        (json!({"redirect_uris": ["https://a.example/cb"], "scope": "admin root"}), "invalid_client_metadata"),
        (json!({"redirect_uris": "https://a.example/cb"}), "invalid_client_metadata"),
        (json!([]), "invalid_client_metadata"),
    ] {
        let (status, document) = register(&gateway, &metadata).await;
        assert_eq!((status, &document["error"]), (StatusCode::BAD_REQUEST, &json!(error)), "{metadata}");
        assert!(document["error_description"].is_string());
    }
}

#[tokio::test]
async fn what_is_not_json_or_is_too_much_is_refused() {
    let gateway = TestGateway::start().await;
    let http = reqwest::Client::new();
    let form = http.post(gateway.url("/oauth/register")).form(&[("redirect_uris", "x")]).send().await.unwrap();
    assert_eq!(form.status(), StatusCode::BAD_REQUEST);
    let huge = json!({"redirect_uris": ["https://a.example/cb"], "client_name": "x".repeat(200_000)});
    let huge = http.post(gateway.url("/oauth/register")).json(&huge).send().await.unwrap();
    assert_eq!(huge.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let get = http.get(gateway.url("/oauth/register")).send().await.unwrap();
    assert_eq!(get.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_registration_ends_ninety_days_after_its_last_use_but_not_under_a_living_grant() {
    let gateway = TestGateway::start().await;
    let (idle, used) = (Client::register(&gateway).await, Client::register(&gateway).await);
    let tokens = used.log_in("/mcp/one", "ada").await;
    gateway.clock.advance(std::time::Duration::from_secs(91 * 24 * 3600));
    gateway.clean_up().await;
    let refused = idle.refresh("rt_unknown").await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(refused.json::<Value>().await.unwrap()["error"], "invalid_client");
    assert_eq!(used.refresh(&tokens.refresh).await.status(), StatusCode::OK);
}
