//! What the gateway costs beside a bare Pingora relay and other proxies: `cargo bench --bench load`.
//!
//! Everything runs on loopback: an upstream stub, the load, and one proxy at a time under it, the proxy on the first
//! core and the rest on the second. `docs/performance.md` says how to read the figures. `-- --quick` proves in less than a
//! minute that it all runs; `-- --only calls,streams` picks parts.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    reason = "a benchmark talks to a terminal and may fall over; its counts are far below 2^52"
)]

mod agentgateway;
mod calls;
mod client;
mod gateway;
mod growth;
mod jwt;
mod latency;
mod peers;
mod plan;
mod process;
mod published;
mod relay;
mod report;
#[path = "../support/seed.rs"]
mod seed;
mod starts;
mod streams;
mod stub;
mod tokens;
mod undisturbed;

#[path = "../../tests/support/free_address.rs"]
mod free_address;
#[path = "../../tests/support/postgres.rs"]
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
mod postgres;

use plan::Plan;
use report::Report;

fn main() {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("role:pinned") => process::run_pinned(arguments),
        Some("role:stub") => stub::run(&arguments.next().unwrap()),
        Some("role:relay") => relay::run(arguments),
        Some("role:awake") => undisturbed::stay_awake(),
        _ => bench(&Plan::from_arguments()),
    }
}

fn bench(plan: &Plan) {
    let _installed_or_was_before = rustls::crypto::ring::default_provider().install_default();
    process::allow_many_files();
    let mut report = Report::new(plan);
    process::pin(process::Core::Load);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        if plan.has("calls") {
            calls::measure(plan, &mut report).await;
        }
        if plan.has("latency") {
            latency::measure(plan, &mut report).await;
        }
        if plan.has("streams") {
            streams::measure(plan, &mut report).await;
        }
        if plan.has("tokens") {
            tokens::measure(plan, &mut report).await;
        }
        if plan.has("starts") {
            starts::measure(plan, &mut report).await;
        }
        if plan.has("growth") {
            growth::measure(plan, &mut report).await;
        }
    });
    report.finish();
}
