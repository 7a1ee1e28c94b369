//! Web pages, hosts and origins.

use sallyport::{
    proxy::AllowedOrigins,
    web::{Origin, OriginRules},
};

use crate::support::{Request, TestEdge, Upstream};

/// MCP Streamable HTTP, security warning: a foreign `Origin` is 403 on every method, with or without a token.
#[tokio::test]
async fn a_foreign_page_is_refused_whatever_it_asks() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    for method in ["POST", "GET", "DELETE", "OPTIONS"] {
        for origin in ["https://evil.example", "null", "http://localhost.evil.example"] {
            let answer = edge.call(Request::new(method, "/mcp/a").header("Origin", origin)).await;
            assert_eq!(answer.status(), 403, "{method} {origin}");
            assert_eq!(answer.get("access-control-allow-origin"), None);
        }
    }
    assert_eq!(upstream.connections(), 0);
}

/// Fetch section 3.2; MCP-Param headers are not known beforehand, and `*` never covers `Authorization`.
#[tokio::test]
async fn a_page_that_may_gets_what_it_needs() {
    let upstream = Upstream::json().await;
    let listed = AllowedOrigins { any: false, listed: vec!["https://app.example".to_owned()] };
    let edge = TestEdge::builder().allow(listed).route("a", &upstream.url()).start().await;
    for origin in ["https://app.example", "http://localhost:6274", &edge.origin()] {
        let preflight = Request::new("OPTIONS", "/mcp/a")
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "authorization,mcp-param-x");
        let answer = edge.exchange(preflight).await;
        assert_eq!((answer.status(), answer.get("access-control-allow-origin")), (204, Some(origin)));
        assert_eq!(answer.get("access-control-allow-headers"), Some("authorization,mcp-param-x"));
        assert_eq!(answer.get("access-control-allow-methods"), Some("GET, POST, DELETE, OPTIONS"));
        assert_eq!(answer.get("access-control-allow-credentials"), None);
        assert_eq!(answer.get("vary"), Some("Origin"));
        assert_eq!(upstream.connections(), 0, "a preflight is answered here");
    }
    let exposed = Some("WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, X-Request-Id, Retry-After");
    let refused = edge.exchange(Request::post("/mcp/a").header("Origin", "https://app.example")).await;
    assert_eq!((refused.status(), refused.get("access-control-expose-headers")), (401, exposed));
    assert_eq!(refused.get("access-control-allow-origin"), Some("https://app.example"));
    let relayed = edge.call(Request::post("/mcp/a").header("Origin", "https://app.example")).await;
    assert_eq!((relayed.status(), relayed.get("access-control-expose-headers")), (200, exposed));
    assert_eq!(relayed.get("access-control-allow-origin"), Some("https://app.example"));
    let plain = edge.call(Request::post("/mcp/a")).await;
    assert_eq!((plain.get("access-control-allow-origin"), plain.get("vary")), (None, None));
}

#[tokio::test]
async fn forwarding_headers_of_a_stranger_change_nothing() {
    let edge = TestEdge::relaying_to("http://127.0.0.1:1/").await;
    let forged =
        Request::post("/mcp/a").header("X-Forwarded-Host", "evil.example").header("X-Forwarded-Proto", "https");
    let answer = edge.exchange(forged).await;
    let challenge = answer.get("www-authenticate").expect("a challenge");
    assert!(challenge.contains(&format!("resource_metadata=\"{}/.well-known", edge.origin())), "{challenge}");
}

#[tokio::test]
async fn a_trusted_proxy_names_the_origin() {
    let upstream = Upstream::json().await;
    let rules = OriginRules { public_origins: vec![], trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()] };
    let edge = TestEdge::builder().origins(rules).route("a", &upstream.url()).start().await;
    let token = edge.store.issue("ada", "c", "a", "https://gw.example.com/mcp/a", "mcp:tools");
    let forwarded = |request: Request| {
        request.header("X-Forwarded-Host", "gw.example.com").header("X-Forwarded-Proto", "https").bearer(&token)
    };
    assert_eq!(edge.exchange(forwarded(Request::post("/mcp/a"))).await.status(), 200);
    assert_eq!(edge.exchange(Request::post("/mcp/a").bearer(&token)).await.status(), 401);
    let twice = forwarded(Request::post("/mcp/a")).header("X-Forwarded-Host", "evil.example");
    assert_eq!(edge.exchange(twice).await.status(), 400);
    let bad = Request::post("/mcp/a").header("X-Forwarded-Host", "a/b").bearer(&token);
    assert_eq!(edge.exchange(bad).await.status(), 400);
}

/// RFC 9110 section 15.5.20.
#[tokio::test]
async fn a_pinned_gateway_is_not_served_at_another_host() {
    let rules =
        OriginRules { public_origins: vec![Origin::parse("https://gw.example.com").unwrap()], trusted_proxies: vec![] };
    let edge = TestEdge::builder().origins(rules).route("a", "http://127.0.0.1:1/").start().await;
    for (host, status) in [("gw.example.com", 401), ("evil.example", 421), ("gw.example.com.evil.example", 421)] {
        let answer = edge.connect().await.exchange(&Request::post("/mcp/a").host(host)).await;
        assert_eq!(answer.status(), status, "{host}");
    }
}

/// RFC 9112 section 3.2.
#[tokio::test]
async fn a_request_without_one_good_host_is_400() {
    let edge = TestEdge::relaying_to("http://127.0.0.1:1/").await;
    for hosts in ["", "Host: a b\r\n", "Host: user@host\r\n", "Host: a\r\nHost: b\r\n", "Host: \r\n", "Host: a/b\r\n"] {
        let request = format!("GET /mcp/a HTTP/1.1\r\n{hosts}\r\n");
        let answer = edge.raw(request.as_bytes()).await.expect("an answer");
        assert_eq!(answer.status(), 400, "{hosts:?}");
    }
}
