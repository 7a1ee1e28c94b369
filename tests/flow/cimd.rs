//! Clients whose id is the URL of their metadata document (OAuth Client ID Metadata Document).

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Browser, Client, Host, TestGateway, Tokens};

const LOOPBACK: &str = "http://127.0.0.1:9999/callback";

/// A gateway that reaches the host, and a client of one redirect URI there.
async fn with_client(redirect_uri: &str) -> (TestGateway, Host, Client) {
    let host = Host::start().await;
    let gateway = TestGateway::with(host.reachable()).await;
    let client = Client::of_document(&gateway, &host.publish_client("/client.json", redirect_uri), redirect_uri);
    (gateway, host, client)
}

/// Where an authorization request of this client id ends for somebody who is signed in.
async fn signed_in(gateway: &TestGateway) -> Browser {
    let mut browser = Browser::new(&gateway.origin);
    Client::register(gateway).await.consent_page(&mut browser, "/mcp/one", "ada").await;
    browser
}

#[tokio::test]
async fn a_client_with_a_document_gets_in_without_a_registration() {
    let (gateway, host, client) = with_client(LOOPBACK).await;
    let mut browser = Browser::new(&gateway.origin);
    let page = client.consent_page(&mut browser, "/mcp/one", "ada").await;
    let shown = host.origin.strip_prefix("https://").unwrap();
    for said in [shown, "Document Client", "an app on this computer", "Did you start this yourself?"] {
        assert!(page.html.contains(said), "{said} in {}", page.html);
    }
    assert!(!page.html.contains("Unverified application"));
    let answer = browser.submit(&page, ("decision", "approve")).await.answer();
    let tokens = Tokens::from(client.redeem(&answer["code"]).await).await;
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
    let tokens = Tokens::from(client.refresh(&tokens.refresh).await).await;
    let revoked = client.http.post(gateway.url("/oauth/revoke"));
    let revoked = revoked.form(&[("token", &tokens.refresh), ("client_id", &client.id)]).send().await.unwrap();
    assert_eq!(revoked.status(), StatusCode::OK);
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(host.fetches("/client.json"), 1);
    let head = host.fetched().remove(0).to_ascii_lowercase();
    assert!(!head.contains("cookie:") && !head.contains("authorization:"), "{head}");
}

/// claude-code#37767, copilot-cli#4793, zed#56210: documents list loopback redirects without a port, or with one that the
/// program does not use.
/// AS-38, AS-46: a picture that a stranger chose says more than the host beside it, and fetching it would be one more way
/// to make the gateway call somebody.
#[tokio::test]
async fn a_logo_is_neither_fetched_nor_shown() {
    let host = Host::start().await;
    let gateway = TestGateway::with(host.reachable()).await;
    host.answer("/logo.png", "200 OK", "Content-Type: image/png\r\n", "a picture");
    let logo = host.url("/logo.png");
    let id = host.publish_client_with("/client.json", LOOPBACK, json!({"logo_uri": logo}));
    let documented = Client::of_document(&gateway, &id, LOOPBACK);
    let metadata = json!({"redirect_uris": [LOOPBACK], "token_endpoint_auth_method": "none", "logo_uri": logo});
    let registered = Client::register_as(&gateway, metadata).await;
    for client in [documented, registered] {
        let mut browser = Browser::new(&gateway.origin);
        let page = client.consent_page(&mut browser, "/mcp/one", "ada").await;
        assert!(page.html.contains("Approve"), "{}", page.html);
        assert!(!page.html.contains("logo.png") && !page.html.contains("<img"), "{}", page.html);
        let answer = browser.submit(&page, ("decision", "approve")).await.answer();
        Tokens::from(client.redeem(&answer["code"]).await).await;
    }
    assert_eq!(host.fetches("/client.json"), 1);
    assert_eq!(host.fetches("/logo.png"), 0);
}

