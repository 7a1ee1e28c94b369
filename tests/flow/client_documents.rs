//! Who the gateway is at an upstream's authorization server: by its metadata document, by its key, or as registered.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, jwk::JwkSet};
use reqwest::{StatusCode, header};
use serde_json::{Value, json};

use crate::support::{Browser, Client, Page, Protected, TestGateway, Tokens};

const PUBLIC: &str = "gateway.example.com";
const HOUR: Duration = Duration::from_secs(3600);

/// A gateway in front of a protected upstream, with further members of the upstream's section.
pub async fn gateway_for(upstream: &Protected, members: Value) -> TestGateway {
    TestGateway::with(configuration(upstream, members)).await
}

/// The configuration of such a gateway.
pub fn configuration(upstream: &Protected, members: Value) -> Value {
    let mut section =
        json!({"url": upstream.url("/mcp"), "id": "linear", "displayName": "Linear", "authMode": "user-oauth"});
    for (name, value) in members.as_object().unwrap() {
        section[name] = value.clone();
    }
    json!({
        "outbound": {"allowPrivateNetworks": ["127.0.0.0/8"]},
        "routes": [{"path": "/mcp/one", "operationId": "one", "summary": "Route One", "upstream": section}],
    })
}

/// A browser in which ada is signed in, and who came through a proxy at the gateway's public name.
async fn public_browser(gateway: &TestGateway) -> Browser {
    let mut browser = signed_in(gateway).await;
    browser.move_behind_proxy(PUBLIC);
    browser
}

pub async fn signed_in(gateway: &TestGateway) -> Browser {
    let mut browser = Browser::new(&gateway.origin);
    Client::register(gateway).await.consent_page(&mut browser, "/mcp/one", "ada").await;
    browser
}

/// Where Connect on the page that the account leads to leads.
pub async fn leave(gateway: &TestGateway, browser: &mut Browser) -> Page {
    let page = browser.open_page(&gateway.url("/auth/connections/linear/connect?operationId=one")).await;
    if page.status != StatusCode::OK {
        return page;
    }
    browser.submit(&page, ("decision", "connect")).await
}

fn client_id(page: &Page) -> String {
    page.answer()["client_id"].clone()
}

/// The gateway as the authorization server sees it at its public name.
async fn fetch(gateway: &TestGateway, path: &str) -> reqwest::Response {
    reqwest::Client::new()
        .get(gateway.url(path))
        .header(header::HOST, PUBLIC)
        .header("x-forwarded-proto", "https")
        .send()
        .await
        .unwrap()
}

