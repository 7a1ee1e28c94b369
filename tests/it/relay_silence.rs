//! How long an upstream may say nothing to a client of HTTP/2: as long as it likes within a stream of events, and no longer
//! than an answer may take anywhere else.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request as HttpRequest, Response, StatusCode};
use sallyport::upstream::{HttpVersion, Server};
use tokio::{net::TcpListener, sync::Notify, time::timeout};

use super::edge_tls::{connect, serve_as};
use crate::support::{TestEdge, Upstream};

const SOON: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(1);

/// An upstream of HTTP/1.1 that begins streams, begins documents, or says nothing, and goes on with streams when told.
async fn http1(go: &Arc<Notify>) -> (String, Upstream) {
    let go = Arc::clone(go);
    let upstream = Upstream::start(move |call| {
        let go = Arc::clone(&go);
        Box::pin(async move {
            call.read_body().await;
            if call.head.line.contains("?events") {
                call.begin_events().await;
                call.event("one").await;
                go.notified().await;
                call.event("two").await;
            } else if call.head.line.contains("?half") {
                call.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{").await;
            }
            call.connection.closed().await;
            call.keep_alive = false;
        })
    })
    .await;
    (upstream.url(), upstream)
}

/// The same over HTTP/2.
async fn http2(go: &Arc<Notify>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/up", listener.local_addr().unwrap());
    let go = Arc::clone(go);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let go = Arc::clone(&go);
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
                while let Some(Ok((request, respond))) = connection.accept().await {
                    tokio::spawn(answer_http2(request, respond, Arc::clone(&go)));
                }
            });
        }
    });
    url
}

async fn answer_http2(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    go: Arc<Notify>,
) {
    let mut begin = |kind: &str, first: &'static [u8]| {
        let head = Response::builder().header("content-type", kind).body(()).unwrap();
        let mut stream = respond.send_response(head, false).unwrap();
        stream.send_data(Bytes::from_static(first), false).unwrap();
        stream
    };
    match request.uri().query() {
        Some("events") => {
            let mut stream = begin("text/event-stream; charset=utf-8", b"data: one\n\n");
            go.notified().await;
            stream.send_data(Bytes::from_static(b"data: two\n\n"), false).unwrap();
            std::future::poll_fn(|context| stream.poll_reset(context)).await.ok();
        }
        Some("half") => {
            let mut stream = begin("application/json", b"{");
            std::future::poll_fn(|context| stream.poll_reset(context)).await.ok();
        }
        _ => std::future::pending().await,
    }
}

#[tokio::test]
async fn a_stream_that_answers_a_client_of_http2_may_be_silent_and_a_document_may_not() {
    let go: [Arc<Notify>; 2] = Default::default();
    let (first, _upstream) = http1(&go[0]).await;
    let patient = |server: &mut Server, http| {
        server.response_timeout = PATIENCE;
        server.http = http;
    };
    let builder = TestEdge::builder()
        .route_with("one", &first, |server| patient(server, HttpVersion::Http1))
        .route_with("two", &http2(&go[1]).await, |server| patient(server, HttpVersion::Http2));
    let (server, authority) = serve_as(builder).await;
    let (client, connection) =
        h2::client::handshake(connect(server.address, &authority, b"h2").await).await.expect("HTTP/2");
    let driver = tokio::spawn(connection);
    for (route, go) in ["one", "two"].into_iter().zip(go) {
        let token = server.store.issue("ada", "c", route, &format!("https://gw.example/mcp/{route}"), "mcp:tools");
        let call = async |what: &str| {
            let request = HttpRequest::post(format!("https://gw.example/mcp/{route}?{what}"))
                .header("authorization", format!("Bearer {token}"));
            let (response, mut body) = client.clone().send_request(request.body(()).unwrap(), false).expect("a stream");
            body.send_data(Bytes::from_static(b"{}"), true).expect("a body");
            timeout(SOON, response).await.expect("in time").expect("an answer")
        };
        let mut events = call("events").await.into_body();
        let mut event = async || timeout(SOON, events.data()).await.expect("in time").expect("more").expect("whole");
        assert_eq!(event().await, "data: one\n\n", "{route}");
        // Each of these shows that the time for an answer has passed since.
        for _ in 0..2 {
            assert_eq!(call("nothing").await.status(), StatusCode::GATEWAY_TIMEOUT, "{route}");
        }
        let mut half = call("half").await;
        assert_eq!(half.status(), StatusCode::OK);
        let mut piece = async || timeout(SOON, half.body_mut().data()).await.expect("in time").expect("more");
        assert_eq!(piece().await.expect("its beginning"), "{", "{route}");
        assert!(piece().await.expect_err("it breaks off").is_reset(), "{route}");
        go.notify_one();
        assert_eq!(event().await, "data: two\n\n", "{route}");
    }
    driver.abort();
}
