//! What is sent to the provider, and what of its answers ends a login.

use std::{collections::HashMap, time::Duration};

use serde_json::json;

use super::super::{
    Error, IdTokenError, Pkce,
    fake_provider::{CLIENT_ID, FakeProvider, NONCE, REDIRECT_URI, SigningKey, finish},
};
use crate::crypto::s256;

fn query(url: &url::Url) -> HashMap<String, String> {
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    let map: HashMap<_, _> = pairs.iter().cloned().collect();
    assert_eq!(map.len(), pairs.len(), "no parameter twice");
    map
}

#[tokio::test]
async fn the_browser_is_sent_with_everything_a_login_needs() {
    let fake = FakeProvider::start(&[]).await;
    let provider = fake.provider_with(|settings| settings.audience = Some("https://api.example".to_owned()));
    let begin = provider.begin(REDIRECT_URI, "state-1").await.unwrap();
    assert_eq!(begin.url.path(), "/authorize");
    let verifier = begin.code_verifier.unwrap();
    let expected = [
        ("tenant", "one"),
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", REDIRECT_URI),
        ("scope", "openid profile email"),
        ("state", "state-1"),
        ("nonce", begin.nonce.as_str()),
        ("code_challenge", &s256(verifier.expose())),
        ("code_challenge_method", "S256"),
        ("audience", "https://api.example"),
    ];
    assert_eq!(query(&begin.url), expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    // RFC 7636 section 4.1.
    assert!((43..=128).contains(&verifier.expose().len()));
    let again = provider.begin(REDIRECT_URI, "state-1").await.unwrap();
    assert_ne!(again.nonce, begin.nonce);
    assert_ne!(again.code_verifier, Some(verifier));
}

#[tokio::test]
async fn pkce_follows_the_setting_and_discovery() {
    for (pkce, advertised, expected) in [
        (Pkce::Auto, json!(["S256"]), true),
        (Pkce::Auto, json!(["plain"]), false),
        (Pkce::Auto, json!(null), false),
        (Pkce::S256, json!(null), true),
        (Pkce::None, json!(["S256"]), false),
    ] {
        let fake = FakeProvider::start(&[]).await;
        fake.change(|script| script.discovery["code_challenge_methods_supported"] = advertised.clone());
        let provider = fake.provider_with(|settings| settings.pkce = pkce);
        let begin = provider.begin(REDIRECT_URI, "s").await.unwrap();
        assert_eq!(begin.code_verifier.is_some(), expected, "{pkce:?} {advertised}");
        assert_eq!(query(&begin.url).contains_key("code_challenge"), expected);
    }
}

#[tokio::test]
async fn the_code_is_redeemed_with_the_client_authentication_that_the_provider_takes() {
    let key = SigningKey::new("ES256", "k1");
    let fake = FakeProvider::start(&[&key]).await;
    let token = key.token(&fake.claims());

    fake.finish(&fake.provider(), &token).await.unwrap();
    fake.change(|script| script.discovery["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]));
    fake.finish(&fake.provider(), &token).await.unwrap();
    fake.finish(&fake.provider_with(|settings| settings.client_secret = None), &token).await.unwrap();

    let requests: Vec<_> = fake.server.seen().into_iter().filter(|request| request.path() == "/token").collect();
    for request in &requests {
        assert_eq!(request.form("grant_type").as_deref(), Some("authorization_code"));
        assert_eq!(request.form("code").as_deref(), Some("code-1"));
        assert_eq!(request.form("redirect_uri").as_deref(), Some(REDIRECT_URI));
        assert_eq!(request.form("code_verifier").as_deref(), Some("verifier-1"));
    }
    let sent = |at: usize| {
        let request: &crate::outbound::test_server::Request = &requests[at];
        (request.header("authorization").is_some(), request.form("client_id"), request.form("client_secret"))
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(sent(0), (true, None, None));
    assert_eq!(sent(1), (false, text(CLIENT_ID), text("client-secret")));
    assert_eq!(sent(2), (false, text(CLIENT_ID), None));
}

#[tokio::test]
async fn a_token_endpoint_that_refuses_is_reported_by_its_code_alone() {
    let fake = FakeProvider::start(&[]).await;
    let body = json!({"error": "invalid_grant\n<script>", "error_description": "code code-1 is spent"}).to_string();
    // A few providers refuse with status 200.
    for status in [400, 401, 200] {
        fake.change(|script| script.token = Some((status, body.clone())));
        let error = finish(&fake.provider()).await.unwrap_err();
        assert!(matches!(&error, Error::Refused { code, .. } if code == "invalid_grantscript"), "{error:?}");
        assert!(!error.log_sentence().contains("code-1"));
    }
}

#[tokio::test]
async fn a_token_endpoint_that_answers_nonsense_ends_the_login() {
    let fake = FakeProvider::start(&[]).await;
    let provider = fake.provider();
    let answer = async |status: u16, body: &str| {
        fake.change(|script| script.token = Some((status, body.to_owned())));
        finish(&provider).await.unwrap_err()
    };
    assert!(
        matches!(answer(502, "<html>Bad gateway</html>").await, Error::NotATokenResponse { status } if status == 502)
    );
    assert!(matches!(answer(200, "<html>Sign in</html>").await, Error::NotATokenResponse { .. }));
    assert!(matches!(answer(500, "{}").await, Error::NotATokenResponse { .. }));
    assert!(matches!(answer(200, "{}").await, Error::IdToken(IdTokenError::Missing)));
    assert!(matches!(answer(200, r#"{"id_token": 7}"#).await, Error::NotATokenResponse { .. }));
    assert!(matches!(answer(200, &"x".repeat(300_000)).await, Error::Exchange(_)));
}

#[tokio::test]
async fn a_token_endpoint_that_hangs_ends_the_login_at_the_deadline() {
    let fake = FakeProvider::start(&[]).await;
    let provider = fake.provider_with(|settings| settings.timeout = Duration::from_millis(300));
    let error = finish(&provider).await.unwrap_err();
    assert!(matches!(&error, Error::Exchange(cause) if matches!(**cause, crate::outbound::Error::Timeout { .. })));
    assert_eq!(error.user_sentence(), "The sign-in service can't be reached at the moment.");
    assert_eq!(fake.server.count("/token"), 1, "a code is not sent twice");
}

/// RFC 9207 section 2.4.
#[tokio::test]
async fn a_response_of_another_issuer_is_refused() {
    let fake = FakeProvider::start(&[]).await;
    let provider = fake.provider();
    provider.check_callback_iss(Some(&fake.issuer)).await.unwrap();
    provider.check_callback_iss(None).await.unwrap();
    for foreign in ["https://evil.example", "", &format!("{}/", fake.issuer)] {
        let error = provider.check_callback_iss(Some(foreign)).await.unwrap_err();
        assert!(matches!(error, Error::CallbackIssuer { present: true }), "{foreign}");
    }
    fake.change(|script| script.discovery["authorization_response_iss_parameter_supported"] = json!(true));
    let error = fake.provider().check_callback_iss(None).await.unwrap_err();
    assert!(matches!(error, Error::CallbackIssuer { present: false }));
}

/// No sentence for people or logs may hold what the login is made of.
#[tokio::test]
async fn errors_hold_no_code_nonce_or_secret() {
    let key = SigningKey::new("ES256", "k1");
    let fake = FakeProvider::start(&[&key]).await;
    let token = key.token(&fake.claims_with(&json!({"nonce": "nonce-2"})));
    let error = fake.finish(&fake.provider(), &token).await.unwrap_err();
    let printed = format!("{error} {error:?} {}", error.user_sentence());
    for secret in ["code-1", NONCE, "nonce-2", "client-secret", "verifier-1", &token] {
        assert!(!printed.contains(secret), "{printed}");
    }
}
