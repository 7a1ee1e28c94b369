//! How the outside reaches us: Host, forwarding headers, pinned origins.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::TestGateway;

async fn issuer(gateway: &TestGateway, headers: &[(&str, &str)]) -> (StatusCode, Value) {
    let mut request = reqwest::Client::new().get(gateway.url("/.well-known/oauth-authorization-server"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let status = response.status();
    let document: Value = response.json().await.unwrap_or(Value::Null);
    (status, document["issuer"].clone())
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_forwarded_origin_counts() {
    let gateway = TestGateway::start().await;
    let forwarded = [("x-forwarded-host", "gw.example.com"), ("x-forwarded-proto", "https")];
    assert_eq!(issuer(&gateway, &forwarded).await, (StatusCode::OK, json!("https://gw.example.com")));
}

/// A stranger cannot make us hand out metadata that points elsewhere.
#[tokio::test]
async fn forwarding_headers_of_a_stranger_are_ignored() {
    let gateway = TestGateway::with(json!({"server": {"trustedProxies": ["10.0.0.0/8"]}})).await;
    let forwarded = [("x-forwarded-host", "evil.example"), ("x-forwarded-proto", "https")];
    assert_eq!(issuer(&gateway, &forwarded).await, (StatusCode::OK, json!(gateway.origin)));
}

#[tokio::test]
async fn a_pinned_gateway_refuses_other_hosts_with_421() {
    let gateway = TestGateway::with(json!({"server": {"publicOrigin": "https://gw.example.com"}})).await;
    assert_eq!(
        issuer(&gateway, &[("host", "gw.example.com")]).await,
        (StatusCode::OK, json!("https://gw.example.com"))
    );
    assert_eq!(issuer(&gateway, &[("host", "evil.example")]).await.0, StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(issuer(&gateway, &[]).await.0, StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn what_is_not_a_host_is_a_bad_request() {
    let gateway = TestGateway::start().await;
    for host in ["a b", "a/b", "user@host", "host:port", "a%2fb"] {
        assert_eq!(issuer(&gateway, &[("x-forwarded-host", host)]).await.0, StatusCode::BAD_REQUEST, "{host}");
    }
}
