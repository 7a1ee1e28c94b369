//! The inner door: a person's own connection to an OAuth-protected upstream that knows nothing of us.
//!
//! The upstream is a second gateway: a real authorization server with registration, consent, rotation and revocation.

use std::time::Duration;

use reqwest::{StatusCode, header};
use sallyport::store::SubjectId;
use serde_json::{Value, json};

use crate::support::{Browser, Client, Page, TestGateway, Tokens};

/// A gateway in front of an OAuth-protected upstream, and one browser profile for each of the two.
pub struct World {
    pub upstream: TestGateway,
    pub gateway: TestGateway,
}

impl World {
    async fn start() -> Self {
        Self::with_upstream(json!({"identity": {"users": ["upstream-ada"]}})).await
    }

    /// An upstream that takes a refresh token that comes twice for stolen at once.
    pub async fn start_strict() -> Self {
        let strict = json!({"identity": {"users": ["upstream-ada"]}, "gateway": {"refreshGraceSeconds": 0}});
        Self::with_upstream(strict).await
    }

    async fn with_upstream(upstream: Value) -> Self {
        let upstream = TestGateway::with(upstream).await;
        let gateway = TestGateway::with(in_front_of(&upstream)).await;
        Self { upstream, gateway }
    }

    fn browser(&self) -> Browser {
        Browser::new(&self.gateway.origin)
    }

    /// Goes through the upstream's own sign-in and consent, from where we sent the browser to where it comes back.
    async fn at_upstream(&self, location: &str) -> String {
        let mut browser = Browser::new(&self.upstream.origin);
        let page = browser.open(location).await;
        browser.submit(&page, ("decision", "approve")).await.leaves_to.expect("back to the gateway")
    }

    /// Connects from the consent page and returns to it.
    async fn connect(&self, browser: &mut Browser, consent: &Page) -> Page {
        let leaving = browser.open(&self.gateway.url(&consent.link("Connect"))).await;
        let back = self.at_upstream(leaving.leaves_to.as_deref().expect("to the upstream")).await;
        browser.open(&back).await
    }

    pub async fn log_in(&self, client: &Client, user: &str) -> Tokens {
        let mut browser = self.browser();
        let consent = client.consent_page(&mut browser, "/mcp/one", user).await;
        let consent = self.connect(&mut browser, &consent).await;
        let code = browser.submit(&consent, ("decision", "approve")).await.answer()["code"].clone();
        Tokens::from(client.redeem(&code).await).await
    }

    fn advance(&self, by: Duration) {
        self.upstream.clock.advance(by);
        self.gateway.clock.advance(by);
    }
}

/// The configuration of a gateway whose only route needs an own connection of each person to `upstream`.
pub fn in_front_of(upstream: &TestGateway) -> Value {
    json!({
        "outbound": {"allowPrivateNetworks": ["127.0.0.0/8"]},
        "routes": [{
            "path": "/mcp/one", "operationId": "one", "summary": "Route One",
            "upstream": {"url": upstream.url("/mcp/one"), "id": "linear", "displayName": "Linear",
                         "authMode": "user-oauth"},
        }],
    })
}

