//! Signing in and out.

use reqwest::{StatusCode, header};
use serde_json::json;

use crate::support::{Browser, Client, TestGateway, choose_user};

#[tokio::test]
async fn the_session_cookie_is_for_this_host_and_for_http_only() {
    let gateway = TestGateway::with(json!({"identity": {"users": ["ada"]}})).await;
    let client = Client::register(&gateway).await;
    let http = &client.http;
    let authorize = http.get(client.authorize_url(&client.request("/mcp/one"))).send().await.unwrap();
    assert_eq!(authorize.status(), StatusCode::SEE_OTHER);
    let login = authorize.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
    assert!(login.contains("HttpOnly") && login.contains("SameSite=Lax") && login.contains("Max-Age=900"), "{login}");
    let next = gateway.url(authorize.headers()[header::LOCATION].to_str().unwrap());
    let signed_in = http.get(next).header(header::COOKIE, login.split(';').next().unwrap()).send().await.unwrap();
    let session = signed_in.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(session.starts_with("sallyport_session="), "{session}");
    assert!(session.contains("HttpOnly; SameSite=Lax; Max-Age=28800") && session.contains("Path=/"), "{session}");
    assert!(!session.contains("Domain"), "{session}");
}

/// Login CSRF: a state that another browser began signs nobody in here.
#[tokio::test]
async fn a_login_ends_only_in_the_browser_that_began_it() {
    let gateway = TestGateway::with(json!({"identity": {"users": ["ada"]}})).await;
    let client = Client::register(&gateway).await;
    let begun = client.http.get(client.authorize_url(&client.request("/mcp/one"))).send().await.unwrap();
    let link = gateway.url(begun.headers()[header::LOCATION].to_str().unwrap());
    let mut victim = Browser::new(&gateway.origin);
    let page = victim.open(&link).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(victim.cookies.is_empty());
}

#[tokio::test]
async fn a_login_is_spent_by_its_first_return() {
    let gateway = TestGateway::with(json!({"identity": {"users": ["ada"]}})).await;
    let client = Client::register(&gateway).await;
    let begun = client.http.get(client.authorize_url(&client.request("/mcp/one"))).send().await.unwrap();
    let link = gateway.url(begun.headers()[header::LOCATION].to_str().unwrap());
    let cookie = begun.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    let first = client.http.get(&link).header(header::COOKIE, &cookie).send().await.unwrap();
    assert_eq!(first.status(), StatusCode::SEE_OTHER);
    let second = client.http.get(&link).header(header::COOKIE, &cookie).send().await.unwrap();
    assert_eq!(second.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_session_lives_eight_hours() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let mut browser = Browser::new(&gateway.origin);
    client.consent_page(&mut browser, "/mcp/one", "ada").await;
    for (after, asks_again) in [(8 * 3600 - 60, false), (61, true)] {
        gateway.clock.advance(std::time::Duration::from_secs(after));
        browser.visited.clear();
        client.consent_page(&mut browser, "/mcp/one", "ada").await;
        assert_eq!(browser.visited.iter().any(|path| path.ends_with("dev-login")), asks_again, "after {after}");
    }
}

#[tokio::test]
async fn signing_out_needs_the_form_and_ends_the_session() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let mut browser = Browser::new(&gateway.origin);
    let consent = client.consent_page(&mut browser, "/mcp/one", "ada").await;
    let stolen = browser.cookies.clone();

    let forged = browser.post("/oauth/logout", &[("csrf".to_owned(), "x".to_owned())], "same-origin").await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    let page = browser.open(&gateway.url("/oauth/logout")).await;
    let done = browser.submit(&page, ("decision", "sign-out")).await;
    assert!(done.html.to_lowercase().contains("signed out"));
    assert!(browser.cookies.is_empty());

    browser.cookies = stolen;
    let decided = browser.submit(&consent, ("decision", "approve")).await;
    assert_eq!(decided.leaves_to, None);
}

/// A form of another site comes without our cookie, and must not take it away from the browser either.
#[tokio::test]
async fn another_site_cannot_sign_anybody_out() {
    let gateway = TestGateway::start().await;
    let answer = reqwest::Client::new()
        .post(gateway.url("/oauth/logout"))
        .header("sec-fetch-site", "cross-site")
        .form(&[("csrf", "x")])
        .send()
        .await
        .unwrap();
    assert!(!answer.headers().contains_key(header::SET_COOKIE), "{:?}", answer.headers());
}

/// Two tabs: a client that connects to two servers opens two logins at once, and the person finishes them in turn.
#[tokio::test]
async fn a_second_login_in_the_same_browser_leaves_the_first_page_usable() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let mut browser = Browser::new(&gateway.origin);
    let first = browser.open(&client.authorize_url(&client.request("/mcp/one"))).await;
    let second = browser.open(&client.authorize_url(&client.request("/mcp/two"))).await;
    let first = choose_user(&mut browser, first, "ada").await;
    browser.visited.push("/oauth/dev-login".to_owned());
    let second = choose_user(&mut browser, second, "ada").await;
    for page in [first, second] {
        assert!(browser.submit(&page, ("decision", "approve")).await.answer().contains_key("code"));
    }
}

/// Somebody else in the second tab: the first person's session ends, and with it what only that person may decide.
#[tokio::test]
async fn another_person_in_the_same_browser_ends_the_first_ones_session() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let mut browser = Browser::new(&gateway.origin);
    let first = browser.open(&client.authorize_url(&client.request("/mcp/one"))).await;
    let second = browser.open(&client.authorize_url(&client.request("/mcp/two"))).await;
    let first = choose_user(&mut browser, first, "ada").await;
    browser.visited.push("/oauth/dev-login".to_owned());
    let second = choose_user(&mut browser, second, "bob").await;
    assert_eq!(browser.submit(&first, ("decision", "approve")).await.leaves_to, None);
    assert!(second.html.contains("bob"));
    assert!(browser.submit(&second, ("decision", "approve")).await.answer().contains_key("code"));
}

/// The development sign-in lets anybody in, so a request that came through a proxy is not from this machine.
#[tokio::test]
async fn development_sign_in_is_refused_from_elsewhere() {
    let gateway = TestGateway::start().await;
    let http = reqwest::Client::new();
    for (name, value) in
        [("x-forwarded-for", "203.0.113.9"), ("host", "gateway.example.com"), ("forwarded", "for=1.2.3.4")]
    {
        let answer = http.get(gateway.url("/oauth/dev-login?state=x")).header(name, value).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{name}");
    }
}

#[tokio::test]
async fn a_dead_identity_provider_gives_a_page_and_tells_the_request_id() {
    let gateway = TestGateway::with(json!({
        "identity": {"provider": "oidc", "issuer": "http://127.0.0.1:9", "clientId": "gateway", "clientSecret": "s", "users": null},
        "outbound": {"allowPrivateNetworks": ["127.0.0.0/8"]},
    }))
    .await;
    let client = Client::register(&gateway).await;
    let mut browser = Browser::new(&gateway.origin);
    let before = gateway.dump();
    let page = browser.open(&client.authorize_url(&client.request("/mcp/one"))).await;
    assert_eq!(page.status, StatusCode::BAD_GATEWAY);
    assert_eq!(gateway.dump(), before);
    let id = page.headers["x-request-id"].to_str().unwrap();
    assert!(page.html.contains(id));
}
