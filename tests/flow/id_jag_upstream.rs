//! An upstream that takes identity assertions (ID-JAG outbound): a gateway in front of another gateway, which accepts what
//! the company's identity provider signs.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    replicas::call_at,
    support::{Browser, Client, IdentityProvider, TestGateway, Tokens},
};

struct World {
    idp: IdentityProvider,
    upstream: TestGateway,
    gateway: TestGateway,
    client: Client,
}

impl World {
    async fn start() -> Self {
        let idp = IdentityProvider::start().await;
        let trusting = json!({"gateway": {"idJagIssuers": [{"issuer": idp.issuer}]}});
        Self::with(idp, trusting, |document| document).await
    }

    async fn with(idp: IdentityProvider, upstream: Value, adjust: impl FnOnce(Value) -> Value) -> Self {
        let (upstream, document) = Self::documents(&idp, upstream).await;
        let gateway = TestGateway::with(adjust(document)).await;
        let client = Client::register(&gateway).await;
        Self { idp, upstream, gateway, client }
    }

    /// The upstream, and the configuration of a gateway that is registered there by hand.
    async fn documents(idp: &IdentityProvider, mut upstream: Value) -> (TestGateway, Value) {
        upstream["outbound"] = json!({"allowPrivateNetworks": ["127.0.0.0/8"]});
        let upstream = TestGateway::with(upstream).await;
        let at_upstream = Client::register_as(
            &upstream,
            json!({"client_name": "Sallyport", "redirect_uris": ["http://127.0.0.1:9999/callback"],
                   "token_endpoint_auth_method": "client_secret_basic"}),
        )
        .await;
        idp.behave(|behaviour| behaviour.client_id_at_resource.clone_from(&at_upstream.id));
        let document = json!({
            "outbound": {"allowPrivateNetworks": ["127.0.0.0/8"]},
            "identity": idp.identity(),
            "routes": [{
                "path": "/mcp/one", "operationId": "one", "summary": "Route One",
                "upstream": {"url": upstream.url("/mcp/one"), "id": "wiki", "displayName": "Wiki", "authMode": "id-jag",
                             "clientRegistration": {"mode": "manual", "clientId": at_upstream.id,
                                                    "clientSecret": at_upstream.secret}},
            }],
        });
        (upstream, document)
    }

    /// Signs in at the provider and approves the client, with no page in between.
    async fn log_in(&self) -> Tokens {
        log_in(&self.idp, &self.gateway, &self.client).await
    }

    fn advance(&self, by: Duration) {
        for clock in [&self.idp.clock, &self.upstream.clock, &self.gateway.clock] {
            clock.advance(by);
        }
    }

    async fn call(&self, access: &str) -> (StatusCode, Value) {
        call_at(&self.gateway, &self.client, access).await
    }

    fn subjects_at_upstream(&self) -> Vec<String> {
        let database = self.upstream.database();
        let mut rows = database.prepare("SELECT sub FROM users ORDER BY sub").unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }
}

async fn log_in(idp: &IdentityProvider, gateway: &TestGateway, client: &Client) -> Tokens {
    let mut browser = Browser::new(&gateway.origin);
    let leaving = browser.open(&client.authorize_url(&client.request("/mcp/one"))).await;
    let back = idp.sign_in(&leaving.leaves_to.expect("to the provider")).await;
    let consent = browser.open(&back).await;
    let code = browser.submit(&consent, ("decision", "approve")).await.answer()["code"].clone();
    assert!(browser.visited.iter().all(|path| !path.contains("/auth/connections/")), "{:?}", browser.visited);
    Tokens::from(client.redeem(&code).await).await
}

fn answered() -> (StatusCode, Value) {
    (StatusCode::OK, json!({"jsonrpc": "2.0", "id": 1, "result": {}}))
}

