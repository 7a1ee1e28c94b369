//! A client brings an identity assertion of the company's provider in place of a person at a browser (ID-JAG inbound).

use std::time::Duration;

use reqwest::{Response, StatusCode, header};
use serde_json::{Value, json};

use crate::support::{Browser, Client, IdentityProvider, TestGateway};

struct World {
    idp: IdentityProvider,
    gateway: TestGateway,
    client: Client,
}

impl World {
    async fn start() -> Self {
        let idp = IdentityProvider::start().await;
        let gateway = TestGateway::with(settings(&idp)).await;
        let client = confidential(&gateway).await;
        Self { idp, gateway, client }
    }

    fn assertion(&self, changes: &Value) -> String {
        self.idp.assertion(&self.gateway.url("/mcp/one"), &self.client.id, changes)
    }

    async fn redeem(&self, assertion: &str, more: &[(&str, &str)]) -> Response {
        redeem(&self.client, assertion, more).await
    }

    fn subjects(&self) -> Vec<String> {
        let database = self.gateway.database();
        let mut rows = database.prepare("SELECT subject FROM users ORDER BY subject").unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }
}

fn settings(idp: &IdentityProvider) -> Value {
    json!({
        "outbound": {"allowPrivateNetworks": ["127.0.0.0/8"]},
        "identity": idp.identity(),
        "gateway": {"idJagIssuers": [{"issuer": idp.issuer}]},
    })
}

async fn confidential(gateway: &TestGateway) -> Client {
    Client::register_as(
        gateway,
        json!({
            "client_name": "Agent", "redirect_uris": ["http://127.0.0.1:9999/callback"],
            "token_endpoint_auth_method": "client_secret_post",
        }),
    )
    .await
}

async fn redeem(client: &Client, assertion: &str, more: &[(&str, &str)]) -> Response {
    let mut form = vec![("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", assertion)];
    form.extend(more);
    client.token(&form).await
}

async fn refused(response: Response, error: &str, case: &str) {
    let status = response.status();
    let body: Value = response.json().await.unwrap();
    assert_eq!((status, body["error"].as_str()), (StatusCode::BAD_REQUEST, Some(error)), "{case}: {body}");
}

#[tokio::test]
async fn an_assertion_becomes_an_access_token_of_the_same_person_and_nothing_else() {
    let world = World::start().await;
    let response = world.redeem(&world.assertion(&json!({"groups": ["sales"]})), &[]).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["scope"], "mcp:tools");
    assert_eq!(body["resource"], world.gateway.url("/mcp/one"));
    assert_eq!(body["expires_in"], 900);
    assert_eq!(body.get("refresh_token"), None, "a new assertion is the way to a new token");
    let access = body["access_token"].as_str().unwrap();
    assert_eq!(world.client.call("/mcp/one", access).await.status(), StatusCode::OK);
    assert_eq!(world.client.call("/mcp/two", access).await.status(), StatusCode::UNAUTHORIZED);

    // The same person signs in at a browser and is the same user; another one is another.
    for (person, users) in [("ada", 1), ("bob", 2)] {
        world.idp.behave(|behaviour| behaviour.person = person);
        let mut browser = Browser::new(&world.gateway.origin);
        let at_provider = browser.open(&world.client.authorize_url(&world.client.request("/mcp/one"))).await;
        let back = world.idp.sign_in(&at_provider.leaves_to.unwrap()).await;
        browser.open(&back).await;
        assert_eq!(world.subjects().len(), users, "{person}");
    }
    assert_eq!(world.idp.asked("authorization_code").len(), 2);

    world.gateway.clock.advance(Duration::from_secs(901));
    assert_eq!(world.client.call("/mcp/one", access).await.status(), StatusCode::UNAUTHORIZED);
}

/// EMA section 6: the profile is announced, whose assertions are believed is not.
#[tokio::test]
async fn the_metadata_says_that_assertions_are_taken_and_not_whose() {
    let world = World::start().await;
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/mcp/one"] {
        let document = world.client.http.get(world.gateway.url(path)).send().await.unwrap().text().await.unwrap();
        assert!(!document.contains(&world.idp.issuer), "{document}");
        let document: Value = serde_json::from_str(&document).unwrap();
        assert_eq!(
            document["authorization_grant_profiles_supported"],
            json!(["urn:ietf:params:oauth:grant-profile:id-jag"])
        );
        let grants = document["grant_types_supported"].as_array().unwrap();
        assert!(grants.contains(&json!("urn:ietf:params:oauth:grant-type:jwt-bearer")), "{grants:?}");
    }
}

