//! The consent page: who may decide, and that nothing happens without a decision.

use reqwest::StatusCode;
use serde_json::json;

use crate::support::{Browser, Client, TestGateway};

#[tokio::test]
async fn the_page_says_who_asks_for_what_and_where_the_answer_goes() {
    let gateway = TestGateway::start().await;
    let client = Client::register_as(
        &gateway,
        json!({"client_name": "<b>Claude</b>", "redirect_uris": ["https://claude.example/cb"], "token_endpoint_auth_method": "none"}),
    )
    .await;
    let page = client.consent_page(&mut Browser::new(&gateway.origin), "/mcp/one", "ada").await;
    assert_eq!(page.status, StatusCode::OK);
    for said in ["claude.example", "Route One", "/mcp/one", "ada", "&#60;b&#62;Claude"] {
        assert!(page.html.contains(said), "{said} in {}", page.html);
    }
    assert!(!page.html.contains("<b>Claude"));
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    for directive in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(directive), "{policy}");
    }
    assert_eq!(page.headers["x-frame-options"], "DENY");
    assert_eq!(page.headers["cache-control"], "no-store");
    assert_eq!(page.headers["referrer-policy"], "same-origin");
}

#[tokio::test]
async fn cancelling_tells_the_client_and_issues_nothing() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let mut browser = Browser::new(&gateway.origin);
    let page = client.consent_page(&mut browser, "/mcp/one", "ada").await;
    let answer = browser.submit(&page, ("decision", "cancel")).await.answer();
    assert_eq!((answer["error"].as_str(), answer.contains_key("code")), ("access_denied", false));
    assert_eq!(answer["iss"], gateway.origin);
}

/// A form that is sent again, as with the back button or by whoever saw it, has nothing left to decide.
#[tokio::test]
async fn a_decided_form_cannot_be_replayed() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let mut browser = Browser::new(&gateway.origin);
    let page = client.consent_page(&mut browser, "/mcp/one", "ada").await;
    browser.submit(&page, ("decision", "approve")).await.answer();
    for decision in ["approve", "cancel"] {
        let replayed = browser.submit(&page, ("decision", decision)).await;
        assert_eq!((replayed.status, replayed.leaves_to), (StatusCode::BAD_REQUEST, None));
    }
}

#[tokio::test]
async fn a_form_of_another_site_or_without_its_proof_is_refused() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let mut browser = Browser::new(&gateway.origin);
    let page = client.consent_page(&mut browser, "/mcp/one", "ada").await;
    let mut fields = page.hidden_fields();
    fields.push(("decision".to_owned(), "approve".to_owned()));

    for site in ["cross-site", "same-site", "none"] {
        let answer = browser.post("/oauth/setup", &fields, site).await;
        assert_eq!((answer.status, answer.leaves_to), (StatusCode::FORBIDDEN, None), "{site}");
    }
    let forged: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.clone(), if name == "csrf" { "x".repeat(43) } else { value.clone() }))
        .collect();
    let answer = browser.post("/oauth/setup", &forged, "same-origin").await;
    assert_eq!((answer.status, answer.leaves_to), (StatusCode::FORBIDDEN, None));

    browser.submit(&page, ("decision", "approve")).await.answer();
}

/// A browser says `Sec-Fetch-Site` to secure origins only; elsewhere, and in older ones, `Origin` must do. It would be
/// `null` under `no-referrer` (Fetch standard, "append a request `Origin` header").
#[tokio::test]
async fn a_form_without_fetch_metadata_is_known_by_its_origin() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let mut browser = Browser::new(&gateway.origin);
    let page = client.consent_page(&mut browser, "/mcp/one", "ada").await;
    assert_eq!(page.headers["referrer-policy"], "same-origin");
    let mut fields = page.hidden_fields();
    fields.push(("decision".to_owned(), "approve".to_owned()));
    let cookies: Vec<_> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let form = client.http.post(gateway.url("/oauth/setup")).header("cookie", cookies.join("; ")).form(&fields);
    for origin in [None, Some("null"), Some("https://evil.example")] {
        let mut request = form.try_clone().unwrap();
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        assert_eq!(request.send().await.unwrap().status(), StatusCode::FORBIDDEN, "{origin:?}");
    }
    let ours = form.header("origin", &gateway.origin).send().await.unwrap();
    assert_eq!(ours.status(), StatusCode::SEE_OTHER);
}

/// Clients that are web pages open us in a popup, and their own page in it, later, reports to its opener.
#[tokio::test]
async fn a_page_in_a_popup_keeps_its_opener() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let page = client.consent_page(&mut Browser::new(&gateway.origin), "/mcp/one", "ada").await;
    assert!(!page.headers.contains_key("cross-origin-opener-policy"));
}

/// Another browser, even of the same or another signed-in person, cannot see or decide an interaction.
#[tokio::test]
async fn an_interaction_belongs_to_the_browser_that_began_it() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let (mut ada, mut bob, mut nobody) =
        (Browser::new(&gateway.origin), Browser::new(&gateway.origin), Browser::new(&gateway.origin));
    let page = client.consent_page(&mut ada, "/mcp/one", "ada").await;
    client.consent_page(&mut bob, "/mcp/one", "bob").await;
    let interaction = page.hidden_fields().into_iter().find(|(name, _)| name == "interaction").unwrap().1;
    for browser in [&mut bob, &mut nobody] {
        let seen = browser.open(&gateway.url(&format!("/oauth/setup?interaction={interaction}"))).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST);
        let decided = browser.submit(&page, ("decision", "approve")).await;
        assert_eq!(decided.leaves_to, None);
    }
    ada.submit(&page, ("decision", "approve")).await.answer();
}

#[tokio::test]
async fn an_interaction_expires() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let mut browser = Browser::new(&gateway.origin);
    let page = client.consent_page(&mut browser, "/mcp/one", "ada").await;
    gateway.clock.advance(std::time::Duration::from_secs(901));
    let late = browser.submit(&page, ("decision", "approve")).await;
    assert_eq!((late.status, late.leaves_to), (StatusCode::BAD_REQUEST, None));
}

/// The confused deputy: a live browser session never gives a new client anything without a page.
#[tokio::test]
async fn a_signed_in_person_is_asked_again_for_every_authorization() {
    let gateway = TestGateway::start().await;
    let (first, second) = (Client::register(&gateway).await, Client::register(&gateway).await);
    let mut browser = Browser::new(&gateway.origin);
    first.authorize(&mut browser, "/mcp/one", "ada").await;
    browser.visited.clear();
    for client in [&second, &first] {
        let page = client.consent_page(&mut browser, "/mcp/one", "ada").await;
        assert!(page.html.contains("name=\"decision\""));
    }
    assert!(!browser.visited.iter().any(|path| path.ends_with("dev-login")), "{:?}", browser.visited);
}
