//! What passes the relay in either direction, and what never does.

use sallyport::upstream::CredentialSource;

use crate::support::{Request, TestEdge, Upstream};

/// MCP security best practices, token passthrough; RFC 9110 section 7.6.1 for hop-by-hop fields.
#[tokio::test]
async fn the_upstream_gets_the_headers_of_mcp_and_nothing_of_the_clients_identity() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let request = Request::post("/mcp/a")
        .header("MCP-Protocol-Version", "2026-07-28")
        .header("Mcp-Method", "tools/call")
        .header("Mcp-Name", "echo")
        .header("Mcp-Param-Region", "eu")
        .header("Last-Event-ID", "7")
        .header("User-Agent", "test/1")
        .header("Accept-Language", "de")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .header("Cookie", "session=1")
        .header("Proxy-Authorization", "Basic YTpi")
        .header("X-Forwarded-For", "1.2.3.4")
        .header("X_Forwarded_For", "1.2.3.4")
        .header("X-Forwarded-Host", "evil.example")
        .header("Forwarded", "for=1.2.3.4")
        .header("X-User", "root")
        .header("X_User", "root")
        .header("X-Api-Key", "stolen")
        .header("Authorization_", "Bearer x")
        .header("Origin", "http://localhost:3000")
        .header("Referer", "http://localhost:3000/")
        .header("Via", "1.1 somebody")
        .header("TE", "trailers")
        .header("Keep-Alive", "timeout=5")
        .header("Upgrade", "h2c")
        .header("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")
        .header("Connection", "keep-alive, Upgrade, HTTP2-Settings, X-Mine")
        .header("X-Mine", "1");
    assert_eq!(edge.call(request).await.status(), 200);
    let call = upstream.only_call();
    let mut expected = vec![
        "accept",
        "accept-language",
        "content-length",
        "content-type",
        "host",
        "mcp-method",
        "mcp-name",
        "mcp-param-region",
        "mcp-protocol-version",
        "traceparent",
        "user-agent",
        "x-request-id",
    ];
    expected.sort_unstable();
    assert_eq!(call.head.names(), expected);
    assert_eq!(call.head.line, "POST /up HTTP/1.1");
    assert_eq!(call.head.get("host"), Some(&*upstream.address.to_string()));
    assert_eq!(call.body, br#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
}

/// RFC 9110 section 7.6.1: what `Connection` names is for this connection only, also where it may pass otherwise.
#[tokio::test]
async fn what_is_for_the_clients_connection_only_does_not_pass() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    for (connection, passes) in [
        ("keep-alive", true),
        ("Close", true),
        ("User-Agent", false),
        ("keep-alive, user-agent", false),
        ("close,user-agent,mcp-name", false),
    ] {
        let request = Request::post("/mcp/a").header("User-Agent", "test/1").header("Connection", connection);
        assert_eq!(edge.call(request).await.status(), 200, "{connection}");
        let call = upstream.calls().pop().expect("a call");
        assert_eq!(call.head.get("user-agent"), passes.then_some("test/1"), "{connection}");
        assert_eq!(call.head.get("connection"), None, "{connection}");
    }
}

#[tokio::test]
async fn the_upstreams_own_credential_is_sent_and_cannot_be_chosen_by_the_client() {
    let upstream = Upstream::json().await;
    let key = [("x-api-key".parse().unwrap(), "s3cret".parse().unwrap())];
    let edge = TestEdge::builder()
        .route_with("a", &upstream.url(), |server| server.credential = CredentialSource::Headers(key.into()))
        .start()
        .await;
    edge.call(Request::post("/mcp/a").header("X-Api-Key", "mine").header("x_api_key", "mine")).await;
    let call = upstream.only_call();
    assert_eq!(call.head.get("x-api-key"), Some("s3cret"));
    assert_eq!(call.head.get("x_api_key"), None);
    assert_eq!(call.head.get("authorization"), None);
}

/// MCP authorization: an upstream's challenge, relayed, would send the client off to log in elsewhere.
#[tokio::test]
async fn the_client_gets_no_cookies_challenges_or_policies_of_the_upstream() {
    let upstream = Upstream::start(|call| {
        Box::pin(async move {
            call.read_body().await;
            let fields = "Content-Type: application/json\r\nMCP-Protocol-Version: 2025-11-25\r\nRetry-After: 3\r\n\
                Cache-Control: no-cache\r\nETag: \"1\"\r\nServer: nginx\r\nX-Powered-By: php\r\nSet-Cookie: a=b\r\n\
                WWW-Authenticate: Bearer resource_metadata=\"http://evil\"\r\nAlt-Svc: h3=\":443\"\r\n\
                Clear-Site-Data: \"*\"\r\nAccess-Control-Allow-Origin: *\r\nStrict-Transport-Security: max-age=1\r\n\
                Location: http://internal/\r\nRefresh: 0;url=http://evil\r\nLink: </x>\r\nVia: 1.1 up\r\n";
            call.respond("200 OK", fields, b"{}").await;
        })
    })
    .await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let answer = edge.call(Request::post("/mcp/a")).await;
    let expected = [
        "cache-control",
        "connection",
        "content-length",
        "content-type",
        "date",
        "etag",
        "mcp-protocol-version",
        "retry-after",
        "x-request-id",
    ];
    assert_eq!(answer.head.names(), expected);
    assert_eq!(answer.body, b"{}");
}

#[tokio::test]
async fn the_clients_query_follows_the_configured_one_where_it_is_wanted() {
    let upstream = Upstream::json().await;
    let with_query = format!("{}?key=1", upstream.url());
    let edge = TestEdge::builder()
        .route("a", &with_query)
        .route_with("b", &with_query, |server| server.forward_search = false)
        .route("c", &upstream.url())
        .start()
        .await;
    for route in ["a", "b", "c"] {
        let request = Request::post(&format!("/mcp/{route}?x=%2e&key=2")).bearer(&edge.token(route));
        assert_eq!(edge.exchange(request).await.status(), 200);
    }
    let lines: Vec<_> = upstream.calls().into_iter().map(|call| call.head.line).collect();
    let expected = ["POST /up?key=1&x=%2e&key=2 HTTP/1.1", "POST /up?key=1 HTTP/1.1", "POST /up?x=%2e&key=2 HTTP/1.1"];
    assert_eq!(lines, expected);
}