#[tokio::test]
async fn a_loopback_redirect_of_a_document_may_come_with_any_port() {
    let (gateway, host, _) = with_client(LOOPBACK).await;
    let mut browser = signed_in(&gateway).await;
    let both = json!({"redirect_uris": ["http://localhost/callback", "http://127.0.0.1/callback"]});
    host.publish_client_with("/claude.json", LOOPBACK, both);
    host.publish_client("/copilot.json", "http://127.0.0.1:33418/");
    host.publish_client("/zed.json", "http://127.0.0.1/callback");
    for (path, sent, fits) in [
        ("/claude.json", "http://localhost:52341/callback", true),
        ("/claude.json", "http://127.0.0.1:52341/callback", true),
        ("/claude.json", "http://127.0.0.1:52341/callback/", false),
        ("/claude.json", "http://[::1]:52341/callback", false),
        ("/copilot.json", "http://127.0.0.1:60001/", true),
        ("/copilot.json", "http://127.0.0.1/", true),
        ("/copilot.json", "http://localhost:60001/", false),
        ("/zed.json", "http://127.0.0.1:7/callback", true),
        ("/zed.json", "https://127.0.0.1:7/callback", false),
        ("/zed.json", "http://evil.example/callback", false),
    ] {
        let client = Client::of_document(&gateway, &host.url(path), sent);
        let page = browser.open(&client.authorize_url(&client.request("/mcp/one"))).await;
        assert_eq!(page.status == StatusCode::OK, fits, "{path} {sent}: {}", page.status);
        assert_eq!(page.leaves_to, None);
    }
}

/// AS-40 (SEP-991): a stranger must not be able to make the gateway fetch anything.
#[tokio::test]
async fn nothing_is_fetched_for_strangers() {
    let (gateway, host, client) = with_client(LOOPBACK).await;
    let mut stranger = Browser::new(&gateway.origin);
    let chooser = stranger.open(&client.authorize_url(&client.request("/mcp/one"))).await;
    assert_eq!(chooser.status, StatusCode::OK);
    for (form, status, error) in [
        (vec![("grant_type", "authorization_code"), ("code", "ac_x"), ("code_verifier", "x")], 400, "invalid_grant"),
        (vec![("grant_type", "refresh_token"), ("refresh_token", "rt_x")], 400, "invalid_grant"),
        (vec![("grant_type", "password")], 400, "invalid_grant"),
    ] {
        let answer = client.token(&form).await;
        assert_eq!(answer.status(), status);
        assert_eq!(answer.json::<Value>().await.unwrap()["error"], error);
    }
    let revoke = client.http.post(gateway.url("/oauth/revoke")).form(&[("token", "rt_x"), ("client_id", &client.id)]);
    assert_eq!(revoke.send().await.unwrap().status(), StatusCode::OK);
    assert!(host.fetched().is_empty(), "{:?}", host.fetched());
    let page = crate::support::choose_user(&mut stranger, chooser, "ada").await;
    assert!(page.html.contains("Document Client"));
    assert_eq!(host.fetches("/client.json"), 1);
}

/// What a stranger's request claims is matched with the document before anything goes anywhere.
#[tokio::test]
async fn a_redirect_that_was_only_claimed_leads_nowhere() {
    let (gateway, _host, client) = with_client(LOOPBACK).await;
    for (name, value) in [("state", "s"), ("response_type", "token")] {
        let mut browser = Browser::new(&gateway.origin);
        let mut request = client.request("/mcp/one");
        request.retain(|(known, _)| !["redirect_uri", name].contains(known));
        request.extend([("redirect_uri", "https://evil.example/callback".to_owned()), (name, value.to_owned())]);
        let chooser = browser.open(&client.authorize_url(&request)).await;
        assert_eq!(chooser.leaves_to, None);
        let page = crate::support::choose_user(&mut browser, chooser, "ada").await;
        assert_eq!((page.status, page.leaves_to), (StatusCode::BAD_REQUEST, None), "{name}");
        assert!(page.html.contains("not safe to answer"));
    }
}

