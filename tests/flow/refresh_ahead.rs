//! A refresh that is begun while the access token is good: nobody waits for it.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    client_documents::{gateway_for, leave, signed_in},
    connect::call,
    replicas::leave_a_lease,
    support::{Client, Protected, TestGateway, Tokens, until},
};

const HOUR: Duration = Duration::from_hours(1);

/// A connection whose access token has thirty seconds left, as far as the gateway's clock says.
async fn nearly_over() -> (Protected, TestGateway, Client, Tokens) {
    let upstream = Protected::start(HOUR).await;
    let gateway = gateway_for(&upstream, json!({})).await;
    let mut browser = signed_in(&gateway).await;
    let leaving = leave(&gateway, &mut browser).await;
    let back = upstream.allow(leaving.leaves_to.as_deref().expect("to the upstream"), "ada");
    assert_eq!(browser.open(&back).await.status, StatusCode::OK);
    gateway.clock.advance(HOUR.checked_sub(Duration::from_secs(30)).unwrap());
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    (upstream, gateway, client, tokens)
}

fn is_adas(answer: &Value) -> bool {
    answer["result"]["person"] == "ada"
}

#[tokio::test]
async fn calls_go_on_with_the_good_token_while_a_slow_refresh_is_under_way() {
    let (upstream, _gateway, client, tokens) = nearly_over().await;
    upstream.state().holds_refreshes = true;
    for _ in 0..8 {
        assert!(is_adas(&call(&client, &tokens.access).await));
    }
    until("a refresh is under way", || upstream.state().under_way == 1).await;
    assert!(is_adas(&call(&client, &tokens.access).await));
    {
        let state = upstream.state();
        assert_eq!((state.refreshes, state.under_way), (0, 1), "nobody waited, and one refreshes");
    }
    upstream.state().holds_refreshes = false;
    until("the refresh is done", || upstream.state().refreshes == 1).await;
    let fresh = {
        let state = upstream.state();
        format!("Bearer {}", state.issued[state.issued.len() - 2])
    };
    until("the new token is in use", || upstream.state().under_way == 0).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        assert!(is_adas(&call(&client, &tokens.access).await));
        if upstream.state().calls.last().unwrap().contains(&fresh) {
            break;
        }
        assert!(Instant::now() < deadline, "the new token is not used");
    }
    assert_eq!(upstream.state().refreshes, 1);
}

/// A process that was killed while it refreshed holds up nobody whose token is good.
#[tokio::test]
async fn the_lease_of_the_dead_is_not_waited_for_while_the_token_is_good() {
    let (upstream, gateway, client, tokens) = nearly_over().await;
    leave_a_lease(&gateway);
    let answer = tokio::time::timeout(Duration::from_secs(10), call(&client, &tokens.access)).await.expect("at once");
    assert!(is_adas(&answer));
    assert_eq!(upstream.state().refreshes, 0);
}

/// What the authorization server says in the background counts for the next call.
#[tokio::test]
async fn a_connection_that_ends_in_the_background_is_asked_for_by_a_later_call() {
    let (upstream, _gateway, client, tokens) = nearly_over().await;
    let spent = upstream.state().token_requests.len();
    upstream.forget_refresh_tokens();
    assert!(is_adas(&call(&client, &tokens.access).await), "the access token is good");
    until("the refresh was refused", || upstream.state().token_requests.len() > spent).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = call(&client, &tokens.access).await;
        if answer["error"]["data"]["state"] == "reconsent_required" {
            break;
        }
        assert!(is_adas(&answer) && Instant::now() < deadline, "{answer}");
    }
}