/// The answer to a tool call.
pub async fn call(client: &Client, access: &str) -> Value {
    let request = client
        .http
        .post(format!("{}/mcp/one", client.origin))
        .header(header::AUTHORIZATION, format!("Bearer {access}"))
        .header(header::ACCEPT, "application/json, text/event-stream")
        .json(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo", "arguments": {}}}));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    response.json().await.unwrap()
}

#[tokio::test]
async fn a_person_connects_on_the_consent_page_and_the_call_reaches_the_upstream_as_that_person() {
    let world = World::start().await;
    let client = Client::register(&world.gateway).await;
    let mut browser = world.browser();
    let consent = client.consent_page(&mut browser, "/mcp/one", "ada").await;
    assert!(consent.html.contains("Linear"));
    assert!(consent.html.contains(" disabled"), "Approve is disabled");

    let early = browser.submit(&consent, ("decision", "approve")).await;
    assert_eq!(early.leaves_to, None, "an approval before the connection changes nothing");

    let consent = world.connect(&mut browser, &consent).await;
    assert!(!consent.html.contains(" disabled"));
    let code = browser.submit(&consent, ("decision", "approve")).await.answer()["code"].clone();
    let tokens = Tokens::from(client.redeem(&code).await).await;
    assert_eq!(call(&client, &tokens.access).await["result"], json!({}));

    let seen = world.upstream.upstream.seen();
    assert_eq!(seen.len(), 1);
    assert!(!seen[0].to_ascii_lowercase().contains("authorization") && !seen[0].contains(&tokens.access));
}

#[tokio::test]
async fn a_connection_is_refreshed_ahead_of_its_end_and_rotates() {
    let world = World::start().await;
    let client = Client::register(&world.gateway).await;
    let mut tokens = world.log_in(&client, "ada").await;
    for _ in 0..3 {
        world.advance(Duration::from_secs(16 * 60));
        tokens = Tokens::from(client.refresh(&tokens.refresh).await).await;
        assert_eq!(call(&client, &tokens.access).await["result"], json!({}));
    }
}

/// Only the gateway's clock moves, so that the upstream's token is fresh to us and refused there.
#[tokio::test]
async fn an_upstream_401_is_answered_by_one_refresh_and_the_same_request_again() {
    let world = World::start().await;
    let client = Client::register(&world.gateway).await;
    let tokens = world.log_in(&client, "ada").await;
    world.upstream.clock.advance(Duration::from_secs(16 * 60));
    let calls = (0..8).map(|_| call(&client, &tokens.access));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer["result"], json!({}));
    }
}

/// What memory believes is not believed for longer because the clock went back.
#[tokio::test]
async fn a_clock_that_is_set_back_keeps_no_connection_alive() {
    let world = World::start().await;
    let client = Client::register(&world.gateway).await;
    let tokens = world.log_in(&client, "ada").await;
    assert_eq!(call(&client, &tokens.access).await["result"], json!({}));
    world.gateway.database().execute("DELETE FROM connections", []).unwrap();
    world.gateway.clock.set_back(Duration::from_hours(1));
    assert_eq!(call(&client, &tokens.access).await["error"]["code"], json!(-32042));
}

#[tokio::test]
async fn another_person_has_an_own_connection_or_none() {
    let world = World::start().await;
    let client = Client::register(&world.gateway).await;
    world.log_in(&client, "ada").await;
    let consent = client.consent_page(&mut world.browser(), "/mcp/one", "bob").await;
    assert!(consent.html.contains(" disabled"), "ada's connection is not bob's");
}

#[tokio::test]
async fn a_revoked_connection_asks_to_be_renewed_by_a_link_that_works_for_its_person_once() {
    let world = World::start().await;
    let client = Client::register(&world.gateway).await;
    let tokens = world.log_in(&client, "ada").await;
    world.upstream.forget_all_grants();

    let answer = call(&client, &tokens.access).await;
    let error = &answer["error"];
    assert_eq!((&error["code"], &answer["id"]), (&json!(-32042), &json!(1)));
    assert_eq!(error["message"], "Linear authorization must be renewed.");
    assert_eq!(error["data"]["state"], "reconsent_required");
    assert_eq!(error["data"]["upstreamServerId"], "linear");
    assert_eq!(error["data"]["elicitations"][0]["mode"], "url");
    let link = error["data"]["authUrl"].as_str().unwrap();

    let mut bob = world.browser();
    client.consent_page(&mut bob, "/mcp/one", "bob").await;
    let refused = bob.open_page(link).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(!refused.html.contains("ada"));

    let mut ada = world.browser();
    client.consent_page(&mut ada, "/mcp/one", "ada").await;
    let page = ada.open_page(link).await;
    assert_eq!(page.status, StatusCode::OK);
    let leaving = ada.submit(&page, ("decision", "connect")).await;
    let back = world.at_upstream(leaving.leaves_to.as_deref().unwrap()).await;
    assert!(ada.open(&back).await.html.contains("Linear"));
    assert_eq!(call(&client, &tokens.access).await["result"], json!({}));

    let again = ada.submit(&page, ("decision", "connect")).await;
    assert_eq!((again.status, again.leaves_to), (StatusCode::BAD_REQUEST, None));
}

