//! Consent that is remembered: only of clients that are proven, only for the very same thing.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;

use crate::support::{Browser, Client, Host, Page, TestGateway};

const WEB: &str = "https://client.example/callback";
const LOOPBACK: &str = "http://127.0.0.1:9999/callback";

async fn open(browser: &mut Browser, client: &Client, changes: &[(&'static str, &str)]) -> Page {
    let mut request = client.request("/mcp/one");
    request.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    request.extend(changes.iter().map(|(name, value)| (*name, (*value).to_owned())));
    browser.open(&client.authorize_url(&request)).await
}

/// A browser in which Ada has approved the client once.
async fn approved(client: &Client) -> Browser {
    let mut browser = Browser::new(&client.origin);
    client.authorize(&mut browser, "/mcp/one", "ada").await;
    browser
}

/// SEC-36: a public client on the person's machine is never proven, nor is one that registered itself.
#[tokio::test]
async fn an_approval_is_remembered_of_proven_clients_only() {
    let host = Host::start().await;
    let gateway = TestGateway::with(host.reachable()).await;
    let document = |path, redirect| Client::of_document(&gateway, &host.publish_client(path, redirect), redirect);
    let register = async |redirect: &str, method: &str| {
        let metadata = json!({"redirect_uris": [redirect], "token_endpoint_auth_method": method});
        Client::register_as(&gateway, metadata).await
    };
    for (what, client, remembered) in [
        ("a document and a web site", document("/web", WEB), true),
        ("a secret", register(WEB, "client_secret_post").await, true),
        ("a document and a loopback address", document("/loopback", LOOPBACK), false),
        ("a document and a private scheme", document("/app", "com.example.app:/callback"), false),
        ("a registration and a web site", register(WEB, "none").await, false),
        ("a registration and a loopback address", register(LOOPBACK, "none").await, false),
    ] {
        let mut browser = approved(&client).await;
        let page = open(&mut browser, &client, &[]).await;
        assert_eq!(page.leaves_to.is_some(), remembered, "{what}");
        if remembered {
            let code = page.answer()["code"].clone();
            assert_eq!(client.redeem(&code).await.status(), StatusCode::OK, "{what}");
        } else {
            assert!(page.html.contains("Approve"), "{what}");
        }
    }
}

/// SEC-02, AS-45: any difference means that the person is asked.
#[tokio::test]
async fn an_approval_is_for_nothing_but_what_was_approved() {
    let host = Host::start().await;
    let gateway = TestGateway::with(host.reachable()).await;
    let second = "https://client.example/second";
    let id = host.publish_client_with("/client.json", WEB, json!({"redirect_uris": [WEB, second]}));
    let client = Client::of_document(&gateway, &id, WEB);
    let mut browser = approved(&client).await;
    for (name, value) in [
        ("redirect_uri", second),
        ("resource", &gateway.url("/mcp/two")),
        ("scope", "mcp:tools offline_access"),
        ("prompt", "consent"),
        ("prompt", "select_account"),
    ] {
        let page = open(&mut browser, &client, &[(name, value)]).await;
        assert_eq!((page.status, page.leaves_to), (StatusCode::OK, None), "{name}={value}");
    }
    assert!(open(&mut browser, &client, &[]).await.leaves_to.is_some());
    let mut bob = Browser::new(&gateway.origin);
    let page = client.consent_page(&mut bob, "/mcp/one", "bob").await;
    assert_eq!(page.leaves_to, None, "another person is asked");

    gateway.clock.advance(Duration::from_secs(3601));
    for (changes, remembered) in [
        (json!({"redirect_uris": [WEB, second], "x": 1}), true),
        (json!({"redirect_uris": [WEB, second], "client_name": "Other"}), false),
        (json!({"redirect_uris": [WEB, "https://evil.example/"]}), false),
        (json!({"redirect_uris": [WEB, second], "logo_uri": "https://client.example/other.png"}), false),
    ] {
        host.publish_client_with("/client.json", WEB, changes.clone());
        gateway.clock.advance(Duration::from_secs(3601));
        let page = open(&mut browser, &client, &[]).await;
        assert_eq!(page.leaves_to.is_some(), remembered, "{changes}");
    }
}

#[tokio::test]
async fn an_approval_is_remembered_for_ninety_days() {
    let gateway = TestGateway::with(json!({"browserLogin": {"sessionTtlSeconds": 31_000_000}})).await;
    let metadata = json!({"redirect_uris": [WEB], "token_endpoint_auth_method": "client_secret_post"});
    let client = Client::register_as(&gateway, metadata).await;
    let mut browser = approved(&client).await;
    for (days, remembered) in [(89, true), (1, false)] {
        gateway.clock.advance(Duration::from_secs(days * 24 * 3600));
        assert_eq!(open(&mut browser, &client, &[]).await.leaves_to.is_some(), remembered, "{days}");
    }
}

/// The person sees what is remembered, and takes it back: alone, or together with the application's access.
#[tokio::test]
async fn a_person_takes_a_remembered_approval_back() {
    let host = Host::start().await;
    let gateway = TestGateway::with(host.reachable()).await;
    let client = Client::of_document(&gateway, &host.publish_client("/client.json", WEB), WEB);
    let shown = host.origin.strip_prefix("https://").unwrap();
    for field in ["forget", "revoke"] {
        let mut browser = approved(&client).await;
        assert!(open(&mut browser, &client, &[]).await.leaves_to.is_some());
        let account = browser.open(&gateway.url("/account")).await;
        assert!(account.html.contains("Approvals that are remembered") && account.html.contains(shown));
        let form = account.forms().into_iter().find(|form| form.iter().any(|(name, _)| name == field)).unwrap();
        let mut forged = form.clone();
        forged.iter_mut().filter(|(name, _)| name == "csrf").for_each(|(_, value)| *value = "x".to_owned());
        assert_eq!(browser.post("/account", &forged, "same-origin").await.status, StatusCode::FORBIDDEN);
        assert_eq!(browser.post("/account", &form, "cross-site").await.status, StatusCode::FORBIDDEN);
        assert!(open(&mut browser, &client, &[]).await.leaves_to.is_some());
        let account = browser.post("/account", &form, "same-origin").await;
        assert!(!account.html.contains("Approvals that are remembered"), "{field}");
        assert_eq!(open(&mut browser, &client, &[]).await.leaves_to, None, "{field}");
    }
}
