//! The program as a process: what signals and options mean.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::{Log, TestGateway};

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

/// What everybody on the machine can read or take is said, or refused.
#[tokio::test]
async fn files_that_are_open_to_everybody_are_told_and_an_open_handover_is_refused() {
    let (mut gateway, _log) = TestGateway::with_log_and_files(
        json!({"encryption": {"keys": [{"id": "k1", "key": "$file(key)"}]}}),
        &[("key", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")],
    )
    .await;
    let warnings = |log: &Log| {
        log.await_events("mcp_gateway_started", 1);
        let events = log.events("mcp_config_warning");
        events.iter().map(|event| event["message"].to_string()).collect::<Vec<_>>()
    };
    gateway.stop();
    let open = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let directory = gateway.directory.path().to_owned();
    open(&directory.join("key"), 0o644);
    open(&directory.join("test.db"), 0o644);
    open(&directory, 0o700);
    let log = gateway.restart_process();
    assert!(warnings(&log).iter().all(|told| !told.contains("everybody")), "the directory keeps others out");
    gateway.stop();
    open(&directory, 0o755);
    let log = gateway.restart_process();
    let told = warnings(&log);
    for named in ["encryption.keys[0].key", "the database"] {
        assert!(told.iter().any(|told| told.contains("everybody") && told.contains(named)), "{named}: {told:?}");
    }
    gateway.stop();

    let handover = directory.join("handover");
    std::fs::create_dir(&handover).unwrap();
    gateway.write(json!({"server": {"upgradeSocket": handover.join("upgrade.sock")}}));
    for (mode, refused) in [(0o777, true), (0o1777, true), (0o770, true), (0o755, false)] {
        open(&handover, mode);
        if !refused {
            drop(gateway.restart_process());
            break;
        }
        let run = Command::new(env!("CARGO_BIN_EXE_sallyport")).args(["run", "--config"]).arg(gateway.file()).output();
        let run = run.unwrap();
        let told = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(run.status.code() == Some(1) && told.contains("server.upgradeSocket"), "{mode:o}: {told}");
    }
}
