//! What one call costs: the same work through every proxy, in turns.

use std::{cell::RefCell, net::SocketAddr, rc::Rc, time::Duration};

use serde_json::json;

use super::{
    agentgateway,
    client::{Connection, Target, closed_loop},
    free_address::free_address,
    gateway::{Credential, Gateway, Prepared, Route, UPSTREAM_TOKEN},
    peers::{self, Peer},
    plan::Plan,
    process::{self, Core, Process},
    report::{Report, median},
};

/// One proxy with one kind of request.
struct Variant<'p> {
    name: String,
    process: Option<&'p Process>,
    address: SocketAddr,
    request: Vec<u8>,
}

/// An upstream stub.
pub fn stub() -> (Process, SocketAddr) {
    let address = free_address();
    let stub = Process::role(Core::Load, &["role:stub", &address.to_string()]);
    process::wait_for(address);
    (stub, address)
}

/// Measures CPU per request and requests per second.
pub async fn measure(plan: &Plan, report: &mut Report) {
    let (_stub, stub) = stub();
    let bare = peers::pingora(plan, stub, "/call");
    let merged = peers::merged(stub, "/call");
    let peers = if plan.has_peers() { peers::installed(stub) } else { Vec::new() };
    let gateway = Prepared::new(stub, &routes(), None, &[]).await.start();
    let quiet = Prepared::new(stub, &routes(), None, &[("/log", json!({"level": "warn"}))]).await.start();

    let direct = Target { address: stub, path: "/call".to_owned(), token: "unchecked".to_owned() };
    let mut calls = vec![variant("direct", None, &direct), of_peer(&bare), of_peer(&merged)];
    calls.extend(peers.iter().map(of_peer));
    calls.push(of_gateway("Sallyport, header credential, log off", &quiet, "header"));
    calls.push(of_gateway("Sallyport, header credential", &gateway, "header"));
    calls.push(of_gateway("Sallyport, connection of a person, log off", &quiet, "connection"));
    calls.push(of_gateway("Sallyport, connection of a person", &gateway, "connection"));
    calls.push(of_gateway("Sallyport, connection, filter", &gateway, "filter"));
    for call in &calls {
        check(
            call,
            call.name.starts_with("Sallyport") || peers.iter().any(|peer| peer.authorizes && peer.name == call.name),
        )
        .await;
    }
    run(plan, report, "tools/call, 131 bytes to 1 KiB of JSON, 32 connections", AT_FULL_SPEED, &mut calls).await;
    calls.retain(|call| !call.name.starts_with("direct"));
    let title = format!("the same calls at a rate that all of them can do, {AT_A_RATE}/s");
    run(plan, report, &title, Duration::from_secs_f64(CONNECTIONS as f64 / AT_A_RATE as f64), &mut calls).await;

    let bare_at = |path: &str| Target { path: path.to_owned(), ..bare.target.clone() };
    let mut events = vec![
        variant("bare Pingora 0.9.1 relay", Some(&bare.process), &bare_at("/sse-call")),
        of_gateway("Sallyport, connection of a person", &gateway, "sse-call"),
    ];
    run(plan, report, "tools/call answered as an event stream, chunked", AT_FULL_SPEED, &mut events).await;

    let list =
        |name: &str, process, target: &Target| Variant { request: target.list(), ..variant(name, process, target) };
    let mut lists = vec![
        list("bare Pingora 0.9.1 relay", Some(&bare.process), &bare_at("/list")),
        list("Sallyport, connection of a person", Some(&gateway.process), &gateway.target("list")),
    ];
    lists.push(list("Sallyport, filter, JSON", Some(&gateway.process), &gateway.target("list-filter")));
    lists.push(list("Sallyport, filter, SSE", Some(&gateway.process), &gateway.target("list-sse-filter")));
    run(plan, report, "tools/list of 100 tools, 60 KiB", AT_FULL_SPEED, &mut lists).await;

    // By themselves, since they use some of the core also while others are measured.
    let agentgateways = if plan.has_peers() { agentgateway::installed(stub).await } else { Vec::new() };
    if agentgateways.is_empty() {
        return;
    }
    let mut calls = vec![of_peer(&bare)];
    for (peer, call) in &agentgateways {
        let call = Variant { request: call.clone(), ..of_peer(peer) };
        check(&call, true).await;
        calls.push(call);
    }
    calls.push(of_gateway("Sallyport, connection of a person", &gateway, "connection"));
    run(plan, report, "tools/call beside agentgateway", AT_FULL_SPEED, &mut calls).await;
}

