//! Event streams: how fast they go, how late events are, what an idle one costs.

use std::{cell::Cell, rc::Rc, time::Duration};

use tokio::{task::JoinSet, time::Instant};

use super::{
    calls,
    client::{Connection, Target, quantiles, run_for},
    gateway::{Credential, Prepared, Route},
    peers,
    plan::Plan,
    process::{self, Process},
    report::{MIB, Report, median},
    stub,
    undisturbed::Undisturbed,
};

/// Measures throughput, lateness and memory of streams.
pub async fn measure(plan: &Plan, report: &mut Report) {
    throughput(plan, report).await;
    lateness(plan, report).await;
    memory(plan, report).await;
}

async fn throughput(plan: &Plan, report: &mut Report) {
    let (_stub, stub) = calls::stub();
    let bare = peers::pingora(plan, stub, "/flood");
    let installed = if plan.has_peers() { peers::one_of_a_kind(stub) } else { Vec::new() };
    let gateway =
        Prepared::new(stub, &[Route::new("flood", "/flood", Credential::Connection)], None, &[]).await.start();
    let at_flood = |target: &Target| Target { path: "/flood".to_owned(), ..target.clone() };
    let direct = Target { address: stub, path: "/flood".to_owned(), token: "unchecked".to_owned() };
    let mut variants: Vec<(String, Option<&Process>, Target)> =
        vec![("direct".to_owned(), None, direct), (bare.name.clone(), Some(&bare.process), bare.target.clone())];
    variants.extend(installed.iter().map(|peer| (peer.name.clone(), Some(&peer.process), at_flood(&peer.target))));
    variants.push(("Sallyport, connection of a person".to_owned(), Some(&gateway.process), gateway.target("flood")));

    let mut rounds: Vec<Vec<(f64, f64)>> = vec![Vec::new(); variants.len()];
    for _ in 0..plan.rounds {
        for ((_, process, target), rounds) in variants.iter().zip(&mut rounds) {
            rounds.push(flood(*process, target, plan.window).await);
        }
    }
    let bare = rounds[1].clone();
    let rows: Vec<_> = variants
        .iter()
        .zip(&rounds)
        .map(|((name, ..), rounds)| {
            let rates: Vec<f64> = rounds.iter().map(|round| round.0).collect();
            let costs: Vec<f64> = rounds.iter().map(|round| round.1).collect();
            let ratios: Vec<f64> = rounds.iter().zip(&bare).map(|(one, bare)| one.0 / bare.0).collect();
            (name.clone(), vec![median(&rates), median(&ratios), median(&costs)])
        })
        .collect();
    report.table(
        "events of 100 bytes at full speed, 8 streams",
        &["variant", "events/s", "of bare", "CPU µs/event"],
        &rows,
    );
}

/// Events per second, and the processor time of each in microseconds.
async fn flood(process: Option<&Process>, target: &Target, window: Duration) -> (f64, f64) {
    let events = Rc::new(Cell::new(0_usize));
    let mut workers = JoinSet::new();
    for _ in 0..8 {
        let (events, target) = (Rc::clone(&events), target.clone());
        workers.spawn_local(async move {
            let mut connection = Connection::open(target.address).await;
            connection.open_stream(&target.stream()).await;
            loop {
                connection.next().await;
                events.set(events.get() + connection.received().split(|byte| *byte == b':').count() - 1);
            }
        });
    }
    run_for(&mut workers, Duration::from_millis(200)).await;
    let (before, spent, started) = (events.get(), process.map(Process::cpu), Instant::now());
    run_for(&mut workers, window).await;
    let count = (events.get() - before) as f64 / COLONS_IN_EVENT;
    let cost = process
        .zip(spent)
        .map_or(f64::NAN, |(process, spent)| process.cpu().saturating_sub(spent).as_secs_f64() * 1e6 / count);
    (count / started.elapsed().as_secs_f64(), cost)
}

