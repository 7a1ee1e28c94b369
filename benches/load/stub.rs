//! The upstream: answers at once, and says which credential it got.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::client::{content_length, head_end, header};

/// Serves until killed.
pub fn run(address: &str) {
    super::process::allow_many_files();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let address: SocketAddr = address.parse().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpSocket::new_v4().unwrap();
        listener.set_reuseaddr(true).unwrap();
        listener.bind(address).unwrap();
        let listener: TcpListener = listener.listen(4096).unwrap();
        let list = tool_list();
        let list: &'static [u8] = list.leak();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(serve(stream, list));
        }
    });
}

async fn serve(mut stream: TcpStream, list: &'static [u8]) {
    let mut buffer = Vec::with_capacity(8 * 1024);
    let mut answer = Vec::with_capacity(8 * 1024);
    loop {
        let head = loop {
            if let Some(end) = head_end(&buffer) {
                break end;
            }
            match stream.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        };
        let total = head + content_length(&buffer[..head]).unwrap_or(0);
        while buffer.len() < total {
            match stream.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        let path = buffer[..head].split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        answer.clear();
        match path {
            b"/idle" | b"/flood" | b"/paced" => return stream_events(stream, path).await,
            b"/sse-call" => {
                let json = call_answer(header(&buffer[..head], b"authorization"));
                answer.extend_from_slice(SSE_HEAD);
                chunk(&mut answer, &[b"event: message\ndata: ", &json[..], b"\n\n"].concat());
                answer.extend_from_slice(b"0\r\n\r\n");
            }
            b"/list" => json(&mut answer, list),
            b"/list-sse" => {
                answer.extend_from_slice(SSE_HEAD);
                chunk(&mut answer, &[b"event: message\ndata: ", list, b"\n\n"].concat());
                answer.extend_from_slice(b"0\r\n\r\n");
            }
            b"/mcp" => answer_mcp(&mut answer, &buffer[..head], &buffer[head..total]),
            _ => json(&mut answer, &call_answer(header(&buffer[..head], b"authorization"))),
        }
        if stream.write_all(&answer).await.is_err() {
            return;
        }
        buffer.drain(..total);
    }
}

/// For gateways that are clients of MCP: opens a session, takes what wants no answer, and answers a call under its id.
fn answer_mcp(answer: &mut Vec<u8>, head: &[u8], body: &[u8]) {
    let message: Value = serde_json::from_slice(body).unwrap_or_default();
    match message["method"].as_str() {
        _ if !head.starts_with(b"POST") => {
            answer.extend_from_slice(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n");
        }
        Some("initialize") => {
            let result = json!({
                "protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}},
                "serverInfo": {"name": "stub", "version": "1"},
            });
            json(answer, json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string().as_bytes());
        }
        _ if message["id"].is_null() => {
            answer.extend_from_slice(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
        }
        _ => {
            let mut result: Value = serde_json::from_slice(&call_answer(header(head, b"authorization"))).unwrap();
            result["id"] = message["id"].clone();
            json(answer, result.to_string().as_bytes());
        }
    }
}

/// Events until the client goes: none at all, as many as go, or one in four milliseconds that says when it was sent.
///
/// As many as go are written [`AT_ONCE`] at a time: with a system call for each the stub is what is measured, since any
/// proxy but the bare relay takes them faster than one core sends them.
async fn stream_events(mut stream: TcpStream, path: &[u8]) {
    if stream.write_all(SSE_HEAD).await.is_err() {
        return;
    }
    match path {
        b"/idle" => drop(stream.read_u8().await),
        b"/flood" => {
            let mut event = Vec::new();
            chunk(&mut event, &[&b"event: message\ndata: "[..], &[b'x'; 100][..], &b"\n\n"[..]].concat());
            let events = event.repeat(AT_ONCE);
            while stream.write_all(&events).await.is_ok() {}
        }
        _ => {
            let mut ticks = tokio::time::interval(PACE);
            let mut event = Vec::new();
            loop {
                ticks.tick().await;
                event.clear();
                chunk(&mut event, format!("data: {:020}\n\n", now()).as_bytes());
                if stream.write_all(&event).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Nanoseconds that two processes of one machine agree on.
pub fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()
}

fn json(answer: &mut Vec<u8>, body: &[u8]) {
    answer.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ");
    answer.extend_from_slice(body.len().to_string().as_bytes());
    answer.extend_from_slice(b"\r\n\r\n");
    answer.extend_from_slice(body);
}

fn chunk(answer: &mut Vec<u8>, data: &[u8]) {
    answer.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
    answer.extend_from_slice(data);
    answer.extend_from_slice(b"\r\n");
}

/// The answer of a tool, 1 KiB, with the credential in it.
fn call_answer(credential: Option<&[u8]>) -> Vec<u8> {
    let mut body = Vec::with_capacity(1024);
    body.extend_from_slice(br#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":""#);
    body.extend_from_slice(credential.unwrap_or(b"no credential"));
    body.resize(1024 - CALL_END.len(), b'.');
    body.extend_from_slice(CALL_END);
    body
}

/// A list of 100 tools, about 60 KiB, with the names first, as the official SDKs write them.
fn tool_list() -> Vec<u8> {
    let tool = |number: usize| {
        let rest = serde_json::json!({
            "title": format!("The tool of number {number}"),
            "description": "Looks something up that somebody may want to know, and says so. ".repeat(4),
            "inputSchema": {
                "type": "object",
                "properties": {
                    "query": {"type": "string", "description": "What to look for, in the words of the person who asks."},
                    "limit": {"type": "integer", "minimum": 1, "maximum": 100, "description": "How many to return."},
                },
                "required": ["query"],
            },
        });
        format!("{{\"name\":\"tool_{number:03}\",{}", &rest.to_string()[1..])
    };
    let tools: Vec<_> = (0..100).map(tool).collect();
    format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{{\"tools\":[{}]}}}}", tools.join(",")).into_bytes()
}

/// How often a paced stream sends an event.
pub const PACE: Duration = Duration::from_millis(4);
/// How many events of a stream at full speed go out with one system call, some 4 KiB.
const AT_ONCE: usize = 32;
const SSE_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const CALL_END: &[u8] = br#""}]}}"#;