/// Whoever comes back to the callback must be who left, with the state of that very flow.
#[tokio::test]
async fn a_callback_in_another_browser_or_with_another_state_connects_nothing() {
    let world = World::start().await;
    let client = Client::register(&world.gateway).await;
    let mut ada = world.browser();
    let consent = client.consent_page(&mut ada, "/mcp/one", "ada").await;
    let leaving = ada.open(&world.gateway.url(&consent.link("Connect"))).await;
    let back = world.at_upstream(leaving.leaves_to.as_deref().unwrap()).await;

    let mut bob = world.browser();
    client.consent_page(&mut bob, "/mcp/one", "bob").await;
    for browser in [&mut bob, &mut world.browser()] {
        assert_eq!(browser.open(&back).await.status, StatusCode::BAD_REQUEST);
    }
    let other_connection = back.replace("/connections/linear/", "/connections/other/");
    assert_ne!(ada.open(&other_connection).await.status, StatusCode::OK);
    let consent = client.consent_page(&mut ada, "/mcp/one", "ada").await;
    assert!(consent.html.contains(" disabled"));
}

/// RFC 9207: an answer that names another issuer is not acted upon.
#[tokio::test]
async fn an_answer_of_another_issuer_is_refused() {
    let world = World::start().await;
    let client = Client::register(&world.gateway).await;
    let mut ada = world.browser();
    let consent = client.consent_page(&mut ada, "/mcp/one", "ada").await;
    let leaving = ada.open(&world.gateway.url(&consent.link("Connect"))).await;
    let back = world.at_upstream(leaving.leaves_to.as_deref().unwrap()).await;
    let mut forged = url::Url::parse(&back).unwrap();
    let pairs: Vec<_> = forged.query_pairs().into_owned().filter(|(name, _)| name != "iss").collect();
    forged.query_pairs_mut().clear().extend_pairs(pairs).append_pair("iss", "https://evil.example");
    let page = ada.open(forged.as_str()).await;
    assert_eq!(page.status, StatusCode::BAD_GATEWAY);
    assert!(!page.html.contains("evil.example"));
}

/// A reader of the database finds nothing to present.
#[tokio::test]
async fn the_store_holds_no_token_in_the_clear() {
    let world = World::start().await;
    let client = Client::register(&world.gateway).await;
    let tokens = world.log_in(&client, "ada").await;
    call(&client, &tokens.access).await;
    for entry in std::fs::read_dir(world.gateway.directory.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for prefix in ["at_", "rt_", "cs_"] {
            let found = text.match_indices(prefix).any(|(at, _)| {
                text[at + 3..].chars().take(43).filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).count() == 43
            });
            assert!(!found, "a token in the store");
        }
    }
}

#[tokio::test]
async fn a_caller_that_is_no_browser_gets_428_and_the_way() {
    let world = World::start().await;
    let client = Client::register(&world.gateway).await;
    let tokens = world.log_in(&client, "ada").await;
    world.upstream.forget_all_grants();
    let answer = call(&client, &tokens.access).await;
    let link = answer["error"]["data"]["authUrl"].as_str().unwrap();
    let response = client.http.get(link).header(header::ACCEPT, "application/json").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::PRECONDITION_REQUIRED);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["upstreamServerId"], "linear");
    assert!(body["authUrl"].as_str().unwrap().contains("redirect=true"));
}

/// An authorization server that is down ends nothing: the call may be repeated, and works when it is back.
#[tokio::test]
async fn an_upstream_that_is_down_costs_a_retryable_error_and_no_connection() {
    let mut world = World::start().await;
    let client = Client::register(&world.gateway).await;
    let mut tokens = world.log_in(&client, "ada").await;
    world.upstream.stop();
    world.gateway.clock.advance(Duration::from_secs(16 * 60));
    tokens = Tokens::from(client.refresh(&tokens.refresh).await).await;
    for _ in 0..3 {
        let response = client.call("/mcp/one", &tokens.access).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().contains_key(header::RETRY_AFTER));
        let body: Value = response.json().await.unwrap();
        assert_ne!(body["error"]["code"], -32042, "nobody is asked to connect again");
    }
    world.upstream.restart_with(json!({}));
    world.gateway.clock.advance(Duration::from_secs(3));
    assert_eq!(call(&client, &tokens.access).await["result"], json!({}));
}

