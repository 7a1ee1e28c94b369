//! The gateway's registration at an authorization server (RFC 7591): one for everybody, and another one where it is gone.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;

use crate::{
    client_documents::{gateway_for, leave, signed_in},
    connect::call,
    support::{Client, Protected, TestGateway},
};

const HOUR: Duration = Duration::from_hours(1);

/// Ada connects; with which status that ends.
async fn connect(gateway: &TestGateway, upstream: &Protected) -> StatusCode {
    let mut browser = signed_in(gateway).await;
    let leaving = leave(gateway, &mut browser).await;
    let back = upstream.allow(leaving.leaves_to.as_deref().expect("to the upstream"), "ada");
    browser.open(&back).await.status
}

/// The authorization server lost its clients: noticed by a refresh, and made good by connecting again.
#[tokio::test]
async fn a_registration_that_a_refresh_finds_gone_is_made_anew_once() {
    let upstream = Protected::start(HOUR).await;
    let gateway = gateway_for(&upstream, json!({})).await;
    assert_eq!(connect(&gateway, &upstream).await, StatusCode::OK);
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    assert_eq!(call(&client, &tokens.access).await["result"]["person"], "ada");

    upstream.state().forgotten_clients = 1;
    upstream.end_access_tokens();
    for _ in 0..2 {
        let answer = call(&client, &tokens.access).await;
        assert_eq!(answer["error"]["data"]["state"], "reconsent_required", "{answer}");
    }
    assert_eq!(upstream.state().registrations.len(), 1, "nobody is there yet to allow anything");
    for _ in 0..2 {
        assert_eq!(connect(&gateway, &upstream).await, StatusCode::OK);
        assert_eq!(call(&client, &tokens.access).await["result"]["person"], "ada");
    }
    assert_eq!(upstream.state().registrations.len(), 2);
}

/// Noticed when the code is redeemed: that attempt is lost, and the next one works.
#[tokio::test]
async fn a_registration_that_a_code_finds_gone_is_made_anew_at_the_next_attempt() {
    let upstream = Protected::start(HOUR).await;
    let gateway = gateway_for(&upstream, json!({})).await;
    assert_eq!(connect(&gateway, &upstream).await, StatusCode::OK);
    upstream.state().forgotten_clients = 1;
    assert_eq!(connect(&gateway, &upstream).await, StatusCode::BAD_GATEWAY);
    assert_eq!(connect(&gateway, &upstream).await, StatusCode::OK);
    assert_eq!(upstream.state().registrations.len(), 2);
}

/// Who registered the gateway by hand has to see to it: nothing is registered in its place.
#[tokio::test]
async fn a_client_that_was_registered_by_hand_is_not_replaced() {
    let upstream = Protected::start(HOUR).await;
    let by_hand = json!({"mode": "manual", "clientId": "registered-1"});
    let gateway = gateway_for(&upstream, json!({"clientRegistration": by_hand})).await;
    assert_eq!(connect(&gateway, &upstream).await, StatusCode::OK);
    upstream.state().forgotten_clients = 1;
    for _ in 0..2 {
        assert_eq!(connect(&gateway, &upstream).await, StatusCode::BAD_GATEWAY);
    }
    assert!(upstream.state().registrations.is_empty());
}
