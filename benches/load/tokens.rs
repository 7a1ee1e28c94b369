//! The token endpoint: refreshes per second, and how long they take at half of that; a token that nobody remembers.

use std::{cell::RefCell, rc::Rc, time::Duration};

use tokio::{task::JoinSet, time::Instant};

use super::{
    calls,
    client::{Connection, Target, quantiles},
    gateway::{Credential, Prepared, Route, path},
    plan::Plan,
    postgres::TestDatabase,
    report::Report,
    seed,
};
use sallyport::clock::Clock;

/// Measures both stores.
pub async fn measure(plan: &Plan, report: &mut Report) {
    let mut rows = vec![refreshes(plan, "SQLite", None).await];
    if std::process::Command::new("postgres").arg("--version").output().is_ok() && !plan.quick {
        let database = TestDatabase::create().await;
        rows.push(refreshes(plan, "PostgreSQL", Some(&database.url())).await);
    }
    let columns = ["store", "refreshes/s", "p50 µs", "p99 µs", "half: p50 µs", "half: p99 µs", "cold p50 µs"];
    report.table("token endpoint, refresh tokens, 32 connections", &columns, &rows);
}

async fn refreshes(plan: &Plan, store: &str, database: Option<&str>) -> (String, Vec<f64>) {
    let (_stub, stub) = calls::stub();
    let route = [Route::new("one", "/call", Credential::Header)];
    let prepared = Prepared::new(stub, &route, database, &[]).await;
    let resource = format!("http://{}{}", prepared.address, path("one"));
    let mut chains = Vec::new();
    let mut cold = Vec::new();
    for number in 0..CONNECTIONS * GRANTS_EACH + plan.size(500, 20) {
        let person = format!("person-{number}");
        let granted = seed::grant(prepared.store.as_ref(), &person, "one", &resource, Clock::system().now()).await;
        if chains.len() < CONNECTIONS * GRANTS_EACH {
            chains.push(granted.refresh);
        } else {
            cold.push(granted.access);
        }
    }
    let gateway = prepared.start();
    let target = Target { path: "/oauth/token".to_owned(), ..gateway.target("one") };

    let chains = Rc::new(RefCell::new(chains));
    let window = plan.window * 2;
    let (count, took) = refresh(&target, &chains, None, window).await;
    let rate = f64::from(count) / window.as_secs_f64();
    let full = quantiles(took, 0.99);
    let pause = Duration::from_secs_f64(CONNECTIONS as f64 / (rate / 2.0));
    let (_, took) = refresh(&target, &chains, Some(pause), window).await;
    let half = quantiles(took, 0.99);

    let mut connection = Connection::open(gateway.address).await;
    let mut took = Vec::new();
    for token in cold {
        let request = Target { token, ..gateway.target("one") }.call();
        let sent = Instant::now();
        assert_eq!(connection.exchange(&request).await.0, 200);
        took.push(sent.elapsed());
    }
    let cold = quantiles(took, 0.99).0;
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    (store.to_owned(), vec![rate, micros(full.0), micros(full.1), micros(half.0), micros(half.1), micros(cold)])
}

/// Rotates the refresh tokens, those of a few grants on each connection, at once or with a pause from one to the next.
async fn refresh(
    target: &Target,
    chains: &Rc<RefCell<Vec<String>>>,
    pause: Option<Duration>,
    window: Duration,
) -> (u32, Vec<Duration>) {
    let took: Rc<RefCell<Vec<Duration>>> = Rc::default();
    let begun = Instant::now();
    let mut workers = JoinSet::new();
    for number in 0..CONNECTIONS {
        let (took, chains, target) = (Rc::clone(&took), Rc::clone(chains), target.clone());
        workers.spawn_local(async move {
            let mut connection = Connection::open(target.address).await;
            let mut turns = (number * GRANTS_EACH..(number + 1) * GRANTS_EACH).cycle();
            let mut due = begun + pause.unwrap_or_default() * u32::try_from(number).unwrap() / 32;
            while begun.elapsed() < window {
                if let Some(pause) = pause {
                    tokio::time::sleep_until(due).await;
                    due += pause;
                }
                let grant = turns.next().unwrap();
                let token = chains.borrow()[grant].clone();
                let form = format!("grant_type=refresh_token&client_id={}&refresh_token={token}", seed::CLIENT);
                let request = target.form(&form);
                let sent = Instant::now();
                let (status, answer) = connection.exchange(&request).await;
                took.borrow_mut().push(sent.elapsed());
                assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
                let body = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
                let answer: serde_json::Value = serde_json::from_slice(&answer[body..]).unwrap();
                answer["refresh_token"].as_str().unwrap().clone_into(&mut chains.borrow_mut()[grant]);
            }
        });
    }
    run_until_all_end(&mut workers).await;
    let took = took.take();
    (u32::try_from(took.len()).unwrap(), took)
}

async fn run_until_all_end(workers: &mut JoinSet<()>) {
    while let Some(ended) = workers.join_next().await {
        ended.unwrap();
    }
}

const CONNECTIONS: usize = 32;
/// One grant may refresh only 60 times a minute.
const GRANTS_EACH: usize = 32;
