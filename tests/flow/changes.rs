//! What the person, the operator or the clock changes while an authorization is under way.

use std::time::Duration;

use reqwest::{StatusCode, header};
use serde_json::{Value, json};

use crate::support::{Browser, Client, TestGateway, Tokens};

/// The routes without `/mcp/one`, or with another operation behind it.
fn routes(gateway: &TestGateway, operation_at_one: Option<&str>) -> Value {
    let route = |path: &str, operation: &str, upstream: &str| {
        json!({"path": path, "operationId": operation, "summary": operation,
               "upstream": {"url": gateway.upstream.url(upstream), "authMode": "none"}})
    };
    let mut routes = vec![route("/mcp/two", "two", "/two")];
    routes.extend(operation_at_one.map(|operation| route("/mcp/one", operation, "/one")));
    json!({ "routes": routes })
}

#[tokio::test]
async fn a_session_that_ends_during_consent_ends_the_consent_with_a_page() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let mut browser = Browser::new(&gateway.origin);
    client.consent_page(&mut browser, "/mcp/one", "ada").await;
    gateway.clock.advance(Duration::from_secs(8 * 3600 - 60));
    let page = client.consent_page(&mut browser, "/mcp/one", "ada").await;
    gateway.clock.advance(Duration::from_secs(61));
    let before = gateway.dump();
    let late = browser.submit(&page, ("decision", "approve")).await;
    assert_eq!((late.status, late.leaves_to.clone()), (StatusCode::BAD_REQUEST, None));
    assert!(late.html.contains("no longer open"), "{}", late.html);
    assert_eq!(gateway.dump(), before);
}

#[tokio::test]
async fn a_client_that_is_gone_gets_no_consent() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let mut browser = Browser::new(&gateway.origin);
    let page = client.consent_page(&mut browser, "/mcp/one", "ada").await;
    gateway.database().execute("DELETE FROM clients", []).unwrap();
    let before = gateway.dump();
    let interaction = page.hidden_fields().into_iter().find(|(name, _)| name == "interaction").unwrap().1;
    let reloaded = browser.open(&gateway.url(&format!("/oauth/setup?interaction={interaction}"))).await;
    let decided = browser.submit(&page, ("decision", "approve")).await;
    for answer in [reloaded, decided] {
        assert_eq!((answer.status, answer.leaves_to), (StatusCode::BAD_REQUEST, None));
        assert!(answer.html.contains("not registered here"), "{}", answer.html);
    }
    assert_eq!(gateway.dump(), before);
}

#[tokio::test]
async fn a_route_that_is_gone_gets_no_consent() {
    let mut gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let mut browser = Browser::new(&gateway.origin);
    let page = client.consent_page(&mut browser, "/mcp/one", "ada").await;
    gateway.restart_with(routes(&gateway, None));
    let before = gateway.dump();
    let decided = browser.submit(&page, ("decision", "approve")).await;
    assert_eq!((decided.status, decided.leaves_to.clone()), (StatusCode::NOT_FOUND, None));
    assert!(decided.html.contains("no such MCP server"), "{}", decided.html);
    assert_eq!(gateway.dump(), before);
}

/// A token is bound to the operation, not only to the path; and its client must learn that only a new authorization
/// helps, or it refreshes for ever.
#[tokio::test]
async fn a_token_of_a_route_that_became_another_is_refused_and_cannot_be_refreshed() {
    let mut gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    gateway.restart_with(routes(&gateway, Some("another")));
    let refused = client.call("/mcp/one", &tokens.access).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let challenge = refused.headers()[header::WWW_AUTHENTICATE].to_str().unwrap().to_owned();
    assert!(challenge.contains("invalid_token"), "{challenge}");
    let error: Value = client.refresh(&tokens.refresh).await.json().await.unwrap();
    assert_eq!(error["error"], "invalid_grant");
    assert!(gateway.upstream.seen().is_empty());

    gateway.restart_with(routes(&gateway, Some("one")));
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
    assert_eq!(client.refresh(&tokens.refresh).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn no_access_token_outlives_its_grant() {
    let gateway = TestGateway::with(json!({"gateway": {"refreshTokenTtlSeconds": 1000}})).await;
    let client = Client::register(&gateway).await;
    let first = client.log_in("/mcp/one", "ada").await;
    gateway.clock.advance(Duration::from_secs(500));
    let answer: Value = client.refresh(&first.refresh).await.json().await.unwrap();
    let expires_in = answer["expires_in"].as_u64().unwrap();
    assert!((490..=500).contains(&expires_in), "{expires_in}");
    let (access, refresh) = (answer["access_token"].as_str().unwrap(), answer["refresh_token"].as_str().unwrap());
    assert_eq!(client.call("/mcp/one", access).await.status(), StatusCode::OK);
    gateway.clock.advance(Duration::from_secs(501));
    assert_eq!(client.call("/mcp/one", access).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(client.refresh(refresh).await.json::<Value>().await.unwrap()["error"], "invalid_grant");
}

/// The answer to a refresh got lost: the client asks again, also of a gateway that was started anew meanwhile.
#[tokio::test]
async fn a_lost_answer_is_given_again_after_a_restart() {
    let mut gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let first = client.log_in("/mcp/one", "ada").await;
    let lost = Tokens::from(client.refresh(&first.refresh).await).await;
    gateway.restart_with(json!({}));
    assert_eq!(Tokens::from(client.refresh(&first.refresh).await).await, lost);
    assert_eq!(client.call("/mcp/one", &lost.access).await.status(), StatusCode::OK);
}
