//! The edge as `app` runs it: a Pingora server with a TLS listener that speaks HTTP/2 and HTTP/1.1.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request as HttpRequest, StatusCode};
use rustls::{ClientConfig, pki_types::ServerName};
use sallyport::proxy::Certificate;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::support::{
    Connection, Request, TestEdge, Upstream, certificates::Authority, edge::Builder, server::RunningServer,
    upstream::RESULT,
};

const SOON: Duration = Duration::from_secs(20);

/// RFC 9113 section 8.3.1: HTTP/2 has `:authority` in place of `Host`.
#[tokio::test]
async fn http2_and_http1_clients_are_served_over_tls_under_an_https_origin() {
    let upstream = Upstream::json().await;
    let (server, authority) = serve(&upstream).await;
    let token = server.store.issue("ada", "c", "a", "https://gw.example/mcp/a", "mcp:tools");

    let mut connection = Connection::over(connect(server.address, &authority, b"http/1.1").await);
    let refused = connection.exchange(&Request::post("/mcp/a").host("gw.example")).await;
    let challenge = "Bearer realm=\"OAuth\", resource_metadata=\
        \"https://gw.example/.well-known/oauth-protected-resource/mcp/a\", scope=\"mcp:tools\"";
    assert_eq!((refused.status(), refused.get("www-authenticate")), (401, Some(challenge)));
    let answer = connection.exchange(&Request::post("/mcp/a").host("gw.example").bearer(&token)).await;
    assert_eq!((answer.status(), answer.text()), (200, RESULT));

    let stream = connect(server.address, &authority, b"h2").await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    let driver = tokio::spawn(connection);
    let mut call = async |method: &str, path: &str, bearer: Option<&str>, body: &'static [u8]| {
        let mut request = HttpRequest::builder().method(method).uri(format!("https://gw.example{path}"));
        if let Some(token) = bearer {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let (response, mut stream) = client.send_request(request.body(()).unwrap(), false).expect("a stream");
        stream.send_data(Bytes::from_static(body), true).expect("a body");
        let mut response = timeout(SOON, response).await.expect("in time").expect("an answer");
        let mut read = Vec::new();
        while let Some(Ok(part)) = timeout(SOON, response.body_mut().data()).await.expect("in time") {
            read.extend_from_slice(&part);
        }
        (response.status(), response.headers().clone(), String::from_utf8(read).unwrap())
    };
    let (status, headers, _) = call("POST", "/mcp/a", None, b"{}").await;
    assert_eq!((status, headers["www-authenticate"].to_str().unwrap()), (StatusCode::UNAUTHORIZED, challenge));
    let (status, headers, body) = call("POST", "/mcp/a", Some(&token), b"{}").await;
    assert_eq!((status, &*body), (StatusCode::OK, RESULT));
    assert!(headers.contains_key("x-request-id") && !headers.contains_key("connection"));
    let call_upstream = upstream.calls().pop().expect("a call");
    assert_eq!(
        (&*call_upstream.body, call_upstream.head.get("host")),
        (&b"{}"[..], Some(&*upstream.address.to_string()))
    );
    let (status, _, body) = call("POST", "/oauth/token", None, b"grant").await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains("\"origin\":\"https://gw.example\"") && body.contains("\"body\":5"), "{body}");
    assert_eq!(call("TRACE", "/mcp/a", Some(&token), b"").await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(call("GET", "/nothing", None, b"").await.0, StatusCode::NOT_FOUND);
    driver.abort();
}

/// A gateway over TLS in front of `upstream`, and who vouches for it.
pub async fn serve(upstream: &Upstream) -> (RunningServer, Authority) {
    serve_as(TestEdge::builder().route("a", &upstream.url())).await
}

