//! HTTP/2 towards the upstream.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Response};
use sallyport::upstream::HttpVersion;
use tokio::{sync::mpsc, time::timeout};

use crate::support::{Request, TestEdge, certificates::Authority, http::Duplex};

const SOON: Duration = Duration::from_secs(10);

/// An HTTP/2 upstream that records heads and answers by path.
struct Http2Upstream {
    port: u16,
    connections: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<http::request::Parts>>>,
    resets: mpsc::Receiver<()>,
}

impl Http2Upstream {
    async fn start(tls: Option<tokio_rustls::TlsAcceptor>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, heads) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (reset, resets) = mpsc::channel(8);
        let (counter, log) = (Arc::clone(&connections), Arc::clone(&heads));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                let (log, reset, tls) = (Arc::clone(&log), reset.clone(), tls.clone());
                tokio::spawn(async move {
                    let stream: Box<dyn Duplex> = match tls {
                        None => Box::new(stream),
                        Some(tls) => Box::new(tls.accept(stream).await.expect("a handshake")),
                    };
                    let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        tokio::spawn(answer(request, respond, Arc::clone(&log), reset.clone()));
                    }
                });
            }
        });
        Self { port, connections, heads, resets }
    }
}

async fn answer(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    log: Arc<Mutex<Vec<http::request::Parts>>>,
    reset: mpsc::Sender<()>,
) {
    let (head, mut body) = request.into_parts();
    let mut read = Vec::new();
    while let Some(Ok(part)) = body.data().await {
        let _ = body.flow_control().release_capacity(part.len());
        read.extend_from_slice(&part);
    }
    let query = head.uri.query().unwrap_or_default().to_owned();
    log.lock().unwrap().push(head);
    match &*query {
        "hang" => std::future::pending().await,
        "refuse" => respond.send_reset(h2::Reason::REFUSED_STREAM),
        "events" => {
            let response = Response::builder().header("content-type", "text/event-stream").body(()).unwrap();
            let mut stream = respond.send_response(response, false).unwrap();
            stream.send_data(Bytes::from_static(b"data: one\n\n"), false).unwrap();
            std::future::poll_fn(|context| stream.poll_reset(context)).await.ok();
            reset.send(()).await.unwrap();
        }
        "break" => {
            let mut stream = respond.send_response(Response::new(()), false).unwrap();
            stream.send_data(Bytes::from_static(b"half"), false).unwrap();
            tokio::task::yield_now().await;
            stream.send_reset(h2::Reason::INTERNAL_ERROR);
        }
        _ => {
            let response = Response::builder()
                .header("content-type", "application/json")
                .header("set-cookie", "a=b")
                .header("mcp-session-id", "upstream-session")
                .body(())
                .unwrap();
            let mut stream = respond.send_response(response, false).unwrap();
            stream.send_data(format!("{{\"read\":{}}}", read.len()).into(), true).unwrap();
        }
    }
}

#[tokio::test]
async fn http2_with_prior_knowledge_and_by_negotiation_carries_calls_on_one_connection() {
    let authority = Authority::new("ours");
    let acceptor = authority.issue(&["mcp.example"]).acceptor(None, &[b"h2", b"http/1.1"]);
    for (tls, version) in [(false, HttpVersion::Http2), (true, HttpVersion::Http2), (true, HttpVersion::Negotiated)] {
        let upstream = Http2Upstream::start(tls.then(|| acceptor.clone())).await;
        let url = format!("http{}://mcp.example:{}/up", if tls { "s" } else { "" }, upstream.port);
        let pem = authority.pem.clone().into_bytes();
        let edge = TestEdge::builder()
            .route_with("a", &url, |server| {
                server.http = version;
                server.tls.ca_pem = Some(pem);
            })
            .start()
            .await;
        for size in [0, 10, 300_000] {
            let body = vec![b'x'; size];
            let request = Request::new("POST", "/mcp/a").header("Cookie", "a=b").header("X-Forwarded-For", "1.1.1.1");
            let answer = edge.call(request.body(&body)).await;
            assert_eq!((answer.status(), &answer.json()["read"]), (200, &size.into()), "{tls} {version:?}");
            assert_eq!(answer.get("set-cookie"), None);
            assert_ne!(answer.get("mcp-session-id"), Some("upstream-session"));
        }
        assert_eq!(upstream.connections.load(Ordering::SeqCst), 1);
        let heads = upstream.heads.lock().unwrap();
        let authority = format!("mcp.example:{}", upstream.port);
        assert_eq!((heads[0].method.clone(), heads[0].uri.path()), (Method::POST, "/up"));
        assert_eq!(heads[0].uri.authority().map(http::uri::Authority::as_str), Some(&*authority));
        for name in ["authorization", "cookie", "x-forwarded-for", "host", "connection", "transfer-encoding"] {
            assert!(!heads[0].headers.contains_key(name), "{name}");
        }
    }
}

#[tokio::test]
async fn streams_and_ends_of_http2_pass_both_ways() {
    let mut upstream = Http2Upstream::start(None).await;
    let url = format!("http://127.0.0.1:{}/up", upstream.port);
    let edge = TestEdge::builder()
        .route_with("a", &url, |server| {
            server.http = HttpVersion::Http2;
            server.response_timeout = Duration::from_millis(500);
        })
        .start()
        .await;

    let mut connection = edge.connect().await;
    connection.send(&Request::new("GET", "/mcp/a?events").host(&edge.host()).bearer(&edge.token("a"))).await;
    assert_eq!(timeout(SOON, connection.head()).await.unwrap().expect("a head").status(), 200);
    assert_eq!(timeout(SOON, connection.chunk()).await.unwrap().as_deref(), Some(&b"data: one\n\n"[..]));
    drop(connection);
    timeout(SOON, upstream.resets.recv()).await.expect("the upstream learns that the client left").unwrap();

    let broken = timeout(SOON, edge.call(Request::post("/mcp/a?break"))).await.expect("an end");
    assert_eq!((broken.status(), broken.complete), (200, false));

    let hanging = timeout(SOON, edge.call(Request::post("/mcp/a?hang"))).await.expect("an answer");
    assert_eq!((hanging.status(), &hanging.json()["error"]["data"]["reason"]), (504, &"upstream_timeout".into()));
}

/// RFC 9113 section 8.7: a refused stream was not processed, so even a call may be sent once more.
#[tokio::test]
async fn a_refused_stream_is_tried_once_more() {
    let upstream = Http2Upstream::start(None).await;
    let url = format!("http://127.0.0.1:{}/up", upstream.port);
    let edge = TestEdge::builder().route_with("a", &url, |server| server.http = HttpVersion::Http2).start().await;
    let answer = timeout(SOON, edge.call(Request::post("/mcp/a?refuse"))).await.expect("an answer");
    assert_eq!((answer.status(), &answer.json()["error"]["data"]["reason"]), (502, &"upstream_broken".into()));
    assert_eq!(upstream.heads.lock().unwrap().len(), 2);
}