/// RFC 6749 section 3.1.2.3: the only redirect URI need not be said, whether or not the document is known yet.
#[tokio::test]
async fn the_only_redirect_uri_of_a_document_need_not_be_said() {
    let (gateway, _host, client) = with_client(LOOPBACK).await;
    let mut request = client.request("/mcp/one");
    request.retain(|(name, _)| *name != "redirect_uri");
    for _ in 0..2 {
        let mut browser = Browser::new(&gateway.origin);
        let chooser = browser.open(&client.authorize_url(&request)).await;
        let page = crate::support::choose_user(&mut browser, chooser, "ada").await;
        let left = browser.submit(&page, ("decision", "approve")).await;
        assert!(left.leaves_to.as_deref().unwrap().starts_with(LOOPBACK));
        assert_eq!(client.redeem(&left.answer()["code"]).await.status(), StatusCode::OK);
    }
}

/// An error of a stranger's request reaches the client after sign-in, once its document has proven where to.
#[tokio::test]
async fn an_error_reaches_a_client_with_a_document_after_sign_in() {
    let (gateway, _host, client) = with_client(LOOPBACK).await;
    let mut browser = Browser::new(&gateway.origin);
    let mut request = client.request("/mcp/one");
    request.retain(|(name, _)| *name != "code_challenge");
    let chooser = browser.open(&client.authorize_url(&request)).await;
    let answer = crate::support::choose_user(&mut browser, chooser, "ada").await.answer();
    assert_eq!((answer["error"].as_str(), answer["state"].as_str()), ("invalid_request", "the-state"));
}

/// AS-35, AS-37, AS-39, AS-42: what is not exactly a client's own document gives a page, and never a redirect.
#[tokio::test]
async fn a_document_that_is_not_usable_gives_a_page_that_says_so() {
    let host = Host::start().await;
    let (gateway, log) = TestGateway::with_log(host.reachable()).await;
    let mut browser = signed_in(&gateway).await;
    let document = |path: &str| json!({"client_id": host.url(path), "redirect_uris": [LOOPBACK]});
    host.publish("/other-id", &document("/good"));
    host.publish_client_with("/secret", LOOPBACK, json!({"client_secret": "s"}));
    host.publish_client_with("/basic", LOOPBACK, json!({"token_endpoint_auth_method": "client_secret_basic"}));
    host.publish_client_with("/keyless", LOOPBACK, json!({"token_endpoint_auth_method": "private_key_jwt"}));
    host.publish_client_with("/no-redirect", LOOPBACK, json!({"redirect_uris": []}));
    host.publish_client_with("/large", LOOPBACK, json!({"padding": "x".repeat(5 * 1024)}));
    host.answer("/html", "200 OK", "Content-Type: text/html\r\n", "<html>");
    host.answer("/created", "201 Created", "", &document("/created").to_string());
    host.answer("/teapot", "500 Internal Server Error", "", "");
    host.answer("/moved", "302 Found", &format!("Location: {}\r\n", host.url("/good")), "");
    host.publish_client("/good", LOOPBACK);
    for (path, status) in [
        ("/other-id", 400),
        ("/secret", 400),
        ("/basic", 400),
        ("/keyless", 400),
        ("/no-redirect", 400),
        ("/html", 400),
        ("/large", 502),
        ("/created", 502),
        ("/teapot", 502),
        ("/moved", 502),
        ("/missing", 502),
        ("/good", 200),
    ] {
        let client = Client::of_document(&gateway, &host.url(path), LOOPBACK);
        let page = browser.open(&client.authorize_url(&client.request("/mcp/one"))).await;
        assert_eq!((page.status.as_u16(), page.leaves_to), (status, None), "{path}");
        if status != 200 {
            let shown = host.origin.strip_prefix("https://").unwrap();
            assert!(page.html.contains("The application") && page.html.contains(shown), "{path}: {}", page.html);
            assert!(!page.html.contains(LOOPBACK), "{path}");
        }
    }
    assert_eq!(host.fetches("/good"), 1, "the redirect was not followed");
    let text = log.all().concat();
    for cause in ["is larger than 5120 bytes", "answered with status 201", "which is not followed", "`client_secret`"] {
        assert!(text.contains(cause), "{cause} in {text}");
    }
}

