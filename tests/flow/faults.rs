//! What breaks around a gateway: it says so in time, loses nothing that it acknowledged, and mends by itself.

mod killed;
mod provider;
mod upstreams;
mod waiting;

use std::{
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use reqwest::{StatusCode, header};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    leaving::SOON,
    postgres::Cluster,
    support::{Browser, Client, TestGateway, Tokens, choose_user},
};

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn on(url: &str) -> Value {
    json!({"store": {"url": url}, "encryption": {"keys": [{"id": "k1", "key": KEY}]}})
}

/// Runs the program with a store until it gives up.
fn run_on(store: &str, directory: &Path) -> Output {
    let mut document = on(store);
    let free = || crate::support::free_address().to_string();
    document["server"] = json!({"listen": [free()], "adminListen": free()});
    document["identity"] = json!({"provider": "dev", "users": ["ada"]});
    document["routes"] = json!([{"path": "/mcp/a", "operationId": "a",
        "upstream": {"url": "http://127.0.0.1:1/", "authMode": "none"}}]);
    let file = directory.join("sallyport.yaml");
    std::fs::write(&file, document.to_string()).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_sallyport"));
    program.args(["run", "--config"]).arg(file).stderr(Stdio::piped()).output().unwrap()
}

async fn until_ready(gateway: &TestGateway) {
    let (begun, ready) = (Instant::now(), format!("{}/readyz", gateway.admin));
    while reqwest::get(&ready).await.unwrap().status() != StatusCode::OK {
        assert!(begun.elapsed() < SOON, "it does not recover");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn open_files(gateway: &TestGateway) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", gateway.pid())).unwrap().count()
}

/// The memory of the process, in bytes.
fn resident(gateway: &TestGateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Refreshes although the store does not play along; it must be told when to come back, within the store's deadlines.
async fn is_told_to_come_back(client: &Client, tokens: &Tokens) {
    let begun = Instant::now();
    let refused = client.refresh(&tokens.refresh).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key(header::RETRY_AFTER));
    assert_eq!(refused.json::<Value>().await.unwrap()["error"], "temporarily_unavailable");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn a_database_that_never_comes_ends_the_start_and_is_named() {
    let directory = TempDir::new().unwrap();
    let begun = Instant::now();
    let output = run_on(&format!("postgres://ada@{}/sallyport", crate::support::free_address()), directory.path());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("store.url") && told.contains("did not answer for 30 seconds"), "{told}");
    assert!(told.contains("mcp_store_unavailable"), "it says what it waits for: {told}");
    assert!((30..60).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[test]
fn a_file_that_is_no_database_ends_the_start_and_is_named_and_kept() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("junk.db");
    std::fs::write(&file, "no database ".repeat(1000)).unwrap();
    let output = run_on(&format!("sqlite:{}", file.display()), directory.path());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("junk.db"), "{told}");
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("no database"));
}

/// The primary's URL and the standby's stand in one `store.url`. With synchronous replication nothing that was acknowledged
/// can be lost, and no restart is needed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_takes_over_has_all_that_was_acknowledged() {
    let mut primary = Cluster::start(None);
    let standby = Cluster::standby_of(&mut primary).await;
    let hosts = [&primary, &standby].map(|cluster| cluster.directory().display().to_string().replace('/', "%2F"));
    let url = format!("postgres://postgres@{}/postgres?target_session_attrs=read-write", hosts.join(","));
    let (gateway, _log) = TestGateway::with_log(on(&url)).await;
    let client = Client::register(&gateway).await;
    let mut tokens = client.log_in("/mcp/one", "ada").await;
    for _ in 0..5 {
        tokens = Tokens::from(client.refresh(&tokens.refresh).await).await;
    }
    let before = open_files(&gateway);
    primary.stop();
    is_told_to_come_back(&client, &tokens).await;
    standby.run("SELECT pg_promote()").await;
    until_ready(&gateway).await;
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
    assert_eq!(client.refresh(&tokens.refresh).await.status(), StatusCode::OK);
    client.log_in("/mcp/two", "bob").await;
    assert!(open_files(&gateway) <= before + 4, "{before} {}", open_files(&gateway));
}