async fn lateness(plan: &Plan, report: &mut Report) {
    let undisturbed = Undisturbed::begin(plan);
    let (_stub, stub) = calls::stub();
    let bare = peers::pingora(plan, stub, "/paced");
    let gateway =
        Prepared::new(stub, &[Route::new("paced", "/paced", Credential::Connection)], None, &[]).await.start();
    let direct = Target { address: stub, path: "/paced".to_owned(), token: "unchecked".to_owned() };
    let variants = [
        ("direct".to_owned(), direct),
        (bare.name.clone(), bare.target.clone()),
        ("Sallyport, connection of a person".to_owned(), gateway.target("paced")),
    ];
    let mut rounds: Vec<Vec<(f64, f64)>> = vec![Vec::new(); variants.len()];
    for _ in 0..plan.rounds {
        for ((_, target), rounds) in variants.iter().zip(&mut rounds) {
            let (middle, upper) = quantiles(delays(target, plan.size(50, 8), plan.warm_up, plan.window).await, 0.99);
            rounds.push((middle.as_secs_f64() * 1e6, upper.as_secs_f64() * 1e6));
        }
    }
    let direct = rounds[0].clone();
    let rows: Vec<_> = variants
        .iter()
        .zip(&rounds)
        .map(|((name, _), rounds)| {
            let all = |of: fn(&(f64, f64)) -> f64| median(&rounds.iter().map(of).collect::<Vec<_>>());
            let added = |of: fn(&(f64, f64)) -> f64| {
                median(&rounds.iter().zip(&direct).map(|(one, direct)| of(one) - of(direct)).collect::<Vec<_>>())
            };
            (name.clone(), vec![all(|both| both.0), all(|both| both.1), added(|both| both.0), added(|both| both.1)])
        })
        .collect();
    let title = format!(
        "delay of events, {} streams, one event each {:?}, microseconds; {}",
        plan.size(50, 8),
        stub::PACE,
        undisturbed.describe()
    );
    report.table(&title, &["variant", "p50", "p99", "added p50", "added p99"], &rows);
}

/// How long after it was sent each event arrived.
async fn delays(target: &Target, streams: usize, warm_up: Duration, window: Duration) -> Vec<Duration> {
    let delays: Rc<std::cell::RefCell<Vec<Duration>>> = Rc::default();
    let mut workers = JoinSet::new();
    for _ in 0..streams {
        let (delays, target) = (Rc::clone(&delays), target.clone());
        workers.spawn_local(async move {
            let mut connection = Connection::open(target.address).await;
            connection.open_stream(&target.stream()).await;
            loop {
                connection.next().await;
                let arrived = stub::now();
                let text = String::from_utf8_lossy(connection.received());
                for event in text.split("data: ").skip(1) {
                    if let Some(Ok(sent)) = event.get(..20).map(str::parse::<u128>) {
                        let late = u64::try_from(arrived.saturating_sub(sent)).unwrap();
                        delays.borrow_mut().push(Duration::from_nanos(late));
                    }
                }
            }
        });
    }
    run_for(&mut workers, warm_up).await;
    delays.borrow_mut().clear();
    run_for(&mut workers, window).await;
    delays.take()
}

async fn memory(plan: &Plan, report: &mut Report) {
    let mut rows = Vec::new();
    for count in [plan.size(1000, 50), plan.size(10_000, 100)].map(process::streams_within) {
        let (_stub, stub) = calls::stub();
        let bare = peers::pingora(plan, stub, "/idle");
        let gateway =
            Prepared::new(stub, &[Route::new("idle", "/idle", Credential::Connection)], None, &[]).await.start();
        for (name, process, target) in [
            ("bare Pingora 0.9.1 relay", &bare.process, &bare.target),
            ("Sallyport, connection of a person", &gateway.process, &gateway.target("idle")),
        ] {
            let before = process.resident();
            let streams = open(target, count).await;
            let per_stream = (process.resident() - before) as f64 / 1024.0 / count as f64;
            rows.push((format!("{name}, {count} streams"), vec![before as f64 / MIB, per_stream]));
            drop(streams);
        }
    }
    report.table("memory of idle streams", &["variant", "MiB before", "KiB/stream"], &rows);
}

/// Opens idle streams and waits for their heads.
pub async fn open(target: &Target, count: usize) -> Vec<Connection> {
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        let mut connection = Connection::open(target.address).await;
        connection.open_stream(&target.stream()).await;
        connection.forget();
        streams.push(connection);
    }
    streams
}

/// `event: message` and `data: ` have one each, and chunks have none.
const COLONS_IN_EVENT: f64 = 2.0;
