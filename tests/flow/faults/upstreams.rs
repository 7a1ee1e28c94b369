//! Upstreams that reset, break off, lie about lengths or say nothing: one error each, and nothing that stays.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::StatusCode;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{open_files, resident};
use crate::{
    leaving::SOON,
    support::{Client, TestGateway},
};

/// What an upstream does once it has read a request.
#[derive(Debug, Clone, Copy)]
enum Habit {
    /// Sends this, and closes.
    Sends(&'static str),
    /// Sends this, and leaves the connection open.
    Keeps(&'static str),
    /// Resets the connection after this.
    Resets(&'static str),
}

/// With what a client may see: an error, or an answer that is cut off.
const HABITS: &[(Habit, Option<StatusCode>)] = &[
    (Habit::Sends(""), Some(StatusCode::BAD_GATEWAY)),
    (Habit::Resets(""), Some(StatusCode::BAD_GATEWAY)),
    (Habit::Keeps(""), Some(StatusCode::GATEWAY_TIMEOUT)),
    (Habit::Sends("HTTP/1.1 200 OK\r\nContent-"), Some(StatusCode::BAD_GATEWAY)),
    (Habit::Resets("HTTP/1.1 200 OK\r\nContent-"), Some(StatusCode::BAD_GATEWAY)),
    (Habit::Keeps("HTTP/1.1 200 OK\r\nContent-"), Some(StatusCode::GATEWAY_TIMEOUT)),
    (Habit::Sends("SSH-2.0-OpenSSH_9.6\r\n\r\n"), Some(StatusCode::BAD_GATEWAY)),
    (Habit::Sends("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}"), None),
    (Habit::Sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 20\r\n\r\n{}"), None),
    (Habit::Sends("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}"), None),
    (Habit::Resets("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}"), None),
    (Habit::Keeps("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}"), None),
    (Habit::Sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"), None),
    (Habit::Sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"), None),
    (Habit::Resets("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{}"), None),
];

struct Upstream {
    url: String,
    habit: Arc<AtomicUsize>,
}

impl Upstream {
    async fn start(habits: Vec<Habit>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let habit = Arc::new(AtomicUsize::new(0));
        let current = Arc::clone(&habit);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(behave(stream, habits[current.load(Ordering::SeqCst)]));
            }
        });
        Self { url, habit }
    }
}

async fn behave(mut stream: TcpStream, habit: Habit) {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let (Habit::Sends(text) | Habit::Keeps(text) | Habit::Resets(text)) = habit;
    let _sent_or_gone = stream.write_all(text.as_bytes()).await;
    match habit {
        Habit::Sends(_) => {}
        Habit::Keeps(_) => while stream.read_buf(&mut request).await.unwrap_or(0) > 0 {},
        // What is closed without a wait for what was sent is reset.
        Habit::Resets(_) => stream.set_zero_linger().unwrap(),
    }
}

fn route(url: &str) -> serde_json::Value {
    let upstream = json!({"url": url, "authMode": "none", "responseTimeoutMs": 1000});
    json!({"routes": [{"path": "/mcp/one", "operationId": "one", "upstream": upstream}]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_breaks_its_word_costs_one_error_and_leaves_nothing_open() {
    let upstream = Upstream::start(HABITS.iter().map(|(habit, _)| *habit).collect()).await;
    let (gateway, _log) = TestGateway::with_log(route(&upstream.url)).await;
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    let before = open_files(&gateway);
    for (number, (habit, status)) in HABITS.iter().enumerate() {
        upstream.habit.store(number, Ordering::SeqCst);
        let begun = Instant::now();
        let calls = (0..10).map(|_| async {
            let answer = client.call("/mcp/one", &tokens.access).await;
            (answer.status(), answer.text().await.is_ok())
        });
        for (answered, whole) in futures_util::future::join_all(calls).await {
            if let Some(status) = status {
                assert_eq!(answered, *status, "{habit:?}");
            }
            assert!(answered != StatusCode::OK || !whole, "{habit:?}: half an answer passes for a whole one");
        }
        assert!(begun.elapsed() < SOON, "{habit:?}: {:?}", begun.elapsed());
    }
    let begun = Instant::now();
    while open_files(&gateway) > before + 2 {
        assert!(begun.elapsed() < SOON, "{} files open, {before} before", open_files(&gateway));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What a call leaves behind would be tens of KiB, and there are thousands of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_broken_answers_leave_no_memory_behind() {
    let quick = |habit: &Habit| !matches!(habit, Habit::Keeps(_));
    let habits: Vec<Habit> = HABITS.iter().map(|(habit, _)| *habit).filter(quick).collect();
    let count = habits.len();
    let upstream = Upstream::start(habits).await;
    let (gateway, _log) = TestGateway::with_log(route(&upstream.url)).await;
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    let calls = async |rounds: usize| {
        for number in (0..count).cycle().take(rounds * count) {
            upstream.habit.store(number, Ordering::SeqCst);
            let calls = (0..10).map(|_| async {
                let _error_or_cut = client.call("/mcp/one", &tokens.access).await.bytes().await;
            });
            futures_util::future::join_all(calls).await;
        }
    };
    calls(10).await;
    let before = resident(&gateway);
    calls(40).await;
    let after = resident(&gateway);
    assert!(after < before + 16 * MIB, "{} MiB, {} MiB before", after / MIB, before / MIB);
}

const MIB: u64 = 1024 * 1024;
