//! How often strangers may knock: per address, and per client that has shown a token.

use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode, header};
use serde_json::{Value, json};

use crate::support::{Browser, Client, TestGateway, Tokens};

fn limits() -> Value {
    json!({"rateLimits": {"registration": 3, "authorization": 4, "token": 5, "login": 6, "connect": 7}})
}

/// As a proxy on this machine passes the request of somebody at `address` on.
fn from(address: &str, request: RequestBuilder) -> RequestBuilder {
    request.header("x-forwarded-for", address)
}

fn knock(http: &reqwest::Client, gateway: &TestGateway, door: &str) -> RequestBuilder {
    match door {
        "registration" => {
            http.post(gateway.url("/oauth/register")).json(&json!({"redirect_uris": ["https://a.example/cb"]}))
        }
        "authorization" => http.get(gateway.url("/oauth/authorize")),
        "token" => http.post(gateway.url("/oauth/token")).form(&[("grant_type", "refresh_token")]),
        "login" => http.get(gateway.url("/oauth/callback")),
        _ => http.get(gateway.url("/auth/connections/one/connect")),
    }
}

/// The attack: one address hammers at a door. Other addresses and other doors do not notice.
#[tokio::test]
async fn one_address_is_stopped_at_one_door_and_nobody_else_is() {
    let gateway = TestGateway::with(limits()).await;
    let http = reqwest::Client::new();
    for (door, limit) in [("registration", 3), ("authorization", 4), ("token", 5), ("login", 6), ("connect", 7)] {
        for attempt in 0..limit + 3 {
            let answer = from("203.0.113.9", knock(&http, &gateway, door)).send().await.unwrap();
            let stopped = answer.status() == StatusCode::TOO_MANY_REQUESTS;
            assert_eq!(stopped, attempt >= limit, "{door} {attempt}: {}", answer.status());
            if stopped {
                let wait: u64 = answer.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
                assert!((1..=60).contains(&wait), "{door}: {wait}");
                let text = answer.text().await.unwrap();
                assert!(text.contains("temporarily_unavailable") || text.contains("Please wait"), "{door}: {text}");
            }
        }
        let other = from("203.0.113.10", knock(&http, &gateway, door)).send().await.unwrap();
        assert_ne!(other.status(), StatusCode::TOO_MANY_REQUESTS, "{door}");
    }
    gateway.clock.advance(Duration::from_secs(60));
    let later = from("203.0.113.9", knock(&http, &gateway, "registration")).send().await.unwrap();
    assert_eq!(later.status(), StatusCode::CREATED);
}

/// What a caller writes into the header itself changes nothing, nor do the many addresses of one IPv6 site.
#[tokio::test]
async fn an_address_cannot_be_made_up() {
    let gateway = TestGateway::with(limits()).await;
    let http = reqwest::Client::new();
    for (name, address) in [
        ("forged", (|number| format!("10.9.8.{number}, 198.51.100.{number}, 203.0.113.9")) as fn(u32) -> String),
        ("site", |number| format!("2001:db8:1:2::{number}")),
    ] {
        for attempt in 0..5 {
            let answer = from(&address(attempt), knock(&http, &gateway, "registration")).send().await.unwrap();
            let expected = if attempt < 3 { StatusCode::CREATED } else { StatusCode::TOO_MANY_REQUESTS };
            assert_eq!(answer.status(), expected, "{name} {attempt}");
        }
    }
    let strict = json!({"rateLimits": {"registration": 3}, "server": {"trustedProxies": []}});
    let gateway = TestGateway::with(strict).await;
    for attempt in 0..5 {
        let claimed = format!("203.0.113.{attempt}");
        let answer = from(&claimed, knock(&http, &gateway, "registration")).send().await.unwrap();
        assert_eq!(answer.status() == StatusCode::TOO_MANY_REQUESTS, attempt >= 3, "nobody is trusted: {attempt}");
    }
}

/// A proxy that does not say for whom it acts may do twenty times as much; 0 is no limit.
#[tokio::test]
async fn everybody_behind_a_silent_proxy_is_not_one_stranger() {
    let gateway = TestGateway::with(json!({"rateLimits": {"registration": 1, "token": 0}})).await;
    let http = reqwest::Client::new();
    for attempt in 0..22 {
        let answer = knock(&http, &gateway, "registration").send().await.unwrap();
        assert_eq!(answer.status() == StatusCode::TOO_MANY_REQUESTS, attempt >= 20, "{attempt}");
    }
    for _ in 0..50 {
        let answer = from("203.0.113.9", knock(&http, &gateway, "token")).send().await.unwrap();
        assert_ne!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    }
}

/// A client that refreshes in a loop, from however many addresses; the relay is never limited.
#[tokio::test]
async fn a_client_that_refreshes_in_a_loop_is_stopped_and_keeps_its_grant() {
    let gateway = TestGateway::with(json!({"rateLimits": {"token": 0}})).await;
    let client = Client::register(&gateway).await;
    let mut tokens = client.log_in("/mcp/one", "ada").await;
    for _ in 0..60 {
        tokens = Tokens::from(client.refresh(&tokens.refresh).await).await;
    }
    let refused = client.refresh(&tokens.refresh).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers().contains_key(header::RETRY_AFTER));
    for _ in 0..20 {
        assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
    }
    let other = Client::register(&gateway).await.log_in("/mcp/one", "ada").await;
    assert_eq!(client.call("/mcp/one", &other.access).await.status(), StatusCode::OK);
    gateway.clock.advance(Duration::from_secs(60));
    Tokens::from(client.refresh(&tokens.refresh).await).await;
}

/// A browser gets a page, and a preflight is free: it says nothing about who comes after it.
#[tokio::test]
async fn people_get_a_page_and_preflights_are_free() {
    let gateway =
        TestGateway::with(json!({"rateLimits": {"authorization": 1, "token": 1}, "server": {"trustedProxies": []}}))
            .await;
    let mut browser = Browser::new(&gateway.origin);
    browser.open(&gateway.url("/oauth/authorize")).await;
    let page = browser.open(&gateway.url("/oauth/authorize")).await;
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(page.html.contains("Please wait a moment"));
    let http = reqwest::Client::new();
    for _ in 0..5 {
        let preflight = http.request(reqwest::Method::OPTIONS, gateway.url("/oauth/token")).send().await.unwrap();
        assert_eq!(preflight.status(), StatusCode::NO_CONTENT);
    }
}