#[tokio::test]
async fn without_trusted_issuers_there_is_no_such_grant() {
    let idp = IdentityProvider::start().await;
    let gateway = TestGateway::start().await;
    let client = confidential(&gateway).await;
    let assertion = idp.assertion(&gateway.url("/mcp/one"), &client.id, &json!({}));
    refused(redeem(&client, &assertion, &[]).await, "unsupported_grant_type", "none trusted").await;
    let metadata = client.http.get(gateway.url("/.well-known/oauth-authorization-server")).send().await.unwrap();
    let metadata: Value = metadata.json().await.unwrap();
    assert_eq!(metadata.get("authorization_grant_profiles_supported"), None);
}

/// EMA section 7.4.1 and the draft, claim by claim.
#[tokio::test]
async fn an_assertion_for_somebody_something_or_somewhere_else_is_refused() {
    let world = World::start().await;
    let now = world.idp.clock.now().as_seconds();
    let (one, two) = (world.gateway.url("/mcp/one"), world.gateway.url("/mcp/two"));
    let stranger = confidential(&world.gateway).await;
    for changes in [
        json!({"client_id": stranger.id}),
        json!({"client_id": null}),
        json!({"aud": "https://elsewhere.example"}),
        json!({"aud": world.gateway.url("/oauth/token")}),
        json!({"aud": format!("{one}/")}),
        json!({"aud": [one, two]}),
        json!({"aud": []}),
        json!({"aud": null}),
        json!({"aud": world.gateway.origin}),
        json!({"aud": world.gateway.origin, "resource": "https://elsewhere.example/mcp"}),
        json!({"aud": world.gateway.origin, "resource": [one, two]}),
        json!({"resource": two}),
        json!({"resource": [one, two]}),
        json!({"resource": 7}),
        json!({"iss": "https://evil.example"}),
        json!({"iss": format!("{}/", world.idp.issuer)}),
        json!({"iss": null}),
        json!({"exp": now - 120}),
        json!({"exp": null}),
        json!({"exp": now + 7200}),
        json!({"iat": now + 120}),
        json!({"iat": null}),
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"jti": null}),
        json!({"jti": ""}),
        json!({"cnf": {"jkt": "x"}}),
        json!({"tenant": "t-1"}),
        json!({"scope": "files:read"}),
        json!({"scope": ["mcp:tools"]}),
    ] {
        refused(world.redeem(&world.assertion(&changes), &[]).await, "invalid_grant", &changes.to_string()).await;
    }
    for changes in [
        json!({"aud": [one]}),
        json!({"resource": one}),
        json!({"resource": [one]}),
        json!({"aud": world.gateway.origin, "resource": one}),
        json!({"scope": "mcp:tools"}),
    ] {
        let response = world.redeem(&world.assertion(&changes), &[("resource", &one)]).await;
        assert_eq!(response.status(), StatusCode::OK, "{changes}");
    }
    refused(world.redeem(&world.assertion(&json!({})), &[("resource", &two)]).await, "invalid_target", "resource")
        .await;
    refused(world.redeem(&world.assertion(&json!({})), &[("scope", "files:read")]).await, "invalid_scope", "scope")
        .await;
    assert_eq!(world.subjects().len(), 1);
}

