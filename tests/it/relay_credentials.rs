//! The credential of a connection goes upstream; refused, it is renewed, and the same request goes out once more.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Response;
use sallyport::upstream::{CredentialSource, HttpVersion};
use serde_json::json;
use tokio::{sync::mpsc, time::timeout};

use crate::support::{
    Answer, Request, TestEdge, Upstream,
    credentials::{ENDED, UNAVAILABLE},
    upstream::{Call, RESULT, Recorded},
};

const SOON: Duration = Duration::from_secs(20);

/// Refuses every token but `fresh`, with the body read or not.
pub async fn guarded(reads_first: bool) -> Upstream {
    Upstream::start(move |call| {
        Box::pin(async move {
            let known = call.head.get("authorization") == Some("Bearer fresh");
            if known || reads_first {
                call.read_body().await;
            }
            if known {
                call.respond("200 OK", "Content-Type: application/json\r\n", RESULT.as_bytes()).await;
            } else {
                refuse(call).await;
            }
        })
    })
    .await
}

pub async fn refuse(call: &mut Call) {
    let challenge =
        "WWW-Authenticate: Bearer resource_metadata=\"http://up.example/x\"\r\nContent-Type: text/plain\r\n";
    call.respond("401 Unauthorized", challenge, b"refused by the upstream").await;
    call.keep_alive = false;
    call.connection.closed().await;
}

/// An edge whose user `ada` is connected with a token that the upstream no longer accepts.
async fn edge_to(upstream: &Upstream) -> TestEdge {
    let edge = TestEdge::builder().connected_route("a", &upstream.url()).start().await;
    edge.credentials.set("ada", Ok("stale"));
    edge
}

/// All fields but the credential.
fn fields(call: &Recorded) -> Vec<(String, String)> {
    call.head.fields.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("authorization")).cloned().collect()
}

pub fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|index| u8::try_from(index % 251).unwrap()).collect()
}

#[track_caller]
fn expect_connect_required(answer: &Answer, state: &str) {
    assert_eq!((answer.status(), answer.get("content-type")), (200, Some("application/json")));
    assert_eq!(answer.json()["error"]["code"], -32042);
    assert_eq!(answer.json()["error"]["data"]["state"], state);
    assert_eq!((answer.get("www-authenticate"), answer.get("cache-control")), (None, Some("no-store")));
}

#[tokio::test]
async fn a_connection_lends_its_credential_to_its_own_user() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::builder().connected_route("a", &upstream.url()).start().await;
    for (user, token) in [("ada", "of-ada"), ("bob", "of-bob")] {
        edge.credentials.set(user, Ok(token));
        let own = edge.token_of(user, "client-1", "a");
        let answer = edge.exchange(Request::post("/mcp/a").bearer(&own).header("Cookie", "a=b")).await;
        assert_eq!(answer.status(), 200);
        let call = upstream.calls().pop().unwrap();
        assert_eq!(call.head.get("authorization"), Some(&*format!("Bearer {token}")));
        let seen = format!("{:?}", call.head);
        assert!(!seen.contains(&own) && !seen.contains("cookie"), "{seen}");
    }
    assert!(edge.credentials.log().renewed.is_empty());
}

/// The bodies that must be replayed reach beyond what Pingora keeps; the upstream may refuse before it reads them.
#[tokio::test]
async fn a_refused_request_goes_out_again_byte_for_byte_with_a_renewed_credential() {
    for reads_first in [true, false] {
        let upstream = guarded(reads_first).await;
        let edge = edge_to(&upstream).await;
        edge.credentials.then(Ok("fresh"));
        for size in [0, 1024, 64 * 1024, 64 * 1024 + 1, 200 * 1024, 4 * 1024 * 1024] {
            let body = pattern(size);
            let before = upstream.calls().len();
            let request = Request::new("POST", "/mcp/a?q=1")
                .header("Content-Type", "application/json")
                .header("Accept", "application/json, text/event-stream")
                .header("Mcp-Param-Region", "eu")
                .body(&body);
            let answer = timeout(SOON, edge.call(request)).await.expect("an answer");
            assert_eq!((answer.status(), answer.text()), (200, RESULT), "{size} {reads_first}");
            let calls = upstream.calls().split_off(before);
            let [first, second] = &calls[..] else { panic!("{} requests for {size}", calls.len()) };
            assert_eq!((&first.head.line, fields(first)), (&second.head.line, fields(second)));
            assert!(second.body == body && (!reads_first || first.body == body), "{size}");
            assert_eq!(first.head.get("authorization"), Some("Bearer stale"));
            assert_eq!(second.head.get("authorization"), Some("Bearer fresh"));
            assert_eq!(second.head.get("content-length"), Some(&*size.to_string()));
        }
        assert!(edge.credentials.log().renewed.iter().all(|token| token == "Bearer stale"));
    }
}