/// CL-14: 200 without a redirect, JSON of at most 5 KB, whose `client_id` is its URL, without a secret.
#[tokio::test]
async fn the_document_of_a_connection_says_who_we_are_and_may_be_kept() {
    let upstream = Protected::start(HOUR).await;
    let mut changes = configuration(&upstream, json!({}));
    changes["server"] = json!({"basePath": "/_gw"});
    let gateway = TestGateway::with(changes).await;
    for (path, method) in [
        ("/.well-known/oauth-client/linear", "none"),
        ("/.well-known/oauth-client/linear?authProfileId=linear:user-oauth", "none"),
        ("/.well-known/oauth-client/linear?authProfileId=linear%3Auser-oauth", "none"),
        ("/_gw/.well-known/oauth-client/linear", "none"),
        ("/.well-known/oauth-client/linear/private_key_jwt", "private_key_jwt"),
    ] {
        let response = fetch(&gateway, path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "public, max-age=300");
        assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        let tag = response.headers()[header::ETAG].to_str().unwrap().to_owned();
        let body = response.bytes().await.unwrap();
        assert!(body.len() < 5 * 1024);
        let document: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(document["client_id"], format!("https://gateway.example.com{path}"));
        assert_eq!(
            document["redirect_uris"],
            json!(["https://gateway.example.com/_gw/auth/connections/linear/callback"])
        );
        assert_eq!(document["grant_types"], json!(["authorization_code", "refresh_token"]));
        assert_eq!(document["token_endpoint_auth_method"], method);
        let again = reqwest::Client::new()
            .get(gateway.url(path))
            .header(header::HOST, PUBLIC)
            .header("x-forwarded-proto", "https")
            .header(header::IF_NONE_MATCH, tag)
            .send()
            .await
            .unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path}");
    }
    for path in [
        "/.well-known/oauth-client/other",
        "/.well-known/oauth-client/linear?authProfileId=linear:shared-oauth",
        "/.well-known/oauth-client/linear?authProfileId=linear:user-oauth&x=1",
        "/.well-known/oauth-client/linear?x",
        "/.well-known/oauth-client/linear/other",
        "/.well-known/oauth-client/",
    ] {
        assert_eq!(fetch(&gateway, path).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let posted = reqwest::Client::new().post(gateway.url("/.well-known/oauth-client/linear")).send().await.unwrap();
    assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
}

/// CL-13 and CL-18: the document where the server takes it and can read it, else a registration; never with a query.
#[tokio::test]
async fn the_document_is_used_where_it_is_taken_and_can_be_read() {
    let upstream = Protected::start(HOUR).await;
    let gateway = gateway_for(&upstream, json!({})).await;
    let document = "https://gateway.example.com/.well-known/oauth-client/linear".to_owned();
    let signing = format!("{document}/private_key_jwt");
    let secrets = json!(["client_secret_basic"]);
    let keys = json!(["private_key_jwt", "client_secret_basic"]);
    for (supported, methods, registration, expected) in [
        (json!(true), json!(["none"]), true, Some(&document)),
        (json!(true), Value::Null, true, Some(&document)),
        (json!(true), keys.clone(), true, Some(&signing)),
        (json!(true), secrets.clone(), false, Some(&document)),
        (json!(true), secrets, true, None),
        (json!(false), json!(["none"]), true, None),
        (Value::Null, keys, true, None),
    ] {
        let mut metadata = json!({
            "client_id_metadata_document_supported": supported,
            "token_endpoint_auth_methods_supported": methods,
        });
        if !registration {
            metadata["registration_endpoint"] = Value::Null;
        }
        upstream.state().metadata = metadata.clone();
        gateway.clock.advance(Duration::from_secs(601));
        let mut browser = public_browser(&gateway).await;
        let used = client_id(&leave(&gateway, &mut browser).await);
        match expected {
            Some(expected) => assert_eq!(&used, expected, "{metadata}"),
            None => assert!(used.starts_with("registered-"), "{used}: {metadata}"),
        }
    }
    upstream.state().metadata = json!({"client_id_metadata_document_supported": true});
    gateway.clock.advance(Duration::from_secs(601));
    let local = client_id(&leave(&gateway, &mut signed_in(&gateway).await).await);
    assert!(local.starts_with("registered-"), "nobody can read the document of a gateway on loopback: {local}");
    let gateway = gateway_for(&upstream, json!({"clientRegistration": {"mode": "dynamic"}})).await;
    let dynamic = client_id(&leave(&gateway, &mut public_browser(&gateway).await).await);
    assert!(dynamic.starts_with("registered-"), "the operator said so: {dynamic}");
}

/// A connection that was made with the document is refreshed with it, without any registration.
#[tokio::test]
async fn a_connection_by_document_signs_its_requests_and_is_refreshed() {
    let upstream = Protected::start(HOUR).await;
    upstream.state().metadata = json!({
        "client_id_metadata_document_supported": true,
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "registration_endpoint": null,
    });
    let gateway = gateway_for(&upstream, json!({})).await;
    let mut browser = public_browser(&gateway).await;
    let leaving = leave(&gateway, &mut browser).await;
    let back = upstream.allow(leaving.leaves_to.as_deref().unwrap(), "ada");
    let back = back.replace("https://gateway.example.com/", &format!("{}/", gateway.origin));
    assert_eq!(browser.open(&back).await.status, StatusCode::OK);

    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    gateway.clock.advance(Duration::from_secs(3599));
    let tokens = Tokens::from(client.refresh(&tokens.refresh).await).await;
    let answer: Value = client.call("/mcp/one", &tokens.access).await.json().await.unwrap();
    assert_eq!(answer["result"]["person"], "ada");

    let keys: JwkSet = fetch(&gateway, "/.well-known/jwks.json").await.json().await.unwrap();
    let requests = upstream.state().token_requests.clone();
    assert_eq!(
        requests.iter().map(|form| &*form["grant_type"]).collect::<Vec<_>>(),
        ["authorization_code", "refresh_token"]
    );
    let mut ids = Vec::new();
    for form in requests {
        let id = "https://gateway.example.com/.well-known/oauth-client/linear/private_key_jwt";
        assert_eq!(form["client_id"], id);
        assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        let (message, signature) = form["client_assertion"].rsplit_once('.').unwrap();
        let key = DecodingKey::from_jwk(&keys.keys[0]).unwrap();
        assert!(sallyport::crypto::jwt::verify(Algorithm::ES256, &key, message.as_bytes(), signature).unwrap());
        let claims = claims(message);
        assert_eq!(
            (&claims["iss"], &claims["sub"], &claims["aud"]),
            (&json!(id), &json!(id), &json!(upstream.url("")))
        );
        ids.push(claims["jti"].clone());
    }
    assert_ne!(ids[0], ids[1]);
}

fn claims(message: &str) -> Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(message.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// CL-17: what was registered by hand at one authorization server is shown to no other.
#[tokio::test]
async fn a_client_registered_by_hand_goes_to_its_own_issuer_only() {
    let (upstream, moved) = (Protected::start(HOUR).await, Protected::start(HOUR).await);
    let manual = json!({"mode": "manual", "clientId": "by-hand", "clientSecret": "hunter2"});
    let mut gateway = gateway_for(&upstream, json!({"clientRegistration": manual})).await;
    assert_eq!(client_id(&leave(&gateway, &mut signed_in(&gateway).await).await), "by-hand");

    let elsewhere = configuration(&moved, json!({"clientRegistration": manual}));
    gateway.restart_with(elsewhere.clone());
    let refused = leave(&gateway, &mut signed_in(&gateway).await).await;
    assert_eq!((refused.status, refused.leaves_to), (StatusCode::BAD_GATEWAY, None));
    assert!(refused.html.contains("clientRegistration.issuer"));

    let mut manual = manual;
    manual["issuer"] = moved.url("").into();
    gateway.restart_with(configuration(&moved, json!({"clientRegistration": manual})));
    assert_eq!(client_id(&leave(&gateway, &mut signed_in(&gateway).await).await), "by-hand");

    manual["issuer"] = upstream.url("").into();
    gateway.restart_with(configuration(&moved, json!({"clientRegistration": manual})));
    let refused = leave(&gateway, &mut signed_in(&gateway).await).await;
    assert_eq!((refused.status, refused.leaves_to), (StatusCode::BAD_GATEWAY, None));
}

/// Contract section 5: refused, unless the operator allows it; PKCE is used all the same.
#[tokio::test]
async fn a_server_that_is_silent_about_pkce_is_refused_unless_the_operator_knows_better() {
    let upstream = Protected::start(HOUR).await;
    upstream.state().metadata = json!({"code_challenge_methods_supported": null});
    let mut gateway = gateway_for(&upstream, json!({})).await;
    let refused = leave(&gateway, &mut signed_in(&gateway).await).await;
    assert_eq!((refused.status, refused.leaves_to), (StatusCode::BAD_GATEWAY, None));
    assert!(refused.html.contains("assumePkce"));

    gateway.restart_with(configuration(&upstream, json!({"assumePkce": true})));
    let asked = leave(&gateway, &mut signed_in(&gateway).await).await.answer();
    assert_eq!(asked["code_challenge_method"], "S256");

    upstream.state().metadata = json!({"code_challenge_methods_supported": ["plain"]});
    gateway.clock.advance(Duration::from_secs(601));
    let refused = leave(&gateway, &mut signed_in(&gateway).await).await;
    assert_eq!((refused.status, refused.leaves_to), (StatusCode::BAD_GATEWAY, None), "a list without it is no silence");
}
