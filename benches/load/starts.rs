//! How soon the gateway is ready, and what it weighs: idle, and with a hundred thousand principals in memory.

use std::{rc::Rc, time::Duration};

use rusqlite::params;
use sallyport::crypto::{Digest, random_token};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    calls,
    client::{Connection, Target},
    gateway::{Credential, Prepared, Route},
    plan::Plan,
    report::{MIB, Report, median},
};

/// Measures start and memory.
pub async fn measure(plan: &Plan, report: &mut Report) {
    let (_stub, stub) = calls::stub();
    let mut times = Vec::new();
    let mut weights = Vec::new();
    for _ in 0..plan.rounds {
        let prepared = Prepared::new(stub, &[Route::new("one", "/call", Credential::Connection)], None, &[]).await;
        let started = Instant::now();
        let process = prepared.spawn();
        while !prepared.is_ready().await {
            sleep(Duration::from_millis(1)).await;
        }
        times.push(started.elapsed().as_secs_f64() * 1e3);
        sleep(Duration::from_millis(200)).await;
        weights.push(process.resident() as f64 / MIB);
    }
    let rows = vec![("SQLite, one route".to_owned(), vec![median(&times), median(&weights)])];
    report.table("start", &["store", "ms to ready", "MiB idle"], &rows);

    let count = plan.size(100_000, 1000);
    let prepared = Prepared::new(stub, &[Route::new("one", "/call", Credential::Header)], None, &[]).await;
    let tokens = many_tokens(&prepared, count, Grants::OfTheirOwn);
    let gateway = prepared.start();
    let target = gateway.target("one");
    call_each(&target, &tokens[..tokens.len() / 100]).await;
    let before = gateway.process.resident();
    call_each(&target, &tokens).await;
    let after = gateway.process.resident();
    let mib = (after - before) as f64 / MIB;
    let rows = vec![(format!("{count} principals"), vec![before as f64 / MIB, mib])];
    report.table("principals in memory", &["", "MiB before", "MiB more"], &rows);
}

/// Whose grants many tokens are of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Grants {
    /// Each of a grant of another person.
    OfTheirOwn,
    /// All of the one that is there.
    One,
}

/// Puts access tokens into the SQLite file of a gateway that is not running, faster than they would come about.
pub fn many_tokens(prepared: &Prepared, count: usize, grants: Grants) -> Vec<String> {
    let mut database = rusqlite::Connection::open(prepared.directory.path().join("sallyport.db")).unwrap();
    let transaction = database.transaction().unwrap();
    let mut tokens = Vec::with_capacity(count);
    {
        let mut grant = transaction
            .prepare(
                "INSERT INTO grants SELECT ?1 AS id, ?2 AS subject, client_id, operation_id, resource, scope, created_at,
                 expires_at, revoked_at FROM grants LIMIT 1",
            )
            .unwrap();
        let mut token = transaction
            .prepare("INSERT INTO access_tokens (digest, grant_id, expires_at) SELECT ?1, ?2, expires_at FROM grants LIMIT 1")
            .unwrap();
        let first: String = transaction.query_row("SELECT id FROM grants", [], |row| row.get(0)).unwrap();
        for number in 0..count {
            let text = random_token("at_");
            let id = if grants == Grants::One { first.clone() } else { random_token("") };
            if grants == Grants::OfTheirOwn {
                grant.execute(params![id, format!("{}{number:012}", "s".repeat(31))]).unwrap();
            }
            token.execute(params![Digest::of(&text).as_bytes(), id]).unwrap();
            tokens.push(text);
        }
    }
    transaction.commit().unwrap();
    tokens
}

/// One call with each token.
async fn call_each(target: &Target, tokens: &[String]) {
    let tokens: Rc<[String]> = tokens.into();
    let mut workers = JoinSet::new();
    for worker in 0..calls::CONNECTIONS {
        let (tokens, target) = (Rc::clone(&tokens), target.clone());
        workers.spawn_local(async move {
            let mut connection = Connection::open(target.address).await;
            for token in tokens.iter().skip(worker).step_by(calls::CONNECTIONS) {
                let request = Target { token: token.clone(), ..target.clone() }.call();
                assert_eq!(connection.exchange(&request).await.0, 200);
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.unwrap();
    }
}
