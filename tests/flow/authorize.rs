//! The authorization endpoint (RFC 6749 section 4.1.1).

use reqwest::StatusCode;
use serde_json::json;

use crate::support::{Browser, Client, TestGateway};

fn with(client: &Client, name: &'static str, value: Option<&str>) -> String {
    let mut parameters = client.request("/mcp/one");
    parameters.retain(|(known, _)| *known != name);
    if let Some(value) = value {
        parameters.push((name, value.to_owned()));
    }
    client.authorize_url(&parameters)
}

async fn signed_in(gateway: &TestGateway, client: &Client) -> Browser {
    let mut browser = Browser::new(&gateway.origin);
    client.consent_page(&mut browser, "/mcp/one", "ada").await;
    browser
}

/// RFC 6749 section 4.1.2.1: with a wrong client or redirect URI the browser is never sent anywhere.
#[tokio::test]
async fn an_unproven_client_or_redirect_uri_gives_a_page_and_never_a_redirect() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let mut browser = signed_in(&gateway, &client).await;
    let twice = format!("{}&redirect_uri=http%3A%2F%2F127.0.0.1%3A9999%2Fcallback", with(&client, "none", None));
    for url in [
        with(&client, "client_id", None),
        with(&client, "client_id", Some("dcr:unknown")),
        with(&client, "redirect_uri", Some("https://evil.example/callback")),
        with(&client, "redirect_uri", Some("http://127.0.0.1:9999/callback/../evil")),
        with(&client, "redirect_uri", Some("http://127.0.0.1:9999/callback?x=1")),
        with(&client, "redirect_uri", Some("http://127.0.0.1.evil.example:9999/callback")),
        with(&client, "redirect_uri", Some("http://127.0.0.1:9999@evil.example/callback")),
        with(&client, "redirect_uri", Some("javascript:alert(1)")),
        twice,
    ] {
        let page = browser.open(&url).await;
        assert_eq!(page.leaves_to, None, "{url}");
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{url}");
        assert!(!page.html.contains("evil.example"), "{url}");
    }
}

#[tokio::test]
async fn errors_reach_a_proven_client_with_state_and_issuer() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let mut browser = signed_in(&gateway, &client).await;
    for (name, value, error) in [
        ("response_type", Some("token"), "unsupported_response_type"),
        ("response_type", None, "invalid_request"),
        ("code_challenge", None, "invalid_request"),
        ("code_challenge", Some("short"), "invalid_request"),
        ("code_challenge_method", Some("plain"), "invalid_request"),
        ("code_challenge_method", None, "invalid_request"),
        ("resource", Some("https://other.example/mcp/one"), "invalid_target"),
        ("resource", Some("/mcp/one"), "invalid_target"),
        ("resource", None, "invalid_target"),
        ("request", Some("eyJhbGciOiJub25lIn0.e30."), "invalid_request"),
        ("scope", Some("bad\"scope"), "invalid_scope"),
    ] {
        let answer = browser.open(&with(&client, name, value)).await.answer();
        assert_eq!(answer["error"], error, "{name}={value:?}");
        assert_eq!(answer["state"], "the-state", "{name}={value:?}");
        assert_eq!(answer["iss"], gateway.origin, "{name}={value:?}");
    }
}

/// OAuth 2.1, "Authorization Server as Open Redirector": whoever registers a client could bounce strangers off us.
#[tokio::test]
async fn an_error_is_not_redirected_before_the_person_has_signed_in() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let mut browser = Browser::new(&gateway.origin);
    let page = browser.open(&with(&client, "response_type", Some("token"))).await;
    assert_eq!(page.leaves_to, None);
    let page = crate::support::choose_user(&mut browser, page, "ada").await;
    assert_eq!(page.answer()["error"], "unsupported_response_type");
}

#[tokio::test]
async fn the_issuer_in_the_answer_is_the_one_that_was_asked() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let mut browser = signed_in(&gateway, &client).await;
    let url = with(&client, "resource", None).replace("/oauth/authorize?", "/oauth/authorize/mcp/two?");
    let page = browser.open(&url).await;
    assert!(page.html.contains("Route Two"));
    let answer = browser.submit(&page, ("decision", "approve")).await.answer();
    assert_eq!(answer["iss"], gateway.url("/mcp/two"));

    let crossed = with(&client, "resource", Some(&gateway.url("/mcp/one")))
        .replace("/oauth/authorize?", "/oauth/authorize/mcp/two?");
    assert_eq!(browser.open(&crossed).await.answer()["error"], "invalid_target");
    assert_eq!(browser.open(&gateway.url("/oauth/authorize/mcp/three")).await.status, StatusCode::NOT_FOUND);
}

/// RFC 8252 section 7.3: a native app listens at whatever port is free.
#[tokio::test]
async fn a_loopback_redirect_may_come_with_any_port() {
    let gateway = TestGateway::start().await;
    let client = Client::register_as(
        &gateway,
        json!({"redirect_uris": ["http://localhost/callback", "cursor://anysphere.cursor-mcp/oauth/callback"],
               "token_endpoint_auth_method": "none"}),
    )
    .await;
    let mut browser = signed_in(&gateway, &Client::register(&gateway).await).await;
    for uri in ["http://localhost:51234/callback", "cursor://anysphere.cursor-mcp/oauth/callback"] {
        let page = browser.open(&with(&client, "redirect_uri", Some(uri))).await;
        let page = browser.submit(&page, ("decision", "approve")).await;
        assert!(page.leaves_to.unwrap().starts_with(&format!("{uri}?code=")), "{uri}");
    }
    let spelled_differently = with(&client, "redirect_uri", Some("http://127.0.0.1:51234/callback"));
    assert_eq!(browser.open(&spelled_differently).await.leaves_to, None);
}

/// Clients differ in how they write the resource; none of it leads to another route.
#[tokio::test]
async fn the_resource_may_be_spelled_as_clients_spell_it() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let mut browser = signed_in(&gateway, &client).await;
    let url = gateway.url("/mcp/one");
    for spelled in [url.clone(), format!("{url}/"), format!("{url}?kb_name=x"), url.replacen("http", "HTTP", 1)] {
        let page = browser.open(&with(&client, "resource", Some(&spelled))).await;
        assert!(page.html.contains("Route One"), "{spelled}");
    }
    let twice = format!("{}&resource={url}", with(&client, "none", None));
    assert!(browser.open(&twice).await.html.contains("Route One"));
    let two = format!("{}&resource={}", with(&client, "none", None), gateway.url("/mcp/two"));
    assert_eq!(browser.open(&two).await.answer()["error"], "invalid_target");
}
