//! Clients that authenticate with a key pair (`private_key_jwt`, RFC 7523).

use std::time::Duration;

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    Browser, Client, Host, TestGateway, Tokens,
    assertion::{SigningKey, claims, unsigned},
};

const REDIRECT: &str = "https://client.example/callback";

async fn registered(gateway: &TestGateway, key: &SigningKey) -> Client {
    Client::register_as(
        gateway,
        json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "private_key_jwt", "jwks": key.jwks()}),
    )
    .await
}

async fn new_code(client: &Client) -> String {
    client.authorize(&mut Browser::new(&client.origin), "/mcp/one", "ada").await
}

async fn error(response: Response) -> (StatusCode, String) {
    let status = response.status();
    (status, response.json::<Value>().await.unwrap()["error"].as_str().unwrap().to_owned())
}

fn now(gateway: &TestGateway) -> i64 {
    gateway.clock.now().as_seconds()
}

#[tokio::test]
async fn a_registered_client_signs_every_token_request() {
    let gateway = TestGateway::start().await;
    let key = SigningKey::new("k1");
    let client = registered(&gateway, &key).await;
    assert_eq!(client.secret, None);
    let sign = |audience: &str| key.assertion(&client.id, audience, now(&gateway));
    let code = new_code(&client).await;
    let mut tokens = Tokens::from(client.redeem_with(&code, &sign(&gateway.url("/oauth/token"))).await).await;
    for audience in [gateway.origin.clone(), gateway.url("/mcp/one"), gateway.url("/mcp/two")] {
        tokens = Tokens::from(client.refresh_with(&tokens.refresh, &sign(&audience)).await).await;
    }
    let refused = (StatusCode::UNAUTHORIZED, "invalid_client".to_owned());
    assert_eq!(error(client.refresh(&tokens.refresh).await).await, refused);
    let with_secret = client
        .token(&[("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh), ("client_secret", "x")])
        .await;
    assert_eq!(error(with_secret).await, refused);
    let revoke = client.http.post(gateway.url("/oauth/revoke"));
    let revoke = revoke.form(&[("token", &tokens.refresh), ("client_id", &client.id)]).send().await.unwrap();
    assert_eq!(revoke.status(), StatusCode::UNAUTHORIZED);
    Tokens::from(client.refresh_with(&tokens.refresh, &sign(&gateway.origin)).await).await;
}

/// RFC 8725: every known way to make a verifier accept what the client did not sign.
#[tokio::test]
async fn a_forged_assertion_proves_nothing() {
    let gateway = TestGateway::start().await;
    let (key, mallory) = (SigningKey::new("k1"), SigningKey::new("k1"));
    let client = registered(&gateway, &key).await;
    let audience = gateway.url("/oauth/token");
    let claims = || claims(&client.id, &audience, now(&gateway));
    let header = |members: Value| {
        let mut header = json!({"alg": "ES256", "typ": "JWT", "kid": "k1"});
        for (name, value) in members.as_object().unwrap() {
            header[name] = value.clone();
        }
        header
    };
    let honest = key.assertion(&client.id, &audience, now(&gateway));
    let (message, signature) = honest.rsplit_once('.').unwrap();
    let tokens = Tokens::from(client.redeem_with(&new_code(&client).await, &honest).await).await;
    for (attack, forged) in [
        ("alg none", unsigned(&claims())),
        ("no signature", format!("{message}.")),
        ("hmac with the public key", key.confused(&claims())),
        ("another key of the same name", mallory.assertion(&client.id, &audience, now(&gateway))),
        ("a key in the header", mallory.sign(&header(json!({"jwk": mallory.jwk()})), &claims())),
        ("a key set in the header", mallory.sign(&header(json!({"jku": "https://evil.example/keys"})), &claims())),
        (
            "a certificate in the header",
            mallory.sign(&header(json!({"x5c": ["MIIB"], "x5u": "https://e.example"})), &claims()),
        ),
        ("a path as key name", key.sign(&header(json!({"kid": "../../../../dev/null"})), &claims())),
        ("sql as key name", key.sign(&header(json!({"kid": "k1' OR '1'='1"})), &claims())),
        ("another algorithm", key.sign(&header(json!({"alg": "RS256"})), &claims())),
        ("an unknown extension", key.sign(&header(json!({"crit": ["b64"], "b64": false})), &claims())),
        ("an access token", key.sign(&header(json!({"typ": "at+jwt"})), &claims())),
        ("changed claims", format!("{}.{signature}", unsigned(&claims()).trim_end_matches('.'))),
        ("not a token", "e30.e30.e30".to_owned()),
        ("nothing", ".".to_owned()),
    ] {
        let answer = error(client.refresh_with(&tokens.refresh, &forged).await).await;
        assert_eq!(answer, (StatusCode::UNAUTHORIZED, "invalid_client".to_owned()), "{attack}");
    }
    let other = registered(&gateway, &mallory).await;
    let of_other = mallory.assertion(&other.id, &audience, now(&gateway));
    assert_eq!(error(client.refresh_with(&tokens.refresh, &of_other).await).await.1, "invalid_client");
    let for_other = key.assertion(&client.id, "https://other.example/oauth/token", now(&gateway));
    assert_eq!(error(client.refresh_with(&tokens.refresh, &for_other).await).await.1, "invalid_client");
    let honest = key.assertion(&client.id, &audience, now(&gateway));
    Tokens::from(client.refresh_with(&tokens.refresh, &honest).await).await;
}

/// RFC 7523 section 3: also at another replica, since the store remembers.
#[tokio::test]
async fn an_assertion_is_good_for_one_request() {
    let mut gateway = TestGateway::start().await;
    let key = SigningKey::new("k1");
    let client = registered(&gateway, &key).await;
    let assertion = key.assertion(&client.id, &gateway.origin, now(&gateway));
    let tokens = Tokens::from(client.redeem_with(&new_code(&client).await, &assertion).await).await;
    let replayed = (StatusCode::UNAUTHORIZED, "invalid_client".to_owned());
    assert_eq!(error(client.refresh_with(&tokens.refresh, &assertion).await).await, replayed);
    gateway.restart_with(json!({}));
    assert_eq!(error(client.refresh_with(&tokens.refresh, &assertion).await).await, replayed);
    gateway.clock.advance(Duration::from_secs(91));
    assert_eq!(error(client.refresh_with(&tokens.refresh, &assertion).await).await, replayed);
    let fresh = key.assertion(&client.id, &gateway.origin, now(&gateway));
    Tokens::from(client.refresh_with(&tokens.refresh, &fresh).await).await;
}

/// Without a pinned origin a request says itself where it is sent to, but the grant knows where it was made.
#[tokio::test]
async fn an_assertion_for_another_host_opens_no_grant_of_this_one() {
    let gateway = TestGateway::start().await;
    let key = SigningKey::new("k1");
    let client = registered(&gateway, &key).await;
    let stolen = key.assertion(&client.id, "http://evil.example", now(&gateway));
    let code = new_code(&client).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", &client.id),
        ("code", &code),
        ("redirect_uri", &client.redirect_uri),
        ("code_verifier", &client.verifier),
        ("client_assertion_type", crate::support::assertion::JWT_BEARER),
        ("client_assertion", &stolen),
    ];
    let passed_on = client.http.post(gateway.url("/oauth/token")).header("host", "evil.example").form(&form);
    assert_eq!(error(passed_on.send().await.unwrap()).await, (StatusCode::BAD_REQUEST, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn a_client_with_a_document_changes_its_keys_at_its_own_site() {
    let host = Host::start().await;
    let gateway = TestGateway::with(host.reachable()).await;
    let (old, new) = (SigningKey::new("old"), SigningKey::new("new"));
    host.publish("/keys", &old.jwks());
    // The shape of ChatGPT's document (django-oauth-toolkit#1845).
    let id = host.publish_client_with(
        "/client.json",
        REDIRECT,
        json!({
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
            "token_endpoint_auth_signing_alg": "RS256",
            "jwks_uri": host.url("/keys"),
        }),
    );
    let client = Client::of_document(&gateway, &id, REDIRECT);
    let sign = |key: &SigningKey| key.assertion(&client.id, &gateway.url("/oauth/token"), now(&gateway));
    let unsigned = client.redeem(&new_code(&client).await).await;
    assert_eq!(error(unsigned).await, (StatusCode::UNAUTHORIZED, "invalid_client".to_owned()));
    let tokens = Tokens::from(client.redeem_with(&new_code(&client).await, &sign(&old)).await).await;
    assert_eq!(host.fetches("/keys"), 1);

    host.publish("/keys", &new.jwks());
    let tokens = Tokens::from(client.refresh_with(&tokens.refresh, &sign(&new)).await).await;
    assert_eq!(host.fetches("/keys"), 2);
    for _ in 0..3 {
        assert_eq!(error(client.refresh_with(&tokens.refresh, &sign(&old)).await).await.1, "invalid_client");
    }
    assert_eq!(host.fetches("/keys"), 2, "an unknown key makes one request in ten seconds");
    Tokens::from(client.refresh_with(&tokens.refresh, &sign(&new)).await).await;
}

/// What a registration names is fetched for who holds something of ours, and through the guard.
#[tokio::test]
async fn the_keys_of_a_registration_are_fetched_for_its_grants_only() {
    let host = Host::start().await;
    let key = SigningKey::new("k1");
    host.publish("/keys", &key.jwks());
    let metadata = json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "private_key_jwt",
                          "jwks_uri": host.url("/keys")});
    let gateway = TestGateway::with(host.reachable()).await;
    let client = Client::register_as(&gateway, metadata.clone()).await;
    let sign = |client: &Client| key.assertion(&client.id, &client.origin, now(&gateway));
    assert_eq!(error(client.refresh_with("rt_x", &sign(&client)).await).await.1, "invalid_grant");
    assert!(host.fetched().is_empty());
    Tokens::from(client.redeem_with(&new_code(&client).await, &sign(&client)).await).await;

    let guarded = TestGateway::start().await;
    let client = Client::register_as(&guarded, metadata).await;
    let refused = client.redeem_with(&new_code(&client).await, &sign(&client)).await;
    assert_eq!(error(refused).await, (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable".to_owned()));
    assert_eq!(host.fetches("/keys"), 1);
}
