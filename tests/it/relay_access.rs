//! Who gets through to an upstream: nobody whose token was not proven, and nobody by another way in.

use serde_json::json;

use crate::support::{Answer, Request, TestEdge, Upstream};

fn challenge(edge: &TestEdge, path: &str, error: &str) -> String {
    format!(
        "Bearer realm=\"OAuth\", resource_metadata=\"{}/.well-known/oauth-protected-resource{path}\", \
         scope=\"mcp:tools\"{error}",
        edge.origin()
    )
}

#[track_caller]
fn expect_challenge(answer: &Answer, status: u16, challenge: &str) {
    assert_eq!((answer.status(), answer.get("www-authenticate")), (status, Some(challenge)));
    assert_eq!(answer.get("cache-control"), Some("no-store"));
    assert_eq!(answer.get("server"), None);
}

/// RFC 6750 section 3: no error code without credentials. MCP authorization: nothing goes upstream before the proof.
#[tokio::test]
async fn without_a_token_there_is_a_challenge_and_no_connection() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    for method in ["POST", "GET", "DELETE"] {
        let answer = edge.exchange(Request::new(method, "/mcp/a")).await;
        expect_challenge(&answer, 401, &challenge(&edge, "/mcp/a", ""));
        let id = answer.get("x-request-id").expect("a request id");
        let expected =
            json!({"error": "unauthorized", "error_description": "An access token is required.", "request_id": id});
        assert_eq!(answer.json(), expected);
    }
    assert_eq!(upstream.connections(), 0);
}

/// RFC 9728 section 3.3: the metadata names the URL that the client used, with its trailing slash.
#[tokio::test]
async fn the_challenge_keeps_a_trailing_slash() {
    let edge = TestEdge::relaying_to("http://127.0.0.1:1/").await;
    let answer = edge.exchange(Request::post("/mcp/a/")).await;
    expect_challenge(&answer, 401, &challenge(&edge, "/mcp/a/", ""));
}

/// RFC 9110 section 9.3.2: clients probe with HEAD and read the challenge.
#[tokio::test]
async fn head_gets_the_challenge_without_a_body_and_with_a_token_is_not_allowed() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let mut connection = edge.connect().await;
    let answer = connection.exchange(&Request::new("HEAD", "/mcp/a").host(&edge.host())).await;
    expect_challenge(&answer, 401, &challenge(&edge, "/mcp/a", ""));
    let head = Request::new("HEAD", "/mcp/a").host(&edge.host()).bearer(&edge.token("a"));
    let answer = connection.exchange(&head).await;
    assert_eq!((answer.status(), answer.get("allow")), (405, Some("GET, POST, DELETE, OPTIONS")));
    connection.send(&Request::new("GET", "/nowhere").host(&edge.host())).await;
    assert_eq!(connection.head().await.expect("the next answer, so no body came between").status(), 404);
    assert_eq!(upstream.connections(), 0);
}

/// RFC 6750 section 3.1.
#[tokio::test]
async fn a_token_that_is_no_good_gets_its_error_and_no_connection() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::builder().route("a", &upstream.url()).route("b", &upstream.url()).start().await;
    let invalid = ", error=\"invalid_token\", error_description=\"The access token is invalid, expired, revoked, or not for \
        this resource.\"";
    let unknown = format!("at_{}", "A".repeat(43));
    let long = "a".repeat(20_000);
    for token in [&unknown, "junk", "eyJhbGciOiJub25lIn0.e30.", &long] {
        let answer = edge.exchange(Request::post("/mcp/a").bearer(token)).await;
        expect_challenge(&answer, 401, &challenge(&edge, "/mcp/a", invalid));
    }

    let answer = edge.exchange(Request::post("/mcp/a").bearer(&edge.token("b"))).await;
    expect_challenge(&answer, 401, &challenge(&edge, "/mcp/a", invalid));

    let elsewhere = edge.store.issue("ada", "c", "a", "http://other.example/mcp/a", "mcp:tools");
    let answer = edge.exchange(Request::post("/mcp/a").bearer(&elsewhere)).await;
    expect_challenge(&answer, 401, &challenge(&edge, "/mcp/a", invalid));

    let narrow = edge.store.issue("ada", "c", "a", &format!("{}/mcp/a", edge.origin()), "offline_access");
    let answer = edge.exchange(Request::post("/mcp/a").bearer(&narrow)).await;
    let scope = ", error=\"insufficient_scope\", error_description=\"The access token lacks a scope that this \
        request needs.\"";
    expect_challenge(&answer, 403, &challenge(&edge, "/mcp/a", scope));
    assert_eq!(upstream.connections(), 0);
}