/// AS-38: the guard against server-side request forgery holds for client ids.
#[tokio::test]
async fn a_client_id_leads_to_no_private_address() {
    let host = Host::start().await;
    host.publish_client("/client.json", LOOPBACK);
    let gateway = TestGateway::start().await;
    let mut browser = signed_in(&gateway).await;
    let port = host.origin.rsplit(':').next().unwrap();
    for (id, status) in [
        (host.url("/client.json"), 502),
        (format!("https://localhost:{port}/client.json"), 502),
        ("https://169.254.169.254/latest/meta-data".to_owned(), 502),
        ("https://[::1]/client.json".to_owned(), 502),
        ("https://10.0.0.1/client.json".to_owned(), 502),
        ("https://0x7f000001/client.json".to_owned(), 400),
        ("https://user@client.example/client.json".to_owned(), 400),
        ("https://client.example/../client.json".to_owned(), 400),
        ("http://client.example/client.json".to_owned(), 400),
        ("https://client.example".to_owned(), 400),
    ] {
        let client = Client::of_document(&gateway, &id, LOOPBACK);
        let page = browser.open(&client.authorize_url(&client.request("/mcp/one"))).await;
        assert_eq!((page.status.as_u16(), page.leaves_to), (status, None), "{id}");
    }
    assert!(host.fetched().is_empty());
}

/// AS-41: by the host's caching headers; an unreachable host logs nobody out, and a failure is not remembered.
#[tokio::test]
async fn a_document_is_kept_as_its_host_says_and_outlasts_an_outage() {
    let (gateway, host, client) = with_client(LOOPBACK).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    gateway.clock.advance(Duration::from_secs(3599));
    let tokens = Tokens::from(client.refresh(&tokens.refresh).await).await;
    assert_eq!(host.fetches("/client.json"), 1);
    host.answer("/client.json", "503 Service Unavailable", "", "");
    gateway.clock.advance(Duration::from_secs(2));
    let tokens = Tokens::from(client.refresh(&tokens.refresh).await).await;
    assert_eq!(host.fetches("/client.json"), 2);

    gateway.clock.advance(Duration::from_secs(8 * 24 * 3600));
    let refused = client.refresh(&tokens.refresh).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE, "no client is told to start over");
    assert!(refused.headers().contains_key("retry-after"));
    host.publish_client("/client.json", LOOPBACK);
    Tokens::from(client.refresh(&tokens.refresh).await).await;
}

/// A grant outlives the memory of the process: the token endpoint resolves the client by itself (AS-36).
#[tokio::test]
async fn a_restarted_gateway_knows_the_client_again() {
    let (mut gateway, host, client) = with_client(LOOPBACK).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    gateway.restart_with(json!({}));
    Tokens::from(client.refresh(&tokens.refresh).await).await;
    assert_eq!(host.fetches("/client.json"), 2);
}

/// workers-oauth-provider 0.10.3: all installations of a program share one client id.
#[tokio::test]
async fn a_second_installation_does_not_log_the_first_one_out() {
    let (_gateway, _host, client) = with_client(LOOPBACK).await;
    let (laptop, desktop) = (client.log_in("/mcp/one", "ada").await, client.log_in("/mcp/one", "ada").await);
    for tokens in [&laptop, &desktop] {
        assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
        Tokens::from(client.refresh(&tokens.refresh).await).await;
    }
}

#[tokio::test]
async fn without_documents_such_a_client_is_unknown_and_nothing_announces_them() {
    let host = Host::start().await;
    let mut changes = host.reachable();
    changes["gateway"] = json!({"cimdEnabled": false});
    let gateway = TestGateway::with(changes).await;
    let client = Client::of_document(&gateway, &host.publish_client("/client.json", LOOPBACK), LOOPBACK);
    let mut browser = signed_in(&gateway).await;
    let page = browser.open(&client.authorize_url(&client.request("/mcp/one"))).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert_eq!(client.refresh("rt_x").await.status(), StatusCode::UNAUTHORIZED);
    let metadata = reqwest::get(gateway.url("/.well-known/oauth-authorization-server")).await.unwrap();
    assert_eq!(metadata.json::<Value>().await.unwrap().get("client_id_metadata_document_supported"), None);
    assert!(host.fetched().is_empty());
}
