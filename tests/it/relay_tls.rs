//! Upstreams behind TLS: who is trusted, and as whom the gateway comes.

use std::sync::{Arc, atomic::AtomicBool};

use sallyport::{
    crypto::Secret,
    upstream::{HttpVersion, Server},
};

use crate::support::{
    Request, TestEdge, Upstream,
    certificates::{Authority, Leaf},
};

/// What a test changes about an upstream.
type Change = Box<dyn FnOnce(&mut Server)>;

async fn tls_upstream(leaf: &Leaf, clients: Option<&Authority>) -> Upstream {
    Upstream::start_tls(leaf.acceptor(clients, &[b"http/1.1"]), |call| {
        Box::pin(async move {
            call.read_body().await;
            call.respond("200 OK", "Content-Type: application/json\r\n", b"{}").await;
        })
    })
    .await
}

fn url(upstream: &Upstream, host: &str) -> String {
    format!("https://{host}:{}/up", upstream.address.port())
}

fn trusting(authority: &Authority) -> impl FnOnce(&mut Server) + use<> {
    let pem = authority.pem.clone().into_bytes();
    move |server| server.tls.ca_pem = Some(pem)
}

#[tokio::test]
async fn a_private_authority_is_trusted_for_its_own_upstream_only() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let upstream = tls_upstream(&ours.issue(&["mcp.example"]), None).await;
    let edge = TestEdge::builder()
        .route_with("a", &url(&upstream, "mcp.example"), trusting(&ours))
        .route_with("b", &url(&upstream, "mcp.example"), trusting(&theirs))
        .route("c", &url(&upstream, "mcp.example"))
        .start()
        .await;
    assert_eq!(edge.call(Request::post("/mcp/a")).await.status(), 200);
    assert_eq!(upstream.only_call().head.get("host"), Some(&*format!("mcp.example:{}", upstream.address.port())));
    for route in ["b", "c"] {
        let answer = edge.exchange(Request::post(&format!("/mcp/{route}")).bearer(&edge.token(route))).await;
        assert_eq!((answer.status(), &answer.json()["error"]["data"]["reason"]), (502, &"upstream_tls".into()));
    }
    assert_eq!(upstream.calls().len(), 1, "the pooled connection of route a is not lent to the others");
}

#[tokio::test]
async fn the_certificate_must_be_for_the_configured_host() {
    let authority = Authority::new("ours");
    let upstream = tls_upstream(&authority.issue(&["mcp.example", "127.0.0.1"]), None).await;
    let edge = TestEdge::builder()
        .route_with("a", &url(&upstream, "other.example"), trusting(&authority))
        .route_with("b", &url(&upstream, "127.0.0.1"), trusting(&authority))
        .start()
        .await;
    let answer = edge.call(Request::post("/mcp/a")).await;
    assert_eq!((answer.status(), &answer.json()["error"]["data"]["reason"]), (502, &"upstream_tls".into()));
    assert_eq!(edge.exchange(Request::post("/mcp/b").bearer(&edge.token("b"))).await.status(), 200);
}

/// Pingora's pool knows a client certificate by its serial number only, and nothing of authorities.
#[tokio::test]
async fn a_client_certificate_is_shown_and_its_connection_is_nobody_elses() {
    let (ours, clients) = (Authority::new("ours"), Authority::new("clients"));
    let upstream = tls_upstream(&ours.issue(&["mcp.example"]), Some(&clients)).await;
    let identity = clients.issue(&["gateway.example"]);
    let foreign = Authority::new("foreign").issue(&["gateway.example"]);
    let with = |leaf: Leaf| {
        let trust = trusting(&ours);
        move |server: &mut Server| {
            trust(server);
            server.tls.client_identity = Some((leaf.certificate.into_bytes(), Secret::new(leaf.key)));
        }
    };
    let target = url(&upstream, "mcp.example");
    let edge = TestEdge::builder()
        .route_with("a", &target, with(identity))
        .route_with("b", &target, trusting(&ours))
        .route_with("c", &target, with(foreign))
        .start()
        .await;
    assert_eq!(edge.call(Request::post("/mcp/a")).await.status(), 200);
    for route in ["b", "c"] {
        let answer = edge.exchange(Request::post(&format!("/mcp/{route}")).bearer(&edge.token(route))).await;
        assert_eq!(answer.status(), 502, "{route}");
    }
    assert_eq!(edge.call(Request::post("/mcp/a")).await.status(), 200);
    assert_eq!(upstream.calls().len(), 2);
}

#[tokio::test]
async fn material_that_cannot_be_used_stops_the_start_and_says_whose() {
    let authority = Authority::new("ours");
    let (one, other) = (authority.issue(&["a"]), authority.issue(&["b"]));
    let junk = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let broken: [(&str, Change); 4] = [
        ("CA file", Box::new(|server| server.tls.ca_pem = Some(b"no PEM".to_vec()))),
        ("CA file", Box::new(move |server| server.tls.ca_pem = Some(junk.as_bytes().to_vec()))),
        (
            "client certificate",
            Box::new(move |server| {
                server.tls.client_identity = Some((one.certificate.into_bytes(), Secret::new(other.key)));
            }),
        ),
        (
            "client certificate",
            Box::new(move |server| server.tls.client_identity = Some((junk.as_bytes().to_vec(), Secret::new("x")))),
        ),
    ];
    for (what, change) in broken {
        let draining = Arc::new(AtomicBool::new(false));
        let (gateway, _) = TestEdge::builder().route_with("a", "https://mcp.example/", change).build(draining);
        let message = gateway.err().expect("an error").to_string();
        assert!(message.contains(what) && message.contains("`a-upstream`"), "{message}");
    }
}

#[tokio::test]
async fn negotiation_ends_with_http_1_where_the_upstream_has_no_more() {
    let authority = Authority::new("ours");
    let upstream = tls_upstream(&authority.issue(&["mcp.example"]), None).await;
    let trust = trusting(&authority);
    let edge = TestEdge::builder()
        .route_with("a", &url(&upstream, "mcp.example"), |server| {
            trust(server);
            server.http = HttpVersion::Negotiated;
        })
        .start()
        .await;
    assert_eq!(edge.call(Request::post("/mcp/a")).await.status(), 200);
}
