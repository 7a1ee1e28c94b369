//! Redeeming a code, and what the token is good for.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{Response, StatusCode, header};
use serde_json::{Value, json};

use crate::support::{Browser, Client, TestGateway, Tokens};

async fn refused(response: Response, status: StatusCode, error: &str) {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    assert_eq!(response.json::<Value>().await.unwrap()["error"], error);
}

async fn code(gateway: &TestGateway, client: &Client) -> String {
    client.authorize(&mut Browser::new(&gateway.origin), "/mcp/one", "ada").await
}

#[tokio::test]
async fn a_code_becomes_tokens_that_open_their_route() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let response = client.redeem(&code(&gateway, &client).await).await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["scope"], "mcp:tools");
    assert_eq!(body["resource"], gateway.url("/mcp/one"));
    let expires_in = body["expires_in"].as_u64().unwrap();
    assert!((895..=900).contains(&expires_in), "{expires_in}");
    let access = body["access_token"].as_str().unwrap();
    assert!(access.starts_with("at_") && body["refresh_token"].as_str().unwrap().starts_with("rt_"));
    assert_eq!(client.call("/mcp/one", access).await.status(), StatusCode::OK);
}

/// RFC 6749 section 4.1.2: a second use of a code revokes what the first use issued.
#[tokio::test]
async fn a_replayed_code_revokes_the_grant() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let code = code(&gateway, &client).await;
    let tokens = Tokens::from(client.redeem(&code).await).await;
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
    refused(client.redeem(&code).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::UNAUTHORIZED);
    refused(client.refresh(&tokens.refresh).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
}

/// OAuth 2.1 section 4.1.3: who saw the code but has not the verifier cannot end the login with it.
#[tokio::test]
async fn a_replay_without_the_proof_revokes_nothing() {
    let gateway = TestGateway::start().await;
    let (client, thief) = (Client::register(&gateway).await, Client::register(&gateway).await);
    let code = code(&gateway, &client).await;
    let tokens = Tokens::from(client.redeem(&code).await).await;
    let wrong = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("code_verifier", "wrong-wrong-wrong-wrong-wrong-wrong-wrong-wrong"),
    ];
    refused(client.token(&wrong).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
    refused(thief.redeem(&code).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
}

/// RFC 7636 section 4.6, and nobody gets a second guess.
#[tokio::test]
async fn a_wrong_proof_spends_the_code() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let thief = Client::register(&gateway).await;
    for attempt in 0..4 {
        let code = code(&gateway, &client).await;
        let redirect = client.redirect_uri.as_str();
        let response = match attempt {
            0 => {
                client.token(&[("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", redirect)]).await
            }
            1 => {
                client
                    .token(&[
                        ("grant_type", "authorization_code"),
                        ("code", &code),
                        ("redirect_uri", redirect),
                        ("code_verifier", "wrong-wrong-wrong-wrong-wrong-wrong-wrong-wrong"),
                    ])
                    .await
            }
            2 => {
                client
                    .token(&[
                        ("grant_type", "authorization_code"),
                        ("code", &code),
                        ("code_verifier", &client.verifier),
                        ("redirect_uri", "http://127.0.0.1:9998/callback"),
                    ])
                    .await
            }
            _ => thief.redeem(&code).await,
        };
        refused(response, StatusCode::BAD_REQUEST, "invalid_grant").await;
        refused(client.redeem(&code).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
    }
}

#[tokio::test]
async fn a_wrong_resource_is_named_and_does_not_spend_the_code() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let code = code(&gateway, &client).await;
    let two = gateway.url("/mcp/two");
    let wrong = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", &client.redirect_uri),
        ("code_verifier", &client.verifier),
        ("resource", &two),
    ];
    refused(client.token(&wrong).await, StatusCode::BAD_REQUEST, "invalid_target").await;
    assert_eq!(client.redeem(&code).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_code_lives_one_minute() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let code = code(&gateway, &client).await;
    gateway.clock.advance(Duration::from_secs(61));
    refused(client.redeem(&code).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
}

#[tokio::test]
async fn malformed_token_requests_get_the_standards_errors() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let bad = StatusCode::BAD_REQUEST;
    refused(client.token(&[("grant_type", "password")]).await, bad, "unsupported_grant_type").await;
    refused(client.token(&[]).await, bad, "invalid_request").await;
    refused(client.token(&[("grant_type", "authorization_code")]).await, bad, "invalid_request").await;
    let twice = [("grant_type", "refresh_token"), ("refresh_token", "a"), ("refresh_token", "b")];
    refused(client.token(&twice).await, bad, "invalid_request").await;
    let unknown = [("grant_type", "refresh_token"), ("refresh_token", "rt_x"), ("client_id", "dcr:unknown")];
    refused(client.token(&unknown).await, StatusCode::UNAUTHORIZED, "invalid_client").await;
    let json = client.http.post(gateway.url("/oauth/token")).json(&json!({"grant_type": "refresh_token"})).send().await;
    refused(json.unwrap(), bad, "invalid_request").await;
    let query = gateway.url(&format!("/oauth/token?grant_type=refresh_token&client_id={}", client.id));
    let empty = client.http.post(query).form(&[("x", "y")]).send().await.unwrap();
    assert!(empty.status().is_client_error());
}