/// The codes are those of the server itself: 25006 `read_only_sql_transaction`, 53100 `disk_full`, 57014 for what waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_read_only_full_slow_or_cuts_its_connections_is_survived() {
    let cluster = Cluster::start(None);
    let (gateway, log) = TestGateway::with_log(on(&cluster.url())).await;
    let client = Client::register(&gateway).await;
    let mut tokens = client.log_in("/mcp/one", "ada").await;
    let slow = |release: &str| format!("BEGIN; LOCK TABLE refresh_tokens IN ACCESS EXCLUSIVE MODE; {release}");
    let (locking, lock) = {
        let (locking, connection) = tokio_postgres::connect(&cluster.url(), tokio_postgres::NoTls).await.unwrap();
        (locking, tokio::spawn(connection))
    };
    let read_only = |on: &str| format!("ALTER SYSTEM SET default_transaction_read_only = {on}");
    let before = open_files(&gateway);
    for fault in ["read-only", "full", "slow"] {
        match fault {
            "read-only" => {
                cluster.run(&read_only("on")).await;
                cluster.run("SELECT pg_reload_conf()").await;
                // The server's processes read it between two statements.
                let begun = Instant::now();
                while Client::try_register(&gateway).await == StatusCode::CREATED {
                    assert!(begun.elapsed() < SOON, "it is not read-only");
                }
            }
            "full" => {
                cluster
                    .run(
                        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                              RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$",
                    )
                    .await;
                let trigger = "CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON refresh_tokens
                                   EXECUTE FUNCTION full_disk()";
                cluster.run(trigger).await;
            }
            _ => locking.batch_execute(&slow("")).await.unwrap(),
        }
        is_told_to_come_back(&client, &tokens).await;
        assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK, "{fault}: still known");
        match fault {
            "read-only" => {
                cluster.run(&read_only("off")).await;
                cluster.run("SELECT pg_reload_conf()").await;
            }
            "full" => cluster.run("DROP TRIGGER full_disk ON refresh_tokens").await,
            _ => locking.batch_execute("ROLLBACK").await.unwrap(),
        }
        let begun = Instant::now();
        tokens = loop {
            let response = client.refresh(&tokens.refresh).await;
            if response.status() == StatusCode::OK {
                break Tokens::from(response).await;
            }
            assert!(begun.elapsed() < SOON, "{fault}: it does not mend");
        };
    }
    // Every connection at once, again and again: at most the statement that was under way is refused.
    for _ in 0..5 {
        let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'sallyport%'";
        cluster.run(others).await;
        let begun = Instant::now();
        while client.refresh(&tokens.refresh).await.status() != StatusCode::OK {
            assert!(begun.elapsed() < SOON, "it does not mend");
        }
    }
    drop(locking);
    lock.await.unwrap().unwrap();
    assert!(open_files(&gateway) <= before + 4, "{before} {}", open_files(&gateway));
    assert!(log.all().iter().any(|line| line.contains("53100")), "the log has the cause");
}

/// The disk gives no more while the gateway serves; what was acknowledged is there, and no restart is needed.
#[tokio::test]
async fn a_disk_that_takes_no_more_is_survived() {
    let (mut gateway, _log) = TestGateway::with_log(json!({})).await;
    let client = Client::register(&gateway).await;
    let mut tokens = client.log_in("/mcp/one", "ada").await;
    let (pid, wal) = (gateway.pid().to_string(), gateway.directory.path().join("test.db-wal"));
    let limit = |bytes: &str| {
        let set = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}:")]).status();
        assert!(set.unwrap().success());
    };
    limit(&(std::fs::metadata(&wal).unwrap().len() + 64 * 1024).to_string());
    let begun = Instant::now();
    loop {
        let response = client.refresh(&tokens.refresh).await;
        if response.status() != StatusCode::OK {
            break;
        }
        tokens = Tokens::from(response).await;
        assert!(begun.elapsed() < SOON, "the limit has no effect");
    }
    is_told_to_come_back(&client, &tokens).await;
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
    limit("unlimited");
    tokens = Tokens::from(client.refresh(&tokens.refresh).await).await;
    gateway.stop();
    gateway.restart_process();
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
}

/// Each step of a login is a request that was answered: whoever goes on after a crash goes on from there.
#[tokio::test]
async fn a_gateway_that_is_killed_after_each_step_of_a_login_goes_on_from_there() {
    let (mut gateway, _log) = TestGateway::with_log(json!({})).await;
    let crash = |gateway: &mut TestGateway| {
        gateway.stop();
        gateway.restart_process();
    };
    let client = Client::register(&gateway).await;
    crash(&mut gateway);
    let mut browser = Browser::new(&gateway.origin);
    let chooser = browser.open(&client.authorize_url(&client.request("/mcp/one"))).await;
    crash(&mut gateway);
    let consent = choose_user(&mut browser, chooser, "ada").await;
    crash(&mut gateway);
    let left = browser.submit(&consent, ("decision", "approve")).await;
    crash(&mut gateway);
    let code = left.answer()["code"].clone();
    let tokens = Tokens::from(client.redeem(&code).await).await;
    crash(&mut gateway);
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
    let refreshed = Tokens::from(client.refresh(&tokens.refresh).await).await;
    crash(&mut gateway);
    assert_eq!(client.call("/mcp/one", &refreshed.access).await.status(), StatusCode::OK);
    // Spent is spent, whoever was killed: the code's second use ends the grant.
    assert_eq!(client.redeem(&code).await.status(), StatusCode::BAD_REQUEST);
    crash(&mut gateway);
    assert_eq!(client.call("/mcp/one", &refreshed.access).await.status(), StatusCode::UNAUTHORIZED);
}

/// A clock that jumps back must not prolong what is believed from memory, nor lock anybody out; one that jumps forward ends
/// what has ended and nothing else.
#[tokio::test]
async fn a_clock_that_jumps_prolongs_no_belief_and_locks_nobody_out() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
    gateway.clock.set_back(Duration::from_hours(1));
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
    let others = client.log_in("/mcp/two", "bob").await;
    gateway.database().execute("UPDATE grants SET revoked_at = 1", []).unwrap();
    gateway.clock.set_back(Duration::from_hours(1));
    for (route, token) in [("/mcp/one", &tokens), ("/mcp/two", &others)] {
        assert_eq!(client.call(route, &token.access).await.status(), StatusCode::UNAUTHORIZED, "asked anew");
    }
    let tokens = client.log_in("/mcp/one", "ada").await;
    gateway.clock.advance(Duration::from_hours(24));
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(client.refresh(&tokens.refresh).await.status(), StatusCode::OK);
}
