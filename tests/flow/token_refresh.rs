//! Refresh with rotation, its grace, and reuse (OAuth 2.1 section 4.3).

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use crate::support::{Browser, Client, TestGateway, Tokens, choose_user};

#[tokio::test]
async fn a_refresh_gives_a_new_pair_and_both_work() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let first = client.log_in("/mcp/one", "ada").await;
    let second = Tokens::from(client.refresh(&first.refresh).await).await;
    assert_ne!(first, second);
    assert_eq!(client.call("/mcp/one", &second.access).await.status(), StatusCode::OK);
    let third = Tokens::from(client.refresh(&second.refresh).await).await;
    assert_eq!(client.call("/mcp/one", &third.access).await.status(), StatusCode::OK);
}

/// An answer that got lost, or a client that races with itself, ends no login.
#[tokio::test]
async fn within_the_grace_window_a_rotated_token_yields_the_same_pair() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let first = client.log_in("/mcp/one", "ada").await;
    let attempts = (0..16).map(|_| async { Tokens::from(client.refresh(&first.refresh).await).await });
    let pairs = futures_util::future::join_all(attempts).await;
    assert!(pairs.windows(2).all(|pair| pair[0] == pair[1]));
    gateway.clock.advance(Duration::from_secs(29));
    assert_eq!(Tokens::from(client.refresh(&first.refresh).await).await, pairs[0]);
    assert_eq!(client.call("/mcp/one", &pairs[0].access).await.status(), StatusCode::OK);
}

/// OAuth 2.1 section 4.3.1: a rotated token that comes later was stolen, before or after.
#[tokio::test]
async fn after_the_grace_window_a_rotated_token_ends_the_grant() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let first = client.log_in("/mcp/one", "ada").await;
    let second = Tokens::from(client.refresh(&first.refresh).await).await;
    assert_eq!(client.call("/mcp/one", &second.access).await.status(), StatusCode::OK);
    gateway.clock.advance(Duration::from_secs(31));
    assert_eq!(client.refresh(&first.refresh).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(client.call("/mcp/one", &second.access).await.status(), StatusCode::UNAUTHORIZED);
    let error: Value = client.refresh(&second.refresh).await.json().await.unwrap();
    assert_eq!(error["error"], "invalid_grant");
}

#[tokio::test]
async fn another_client_can_neither_use_nor_end_a_refresh_token() {
    let gateway = TestGateway::start().await;
    let (client, thief) = (Client::register(&gateway).await, Client::register(&gateway).await);
    let first = client.log_in("/mcp/one", "ada").await;
    let error: Value = thief.refresh(&first.refresh).await.json().await.unwrap();
    assert_eq!(error["error"], "invalid_grant");
    gateway.clock.advance(Duration::from_secs(60));
    thief.refresh(&first.refresh).await;
    assert_eq!(client.refresh(&first.refresh).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_refresh_cannot_move_to_another_route() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let first = client.log_in("/mcp/one", "ada").await;
    let two = gateway.url("/mcp/two");
    let moved = [("grant_type", "refresh_token"), ("refresh_token", first.refresh.as_str()), ("resource", &two)];
    let error: Value = client.token(&moved).await.json().await.unwrap();
    assert_eq!(error["error"], "invalid_target");
    assert_eq!(client.refresh(&first.refresh).await.status(), StatusCode::OK);
}

/// RFC 6749 section 6: the scope may be narrowed, and the answer says what it is; what was never granted is dropped.
#[tokio::test]
async fn a_refresh_answers_with_the_scope_it_was_asked_for() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let mut browser = Browser::new(&gateway.origin);
    let mut parameters = client.request("/mcp/one");
    parameters.push(("scope", "mcp:tools offline_access".to_owned()));
    let page = browser.open(&client.authorize_url(&parameters)).await;
    let page = choose_user(&mut browser, page, "ada").await;
    let code = browser.submit(&page, ("decision", "approve")).await.answer()["code"].clone();
    let mut tokens: Value = client.redeem(&code).await.json().await.unwrap();
    assert_eq!(tokens["scope"], "mcp:tools offline_access");
    for (asked, granted) in
        [("mcp:tools", "mcp:tools"), ("admin", "mcp:tools"), ("mcp:tools offline_access", "mcp:tools offline_access")]
    {
        let refresh = tokens["refresh_token"].as_str().unwrap().to_owned();
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str()), ("scope", asked)];
        tokens = client.token(&form).await.json().await.unwrap();
        assert_eq!(tokens["scope"], granted, "{asked}");
    }
}

#[tokio::test]
async fn a_refresh_token_still_works_years_after_login() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let first = client.log_in("/mcp/one", "ada").await;
    gateway.clock.advance(Duration::from_secs(5 * 365 * 24 * 3600));
    gateway.clean_up().await;
    assert_eq!(client.refresh(&first.refresh).await.status(), StatusCode::OK);
}