/// A shared connection is made by an administrator, used by everybody, and no page of others leads to it.
#[tokio::test]
async fn only_an_administrator_makes_the_shared_connection_and_everybody_uses_it() {
    let upstream = TestGateway::with(json!({"identity": {"users": ["upstream-ada"]}})).await;
    let admin = SubjectId::derive("urn:sallyport:dev", "ada");
    let gateway = TestGateway::with(json!({
        "admins": [admin.as_str()],
        "outbound": {"allowPrivateNetworks": ["127.0.0.0/8"]},
        "routes": [{
            "path": "/mcp/one", "operationId": "one", "summary": "Route One",
            "upstream": {"url": upstream.url("/mcp/one"), "id": "linear", "displayName": "Linear",
                         "authMode": "shared-oauth"},
        }],
    }))
    .await;
    let world = World { upstream, gateway };
    let client = Client::register(&world.gateway).await;

    let mut bob = world.browser();
    let consent = client.consent_page(&mut bob, "/mcp/one", "bob").await;
    assert!(consent.html.contains(" disabled") && !consent.html.contains("/auth/connections/"));
    let connect = world.gateway.url("/auth/connections/linear/connect?operationId=one");
    let refused = bob.open_page(&connect).await;
    assert_eq!((refused.status, refused.leaves_to), (StatusCode::FORBIDDEN, None));

    world.log_in(&client, "ada").await;
    let consent = client.consent_page(&mut bob, "/mcp/one", "bob").await;
    let code = browser_approves(&mut bob, &consent).await;
    let tokens = Tokens::from(client.redeem(&code).await).await;
    assert_eq!(call(&client, &tokens.access).await["result"], json!({}));
    assert!(!bob.open(&world.gateway.url("/account")).await.html.contains("Linear"), "nobody else sees or ends it");
}

async fn browser_approves(browser: &mut Browser, consent: &Page) -> String {
    browser.submit(consent, ("decision", "approve")).await.answer()["code"].clone()
}

/// What a person ends on the account page is ended here and at the upstream, for that person only.
#[tokio::test]
async fn the_account_page_disconnects_and_revokes() {
    let world = World::start().await;
    let client = Client::register(&world.gateway).await;
    let (ada, bob) = (world.log_in(&client, "ada").await, world.log_in(&client, "bob").await);
    let mut browser = world.browser();
    client.consent_page(&mut browser, "/mcp/one", "ada").await;
    let account = browser.open(&world.gateway.url("/account")).await;
    assert!(account.html.contains("Linear") && account.html.contains("Test Client"));

    let forms: Vec<_> = account.forms();
    let fields = |name: &str| forms.iter().find(|form| form.iter().any(|(field, _)| field == name)).unwrap().clone();
    let (disconnect, revoke) = (fields("disconnect"), fields("revoke"));
    for site in ["cross-site", "same-site"] {
        assert_eq!(browser.post("/account", &disconnect, site).await.status, StatusCode::FORBIDDEN);
    }
    browser.post("/account", &disconnect, "same-origin").await;
    assert_eq!(call(&client, &ada.access).await["error"]["data"]["state"], "authenticating");
    assert_eq!(call(&client, &bob.access).await["result"], json!({}));
    let living = "SELECT count(*) FROM grants WHERE revoked_at IS NULL";
    let at_upstream: i64 = world.upstream.database().query_row(living, [], |row| row.get(0)).unwrap();
    assert_eq!(at_upstream, 1, "revoked at the upstream, too");

    browser.post("/account", &revoke, "same-origin").await;
    assert_eq!(client.call("/mcp/one", &ada.access).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(client.call("/mcp/one", &bob.access).await.status(), StatusCode::OK);
}