/// RFC 6750 sections 2 and 3.1: one method per request; another scheme is no token.
#[tokio::test]
async fn a_token_anywhere_but_in_one_header_is_not_accepted() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let token = edge.token("a");
    for query in [format!("access_token={token}"), format!("a=1&access%5Ftoken={token}")] {
        let target = format!("/mcp/a?{query}");
        let answer = edge.exchange(Request::post(&target)).await;
        expect_challenge(&answer, 401, &challenge(&edge, "/mcp/a", ""));
        let answer = edge.exchange(Request::post(&target).bearer(&token)).await;
        assert_eq!((answer.status(), &answer.json()["error"]), (400, &json!("invalid_request")));
    }
    let form = Request::new("POST", "/mcp/a")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(format!("access_token={token}").as_bytes());
    assert_eq!(edge.exchange(form).await.status(), 401);
    let twice = edge.exchange(Request::post("/mcp/a").bearer(&token).bearer(&token)).await;
    assert_eq!((twice.status(), &twice.json()["error"]), (400, &json!("invalid_request")));
    let basic = edge.exchange(Request::post("/mcp/a").header("Authorization", "Basic YTpi")).await;
    expect_challenge(&basic, 401, &challenge(&edge, "/mcp/a", ""));
    let cookie = edge.exchange(Request::post("/mcp/a").header("Cookie", &format!("access_token={token}"))).await;
    assert_eq!(cookie.status(), 401);
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_store_that_cannot_answer_is_503_and_recovers_by_itself() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let token = edge.token("a");
    edge.store.go_down();
    let answer = edge.exchange(Request::post("/mcp/a").bearer(&token)).await;
    assert_eq!((answer.status(), answer.get("retry-after"), answer.get("www-authenticate")), (503, Some("5"), None));
    assert_eq!(answer.json()["error"], "temporarily_unavailable");
    assert_eq!(upstream.connections(), 0);
    edge.store.come_back();
    assert_eq!(edge.exchange(Request::post("/mcp/a").bearer(&token)).await.status(), 200);
}

#[tokio::test]
async fn paths_that_only_mean_a_route_after_repair_lead_nowhere() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::builder().route("a", &upstream.url()).route("b", &upstream.url()).start().await;
    for (target, status) in [
        ("/mcp/b/../a", 404),
        ("/mcp/b/%2e%2e/a", 404),
        ("//mcp/a", 404),
        ("/mcp//a", 404),
        ("/mcp/a//", 404),
        ("/mcp/a%2f", 404),
        ("/mcp/%61", 404),
        ("/./mcp/a", 404),
        ("/MCP/A", 404),
        ("/mcp/a;x=1", 404),
        ("/mcp\\a", 400),
        ("/mcp/a#fragment", 400),
        ("*", 400),
        ("/mcp", 404),
        ("/", 404),
    ] {
        let answer = edge.call(Request::post(target)).await;
        assert_eq!(answer.status(), status, "{target}");
        assert_eq!(answer.get("server"), None, "{target}");
    }
    assert_eq!(upstream.connections(), 0);
}

/// RFC 9112 section 3.2.2: an absolute target counts by its path, and only at our own authority.
#[tokio::test]
async fn an_absolute_target_is_taken_at_our_own_authority_only() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let answer = edge.call(Request::post(&format!("http://{}/mcp/a", edge.host()))).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(upstream.only_call().head.line, "POST /up HTTP/1.1");
    let answer = edge.call(Request::post("http://evil.example/mcp/a")).await;
    assert_eq!(answer.status(), 400);
    assert_eq!(upstream.calls().len(), 1);
}

#[tokio::test]
async fn methods_that_no_path_answers_are_refused_with_what_is_allowed() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    for method in ["TRACE", "PUT", "PATCH", "BREW"] {
        let answer = edge.call(Request::new(method, "/mcp/a")).await;
        assert_eq!((answer.status(), answer.get("allow")), (405, Some("GET, HEAD, POST, DELETE, OPTIONS")), "{method}");
    }
    let connect = edge.raw(format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", edge.host()).as_bytes()).await;
    let connect = connect.expect("an answer");
    assert_eq!((connect.status(), connect.get("server")), (405, None));
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_request_head_has_its_limits() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let long_target = format!("/mcp/a?{}", "q".repeat(9000));
    let answer = edge.call(Request::post(&long_target)).await;
    assert_eq!((answer.status(), &answer.json()["error"]["data"]["reason"]), (414, &json!(null)));
    assert_eq!(answer.json()["reason"], "uri_too_long");
    let answer = edge.call(Request::post("/mcp/a").header("X-Large", &"x".repeat(33_000))).await;
    assert_eq!((answer.status(), &answer.json()["reason"]), (431, &json!("header_fields_too_large")));
    let many = (0..101).fold(Request::post("/mcp/a"), |request, index| request.header(&format!("X-{index}"), "1"));
    assert_eq!(edge.call(many).await.status(), 431);
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_request_id_is_taken_over_when_harmless_and_always_returned() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let answer = edge.call(Request::post("/mcp/a").header("X-Request-Id", "trace-0123456789")).await;
    assert_eq!(answer.get("x-request-id"), Some("trace-0123456789"));
    assert_eq!(upstream.only_call().head.get("x-request-id"), Some("trace-0123456789"));
    let answer = edge.call(Request::post("/mcp/a").header("X-Request-Id", "<script>alert(1)</script>")).await;
    assert_ne!(answer.get("x-request-id"), Some("<script>alert(1)</script>"));
    assert!(answer.get("x-request-id").is_some());
}
