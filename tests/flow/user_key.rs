//! `authMode: user-key`: a person pastes an API key of their own.

use std::time::Duration;

use reqwest::{StatusCode, header};
use serde_json::{Value, json};

use crate::{
    client_documents::{configuration, gateway_for, signed_in},
    support::{Client, Page, Protected, TestGateway, Tokens},
};

const KEY: &str = "sk-live-0123456789abcdef";
const BOBS_KEY: &str = "sk-live-fedcba9876543210";

async fn start(user_key: Value) -> (Protected, TestGateway) {
    let upstream = Protected::start(Duration::from_secs(3600)).await;
    upstream.state().api_keys = vec![KEY.to_owned(), BOBS_KEY.to_owned()];
    let gateway = gateway_for(&upstream, json!({"authMode": "user-key", "userKey": user_key})).await;
    (upstream, gateway)
}

fn with_key(page: &Page, key: &str) -> Vec<(String, String)> {
    let mut fields = page.hidden_fields();
    fields.push(("key".to_owned(), key.to_owned()));
    fields
}

async fn call(client: &Client, tokens: &Tokens) -> Value {
    crate::connect::call(client, &tokens.access).await
}

/// Signs in, pastes `key` where the consent page leads, and approves.
async fn log_in(gateway: &TestGateway, client: &Client, user: &str, key: &str) -> Tokens {
    let mut browser = crate::support::Browser::new(&gateway.origin);
    let consent = client.consent_page(&mut browser, "/mcp/one", user).await;
    let page = browser.open(&gateway.url(&consent.link("Connect"))).await;
    assert!(page.html.contains("type=\"password\"") && !page.html.contains("<script"));
    let consent = browser.post(&page.form_action(), &with_key(&page, key), "same-origin").await;
    assert!(!consent.html.contains(" disabled"), "{}", consent.html);
    let code = browser.submit(&consent, ("decision", "approve")).await.answer()["code"].clone();
    Tokens::from(client.redeem(&code).await).await
}

#[tokio::test]
async fn everybody_acts_with_their_own_key_and_the_store_holds_none_in_the_clear() {
    let (upstream, gateway) = start(json!({"header": "X-Api-Key"})).await;
    let client = Client::register(&gateway).await;
    let (ada, bob) = (log_in(&gateway, &client, "ada", KEY).await, log_in(&gateway, &client, "bob", BOBS_KEY).await);
    assert_eq!(call(&client, &ada).await["result"]["person"], KEY);
    assert_eq!(call(&client, &bob).await["result"]["person"], BOBS_KEY);
    for head in &upstream.state().calls {
        assert!(!head.to_ascii_lowercase().contains("authorization") && !head.contains(&ada.access));
    }
    for entry in std::fs::read_dir(gateway.directory.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for key in [KEY, BOBS_KEY] {
            assert!(!bytes.windows(key.len()).any(|window| window == key.as_bytes()), "a key in the store");
        }
    }
}

/// Without a setting the key is a bearer token. An upstream's 401 ends it, and another key makes it good.
#[tokio::test]
async fn a_key_that_the_upstream_refuses_must_be_replaced_by_its_person() {
    let (upstream, gateway) = start(json!({"help": "Settings, then API keys."})).await;
    let client = Client::register(&gateway).await;
    let tokens = log_in(&gateway, &client, "ada", KEY).await;
    assert_eq!(call(&client, &tokens).await["result"]["person"], KEY);
    assert!(upstream.state().calls.last().unwrap().contains(&format!("Bearer {KEY}")));

    upstream.state().api_keys = vec!["sk-new".to_owned()];
    let answer = call(&client, &tokens).await;
    assert_eq!(answer["error"]["data"]["state"], "reconsent_required");
    assert_eq!(answer["error"]["data"]["authProfileId"], "linear:user-key");
    let calls = upstream.state().calls.len();
    assert_eq!(call(&client, &tokens).await["error"]["data"]["state"], "reconsent_required");
    assert_eq!(upstream.state().calls.len(), calls);

    let mut browser = signed_in(&gateway).await;
    let account = browser.open(&gateway.url("/account")).await;
    assert!(account.html.contains("Needs renewal"));
    let link = answer["error"]["data"]["authUrl"].as_str().unwrap();
    let page = browser.open_page(link).await;
    assert!(page.html.contains("Settings, then API keys."));
    for (key, words) in [(KEY, "does not accept this key"), ("two words", "no API key"), ("", "no API key")] {
        let again = browser.post(&page.form_action(), &with_key(&page, key), "same-origin").await;
        assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(again.html.contains(words) && (key.is_empty() || !again.html.contains(key)), "{}", again.html);
    }
    let done = browser.post(&page.form_action(), &with_key(&page, "sk-new"), "same-origin").await;
    assert_eq!(done.status, StatusCode::OK);
    assert_eq!(call(&client, &tokens).await["result"]["person"], "sk-new");
    let spent = browser.post(&page.form_action(), &with_key(&page, "sk-new"), "same-origin").await;
    assert_eq!(spent.status, StatusCode::BAD_REQUEST, "a link works once");

    let account = browser.open(&gateway.url("/account")).await;
    assert!(account.html.contains("last used"));
    let disconnect =
        account.forms().into_iter().find(|form| form.iter().any(|(name, _)| name == "disconnect")).unwrap();
    browser.post("/account", &disconnect, "same-origin").await;
    assert_eq!(call(&client, &tokens).await["error"]["data"]["state"], "authenticating");
}

/// A page of somebody else cannot make a person use a key of its choice.
#[tokio::test]
async fn a_foreign_form_or_another_person_keeps_no_key() {
    let (_upstream, gateway) = start(json!({})).await;
    let client = Client::register(&gateway).await;
    let mut ada = crate::support::Browser::new(&gateway.origin);
    let consent = client.consent_page(&mut ada, "/mcp/one", "ada").await;
    let page = ada.open(&gateway.url(&consent.link("Connect"))).await;
    for site in ["cross-site", "same-site"] {
        let refused = ada.post(&page.form_action(), &with_key(&page, KEY), site).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
    }
    let mut forged = with_key(&page, KEY);
    forged.iter_mut().filter(|(name, _)| name == "csrf").for_each(|(_, value)| value.push('x'));
    assert_eq!(ada.post(&page.form_action(), &forged, "same-origin").await.status, StatusCode::FORBIDDEN);
    let mut bob = crate::support::Browser::new(&gateway.origin);
    client.consent_page(&mut bob, "/mcp/one", "bob").await;
    let refused = bob.post(&page.form_action(), &with_key(&page, KEY), "same-origin").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let consent = client.consent_page(&mut ada, "/mcp/one", "ada").await;
    assert!(consent.html.contains(" disabled"), "nothing was kept");
    let response = client.http.get(gateway.url("/account")).header(header::ACCEPT, "text/html").send().await.unwrap();
    assert_ne!(response.status(), StatusCode::OK);
}

/// What is sealed for one mode is nothing for another.
#[tokio::test]
async fn a_key_is_no_token_when_the_mode_changes() {
    let (upstream, mut gateway) = start(json!({})).await;
    let client = Client::register(&gateway).await;
    let tokens = log_in(&gateway, &client, "ada", KEY).await;
    let mut oauth = configuration(&upstream, json!({"authMode": "user-oauth"}));
    oauth["routes"][0]["upstream"].as_object_mut().unwrap().remove("userKey");
    gateway.restart_with(oauth);
    assert_eq!(call(&client, &tokens).await["error"]["data"]["state"], "reconsent_required");
}
