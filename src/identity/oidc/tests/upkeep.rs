//! Discovery and keys over time: outages, rotation, refresh.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::net::TcpListener;

use super::super::{
    Error, IdTokenError, Provider,
    fake_provider::{FakeProvider, REDIRECT_URI, SigningKey, loopback_client, settings},
};
use crate::clock::Clock;

const DISCOVERY: &str = "/.well-known/openid-configuration";

async fn begins(provider: &Provider) -> Result<(), Error> {
    provider.begin(REDIRECT_URI, "s").await.map(|_| ())
}

#[tokio::test]
async fn a_provider_that_is_down_at_the_start_is_found_when_it_comes_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let provider = Provider::new(settings(&format!("http://{address}")), loopback_client(), Clock::system()).unwrap();
    let error = begins(&provider).await.unwrap_err();
    assert!(matches!(error, Error::Discovery(_)), "{error:?}");
    assert_eq!(error.user_sentence(), "The sign-in service can't be reached at the moment.");

    let _fake = FakeProvider::on(TcpListener::bind(address).await.unwrap(), &[]);
    begins(&provider).await.unwrap();
}

/// Discovery section 4.3.
#[tokio::test]
async fn the_document_of_another_issuer_is_refused() {
    let fake = FakeProvider::start(&[]).await;
    for announced in ["https://evil.example".to_owned(), format!("{}/", fake.issuer), fake.issuer.to_uppercase()] {
        fake.change(|script| script.discovery["issuer"] = json!(announced));
        let error = begins(&fake.provider()).await.unwrap_err();
        assert!(matches!(error, Error::IssuerMismatch { .. }), "{error:?}");
        assert!(error.log_sentence().contains(&announced) && error.log_sentence().contains(&fake.issuer));
    }
}

#[tokio::test]
async fn a_document_without_usable_endpoints_is_refused() {
    for member in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
        for value in [json!(null), json!("javascript:alert(1)"), json!("/relative"), json!("file:///etc/passwd")] {
            let fake = FakeProvider::start(&[]).await;
            fake.change(|script| script.discovery[member] = value.clone());
            let error = begins(&fake.provider()).await.unwrap_err();
            assert!(matches!(error, Error::Endpoint { member: named } if named == member), "{value}: {error:?}");
        }
    }
}

#[tokio::test]
async fn an_issuer_that_is_no_url_stops_the_start() {
    for issuer in ["", "login.example.com", "not a url"] {
        assert!(matches!(Provider::new(settings(issuer), loopback_client(), Clock::system()), Err(Error::Issuer(_))));
    }
}

#[tokio::test]
async fn with_every_endpoint_configured_nothing_is_discovered() {
    let key = SigningKey::new("ES256", "k1");
    let fake = FakeProvider::start(&[&key]).await;
    let provider = fake.provider_with(|settings| {
        settings.endpoints.authorize = Some(fake.server.url("/authorize"));
        settings.endpoints.token = Some(fake.server.url("/token"));
        settings.endpoints.jwks = Some(fake.server.url("/jwks"));
    });
    begins(&provider).await.unwrap();
    fake.finish(&provider, &key.token(&fake.claims())).await.unwrap();
    assert_eq!(fake.server.count(DISCOVERY), 0);
}

#[tokio::test]
async fn a_configured_endpoint_wins_over_the_discovered_one() {
    let fake = FakeProvider::start(&[]).await;
    let own: url::Url = "https://own.example/authorize".parse().unwrap();
    let provider = fake.provider_with(|settings| settings.endpoints.authorize = Some(own));
    assert_eq!(provider.begin(REDIRECT_URI, "s").await.unwrap().url.host_str(), Some("own.example"));
}

#[tokio::test]
async fn many_logins_at_once_share_one_discovery() {
    let fake = FakeProvider::start(&[]).await;
    let provider = Arc::new(fake.provider());
    let logins: Vec<_> = (0..20)
        .map(|_| {
            let provider = Arc::clone(&provider);
            tokio::spawn(async move { begins(&provider).await })
        })
        .collect();
    for login in logins {
        login.await.unwrap().unwrap();
    }
    assert_eq!(fake.server.count(DISCOVERY), 1);
}

#[tokio::test]
async fn many_logins_at_a_provider_that_hangs_wait_for_one_deadline_only() {
    let server =
        crate::outbound::test_server::TestServer::start(|_| crate::outbound::test_server::Reply::Hang(Vec::new()))
            .await;
    let mut settings = settings(&format!("http://{}", server.address));
    settings.timeout = Duration::from_millis(300);
    let provider = Arc::new(Provider::new(settings, loopback_client(), Clock::system()).unwrap());
    let logins: Vec<_> = (0..20)
        .map(|_| {
            let provider = Arc::clone(&provider);
            tokio::spawn(async move { begins(&provider).await })
        })
        .collect();
    for login in logins {
        assert!(matches!(login.await.unwrap(), Err(Error::Discovery(_))));
    }
    assert_eq!(server.count(DISCOVERY), 1);
}