#[tokio::test]
async fn streams_and_ends_of_sessions_are_sent_again_too() {
    let upstream = guarded(true).await;
    let edge = edge_to(&upstream).await;
    edge.credentials.then(Ok("fresh"));
    for method in ["GET", "DELETE"] {
        let request = Request::new(method, "/mcp/a").header("Accept", "text/event-stream");
        let answer = timeout(SOON, edge.call(request)).await.expect("an answer");
        assert_eq!((answer.status(), answer.text()), (200, RESULT), "{method}");
        let calls = upstream.calls();
        let [.., first, second] = &calls[..] else { panic!("two requests") };
        assert_eq!((&first.head.line, fields(first)), (&second.head.line, fields(second)));
        assert_eq!((second.head.get("content-length"), second.head.get("transfer-encoding")), (None, None));
    }
}

#[tokio::test]
async fn events_stream_after_the_renewal_as_they_do_without_one() {
    let (go, gone) = mpsc::channel::<()>(1);
    let gone = Arc::new(tokio::sync::Mutex::new(gone));
    let upstream = Upstream::start(move |call| {
        let gone = Arc::clone(&gone);
        Box::pin(async move {
            call.read_body().await;
            if call.head.get("authorization") != Some("Bearer fresh") {
                return refuse(call).await;
            }
            call.begin_events().await;
            for event in ["one", "two"] {
                call.event(event).await;
                gone.lock().await.recv().await;
            }
            call.write(b"0\r\n\r\n").await;
        })
    })
    .await;
    let edge = edge_to(&upstream).await;
    edge.credentials.then(Ok("fresh"));
    for method in ["POST", "GET"] {
        let mut connection = edge.connect().await;
        connection.send(&Request::new(method, "/mcp/a").host(&edge.host()).bearer(&edge.token("a"))).await;
        let head = timeout(SOON, connection.head()).await.unwrap().expect("an answer");
        assert_eq!((head.status(), head.get("content-type")), (200, Some("text/event-stream")));
        for event in ["one", "two"] {
            let chunk = timeout(SOON, connection.chunk()).await.expect("no buffering").expect("a chunk");
            assert_eq!(chunk, format!("data: {event}\n\n").as_bytes());
            go.send(()).await.unwrap();
        }
        assert_eq!(timeout(SOON, connection.chunk()).await.unwrap().as_deref(), Some(&b""[..]));
    }
}

/// Never a third try.
#[tokio::test]
async fn a_renewed_credential_that_is_refused_as_well_asks_to_connect_again() {
    let upstream = guarded(true).await;
    let edge = edge_to(&upstream).await;
    edge.credentials.then(Ok("stale-too"));
    let answer = timeout(SOON, edge.call(Request::post("/mcp/a"))).await.expect("an answer");
    // tools/list is answered with what there is without the upstream.
    assert_eq!((answer.status(), &answer.json()["result"]["tools"][0]["name"]), (200, &json!("connect")));
    assert_eq!(upstream.calls().len(), 2);

    let body = br#"{"jsonrpc":"2.0","id":"1","method":"tools/call","params":{"name":"x"}}"#;
    let answer = timeout(SOON, edge.call(Request::new("POST", "/mcp/a").body(body))).await.expect("an answer");
    expect_connect_required(&answer, "reconsent_required");
    assert_eq!(upstream.calls().len(), 4);
    assert!(!answer.text().contains("refused by the upstream"));
    assert_eq!(edge.credentials.log().renewed.len(), 2);

    let answer = timeout(SOON, edge.call(Request::new("GET", "/mcp/a"))).await.expect("an answer");
    assert_eq!((answer.status(), answer.get("www-authenticate")), (405, None));
    assert_eq!(upstream.calls().len(), 6);
}

#[tokio::test]
async fn a_connection_that_has_ended_is_asked_for_after_one_request() {
    let upstream = guarded(true).await;
    let edge = edge_to(&upstream).await;
    edge.credentials.then(ENDED);
    let body = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}"#;
    let answer = timeout(SOON, edge.call(Request::new("POST", "/mcp/a").body(body))).await.expect("an answer");
    expect_connect_required(&answer, "reconsent_required");
    assert_eq!(upstream.calls().len(), 1);
}