#[tokio::test]
async fn a_token_of_another_kind_or_signed_by_somebody_else_is_refused() {
    let world = World::start().await;
    let honest = world.assertion(&json!({}));
    let mut parts = honest.split('.');
    let (header, payload) = (parts.next().unwrap(), parts.next().unwrap());
    let decoded = |part: &str| -> Value {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let (good_header, claims) = (decoded(header), decoded(payload));
    for typ in
        [json!("JWT"), json!("at+jwt"), json!("OAUTH-ID-JAG+JWT"), json!("application/oauth-id-jag+jwt"), json!(null)]
    {
        let mut header = good_header.clone();
        header["typ"] = typ.clone();
        refused(world.redeem(&world.idp.signed(&header, &claims), &[]).await, "invalid_grant", &typ.to_string()).await;
    }
    for alg in ["none", "HS256"] {
        let mut header = good_header.clone();
        header["alg"] = alg.into();
        refused(world.redeem(&world.idp.signed(&header, &claims), &[]).await, "invalid_grant", alg).await;
    }
    // Another provider with keys of its own, that claims to be ours.
    let other = IdentityProvider::start().await;
    refused(world.redeem(&other.signed(&good_header, &claims), &[]).await, "invalid_grant", "foreign key").await;
    for garbage in ["", "a.b.c", "x", &format!("{header}.{payload}."), &"a".repeat(60_000)] {
        let response = world.redeem(garbage, &[]).await;
        assert!(response.status().is_client_error(), "{garbage:.20}");
    }
    assert_eq!(world.redeem(&honest, &[]).await.status(), StatusCode::OK);
}

/// EMA section 7.4.2: once, at whatever replica.
#[tokio::test]
async fn an_assertion_is_redeemed_once_across_replicas() {
    let world = World::start().await;
    let mut document = world.gateway.document.clone();
    document.as_object_mut().unwrap().remove("server");
    let second = TestGateway::with(document).await;
    let assertion = world.assertion(&json!({}));
    let host = world.gateway.origin.strip_prefix("http://").unwrap().to_owned();
    let attempts = (0..16).map(|number| {
        let origin = if number % 2 == 0 { &world.gateway.origin } else { &second.origin };
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", &assertion),
            ("client_id", &world.client.id),
            ("client_secret", world.client.secret.as_deref().unwrap()),
        ];
        let request = world.client.http.post(format!("{origin}/oauth/token")).header(header::HOST, &host).form(&form);
        async move { request.send().await.unwrap().status() }
    });
    let statuses = futures_util::future::join_all(attempts).await;
    assert_eq!(statuses.iter().filter(|status| **status == StatusCode::OK).count(), 1, "{statuses:?}");
    // Still after the clean-up, as long as it would be accepted.
    world.gateway.clock.advance(Duration::from_secs(290));
    world.gateway.clean_up().await;
    refused(world.redeem(&assertion, &[]).await, "invalid_grant", "replay").await;
}

#[tokio::test]
async fn a_public_client_and_a_wrong_secret_are_refused() {
    let world = World::start().await;
    let public = Client::register(&world.gateway).await;
    let assertion = world.idp.assertion(&world.gateway.url("/mcp/one"), &public.id, &json!({}));
    refused(redeem(&public, &assertion, &[]).await, "unauthorized_client", "public").await;
    let thief = Client { secret: Some("wrong".to_owned()), ..confidential(&world.gateway).await };
    let assertion = world.idp.assertion(&world.gateway.url("/mcp/one"), &thief.id, &json!({}));
    assert_eq!(redeem(&thief, &assertion, &[]).await.status(), StatusCode::UNAUTHORIZED);
}

/// Keys are rotated without anybody being told.
#[tokio::test]
async fn a_rotated_key_is_fetched() {
    let world = World::start().await;
    assert_eq!(world.redeem(&world.assertion(&json!({})), &[]).await.status(), StatusCode::OK);
    world.idp.rotate_key();
    assert_eq!(world.redeem(&world.assertion(&json!({})), &[]).await.status(), StatusCode::OK);
}

/// EMA section 7.4.2: not in full, not in part.
#[tokio::test]
async fn an_assertion_is_in_no_log_and_not_in_the_store() {
    let idp = IdentityProvider::start().await;
    let (gateway, log) = TestGateway::with_log(settings(&idp)).await;
    let client = confidential(&gateway).await;
    let one = gateway.url("/mcp/one");
    let good = idp.assertion(&one, &client.id, &json!({}));
    let bad = idp.assertion(&one, &client.id, &json!({"aud": "https://elsewhere.example"}));
    assert_eq!(redeem(&client, &good, &[]).await.status(), StatusCode::OK);
    assert_eq!(redeem(&client, &good, &[]).await.status(), StatusCode::BAD_REQUEST);
    let last = redeem(&client, &bad, &[]).await;
    assert_eq!(last.status(), StatusCode::BAD_REQUEST);
    log.about(last.headers()["x-request-id"].to_str().unwrap());
    let (dump, text) = (gateway.dump(), log.all().join("\n"));
    assert!(text.contains("mcp_auth_assertion_replayed") && text.contains("assertion_audience"), "{text}");
    for assertion in [&good, &bad] {
        for part in assertion.split('.') {
            assert!(!text.contains(part) && !dump.contains(part), "{part}");
        }
    }
}