fn routes() -> Vec<Route> {
    let mut routes = vec![
        Route::new("header", "/call", Credential::Header),
        Route::new("connection", "/call", Credential::Connection),
        Route::new("sse-call", "/sse-call", Credential::Connection),
        Route::new("list", "/list", Credential::Connection),
    ];
    let half: Vec<String> =
        (0..100).step_by(2).map(|number| format!("tool_{number:03}")).chain(["tool_001".to_owned()]).collect();
    let capabilities = json!({"tools": half});
    for (name, upstream) in [("filter", "/call"), ("list-filter", "/list"), ("list-sse-filter", "/list-sse")] {
        routes.push(Route::new(name, upstream, Credential::Connection).filtered(capabilities.clone()));
    }
    routes
}

fn variant<'p>(name: &str, process: Option<&'p Process>, target: &Target) -> Variant<'p> {
    Variant { name: name.to_owned(), process, address: target.address, request: target.call() }
}

fn of_peer(peer: &Peer) -> Variant<'_> {
    variant(&peer.name, Some(&peer.process), &peer.target)
}

fn of_gateway<'p>(name: &str, gateway: &'p Gateway, route: &str) -> Variant<'p> {
    variant(name, Some(&gateway.process), &gateway.target(route))
}

/// The work is the same: the answer is there, with the upstream's credential where the proxy puts it in.
async fn check(variant: &Variant<'_>, authorizes: bool) {
    let (status, answer) = Connection::open(variant.address).await.exchange(&variant.request).await;
    let text = String::from_utf8_lossy(&answer);
    assert_eq!(status, 200, "{}: {text}", variant.name);
    assert_eq!(text.contains(UPSTREAM_TOKEN), authorizes, "{}: {text}", variant.name);
    if authorizes {
        let (status, _) = Connection::open(variant.address).await.exchange(&with_another_token(&variant.request)).await;
        assert_eq!(status, 401, "{}: a token that it does not know", variant.name);
    }
}

/// The request with one character of its token changed.
fn with_another_token(request: &[u8]) -> Vec<u8> {
    let field = b"Authorization: Bearer ";
    let start = request.windows(field.len()).position(|window| window == field).unwrap() + field.len();
    let length = request[start..].iter().position(|byte| *byte == b'\r').unwrap();
    let mut request = request.to_vec();
    let changed = &mut request[start + length - 10];
    *changed = if *changed == b'A' { b'B' } else { b'A' };
    request
}

/// Takes the variants in turns; every connection asks `every` so often at most.
async fn run(plan: &Plan, report: &mut Report, title: &str, every: Duration, variants: &mut Vec<Variant<'_>>) {
    variants.retain(|variant| plan.wants(&variant.name));
    let mut measured: Vec<(Vec<f64>, Vec<f64>)> = vec![Default::default(); variants.len()];
    for _ in 0..plan.rounds {
        for (variant, (costs, rates)) in variants.iter().zip(&mut measured) {
            let (cost, rate) =
                cost(variant.process, variant.address, &variant.request, CONNECTIONS, every, plan.window).await;
            costs.push(cost);
            rates.push(rate);
        }
    }
    let bare = variants.iter().position(|variant| variant.name.starts_with("bare"));
    let bare = bare.map(|index| measured[index].0.clone()).unwrap_or_default();
    let rows: Vec<_> = variants
        .iter()
        .zip(&measured)
        .map(|(variant, (costs, rates))| {
            let ratios: Vec<f64> = costs.iter().zip(&bare).map(|(cost, bare)| cost / bare).collect();
            let lowest = costs.iter().copied().fold(f64::NAN, f64::min);
            (variant.name.clone(), vec![median(costs), lowest, median(rates), median(&ratios)])
        })
        .collect();
    report.table(title, &["variant", "CPU µs/req", "lowest", "req/s", "of bare"], &rows);
}

/// The processor time of a proxy per request, in microseconds, and the requests per second.
pub async fn cost(
    process: Option<&Process>,
    address: SocketAddr,
    request: &[u8],
    connections: usize,
    every: Duration,
    window: Duration,
) -> (f64, f64) {
    let times: Rc<RefCell<Vec<Duration>>> = Rc::default();
    let probe = || times.borrow_mut().push(process.map_or(Duration::ZERO, Process::cpu));
    let load = closed_loop(address, request.to_vec(), connections, every, window, probe).await;
    let spent = times.borrow()[1].saturating_sub(times.borrow()[0]);
    let answers = load.answers as f64;
    let cost = if process.is_some() { spent.as_secs_f64() * 1e6 / answers } else { f64::NAN };
    (cost, answers / load.time.as_secs_f64())
}

/// As many as in the project's reference measurements.
pub const CONNECTIONS: usize = 32;
/// A connection asks again at once.
pub const AT_FULL_SPEED: Duration = Duration::ZERO;
/// Calls a second.
const AT_A_RATE: usize = 10_000;