#[tokio::test]
async fn a_credential_that_cannot_be_had_at_the_moment_is_503_with_the_time_to_wait() {
    let upstream = guarded(true).await;
    let edge = edge_to(&upstream).await;
    edge.credentials.then(UNAVAILABLE);
    let expect = |answer: &Answer| {
        let id = answer.get("x-request-id").expect("a request id");
        let message = "The credential for the upstream cannot be renewed at the moment.";
        let expected = json!({"jsonrpc": "2.0", "error": {"code": -32603, "message": message,
            "data": {"reason": "credential_unavailable", "requestId": id}}});
        assert_eq!((answer.status(), answer.json()), (503, expected));
        assert_eq!(answer.get("retry-after"), Some("7"));
    };
    expect(&timeout(SOON, edge.call(Request::post("/mcp/a"))).await.expect("an answer"));
    assert_eq!(upstream.calls().len(), 1);
    edge.credentials.set("ada", UNAVAILABLE);
    expect(&timeout(SOON, edge.call(Request::post("/mcp/a"))).await.expect("an answer"));
    assert_eq!(upstream.calls().len(), 1);
}

#[tokio::test]
async fn parallel_calls_that_are_refused_all_get_through() {
    let upstream = guarded(true).await;
    let edge = edge_to(&upstream).await;
    edge.credentials.then(Ok("fresh"));
    let calls = (0..32).map(|index| {
        let body = pattern(index * 3000);
        edge.call(Request::new("POST", "/mcp/a").body(&body))
    });
    let answers = timeout(SOON, futures_util::future::join_all(calls)).await.expect("answers");
    assert!(answers.iter().all(|answer| (answer.status(), answer.text()) == (200, RESULT)));
    let calls = upstream.calls();
    assert_eq!((calls.len(), edge.credentials.log().renewed.len()), (64, 32));
    let mut renewed: Vec<_> = calls
        .iter()
        .filter(|call| call.head.get("authorization") == Some("Bearer fresh"))
        .map(|call| call.body.len())
        .collect();
    renewed.sort_unstable();
    assert_eq!(renewed, (0..32).map(|index| index * 3000).collect::<Vec<_>>());
}

/// RFC 6750 section 3.1: more scope is needed than the connection has.
#[tokio::test]
async fn a_403_that_asks_for_scope_asks_to_connect_again_and_any_other_does_not() {
    let upstream = Upstream::start(|call| {
        Box::pin(async move {
            call.read_body().await;
            let challenge = match call.head.line.split(' ').nth(1) {
                Some("/up?scope") => r#"Basic, Bearer error="insufficient_scope", scope="read write""#,
                Some("/up?unnamed") => r#"Bearer error="insufficient_scope""#,
                Some("/up?token") => r#"Bearer error="invalid_token", scope="read""#,
                _ => "Basic",
            };
            let fields = format!("WWW-Authenticate: {challenge}\r\n");
            call.respond("403 Forbidden", &fields, b"forbidden").await;
        })
    })
    .await;
    let edge = edge_to(&upstream).await;
    let body = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}"#;
    for (query, scopes) in [("scope", vec!["read write"]), ("unnamed", vec!["read write"])] {
        let answer = edge.call(Request::new("POST", &format!("/mcp/a?{query}")).body(body)).await;
        expect_connect_required(&answer, "reconsent_required");
        assert_eq!(edge.credentials.log().scopes, scopes);
    }
    for query in ["token", "else"] {
        let answer = edge.call(Request::new("POST", &format!("/mcp/a?{query}")).body(body)).await;
        let reason = &answer.json()["error"]["data"]["reason"];
        assert_eq!(
            (answer.status(), reason, answer.get("www-authenticate")),
            (502, &json!("upstream_unauthorized"), None)
        );
    }
    assert_eq!((upstream.calls().len(), edge.credentials.log().scopes.len()), (4, 1));
    assert!(edge.credentials.log().renewed.is_empty());
}

#[tokio::test]
async fn a_fixed_credential_cannot_be_renewed() {
    let upstream = guarded(true).await;
    let edge = TestEdge::builder()
        .route("a", &upstream.url())
        .route_with("b", &upstream.url(), |server| {
            server.credential = CredentialSource::Headers(
                [(http::header::AUTHORIZATION, http::HeaderValue::from_static("Bearer key"))].into(),
            );
        })
        .start()
        .await;
    for route in ["a", "b"] {
        let answer = edge.exchange(Request::post(&format!("/mcp/{route}")).bearer(&edge.token(route))).await;
        assert_eq!(
            (answer.status(), &answer.json()["error"]["data"]["reason"]),
            (502, &json!("upstream_unauthorized"))
        );
    }
    assert_eq!(upstream.calls().len(), 2);
    assert!(edge.credentials.log().renewed.is_empty());
}

