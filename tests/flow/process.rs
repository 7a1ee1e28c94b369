//! The program as a process: what signals and options mean.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::TestGateway;

/// Pingora's own place for the handover is in `/tmp`, where anybody may wait for our listeners.
#[tokio::test]
async fn without_a_handover_socket_nothing_is_handed_over() {
    let (mut gateway, log) = TestGateway::with_log(json!({})).await;
    let started = Instant::now();
    gateway.signal("QUIT");
    assert!(gateway.ended(Duration::from_secs(10)).success());
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(log.all().iter().any(|line| line.contains("mcp_gateway_stopping")), "{:?}", log.all());

    let file = gateway.directory.path().join("sallyport.yaml");
    let upgrade = Command::new(env!("CARGO_BIN_EXE_sallyport"))
        .args(["run", "--upgrade", "--config"])
        .arg(file)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(upgrade.status.code(), Some(1));
    let told = String::from_utf8_lossy(&upgrade.stderr).into_owned();
    assert!(told.contains("server.upgradeSocket"), "{told}");
}

/// Tokens and keys are in the memory of the process.
#[tokio::test]
async fn no_core_file_is_written() {
    let (gateway, _log) = TestGateway::with_log(json!({})).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", gateway.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
}
