//! The load: HTTP/1.1 over kept connections, as thin as it can be.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

/// What is under load: where, and with which request.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub path: String,
    pub token: String,
}

/// What came back under load.
pub struct Load {
    /// How many answers came in the time that was measured.
    pub answers: u64,
    /// How long that was.
    pub time: Duration,
}

/// A connection with what was read too much.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Target {
    /// A `tools/call` of 131 bytes.
    pub fn call(&self) -> Vec<u8> {
        let mut body =
            br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"tool_001","arguments":{"query":""#
                .to_vec();
        body.resize(131 - 5, b'q');
        body.extend_from_slice(br#""}}}"#);
        body.push(b'\n');
        self.post(&body)
    }

    /// A `tools/list`.
    pub fn list(&self) -> Vec<u8> {
        self.post(br#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#)
    }

    /// A message of MCP.
    pub fn post(&self, body: &[u8]) -> Vec<u8> {
        let Self { address, path, token } = self;
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2025-06-18\r\n\
             User-Agent: sallyport-bench\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        request
    }

    /// A form for an endpoint that wants no token.
    pub fn form(&self, form: &str) -> Vec<u8> {
        let Self { address, path, .. } = self;
        let length = form.len();
        format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {length}\r\n\r\n{form}"
        )
        .into_bytes()
    }

    /// A stream of events.
    pub fn stream(&self) -> Vec<u8> {
        let Self { address, path, token } = self;
        format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nAccept: text/event-stream\r\n\
             MCP-Protocol-Version: 2025-06-18\r\nUser-Agent: sallyport-bench\r\n\r\n"
        )
        .into_bytes()
    }
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::with_capacity(16 * 1024) }
    }

    pub async fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.unwrap();
    }

    /// Reads a whole answer into the buffer; returns its status and where it ends.
    async fn receive(&mut self) -> (u16, usize) {
        let head = self.receive_head().await;
        let status = status(&self.buffer);
        if let Some(length) = content_length(&self.buffer[..head]) {
            while self.buffer.len() < head + length {
                self.read().await;
            }
            return (status, head + length);
        }
        let mut from = head;
        loop {
            let found = self.buffer[from..].windows(LAST_CHUNK.len()).position(|window| window == LAST_CHUNK);
            if let Some(end) = found {
                return (status, from + end + LAST_CHUNK.len());
            }
            from = self.buffer.len().saturating_sub(LAST_CHUNK.len()).max(head);
            self.read().await;
        }
    }

    /// Opens a stream, up to the end of its head.
    pub async fn open_stream(&mut self, request: &[u8]) {
        self.send(request).await;
        self.receive_head().await;
        assert_eq!(status(&self.buffer), 200, "{}", String::from_utf8_lossy(&self.buffer));
    }

    /// Reads a head; returns where it ends.
    async fn receive_head(&mut self) -> usize {
        loop {
            match head_end(&self.buffer) {
                Some(end) => return end,
                None => self.read().await,
            }
        }
    }

    async fn read(&mut self) {
        assert!(self.stream.read_buf(&mut self.buffer).await.unwrap() > 0, "the proxy closed the connection");
    }

    /// One exchange; returns status and answer.
    pub async fn exchange(&mut self, request: &[u8]) -> (u16, Vec<u8>) {
        self.send(request).await;
        let (status, end) = self.receive().await;
        let answer = self.buffer[..end].to_vec();
        self.buffer.drain(..end);
        (status, answer)
    }

    /// What arrives next of a stream, into the buffer; the head stays out of it.
    pub async fn next(&mut self) -> usize {
        self.buffer.clear();
        self.read().await;
        self.buffer.len()
    }

    /// What [`Connection::next`] brought.
    pub fn received(&self) -> &[u8] {
        &self.buffer
    }

    /// Forgets the head of a stream and what came with it.
    pub fn forget(&mut self) {
        self.buffer.clear();
    }
}