#[tokio::test]
async fn a_call_reaches_the_upstream_as_its_person_and_nobody_saw_a_connect_page() {
    let world = World::start().await;
    let tokens = world.log_in().await;
    for _ in 0..3 {
        assert_eq!(world.call(&tokens.access).await, answered());
    }
    assert_eq!(world.subjects_at_upstream(), ["ada"]);
    let exchanges = world.idp.asked("token-exchange");
    assert_eq!(exchanges.len(), 1, "one token serves all calls");
    // RFC 8693 section 2.1 and the draft.
    let asked = &exchanges[0];
    let one = world.upstream.url("/mcp/one");
    for (name, value) in [
        ("requested_token_type", "urn:ietf:params:oauth:token-type:id-jag"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
        ("audience", one.as_str()),
        ("resource", one.as_str()),
        ("scope", "mcp:tools"),
    ] {
        assert_eq!(asked[name], value, "{name}");
    }
    assert!(!asked.contains_key("client_secret"), "the secret is in the header");

    world.idp.behave(|behaviour| behaviour.person = "bob");
    let bob = world.log_in().await;
    assert_eq!(world.call(&bob.access).await, answered());
    assert_eq!(world.subjects_at_upstream(), ["ada", "bob"]);
}

/// The ID token lives five minutes, the upstream's token fifteen, the sign-in for as long as the provider likes.
#[tokio::test]
async fn an_ended_id_token_is_renewed_once_at_all_replicas_together() {
    let world = World::start().await;
    let mut document = world.gateway.document.clone();
    document.as_object_mut().unwrap().remove("server");
    let second = TestGateway::with(document).await;
    let mut tokens = world.log_in().await;
    for round in 1..=3 {
        world.advance(Duration::from_secs(16 * 60));
        second.clock.advance(Duration::from_secs(16 * 60));
        tokens = Tokens::from(world.client.refresh(&tokens.refresh).await).await;
        let calls = (0..16).map(|number| {
            let gateway = if number % 2 == 0 { &world.gateway } else { &second };
            call_at(gateway, &world.client, &tokens.access)
        });
        for answer in futures_util::future::join_all(calls).await {
            assert_eq!(answer, answered(), "round {round}");
        }
        assert_eq!(world.idp.asked("refresh_token").len(), round, "the provider rotates, so a second one would fail");
    }
}

/// Only the upstream's clock moves, so that its token is fresh to us and refused there.
#[tokio::test]
async fn an_upstream_401_is_answered_by_a_new_assertion_and_the_same_request_again() {
    let world = World::start().await;
    let tokens = world.log_in().await;
    assert_eq!(world.call(&tokens.access).await, answered());
    world.upstream.database().execute("DELETE FROM access_tokens", []).unwrap();
    world.upstream.clock.advance(Duration::from_secs(11));
    for answer in futures_util::future::join_all((0..8).map(|_| world.call(&tokens.access))).await {
        assert_eq!(answer, answered());
    }
    assert_eq!(world.idp.asked("token-exchange").len(), 2);
}

/// ENT-24: the company's no is no; nobody is asked to overrule it.
#[tokio::test]
async fn a_denial_is_final_until_the_provider_thinks_otherwise() {
    let world = World::start().await;
    let tokens = world.log_in().await;
    for (denial, changes, answer) in [
        (Some("access_denied"), json!({}), json!({})),
        (Some("invalid_target"), json!({}), json!({})),
        (None, json!({"client_id": "somebody-else"}), json!({})),
        (None, json!({"aud": "https://elsewhere.example"}), json!({})),
        (None, json!({}), json!({"issued_token_type": "urn:ietf:params:oauth:token-type:access_token"})),
        (None, json!({}), json!({"token_type": "Bearer"})),
        (None, json!({}), json!({"access_token": null})),
    ] {
        world.idp.behave(|behaviour| {
            behaviour.denies_exchange = denial;
            behaviour.assertion_changes = changes.clone();
            behaviour.answer_changes = answer.clone();
        });
        let before = world.idp.asked("token-exchange").len();
        for _ in 0..3 {
            let (status, body) = world.call(&tokens.access).await;
            assert_eq!(
                (status, &body["error"]["data"]["reason"]),
                (StatusCode::FORBIDDEN, &json!("credential_denied"))
            );
            assert!(!body.to_string().contains("/auth/connections/"), "{body}");
        }
        assert_eq!(world.idp.asked("token-exchange").len(), before + 1, "{denial:?} {changes} {answer}");
        world.gateway.clock.advance(Duration::from_secs(11));
    }
    world.idp.behave(|behaviour| {
        behaviour.denies_exchange = None;
        behaviour.assertion_changes = json!({});
        behaviour.answer_changes = json!({});
    });
    assert_eq!(world.call(&tokens.access).await, answered());
}

/// ENT-17.
#[tokio::test]
async fn an_upstream_that_does_not_announce_it_is_never_given_an_assertion() {
    let world = World::with(IdentityProvider::start().await, json!({}), |document| document).await;
    let tokens = world.log_in().await;
    let (status, body) = world.call(&tokens.access).await;
    assert_eq!((status, &body["error"]["data"]["reason"]), (StatusCode::FORBIDDEN, &json!("credential_denied")));
    assert_eq!(world.idp.asked("token-exchange").len(), 0);
}

async fn link(world: &World, access: &str) -> String {
    let (status, body) = world.call(access).await;
    assert_eq!((status, &body["error"]["code"]), (StatusCode::OK, &json!(-32042)), "{body}");
    assert_eq!(body["error"]["message"], "Sign in again to use Wiki.");
    let data = &body["error"]["data"];
    assert_eq!((&data["state"], &data["authProfileId"]), (&json!("authenticating"), &json!("wiki:id-jag")));
    data["authUrl"].as_str().unwrap().to_owned()
}

/// Follows a link of ours to the provider and back.
async fn open(world: &World, browser: &mut Browser, link: &str) -> (StatusCode, String) {
    let leaving = browser.open_page(link).await;
    let Some(location) = leaving.leaves_to else { return (leaving.status, leaving.html) };
    let back = world.idp.sign_in(&location).await;
    let page = browser.open_page(&back).await;
    assert_eq!(page.leaves_to, None, "not in circles");
    (page.status, page.html)
}

/// Without a refresh token, with one that is no longer good, and when the provider wants to see the person.
#[tokio::test]
async fn a_person_of_whom_nothing_is_left_gets_a_link_to_sign_in_again() {
    let world = World::start().await;
    world.idp.behave(|behaviour| behaviour.gives_refresh_tokens = false);
    let mut tokens = world.log_in().await;
    assert_eq!(world.call(&tokens.access).await, answered());
    for case in ["no refresh token", "refresh denied", "step up"] {
        world.idp.behave(|behaviour| {
            behaviour.denies_refresh = (case == "refresh denied").then_some("invalid_grant");
            behaviour.denies_exchange = (case == "step up").then_some("insufficient_user_authentication");
        });
        world.advance(Duration::from_secs(16 * 60));
        tokens = Tokens::from(world.client.refresh(&tokens.refresh).await).await;
        let url = link(&world, &tokens.access).await;
        world.idp.behave(|behaviour| {
            behaviour.gives_refresh_tokens = true;
            behaviour.denies_exchange = None;
        });

        world.idp.behave(|behaviour| behaviour.person = "bob");
        let (status, html) = open(&world, &mut Browser::new(&world.gateway.origin), &url).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{case}: {html}");

        world.idp.behave(|behaviour| behaviour.person = "ada");
        let (status, html) = open(&world, &mut Browser::new(&world.gateway.origin), &url).await;
        assert_eq!(status, StatusCode::OK, "{case}: {html}");
        assert!(html.contains("You are signed in"), "{html}");
        assert_eq!(world.call(&tokens.access).await, answered(), "{case}");
    }
}

/// A provider that signs in by itself, and whose ID tokens are too short to be of use.
#[tokio::test]
async fn signing_in_for_nothing_ends_on_a_page() {
    let world = World::start().await;
    world.idp.behave(|behaviour| {
        behaviour.gives_refresh_tokens = false;
        behaviour.id_token_lifetime = Duration::from_secs(10);
    });
    let tokens = world.log_in().await;
    let url = link(&world, &tokens.access).await;
    let (status, html) = open(&world, &mut Browser::new(&world.gateway.origin), &url).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "{html}");
    assert!(html.contains("Signing in was not enough"), "{html}");
}

