//! HTTP/2 requests that no honest client writes, frame by frame (RFC 9113 sections 8.1.1, 8.2, 8.3).
//!
//! All of them carry a good token, so that whatever is let in would reach the upstream.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use super::edge_tls::{connect, serve};
use crate::support::Upstream;

const SOON: Duration = Duration::from_secs(20);
const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const END_STREAM_AND_HEADERS: u8 = 5;
/// `:status: 200` in the static table of HPACK.
const OK: u8 = 0x88;

type Field = (&'static str, &'static str);

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header block without any compression: literal names and values (RFC 7541 section 6.2.2).
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("a short text"));
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// Whether the request got 200; a reset, the end of the connection and any other status are refusals.
async fn is_served(mut stream: TlsStream<TcpStream>, fields: &[(&str, &str)]) -> bool {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes.extend(frame(HEADERS, END_STREAM_AND_HEADERS, 1, &block(fields)));
    stream.write_all(&bytes).await.unwrap();
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return false;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        if stream.read_exact(&mut payload).await.is_err() {
            return false;
        }
        match head[3] {
            // Behind a change of the table's size, if there is one.
            HEADERS => return payload.iter().find(|byte| *byte & 0xe0 != 0x20) == Some(&OK),
            // RST_STREAM, GOAWAY.
            3 | 7 => return false,
            _ => {}
        }
    }
}

const PSEUDO: [Field; 4] =
    [(":method", "POST"), (":scheme", "https"), (":authority", "gw.example"), (":path", "/mcp/a")];

/// The honest request with one pseudo-header changed; an empty value stays empty.
fn with(name: &str, value: &'static str) -> Vec<Field> {
    PSEUDO.map(|(known, old)| (known, if known == name { value } else { old })).to_vec()
}

fn without(name: &str) -> Vec<Field> {
    PSEUDO.into_iter().filter(|(known, _)| *known != name).collect()
}

fn and(mut fields: Vec<Field>, field: Field) -> Vec<Field> {
    fields.push(field);
    fields
}

#[tokio::test]
async fn no_trick_with_pseudo_headers_reaches_the_upstream() {
    let upstream = Upstream::json().await;
    let (server, authority) = serve(&upstream).await;
    let token = server.store.issue("ada", "c", "a", "https://gw.example/mcp/a", "mcp:tools");
    let bearer = format!("Bearer {token}");
    let honest = || PSEUDO.to_vec();

    let mut tricks = vec![
        and(honest(), (":path", "/mcp/a")),
        and(honest(), (":path", "/mcp/b")),
        and(honest(), (":method", "GET")),
        and(honest(), (":authority", "gw.example")),
        and(honest(), (":scheme", "http")),
        and(honest(), (":status", "200")),
        and(honest(), (":user", "bob")),
        and(honest(), (":protocol", "websocket")),
        without(":method"),
        without(":scheme"),
        without(":path"),
        without(":authority"),
        with(":method", ""),
        with(":method", "POST /mcp/a HTTP/1.1\r\nX:"),
        with(":method", "CONNECT"),
        with(":method", "TRACE"),
        with(":path", ""),
        with(":path", "*"),
        with(":path", "mcp/a"),
        with(":path", "//mcp/a"),
        with(":path", "/./mcp/a"),
        with(":path", "/mcp/%61"),
        with(":path", "/mcp\\a"),
        with(":path", "/mcp/a HTTP/1.1"),
        with(":path", "/mcp/a HTTP/1.1\r\nHost: evil"),
        with(":path", "https://evil.example/mcp/a"),
        with(":authority", ""),
        with(":authority", "evil.example"),
        with(":authority", "ada@gw.example"),
        with(":authority", "gw.example/mcp"),
        with(":authority", "gw.example\r\nX: y"),
        // What HTTP/2 has no use for, and what would frame the request anew on its way upstream.
        and(honest(), ("transfer-encoding", "chunked")),
        and(honest(), ("connection", "close")),
        and(honest(), ("keep-alive", "timeout=5")),
        and(honest(), ("proxy-connection", "keep-alive")),
        and(honest(), ("upgrade", "h2c")),
        and(honest(), ("te", "gzip")),
        and(honest(), ("content-length", "5")),
        and(honest(), ("content-length", "0, 5")),
        and(honest(), ("content-length", "+0")),
        and(honest(), ("host", "evil.example")),
        and(honest(), ("Upper-Case", "x")),
        and(honest(), ("", "x")),
        and(honest(), ("a b", "x")),
        and(honest(), ("a:b", "x")),
        and(honest(), ("x", "y\r\nauthorization: z")),
        and(honest(), ("x", "y\nz")),
        and(honest(), ("x", "y\0z")),
    ];
    // A pseudo-header behind a field.
    tricks.push(and(and(without(":path"), ("x", "y")), (":path", "/mcp/a")));
    let mut let_in = Vec::new();
    for trick in tricks {
        let stream = connect(server.address, &authority, b"h2").await;
        let fields: Vec<(&str, &str)> = trick.iter().copied().chain([("authorization", &*bearer)]).collect();
        let served = timeout(SOON, is_served(stream, &fields)).await.expect("an end");
        if served {
            let_in.push(trick);
        }
    }
    assert!(let_in.is_empty(), "{let_in:?}");
    assert_eq!(upstream.calls().len(), 0);

    // The parser of HTTP/2 drops a fragment, so that it is in no target of ours either.
    for honest in [honest(), with(":path", "/mcp/a#b")] {
        let stream = connect(server.address, &authority, b"h2").await;
        let fields: Vec<(&str, &str)> = honest.into_iter().chain([("authorization", &*bearer)]).collect();
        assert!(timeout(SOON, is_served(stream, &fields)).await.expect("an end"), "the honest one is served");
    }
    assert!(upstream.calls().iter().all(|call| !call.head.line.contains('#')));
    assert_eq!(upstream.calls().len(), 2);
}
