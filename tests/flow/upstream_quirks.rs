//! Authorization servers of upstreams as they really are: what each wants in the configuration, and that a connection then
//! is made, outlives its access token, and ends when it is over.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    client_documents::{gateway_for, leave, signed_in},
    connect::call,
    support::{AUDIENCE, Client, Page, Protected, TestGateway, Tokens, Vendor},
};

/// One upstream, and what is written in the configuration for it.
struct Upstream {
    vendor: Vendor,
    settings: Value,
    /// What happens without those settings, except for the registration by hand.
    without: Without,
}

enum Without {
    Works,
    /// Connecting ends with a page of this status.
    Fails(StatusCode),
    /// It seems to work until the first call, or until the token ends.
    IsAskedAgain,
}

fn by_hand() -> Value {
    json!({"mode": "manual", "clientId": "gateway", "clientSecret": "registered by hand",
           "tokenEndpointAuthMethod": "client_secret_post"})
}

fn upstreams() -> Vec<Upstream> {
    let upstream = |vendor, settings, without| Upstream { vendor, settings, without };
    vec![
        upstream(Vendor::Standard, json!({}), Without::Works),
        upstream(
            Vendor::Auth0,
            json!({"authorizationParameters": {"audience": AUDIENCE}, "resource": "omit"}),
            Without::IsAskedAgain,
        ),
        upstream(
            Vendor::Slack,
            json!({"authorizationParameters": {"user_scope": "chat:write,users:read"}, "scopeDelimiter": ",",
                   "clientRegistration": by_hand()}),
            Without::Works,
        ),
        upstream(Vendor::GitHub, json!({"clientRegistration": by_hand()}), Without::Works),
        upstream(
            Vendor::Entra,
            json!({"scopes": ["api://mcp/.default"], "resource": "omit", "assumePkce": true,
                   "clientRegistration": by_hand()}),
            Without::Fails(StatusCode::BAD_GATEWAY),
        ),
        upstream(
            Vendor::Google,
            json!({"authorizationParameters": {"access_type": "offline"}, "prompt": "consent", "resource": "omit",
                   "clientRegistration": by_hand()}),
            Without::IsAskedAgain,
        ),
        upstream(Vendor::Atlassian, json!({}), Without::Works),
    ]
}

async fn connect(gateway: &TestGateway, upstream: &Protected) -> Page {
    let mut browser = signed_in(gateway).await;
    let leaving = leave(gateway, &mut browser).await;
    match leaving.leaves_to.as_deref() {
        Some(location) => browser.open(&upstream.allow(location, "ada")).await,
        None => leaving,
    }
}

/// Goes beyond the end of every access token.
async fn later(upstream: &Protected, gateway: &TestGateway, client: &Client, tokens: &Tokens) -> Tokens {
    upstream.end_access_tokens();
    gateway.clock.advance(Duration::from_hours(2));
    Tokens::from(client.refresh(&tokens.refresh).await).await
}

/// The upstream half of the quirks, one authorization server after the other.
#[tokio::test]
async fn upstreams_with_habits_are_connected_refreshed_and_lost_as_they_mean_it() {
    for Upstream { vendor, settings, .. } in upstreams() {
        let upstream = Protected::of(vendor).await;
        let gateway = gateway_for(&upstream, settings).await;
        let page = connect(&gateway, &upstream).await;
        assert_eq!(page.status, StatusCode::OK, "{vendor:?}: {}", page.html);
        let client = Client::register(&gateway).await;
        let tokens = client.log_in("/mcp/one", "ada").await;
        assert_eq!(call(&client, &tokens.access).await["result"]["person"], "ada", "{vendor:?}");

        let tokens = later(&upstream, &gateway, &client, &tokens).await;
        assert_eq!(call(&client, &tokens.access).await["result"]["person"], "ada", "{vendor:?}");
        let refreshes = u32::from(vendor != Vendor::GitHub);
        assert_eq!(upstream.state().refreshes, refreshes, "{vendor:?}");

        upstream.end_grants();
        let tokens = later(&upstream, &gateway, &client, &tokens).await;
        let lost = call(&client, &tokens.access).await;
        assert_eq!(lost["error"]["data"]["state"], "reconsent_required", "{vendor:?}: {lost}");
    }
}

/// The settings are there because of what happens without them.
#[tokio::test]
async fn without_their_settings_such_upstreams_say_no_or_ask_again() {
    for Upstream { vendor, settings, without } in upstreams() {
        let upstream = Protected::of(vendor).await;
        let usual = match (&settings["clientRegistration"], vendor) {
            (Value::Null, _) => json!({}),
            // Entra says nothing of PKCE, which would stop everything before its other habits show.
            (registration, Vendor::Entra) => json!({"clientRegistration": registration, "assumePkce": true}),
            (registration, _) => json!({"clientRegistration": registration}),
        };
        let gateway = gateway_for(&upstream, usual).await;
        let page = connect(&gateway, &upstream).await;
        if let Without::Fails(status) = without {
            assert_eq!(page.status, status, "{vendor:?}: {}", page.html);
            assert!(upstream.state().token_requests.is_empty(), "{vendor:?}");
            continue;
        }
        assert_eq!(page.status, StatusCode::OK, "{vendor:?}: {}", page.html);
        let client = Client::register(&gateway).await;
        let tokens = client.log_in("/mcp/one", "ada").await;
        let first = call(&client, &tokens.access).await;
        let tokens = later(&upstream, &gateway, &client, &tokens).await;
        let second = call(&client, &tokens.access).await;
        let asked_again =
            [&first, &second].iter().any(|answer| answer["error"]["data"]["state"] == "reconsent_required");
        assert_eq!(asked_again, matches!(without, Without::IsAskedAgain), "{vendor:?}: {first} {second}");
    }
}

/// Quirk "Atlassian: expired token shows as 403, not 401": a 403 is also what a person gets who may not do something, so
/// it ends nothing, and the token is renewed before it ends.
#[tokio::test]
async fn a_403_of_an_upstream_ends_no_connection() {
    let upstream = Protected::of(Vendor::Atlassian).await;
    let gateway = gateway_for(&upstream, json!({})).await;
    assert_eq!(connect(&gateway, &upstream).await.status, StatusCode::OK);
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    upstream.state().refuses_all = true;
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(upstream.state().refreshes, 0);
    upstream.state().refuses_all = false;
    assert_eq!(call(&client, &tokens.access).await["result"]["person"], "ada");
}

/// Quirk "200 response whose JSON-RPC body is an auth failure": nobody but the client can know what it means, so it reaches
/// the client as it is.
#[tokio::test]
async fn a_refusal_inside_of_an_answer_passes_and_ends_no_connection() {
    let upstream = Protected::of(Vendor::Standard).await;
    let gateway = gateway_for(&upstream, json!({})).await;
    assert_eq!(connect(&gateway, &upstream).await.status, StatusCode::OK);
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    {
        let mut state = upstream.state();
        (state.refuses_all, state.hides_refusals) = (true, true);
    }
    let answer = call(&client, &tokens.access).await;
    assert_eq!(answer["error"]["message"], "Authentication failed: token is not valid", "{answer}");
    assert_eq!(upstream.state().refreshes, 0);
    upstream.state().refuses_all = false;
    assert_eq!(call(&client, &tokens.access).await["result"]["person"], "ada");
}