/// ENT-23: who came by an assertion left nothing that could be exchanged.
#[tokio::test]
async fn who_came_without_a_browser_gets_the_link() {
    let idp = IdentityProvider::start().await;
    let trusting = json!({"gateway": {"idJagIssuers": [{"issuer": idp.issuer}]}});
    let trusted = json!([{"issuer": idp.issuer}]);
    let world = World::with(idp, trusting, |mut document| {
        document["gateway"] = json!({"idJagIssuers": trusted});
        document
    })
    .await;
    let agent = Client::register_as(
        &world.gateway,
        json!({"redirect_uris": ["http://127.0.0.1:9999/callback"], "token_endpoint_auth_method": "client_secret_post"}),
    )
    .await;
    let assertion = world.idp.assertion(&world.gateway.url("/mcp/one"), &agent.id, &json!({}));
    let form = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", assertion.as_str())];
    let issued: Value = agent.token(&form).await.json().await.unwrap();
    let access = issued["access_token"].as_str().unwrap();
    let url = link(&world, access).await;
    let (status, html) = open(&world, &mut Browser::new(&world.gateway.origin), &url).await;
    assert_eq!(status, StatusCode::OK, "{html}");
    assert_eq!(world.call(access).await, answered());
}

#[tokio::test]
async fn nothing_of_the_provider_is_in_the_log_or_readable_in_the_store() {
    let idp = IdentityProvider::start().await;
    let trusting = json!({"gateway": {"idJagIssuers": [{"issuer": idp.issuer}]}});
    let (_upstream, document) = World::documents(&idp, trusting).await;
    let (gateway, log) = TestGateway::with_log(document).await;
    let client = Client::register(&gateway).await;
    let tokens = log_in(&idp, &gateway, &client).await;
    assert_eq!(call_at(&gateway, &client, &tokens.access).await, answered());
    let exchange = idp.asked("token-exchange");
    assert_eq!(exchange.len(), 1);
    let last = client.call("/mcp/one", "at_wrong").await;
    log.about(last.headers()["x-request-id"].to_str().unwrap());
    let (dump, text) = (gateway.dump(), log.all().join("\n"));
    assert!(dump.contains(":identity-provider"), "{dump}");
    let mut secrets: Vec<&str> = exchange[0]["subject_token"].split('.').collect();
    secrets.extend(["refresh-", "access-"]);
    for secret in secrets {
        assert!(!text.contains(secret) && !dump.contains(secret), "{secret}");
    }
}
