//! `sallyport demo`: a complete gateway on this machine, with a sample MCP server behind it.

pub mod sample;
pub mod text;

use std::{
    env,
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Response};
use tempfile::TempDir;
use url::Url;

use super::run::ended;
use crate::{
    app::{self, Start, beside},
    config::{self, Config},
    telemetry::{self, Format, Level},
};

/// Runs the demo until Ctrl-C; everything it kept is gone then.
pub(super) fn run(port: u16) -> ExitCode {
    telemetry::init(Format::for_terminal(), Level::Warn);
    ended(serve(port))
}

fn serve(port: u16) -> anyhow::Result<()> {
    let directory = TempDir::with_prefix("sallyport-demo-").context("cannot make a temporary directory")?;
    let gateway = loopback(free_port(port).or_else(|_taken| free_port(0))?);
    let admin = loopback(free_port(0)?);
    let sample = loopback(free_port(0)?);
    let config = config(gateway, admin, sample, &directory)?;
    let route = Url::parse(&format!("http://{gateway}{ROUTE}"))?;
    let announcer = thread::spawn(move || announce(gateway, &route));
    let start = Start { beside: vec![beside::service("sample", &sample.to_string(), answer)], ..Start::default() };
    let served = app::run(&config, start);
    drop(announcer);
    served
}

/// Prints how to connect as soon as the gateway accepts connections.
fn announce(gateway: SocketAddr, route: &Url) {
    let deadline = Instant::now() + READY_WITHIN;
    while TcpStream::connect(gateway).is_err() {
        if Instant::now() > deadline {
            return;
        }
        thread::sleep(READY_POLL);
    }
    // Nobody is left to tell when standard output is closed.
    let program = env::current_exe().map_or_else(|_| "sallyport".to_owned(), |path| path.display().to_string());
    drop(writeln!(io::stdout(), "{}", text::text(&program, &format!("http://{gateway}"), route)));
}

fn config(gateway: SocketAddr, admin: SocketAddr, sample: SocketAddr, directory: &TempDir) -> anyhow::Result<Config> {
    let document = serde_json::json!({
        "server": {"listen": [gateway.to_string()], "adminListen": admin.to_string(), "gracePeriodSeconds": 1},
        "store": {"url": format!("sqlite:{}", directory.path().join("demo.db").display())},
        "identity": {"provider": "dev"},
        "routes": [{
            "path": ROUTE,
            "operationId": "demo",
            "summary": "Sallyport demo",
            "upstream": {
                "url": format!("http://{sample}/mcp"),
                "displayName": "Sample MCP server",
                "authMode": "none",
            },
        }],
    });
    let source = config::Source::Text { name: "demo".to_owned(), text: document.to_string() };
    Ok(config::load(source, &|_| None)?)
}

fn answer(request: &Request<Bytes>) -> Response<Vec<u8>> {
    let answer = sample::answer(&sample::SampleRequest {
        method: request.method().clone(),
        headers: request.headers().clone(),
        body: request.body().clone(),
    });
    let mut response = Response::new(answer.body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// A port that nobody listens at; 0 asks for any.
fn free_port(port: u16) -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, port))?.local_addr()?.port())
}

const ROUTE: &str = "/mcp/demo";
const READY_WITHIN: Duration = Duration::from_secs(60);
const READY_POLL: Duration = Duration::from_millis(20);