/// The gateway of `builder` over TLS, and who vouches for it.
pub async fn serve_as(builder: Builder) -> (RunningServer, Authority) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let authority = Authority::new("public");
    let leaf = authority.issue(&["gw.example"]);
    let files = tempfile::tempdir().expect("a directory");
    let (certificate, key) = (files.path().join("cert.pem"), files.path().join("key.pem"));
    std::fs::write(&certificate, &leaf.certificate).expect("a file");
    std::fs::write(&key, &leaf.key).expect("a file");
    (RunningServer::of(builder, Some((certificate, key))).await, authority)
}

pub async fn connect(address: SocketAddr, authority: &Authority, alpn: &[u8]) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("an open socket");
    let name = ServerName::try_from("gw.example").expect("a name");
    TlsConnector::from(trusting(authority, alpn)).connect(name, stream).await.expect("a handshake")
}

/// A client that trusts `authority` and speaks `alpn`.
pub fn trusting(authority: &Authority, alpn: &[u8]) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder().with_root_certificates(authority.roots()).with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    Arc::new(config)
}

#[test]
fn a_certificate_that_cannot_be_served_is_refused() {
    let files = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let path = files.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    };
    let authority = Authority::new("public");
    let (leaf, other) = (authority.issue(&["gw.example"]), authority.issue(&["gw.example"]));
    let (certificate, key) = (file("cert.pem", &leaf.certificate), file("key.pem", &leaf.key));
    assert!(Certificate::read(&certificate, &key).is_ok());
    for (chain, key) in [
        (file("junk.pem", "no PEM"), key.clone()),
        (certificate.clone(), file("junk.pem", "no PEM")),
        (files.path().join("missing.pem"), key.clone()),
        (certificate.clone(), files.path().join("missing.pem")),
        (certificate.clone(), file("other.pem", &other.key)),
        (key, certificate),
    ] {
        assert!(Certificate::read(&chain, &key).is_err(), "{chain:?} {key:?}");
    }
}

/// RFC 9113 section 8.1: a response that is cut short ends with a reset, and the other streams go on.
#[tokio::test]
async fn a_stream_over_http2_that_is_ended_is_reset_and_its_neighbours_are_not() {
    let upstream = Upstream::start(|call| {
        Box::pin(async move {
            call.read_body().await;
            call.begin_events().await;
            call.event("one").await;
            call.connection.closed().await;
            call.keep_alive = false;
        })
    })
    .await;
    let (server, authority) = serve(&upstream).await;
    let (mut client, connection) =
        h2::client::handshake(connect(server.address, &authority, b"h2").await).await.expect("HTTP/2");
    let driver = tokio::spawn(connection);
    let mut streams = Vec::new();
    for user in ["ada", "bob"] {
        let token = server.store.issue(user, "c", "a", "https://gw.example/mcp/a", "mcp:tools");
        let request = HttpRequest::get("https://gw.example/mcp/a").header("authorization", format!("Bearer {token}"));
        let (response, _) = client.send_request(request.body(()).unwrap(), true).expect("a stream");
        let mut body = timeout(SOON, response).await.expect("in time").expect("an answer").into_body();
        assert_eq!(timeout(SOON, body.data()).await.expect("in time").unwrap().unwrap(), "data: one\n\n");
        streams.push((token, body));
    }
    assert_eq!(server.underway.count(), 2);
    let (_, mut neighbour) = streams.pop().unwrap();
    let (token, mut ended) = streams.pop().unwrap();
    server.store.revoke(&token);
    let now = sallyport::clock::Timestamp::from_seconds(0);
    server.underway.end_revoked(&*server.store, now).await.unwrap();
    let error = timeout(SOON, ended.data()).await.expect("in time").unwrap().unwrap_err();
    assert!(error.is_reset() && error.is_remote(), "{error}");
    while server.underway.count() != 1 {
        tokio::task::yield_now().await;
    }
    assert!(timeout(Duration::from_millis(100), neighbour.data()).await.is_err(), "it goes on");
    drop((neighbour, client));
    driver.abort();
}
