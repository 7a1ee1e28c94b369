//! Who may use what: the configuration, end to end.

use std::process::Command;

use reqwest::{StatusCode, header};
use serde_json::{Value, json};

use crate::support::{Browser, Client, TestGateway, choose_user};

fn changes(upstream: &str) -> Value {
    json!({"routes": [
        {"path": "/mcp/one", "operationId": "one", "summary": "Route One",
         "access": {"allow": [{"claim": "sub", "anyOf": ["ada"]}]},
         "upstream": {"url": upstream, "authMode": "none"},
         "capabilities": {"accessControl": {"mode": "rolesAndGroups", "roleClaim": "sub"},
            "tools": [{"name": "hers", "roles": ["ada"]}, {"name": "his", "roles": ["bob"]}, "nobodys"]}},
        {"path": "/mcp/two", "operationId": "two", "upstream": {"url": upstream, "authMode": "none", "id": "u2"}},
    ]})
}

async fn tool(client: &Client, access: &str, name: &str) -> Value {
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name}});
    let answer = client
        .http
        .post(format!("{}/mcp/one", client.origin))
        .header(header::AUTHORIZATION, format!("Bearer {access}"))
        .json(&call)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer.json().await.unwrap()
}

#[tokio::test]
async fn the_claims_of_the_login_decide_what_there_is() {
    let mut gateway = TestGateway::start().await;
    let url = gateway.upstream.url("/one");
    gateway.restart_with(changes(&url));
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    assert!(tool(&client, &tokens.access, "hers").await.get("result").is_some());
    assert_eq!(gateway.upstream.seen().len(), 1);
    for name in ["his", "nobodys", "no-such-tool"] {
        let answer = tool(&client, &tokens.access, name).await;
        let expected = json!({"code": -32602, "message": format!("Unknown tool: {name}")});
        assert_eq!(answer["error"], expected);
    }
    assert_eq!(gateway.upstream.seen().len(), 1, "nothing hidden was asked for upstream");
}

#[tokio::test]
async fn a_route_that_is_not_for_somebody_ends_at_the_consent_page() {
    let mut gateway = TestGateway::start().await;
    let url = gateway.upstream.url("/one");
    let client = Client::register(&gateway).await;
    let before = client.log_in("/mcp/one", "bob").await;
    gateway.restart_with(changes(&url));
    let page = client.consent_page(&mut Browser::new(&gateway.origin), "/mcp/one", "bob").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(page.html.contains("This service is not available to you"), "{}", page.html);
    assert!(!page.html.contains("decision"));
    let answer = client.call("/mcp/one", &before.access).await;
    assert_eq!((answer.status(), answer.headers().get(header::WWW_AUTHENTICATE)), (StatusCode::FORBIDDEN, None));
    assert_eq!(gateway.upstream.seen().len(), 0);
    let elsewhere = client.log_in("/mcp/two", "bob").await;
    assert_eq!(client.call("/mcp/two", &elsewhere.access).await.status(), StatusCode::OK);
}

/// Who may not use a route does not learn its name from a page of ours.
#[tokio::test]
async fn the_first_page_shows_what_is_for_whoever_looks() {
    let mut gateway = TestGateway::start().await;
    let url = gateway.upstream.url("/one");
    gateway.restart_with(changes(&url));
    let (limited, open) = ("Route One", "/mcp/two");
    let stranger = reqwest::get(gateway.url("/")).await.unwrap().text().await.unwrap();
    assert!(stranger.contains(open) && !stranger.contains(limited) && !stranger.contains("/mcp/one"), "{stranger}");
    assert!(stranger.contains("Sign in"));
    for (user, sees) in [("ada", true), ("bob", false)] {
        let mut browser = Browser::new(&gateway.origin);
        let page = browser.open(&gateway.url("/")).await;
        let chooser = browser.open(&gateway.url(&page.link("Sign in"))).await;
        let page = choose_user(&mut browser, chooser, user).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.html.contains(open) && page.html.contains(&format!("<bdi>{user}")), "{}", page.html);
        assert_eq!((page.html.contains(limited), page.html.contains("/mcp/one")), (sees, sees), "{user}");
        let again = browser.open(&gateway.url("/")).await;
        assert_eq!(again.html, page.html, "the browser is known from now on");
    }
    // Nothing is to be seen of how many there are: with one route less a stranger sees the same page.
    let mut without = changes(&url);
    without["routes"].as_array_mut().unwrap().remove(0);
    gateway.restart_with(without);
    assert_eq!(reqwest::get(gateway.url("/")).await.unwrap().text().await.unwrap(), stranger);
}

/// The same on the page of one's connections.
#[tokio::test]
async fn services_of_routes_that_are_not_for_somebody_are_not_offered() {
    let mut gateway = TestGateway::start().await;
    let url = gateway.upstream.url("/one");
    let upstream = |id: &str| json!({"url": url, "id": id, "displayName": id, "authMode": "user-key"});
    gateway.restart_with(json!({"routes": [
        {"path": "/mcp/one", "operationId": "one", "upstream": upstream("secret-service"),
         "access": {"allow": [{"claim": "sub", "anyOf": ["ada"]}]}},
        {"path": "/mcp/two", "operationId": "two", "upstream": upstream("open-service")},
    ]}));
    for (user, sees) in [("ada", true), ("bob", false)] {
        let mut browser = Browser::new(&gateway.origin);
        let chooser = browser.open(&gateway.url("/account")).await;
        let page = choose_user(&mut browser, chooser, user).await;
        assert!(page.html.contains("open-service"), "{}", page.html);
        assert_eq!(page.html.contains("secret-service"), sees, "{user}");
    }
}

#[tokio::test]
async fn check_explains_what_a_caller_would_see() {
    let gateway = TestGateway::start().await;
    let mut document = gateway.document.clone();
    document["routes"] = changes("http://127.0.0.1:9/mcp")["routes"].clone();
    let file = gateway.directory.path().join("explained.yaml");
    std::fs::write(&file, document.to_string()).unwrap();
    let explain = |claims: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_sallyport"))
            .args(["check", "--config"])
            .arg(&file)
            .args(["--explain", claims])
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, ada, _) = explain(r#"{"sub": "ada"}"#);
    assert_eq!(code, Some(0));
    assert_eq!(
        ada,
        "Route one (/mcp/one)\n  access             allowed\n  tools              hers\n  prompts            all\n  \
         resources          all\n  resourceTemplates  all\nRoute two (/mcp/two)\n  access             allowed\n  \
         tools              all\n  prompts            all\n  resources          all\n  resourceTemplates  all\n\n"
    );
    let (code, bob, _) = explain(r#"{"sub": "bob"}"#);
    assert_eq!(code, Some(0));
    assert!(bob.starts_with("Route one (/mcp/one)\n  access             denied\nRoute two"), "{bob}");
    let (code, _, said) = explain("[]");
    assert_eq!(code, Some(2));
    assert!(said.contains("JSON object"), "{said}");
}