/// Keeps `connections` asking with `request`, each again when it has its answer and at the earliest `every` so often: a
/// moment to warm up, then `probe`, the window, and `probe`.
pub async fn closed_loop(
    address: SocketAddr,
    request: Vec<u8>,
    connections: usize,
    every: Duration,
    window: Duration,
    probe: impl Fn(),
) -> Load {
    let answers = Rc::new(Cell::new(0_u64));
    let request: Rc<[u8]> = request.into();
    let mut workers = JoinSet::new();
    let started = Instant::now();
    for number in 0..connections {
        let (answers, request) = (Rc::clone(&answers), Rc::clone(&request));
        let mut due = started + every.mul_f64(number as f64 / connections as f64);
        workers.spawn_local(async move {
            let mut connection = Connection::open(address).await;
            loop {
                if !every.is_zero() {
                    sleep_until(due).await;
                    due = Instant::now().max(due + every);
                }
                connection.send(&request).await;
                let (status, end) = connection.receive().await;
                assert_eq!(status, 200, "{}", String::from_utf8_lossy(&connection.buffer));
                connection.buffer.drain(..end);
                answers.set(answers.get() + 1);
            }
        });
    }
    run_for(&mut workers, WARM_UP).await;
    probe();
    let (before, started) = (answers.get(), Instant::now());
    run_for(&mut workers, window).await;
    probe();
    Load { answers: answers.get() - before, time: started.elapsed() }
}

/// Sends `per_second` requests at fixed times, whatever becomes of them, and returns how long each took from then on; those
/// of `warm_up` do not count.
pub async fn open_loop(
    address: SocketAddr,
    request: Vec<u8>,
    per_second: u32,
    warm_up: Duration,
    window: Duration,
) -> Vec<Duration> {
    let request: Rc<[u8]> = request.into();
    let idle: Rc<RefCell<Vec<Connection>>> = Rc::default();
    let latencies: Rc<RefCell<Vec<Duration>>> = Rc::default();
    let mut workers = JoinSet::new();
    let (started, step) = (Instant::now(), Duration::from_secs(1) / per_second);
    let within = |time: Duration| u32::try_from(time.as_millis()).unwrap() * per_second / 1000;
    let first = within(warm_up);
    for number in 0..within(warm_up + window) {
        let due = started + step * number;
        sleep_until(due).await;
        let now = Instant::now();
        if now < due {
            tokio::task::yield_now().await;
        }
        let (request, idle, latencies) = (Rc::clone(&request), Rc::clone(&idle), Rc::clone(&latencies));
        workers.spawn_local(async move {
            let kept = idle.borrow_mut().pop();
            let mut connection = match kept {
                Some(connection) => connection,
                None => Connection::open(address).await,
            };
            let sent = Instant::now();
            connection.send(&request).await;
            let (status, end) = connection.receive().await;
            let took = sent.elapsed();
            assert_eq!(status, 200);
            connection.buffer.drain(..end);
            idle.borrow_mut().push(connection);
            if number >= first {
                latencies.borrow_mut().push(took);
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.unwrap();
    }
    latencies.take()
}

/// Lets workers run; fails with the first that does.
pub async fn run_for(workers: &mut JoinSet<()>, time: Duration) {
    tokio::select! {
        Some(ended) = workers.join_next() => panic!("a worker ended: {ended:?}"),
        () = sleep(time) => {}
    }
}

/// The median and another quantile.
pub fn quantiles(mut values: Vec<Duration>, upper: f64) -> (Duration, Duration) {
    values.sort_unstable();
    let at = |quantile: f64| {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index of a list")]
        let index = (values.len() as f64 * quantile) as usize;
        values.get(index.min(values.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    (at(0.5), at(upper))
}

pub fn head_end(buffer: &[u8]) -> Option<usize> {
    buffer.windows(4).position(|window| window == b"\r\n\r\n").map(|start| start + 4)
}

/// The value of a field in a head.
pub fn header<'h>(head: &'h [u8], name: &[u8]) -> Option<&'h [u8]> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let (field, value) = line.split_at_checked(name.len())?;
        (field.eq_ignore_ascii_case(name) && value.first() == Some(&b':')).then(|| value[1..].trim_ascii())
    })
}

pub fn content_length(head: &[u8]) -> Option<usize> {
    std::str::from_utf8(header(head, b"content-length")?).ok()?.parse().ok()
}

fn status(head: &[u8]) -> u16 {
    head.get(9..12).and_then(|code| std::str::from_utf8(code).ok()).and_then(|code| code.parse().ok()).unwrap_or(0)
}

const WARM_UP: Duration = Duration::from_millis(200);
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";