/// Redirects, further addresses and renewals are counted apart, and none of them loses the body.
#[tokio::test]
async fn a_followed_redirect_may_be_refused_and_renewed() {
    let upstream = Upstream::start(|call| {
        Box::pin(async move {
            call.read_body().await;
            if call.head.line.starts_with("POST /up ") {
                call.respond("307 Temporary Redirect", "Location: /moved\r\n", b"").await;
            } else if call.head.get("authorization") == Some("Bearer fresh") {
                call.respond("200 OK", "Content-Type: application/json\r\n", RESULT.as_bytes()).await;
            } else {
                refuse(call).await;
            }
        })
    })
    .await;
    let edge = TestEdge::builder()
        .route_with("a", &upstream.url(), |server| {
            server.follow_redirects = true;
            server.credential = crate::support::credentials::user_oauth();
        })
        .start()
        .await;
    edge.credentials.set("ada", Ok("stale"));
    edge.credentials.then(Ok("fresh"));
    let body = pattern(70_000);
    let answer = timeout(SOON, edge.call(Request::new("POST", "/mcp/a").body(&body))).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let calls = upstream.calls();
    let lines: Vec<_> = calls.iter().map(|call| &*call.head.line).collect();
    assert_eq!(lines, ["POST /up HTTP/1.1", "POST /moved HTTP/1.1", "POST /moved HTTP/1.1"]);
    assert!(calls.iter().all(|call| call.body == body));
}

/// An HTTP/2 upstream that refuses every token but `fresh`; answers with the number of bytes that it read.
pub async fn guarded_http2() -> (String, mpsc::UnboundedReceiver<(String, Vec<u8>)>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/up", listener.local_addr().unwrap());
    let (seen, sightings) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = seen.clone();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
                while let Some(Ok((request, respond))) = connection.accept().await {
                    tokio::spawn(answer_http2(request, respond, seen.clone()));
                }
            });
        }
    });
    (url, sightings)
}

async fn answer_http2(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    seen: mpsc::UnboundedSender<(String, Vec<u8>)>,
) {
    let (head, mut body) = request.into_parts();
    let mut read = Vec::new();
    while let Some(Ok(part)) = body.data().await {
        let _ = body.flow_control().release_capacity(part.len());
        read.extend_from_slice(&part);
    }
    let token = head.headers["authorization"].to_str().unwrap().to_owned();
    let status = if token == "Bearer fresh" { 200 } else { 401 };
    let mut stream = respond.send_response(Response::builder().status(status).body(()).unwrap(), false).unwrap();
    stream.send_data(read.len().to_string().into(), true).unwrap();
    seen.send((token, read)).unwrap();
}

/// An edge before such an upstream, whose person is connected with a stale credential.
async fn before_http2() -> (TestEdge, mpsc::UnboundedReceiver<(String, Vec<u8>)>) {
    let (url, sightings) = guarded_http2().await;
    let edge = TestEdge::builder()
        .route_with("a", &url, |server| {
            server.http = HttpVersion::Http2;
            server.credential = crate::support::credentials::user_oauth();
        })
        .start()
        .await;
    edge.credentials.set("ada", Ok("stale"));
    (edge, sightings)
}

#[tokio::test]
async fn an_http2_upstream_gets_the_same_request_again_too() {
    let (edge, mut sightings) = before_http2().await;
    edge.credentials.then(Ok("fresh"));
    for (method, size) in [
        ("GET", 0),
        ("DELETE", 0),
        ("POST", 0),
        ("POST", 1024),
        ("POST", 64 * 1024),
        ("POST", 200 * 1024),
        ("POST", 4 * 1024 * 1024),
    ] {
        let body = pattern(size);
        let answer = timeout(SOON, edge.call(Request::new(method, "/mcp/a").body(&body))).await.expect("an answer");
        assert_eq!((answer.status(), answer.text()), (200, &*size.to_string()), "{method} {size}");
        for token in ["Bearer stale", "Bearer fresh"] {
            let (sent, read) = sightings.recv().await.unwrap();
            assert!(sent == token && read == body, "{method} {size} {token}");
        }
    }
}

/// Never a third try, neither of a stream nor of a call.
#[tokio::test]
async fn an_http2_upstream_that_refuses_twice_is_not_asked_a_third_time() {
    let (edge, mut sightings) = before_http2().await;
    edge.credentials.then(Ok("stale-too"));
    let call = br#"{"jsonrpc":"2.0","id":"1","method":"tools/call","params":{"name":"x"}}"#;
    let requests = [
        (Request::new("POST", "/mcp/a").header("Accept", "application/json, text/event-stream").body(call), 200),
        (Request::new("GET", "/mcp/a").header("Accept", "text/event-stream"), 405),
    ];
    for (request, status) in requests {
        let answer = timeout(SOON, edge.call(request)).await.expect("an answer");
        assert_eq!(answer.status(), status);
        if status == 200 {
            expect_connect_required(&answer, "reconsent_required");
        }
        let seen: Vec<_> = std::iter::from_fn(|| sightings.try_recv().ok()).map(|(token, _)| token).collect();
        assert_eq!(seen, ["Bearer stale", "Bearer stale-too"]);
    }
}
