//! What must never be logged, at any level (contract section 8).

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::header;
use serde_json::{Value, json};

use crate::support::{Browser, Client, TestGateway, Tokens};

/// Collects every secret of a whole flow, and of requests that go wrong, and looks for them in everything that was
/// logged at level trace.
#[tokio::test]
async fn no_secret_is_ever_logged() {
    let (gateway, log) = TestGateway::with_log(json!({})).await;
    let mut secrets = Vec::new();

    let metadata = json!({"redirect_uris": ["http://127.0.0.1:9999/callback?path-secret=in-the-redirect-uri"],
        "token_endpoint_auth_method": "client_secret_basic"});
    let client = Client::register_as(&gateway, metadata).await;
    let secret = client.secret.clone().unwrap();
    let basic = STANDARD.encode(format!("{}:{secret}", client.id.replace(':', "%3A")));
    let mut parameters = client.request("/mcp/one");
    for (name, value) in &mut parameters {
        if *name == "state" {
            *value = "the-client-state-of-this-flow".to_owned();
        }
    }
    let mut browser = Browser::new(&gateway.origin);
    let page = browser.open(&client.authorize_url(&parameters)).await;
    let page = crate::support::choose_user(&mut browser, page, "ada").await;
    secrets.extend(page.hidden_fields().into_iter().filter(|(name, _)| name == "csrf").map(|(_, value)| value));
    let answer = browser.submit(&page, ("decision", "approve")).await.answer();
    let code = answer["code"].clone();
    let redeemed = Tokens::from(client.redeem(&code).await).await;
    let refreshed = Tokens::from(client.refresh(&redeemed.refresh).await).await;
    client.call("/mcp/one", &refreshed.access).await;
    client.call("/mcp/two", &refreshed.access).await;

    let wrong = "wrong-verifier-wrong-verifier-wrong-verifier-wrong";
    client.token(&[("grant_type", "authorization_code"), ("code", &code), ("code_verifier", wrong)]).await;
    client.refresh("rt_a-token-that-never-was").await;
    client.call("/mcp/one", "at_a-token-that-never-was-either").await;
    let foreign = "https://elsewhere.example/foreign-redirect-path";
    for path in [
        "/oauth/callback?code=a-code-of-the-provider&state=a-state-of-the-provider&error=an-error-text".to_owned(),
        "/oauth/dev-login?state=another-state-of-ours&user=ada".to_owned(),
        format!("/mcp/one?access_token={}", refreshed.access),
        format!("/oauth/authorize?client_id={}&state=yet-another-state&redirect_uri={foreign}", client.id),
        "/nothing/here?token=a-token-in-a-query".to_owned(),
    ] {
        browser.open(&gateway.url(&path)).await;
    }
    let revoked =
        client.http.post(gateway.url("/oauth/revoke")).header(header::AUTHORIZATION, format!("Basic {basic}"));
    assert_eq!(revoked.form(&[("token", &refreshed.refresh)]).send().await.unwrap().status(), 200);

    secrets.extend(browser.received.into_iter().filter(|value| value.len() >= 20));
    secrets.extend([secret, basic, code, answer["state"].clone(), client.verifier.clone(), wrong.to_owned()]);
    secrets.extend([redeemed.access, redeemed.refresh, refreshed.access, refreshed.refresh]);
    secrets.extend(
        [
            "in-the-redirect-uri",
            "foreign-redirect-path",
            "a-token-that-never-was",
            "a-code-of-the-provider",
            "a-state-of-the-provider",
            "an-error-text",
            "another-state-of-ours",
            "yet-another-state",
            "a-token-in-a-query",
        ]
        .map(str::to_owned),
    );
    assert!(secrets.len() > 25, "{secrets:?}");

    let last = client.http.get(gateway.url("/")).header("x-request-id", "the-last-request").send().await.unwrap();
    assert_eq!(last.status(), 200);
    log.about("the-last-request");
    let lines = log.all();
    let events: Vec<Value> = lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    for event in [
        "mcp_auth_client_registered",
        "mcp_auth_login_succeeded",
        "mcp_auth_consent_approved",
        "mcp_auth_downstream_token_issued",
        "mcp_auth_downstream_token_validated",
        "mcp_auth_downstream_token_revoked",
        "mcp_auth_token_request_rejected",
        "mcp_auth_authorization_rejected",
        "mcp_auth_login_failed",
        "mcp_request_accepted",
        "mcp_request_rejected",
    ] {
        assert!(events.iter().any(|line| line["event"] == event), "{event}");
    }
    for line in &lines {
        for secret in &secrets {
            assert!(!line.contains(secret.as_str()), "{secret} in {line}");
        }
    }
}
