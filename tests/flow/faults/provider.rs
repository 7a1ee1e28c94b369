//! An identity provider that is slow or away.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::json;

use crate::{
    leaving::SOON,
    support::{Browser, Client, IdentityProvider, TestGateway, Tokens},
};

async fn gateway_of(idp: &IdentityProvider) -> TestGateway {
    let outbound = json!({"allowPrivateNetworks": ["127.0.0.0/8"]});
    TestGateway::with(json!({"identity": idp.identity(), "outbound": outbound})).await
}

async fn log_in(idp: &IdentityProvider, client: &Client, browser: &mut Browser) -> Tokens {
    let leaving = browser.open(&client.authorize_url(&client.request("/mcp/one"))).await;
    let back = idp.sign_in(&leaving.leaves_to.expect("to the provider")).await;
    let consent = browser.open(&back).await;
    let code = browser.submit(&consent, ("decision", "approve")).await.answer()["code"].clone();
    Tokens::from(client.redeem(&code).await).await
}

/// Silence is the worst that it can do: nothing fails, everything waits.
#[tokio::test]
async fn a_silent_provider_costs_a_page_in_time_and_nobody_else_anything() {
    let idp = IdentityProvider::start().await;
    let gateway = gateway_of(&idp).await;
    let client = Client::register(&gateway).await;
    let tokens = log_in(&idp, &client, &mut Browser::new(&gateway.origin)).await;

    let mut browser = Browser::new(&gateway.origin);
    let leaving = browser.open(&client.authorize_url(&client.request("/mcp/one"))).await;
    let back = idp.sign_in(&leaving.leaves_to.expect("to the provider")).await;
    idp.behave(|behaviour| behaviour.is_silent = true);
    let begun = Instant::now();
    let others = async {
        let called = client.call("/mcp/one", &tokens.access).await.status();
        let refreshed = Tokens::from(client.refresh(&tokens.refresh).await).await;
        (called, refreshed, begun.elapsed())
    };
    let (page, (called, tokens, after)) = tokio::join!(browser.open(&back), others);
    assert_eq!(page.status, StatusCode::BAD_GATEWAY, "{}", page.html);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert_eq!(called, StatusCode::OK);
    assert!(after < Duration::from_secs(5), "whoever has a token does not need the provider: {after:?}");

    idp.behave(|behaviour| behaviour.is_silent = false);
    // From the client's link once more, in the same browser.
    let again = log_in(&idp, &client, &mut browser).await;
    for tokens in [&tokens, &again] {
        assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
    }
}

/// Its documents are not known yet, so that the way to it cannot even be begun.
#[tokio::test]
async fn a_provider_that_is_silent_from_the_start_is_found_when_it_speaks() {
    let idp = IdentityProvider::start().await;
    idp.behave(|behaviour| behaviour.is_silent = true);
    let gateway = gateway_of(&idp).await;
    let client = Client::register(&gateway).await;
    let mut browser = Browser::new(&gateway.origin);
    let begun = Instant::now();
    let page = browser.open(&client.authorize_url(&client.request("/mcp/one"))).await;
    assert_eq!(page.status, StatusCode::BAD_GATEWAY, "{}", page.html);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    idp.behave(|behaviour| behaviour.is_silent = false);
    gateway.clock.advance(Duration::from_secs(30));
    let tokens = log_in(&idp, &client, &mut browser).await;
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
}