/// RFC 6749 section 2.3.1: a confidential client must prove itself, by header or body, and a wrong secret is refused.
#[tokio::test]
async fn a_confidential_client_proves_itself() {
    let gateway = TestGateway::start().await;
    for method in ["client_secret_basic", "client_secret_post"] {
        let metadata = json!({"redirect_uris": ["https://c.example/cb"], "token_endpoint_auth_method": method});
        let mut client = Client::register_as(&gateway, metadata).await;
        let code = code(&gateway, &client).await;
        let secret = client.secret.take().unwrap();
        refused(client.redeem(&code).await, StatusCode::UNAUTHORIZED, "invalid_client").await;
        client.secret = Some("wrong".to_owned());
        refused(client.redeem(&code).await, StatusCode::UNAUTHORIZED, "invalid_client").await;

        let basic =
            |secret: &str| format!("Basic {}", STANDARD.encode(format!("{}:{secret}", client.id.replace(':', "%3A"))));
        let redeem = |authorization: String| {
            client.http.post(gateway.url("/oauth/token")).header(header::AUTHORIZATION, authorization).form(&[
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", &client.redirect_uri),
                ("code_verifier", &client.verifier),
            ])
        };
        let wrong = redeem(basic("wrong")).send().await.unwrap();
        assert!(wrong.headers()[header::WWW_AUTHENTICATE].to_str().unwrap().starts_with("Basic "));
        refused(wrong, StatusCode::UNAUTHORIZED, "invalid_client").await;
        assert_eq!(redeem(basic(&secret)).send().await.unwrap().status(), StatusCode::OK, "{method}");
    }
}

/// Tokens are bound to one route, and live as long as they say.
#[tokio::test]
async fn a_token_opens_nothing_else() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    let elsewhere = client.call("/mcp/two", &tokens.access).await;
    assert_eq!(elsewhere.status(), StatusCode::UNAUTHORIZED);
    let challenge = elsewhere.headers()[header::WWW_AUTHENTICATE].to_str().unwrap().to_owned();
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    assert!(
        challenge.contains(&format!(
            "resource_metadata=\"{}\"",
            gateway.url("/.well-known/oauth-protected-resource/mcp/two")
        ))
    );
    for not_a_token in [tokens.refresh.as_str(), "at_short", &"x".repeat(400), &format!("{}x", tokens.access)] {
        assert_eq!(client.call("/mcp/one", not_a_token).await.status(), StatusCode::UNAUTHORIZED, "{not_a_token}");
    }
    assert!(gateway.upstream.seen().is_empty());

    gateway.clock.advance(Duration::from_secs(899));
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
    gateway.clock.advance(Duration::from_secs(2));
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::UNAUTHORIZED);
}

/// A cookie never authenticates a token request, and the upstream never sees the client's token.
#[tokio::test]
async fn credentials_stay_where_they_belong() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    client.call("/mcp/one", &tokens.access).await;
    for head in gateway.upstream.seen() {
        assert!(!head.contains(&tokens.access) && !head.to_ascii_lowercase().contains("authorization"), "{head}");
    }
}
