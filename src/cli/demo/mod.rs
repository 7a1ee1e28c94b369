//! `sallyport demo`: a complete gateway on this machine, with an OAuth-protected sample MCP server behind it.

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

use super::run::{complain, ended};
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
    let (service, sample) = (loopback(free_port(0)?), loopback(free_port(0)?));
    let upstream = upstream_config(service, sample, &directory)?;
    let config = config(gateway, service, &directory)?;
    let route = Url::parse(&format!("http://{gateway}{ROUTE}"))?;

    thread::spawn(move || {
        let beside = vec![beside::service("sample", &sample.to_string(), answer)];
        if let Err(error) = app::run(&upstream, Start { beside, ..Start::default() }) {
            complain(&format!("sallyport: the sample service does not start: {error:#}"));
        }
    });
    thread::spawn(move || announce([service, gateway], &route));
    app::run(&config, Start::default())
}

/// Prints how to connect as soon as both gateways accept connections.
fn announce(addresses: [SocketAddr; 2], route: &Url) {
    let deadline = Instant::now() + READY_WITHIN;
    for address in addresses {
        while TcpStream::connect(address).is_err() {
            if Instant::now() > deadline {
                return;
            }
            thread::sleep(READY_POLL);
        }
    }
    let program = env::current_exe().map_or_else(|_| "sallyport".to_owned(), |path| path.display().to_string());
    let origin = route.origin().ascii_serialization();
    // Nobody is left to tell when standard output is closed.
    drop(writeln!(io::stdout(), "{}", text::text(&program, &origin, route)));
}

/// The gateway that the demo shows; its users connect an own account of the sample service.
fn config(gateway: SocketAddr, service: SocketAddr, directory: &TempDir) -> anyhow::Result<Config> {
    load(&serde_json::json!({
        "server": {"listen": [gateway.to_string()], "adminListen": loopback(free_port(0)?).to_string(), "gracePeriodSeconds": 1},
        "store": {"url": format!("sqlite:{}", directory.path().join("demo.db").display())},
        "identity": {"provider": "dev"},
        "outbound": {"allowPrivateNetworks": ["127.0.0.0/8"]},
        "routes": [{
            "path": ROUTE,
            "operationId": "demo",
            "summary": "Sallyport demo",
            "upstream": {
                // Another host name than the gateway's, because browsers share the cookies of all ports of a host.
                "url": format!("http://localhost:{}{SERVICE}", service.port()),
                "id": "sample",
                "displayName": "Sample service",
                "authMode": "user-oauth",
            },
        }],
    }))
}

/// The OAuth-protected service behind it, which knows nothing of the gateway: the sample server behind a gateway of its own.
fn upstream_config(service: SocketAddr, sample: SocketAddr, directory: &TempDir) -> anyhow::Result<Config> {
    load(&serde_json::json!({
        "server": {"listen": [service.to_string()], "adminListen": loopback(free_port(0)?).to_string(), "gracePeriodSeconds": 1},
        "store": {"url": format!("sqlite:{}", directory.path().join("sample.db").display())},
        "identity": {"provider": "dev", "users": ["sample-account"]},
        "routes": [{
            "path": SERVICE,
            "operationId": "sample",
            "summary": "Sample service",
            "upstream": {"url": format!("http://{sample}/mcp"), "displayName": "Sample MCP server", "authMode": "none"},
        }],
    }))
}

fn load(document: &serde_json::Value) -> anyhow::Result<Config> {
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
const SERVICE: &str = "/mcp";
const READY_WITHIN: Duration = Duration::from_secs(60);
const READY_POLL: Duration = Duration::from_millis(20);