#[tokio::test]
async fn discovery_is_read_again_after_an_hour_and_kept_if_that_fails() {
    let fake = FakeProvider::start(&[]).await;
    let provider = fake.provider();
    begins(&provider).await.unwrap();
    fake.clock.advance(Duration::from_mins(59));
    begins(&provider).await.unwrap();
    assert_eq!(fake.server.count(DISCOVERY), 1);
    fake.clock.advance(Duration::from_mins(2));
    fake.change(|script| script.discovery = json!("maintenance"));
    begins(&provider).await.unwrap();
    assert_eq!(fake.server.count(DISCOVERY), 2);
    begins(&provider).await.unwrap();
    assert_eq!(fake.server.count(DISCOVERY), 2, "a failing provider is left alone for some seconds");
}

#[tokio::test]
async fn endpoints_that_moved_are_found_again_soon() {
    let key = SigningKey::new("ES256", "k1");
    let fake = FakeProvider::start(&[&key]).await;
    let provider = fake.provider();
    let token_endpoint = fake.server.url("/token").to_string();
    fake.change(|script| script.discovery["token_endpoint"] = json!(format!("{}/moved", fake.issuer)));
    let error = fake.finish(&provider, &key.token(&fake.claims())).await.unwrap_err();
    assert!(matches!(error, Error::NotATokenResponse { status } if status == 404));
    fake.change(|script| script.discovery["token_endpoint"] = json!(token_endpoint));
    fake.clock.advance(Duration::from_secs(11));
    fake.finish(&provider, &key.token(&fake.claims())).await.unwrap();
}

#[tokio::test]
async fn a_rotated_key_is_found_at_once_and_the_old_one_is_gone() {
    let (old, new) = (SigningKey::new("ES256", "k1"), SigningKey::new("ES256", "k2"));
    let fake = FakeProvider::start(&[&old]).await;
    let provider = fake.provider();
    fake.finish(&provider, &old.token(&fake.claims())).await.unwrap();
    fake.publish(&[&new]);
    fake.finish(&provider, &new.token(&fake.claims())).await.unwrap();
    let error = fake.finish(&provider, &old.token(&fake.claims())).await.unwrap_err();
    assert!(matches!(error, Error::IdToken(IdTokenError::UnknownKey)));
}

#[tokio::test]
async fn a_key_that_was_replaced_under_its_old_kid_is_found_too() {
    let (old, new) = (SigningKey::new("ES256", "k1"), SigningKey::new("ES256", "k1"));
    let fake = FakeProvider::start(&[&old]).await;
    let provider = fake.provider();
    fake.finish(&provider, &old.token(&fake.claims())).await.unwrap();
    fake.publish(&[&new]);
    fake.finish(&provider, &new.token(&fake.claims())).await.unwrap();
}

#[tokio::test]
async fn an_unknown_kid_makes_one_request_in_ten_seconds() {
    let (key, stranger) = (SigningKey::new("ES256", "k1"), SigningKey::new("ES256", "k9"));
    let fake = FakeProvider::start(&[&key]).await;
    let provider = fake.provider();
    fake.finish(&provider, &key.token(&fake.claims())).await.unwrap();
    let forged = stranger.token(&fake.claims());
    for _ in 0..5 {
        let error = fake.finish(&provider, &forged).await.unwrap_err();
        assert!(matches!(error, Error::IdToken(IdTokenError::UnknownKey)));
    }
    assert_eq!(fake.server.count("/jwks"), 2);
    fake.clock.advance(Duration::from_secs(11));
    fake.finish(&provider, &forged).await.unwrap_err();
    assert_eq!(fake.server.count("/jwks"), 3);
    fake.finish(&provider, &key.token(&fake.claims())).await.unwrap();
}

#[tokio::test]
async fn known_keys_outlast_a_key_endpoint_that_fails() {
    let (key, stranger) = (SigningKey::new("ES256", "k1"), SigningKey::new("ES256", "k9"));
    let fake = FakeProvider::start(&[&key]).await;
    let provider = fake.provider();
    fake.finish(&provider, &key.token(&fake.claims())).await.unwrap();
    fake.change(|script| script.jwks.0 = 503);
    fake.clock.advance(Duration::from_hours(2));
    fake.finish(&provider, &key.token(&fake.claims())).await.unwrap();
    assert_eq!(fake.server.count("/jwks"), 2);
    let error = fake.finish(&provider, &stranger.token(&fake.claims())).await.unwrap_err();
    assert!(matches!(error, Error::IdToken(IdTokenError::UnknownKey)));
}

#[tokio::test]
async fn without_any_keys_a_login_fails_and_recovers() {
    let key = SigningKey::new("ES256", "k1");
    let fake = FakeProvider::start(&[&key]).await;
    let provider = fake.provider();
    fake.change(|script| script.jwks.0 = 503);
    let error = fake.finish(&provider, &key.token(&fake.claims())).await.unwrap_err();
    assert!(matches!(error, Error::Keys(_)), "{error:?}");
    fake.change(|script| script.jwks.0 = 200);
    fake.finish(&provider, &key.token(&fake.claims())).await.unwrap();
}
