//! How long a client may leave its connection waiting: for the handshake, for the first request, and for the next one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::select_all;
use http::Request as HttpRequest;
use rustls::pki_types::ServerName;
use sallyport::{
    proxy::{ConnectionLimits, Limits, Patience, Underway},
    telemetry::counters::HANDSHAKES_FAILED,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::edge_tls::{connect, serve_as, trusting};
use crate::support::{Connection, Request, TestEdge, Upstream, until};

const SOON: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(300);
const ENDLESS: Patience =
    Patience { handshake: LONG, first_head: LONG, kept_body: LONG, next_request: LONG, next_stream: LONG };

fn limits(all: usize, of_address: usize, patience: Patience) -> Limits {
    let connections = ConnectionLimits { all, of_address, patience, ..ConnectionLimits::default() };
    Limits { connections, ..Limits::default() }
}

fn patient(patience: Patience) -> Limits {
    limits(100, 100, patience)
}

/// Looks for what is overdue, as the gateway does every second.
struct Minder(JoinHandle<()>);

impl Minder {
    fn of(underway: &Arc<Underway>) -> Self {
        let underway = Arc::clone(underway);
        Self(tokio::spawn(async move {
            loop {
                underway.end_overdue();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }))
    }
}

impl Drop for Minder {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Completes when the gateway closes the connection; nothing but its farewell may come before.
async fn closed(mut stream: impl AsyncReadExt + Unpin) {
    let mut rest = Vec::new();
    let _end_or_reset = timeout(SOON, stream.read_to_end(&mut rest)).await.expect("it is closed in time");
}

/// A stranger that begins handshakes and leaves them alone takes places like anybody else, and no more than there are.
#[tokio::test]
async fn a_connection_counts_before_its_handshake() {
    for (all, of_address) in [(3, 100), (100, 3)] {
        let upstream = Upstream::json().await;
        let builder = TestEdge::builder().route("a", &upstream.url()).limits(limits(all, of_address, ENDLESS));
        let underway = builder.underway();
        // The connections that found out whether the gateway listens have left.
        let (server, authority) = serve_as(builder).await;
        until("nobody is connected", || underway.is_idle()).await;
        let mut silent = Vec::new();
        for _ in 0..4 {
            silent.push(TcpStream::connect(server.address).await.expect("a connection"));
        }
        let reads = silent.iter().map(|stream| {
            Box::pin(async move {
                stream.readable().await.expect("an open socket");
                stream.try_read(&mut [0; 1]).unwrap_or(0)
            })
        });
        let (read, refused, others) = timeout(SOON, select_all(reads)).await.expect("there is one too many");
        assert_eq!(read, 0, "nothing is said before the handshake");
        drop(others);
        drop(silent.remove(refused));
        for stream in silent {
            let name = ServerName::try_from("gw.example").unwrap();
            let stream = TlsConnector::from(trusting(&authority, b"http/1.1")).connect(name, stream);
            let mut connection = Connection::over(timeout(SOON, stream).await.expect("in time").expect("a handshake"));
            let request = Request::post("/mcp/a").host("gw.example");
            assert_eq!(connection.exchange(&request).await.status(), 401, "its place was kept");
        }
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_ended() {
    let upstream = Upstream::json().await;
    let patience = Patience { handshake: SHORT, ..ENDLESS };
    let (server, authority) = serve_as(TestEdge::builder().route("a", &upstream.url()).limits(patient(patience))).await;
    let failed = HANDSHAKES_FAILED.value();
    let mut honest = Connection::over(connect(server.address, &authority, b"http/1.1").await);
    let _minder = Minder::of(&server.underway);
    let silent = TcpStream::connect(server.address).await.expect("a connection");
    let (reading, mut writing) = TcpStream::connect(server.address).await.expect("a connection").into_split();
    let dripping = tokio::spawn(async move {
        // A ClientHello of 16 KiB, byte by byte.
        let begin = [0x16, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc, 3, 3];
        for byte in begin.into_iter().chain(std::iter::repeat(0)) {
            if writing.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    closed(silent).await;
    closed(reading).await;
    dripping.abort();
    until("both are counted", || HANDSHAKES_FAILED.value() >= failed + 2).await;
    let request = Request::post("/mcp/a").host("gw.example");
    assert_eq!(honest.exchange(&request).await.status(), 401, "whoever has shaken hands stays");
    drop(honest);
    until("their places are free again", || server.underway.is_idle()).await;
}

/// Also over HTTP/2, where there may be no HTTP at all, or only a beginning (RFC 9113 section 3.4).
#[tokio::test]
async fn a_connection_without_a_first_request_is_ended() {
    let upstream = Upstream::json().await;
    let patience = Patience { first_head: SHORT, ..ENDLESS };
    let (server, authority) = serve_as(TestEdge::builder().route("a", &upstream.url()).limits(patient(patience))).await;
    let open = async |alpn: &[u8]| connect(server.address, &authority, alpn).await;
    let (mut client, connection) = h2::client::handshake(open(b"h2").await).await.expect("HTTP/2");
    let driver = tokio::spawn(connection);
    let request = || HttpRequest::get("https://gw.example/mcp/a").body(()).unwrap();
    let (response, _) = client.send_request(request(), true).expect("a stream");
    assert_eq!(timeout(SOON, response).await.expect("in time").expect("an answer").status(), 401);

    let silent = [open(b"h2").await, open(b"http/1.1").await];
    let mut begun = open(b"h2").await;
    begun.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("a preface");
    let mut half = open(b"http/1.1").await;
    half.write_all(b"POST /mcp/a HTTP/1.1\r\nHost: gw").await.expect("half a head");
    let _minder = Minder::of(&server.underway);
    for stream in silent.into_iter().chain([begun, half]) {
        closed(stream).await;
    }
    let (response, _) = client.send_request(request(), true).expect("whoever has asked stays");
    assert_eq!(timeout(SOON, response).await.expect("in time").expect("an answer").status(), 401);
    driver.abort();
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time() {
    let upstream = Upstream::json().await;
    let next_request = Duration::from_secs(1);
    let edge = TestEdge::builder().route("a", &upstream.url()).limits(patient(Patience { next_request, ..ENDLESS }));
    let edge = edge.start().await;
    let mut connection = edge.connect().await;
    let request = Request::post("/mcp/a").host(&edge.host()).bearer(&edge.token("a"));
    for _ in 0..2 {
        assert_eq!(connection.exchange(&request).await.status(), 200);
    }
    let since = Instant::now();
    timeout(SOON, connection.closed()).await.expect("it is closed");
    assert!(since.elapsed() >= next_request.mul_f32(0.9), "not before its time: {:?}", since.elapsed());
}

#[tokio::test]
async fn an_idle_connection_of_http2_is_closed_after_its_time_and_one_with_a_stream_is_not() {
    let upstream = Upstream::start(|call| {
        Box::pin(async move {
            call.begin_events().await;
            call.event("one").await;
            call.connection.closed().await;
            call.keep_alive = false;
        })
    })
    .await;
    // Long enough for a slow machine to ask within it.
    let next_stream = Duration::from_secs(2);
    let patience = Patience { next_stream, ..ENDLESS };
    let (server, authority) = serve_as(TestEdge::builder().route("a", &upstream.url()).limits(patient(patience))).await;
    let token = server.store.issue("ada", "c", "a", "https://gw.example/mcp/a", "mcp:tools");
    let request = |token: &str| {
        let request = HttpRequest::get("https://gw.example/mcp/a").header("authorization", format!("Bearer {token}"));
        request.body(()).unwrap()
    };
    let open = async || {
        let stream = connect(server.address, &authority, b"h2").await;
        let (client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
        (client, tokio::spawn(connection))
    };
    let (mut busy, busy_driver) = open().await;
    let (response, _) = busy.send_request(request(&token), true).expect("a stream");
    let mut events = timeout(SOON, response).await.expect("in time").expect("an answer").into_body();
    assert_eq!(timeout(SOON, events.data()).await.expect("in time").unwrap().unwrap(), "data: one\n\n");

    let (mut idle, idle_driver) = open().await;
    let (response, _) = idle.send_request(request("wrong"), true).expect("a stream");
    assert_eq!(timeout(SOON, response).await.expect("in time").expect("an answer").status(), 401);
    let since = Instant::now();
    let _closed = timeout(SOON, idle_driver).await.expect("it is closed");
    assert!(since.elapsed() >= next_stream.mul_f32(0.9), "not before its time: {:?}", since.elapsed());

    assert!(!busy_driver.is_finished());
    let (response, _) = busy.send_request(request("wrong"), true).expect("the older one, with its stream, stays");
    assert_eq!(timeout(SOON, response).await.expect("in time").expect("an answer").status(), 401);
    assert!(!events.is_end_stream());
    busy_driver.abort();
}

/// A body that is kept has a limit for the whole of it, so that no trickle holds it for long.
#[tokio::test]
async fn a_kept_body_that_trickles_is_refused() {
    let upstream = Upstream::json().await;
    let patience = Patience { kept_body: SHORT, ..ENDLESS };
    let edge = TestEdge::builder().connected_route("a", &upstream.url()).limits(patient(patience)).start().await;
    edge.credentials.set("ada", Ok("token"));
    let head = format!(
        "POST /mcp/a HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Length: 1000000\r\n\r\n",
        edge.host(),
        edge.token("a")
    );
    let (reading, mut writing) = TcpStream::connect(edge.address).await.expect("a connection").into_split();
    writing.write_all(head.as_bytes()).await.expect("the head");
    let trickle = tokio::spawn(async move {
        while writing.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let mut connection = Connection::over(tokio::io::join(reading, tokio::io::sink()));
    let answer = timeout(SOON, connection.answer(false)).await.expect("in time").expect("an answer");
    assert_eq!((answer.status(), &answer.json()["error"]["data"]["reason"]), (408, &"body_timeout".into()));
    assert!(upstream.calls().is_empty());
    trickle.abort();
}
