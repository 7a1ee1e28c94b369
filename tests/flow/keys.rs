//! `sallyport keys rotate`: a new sealing key, while the gateway serves.

use std::{
    process::{Command, Output},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    client_documents::{configuration, leave, signed_in},
    support::{Client, Protected, TestGateway, Tokens},
};

fn keys(ids: &[(&str, u8)]) -> Value {
    let key = |(id, byte): &(&str, u8)| json!({"id": id, "key": STANDARD.encode([*byte; 32])});
    json!({"encryption": {"keys": ids.iter().map(key).collect::<Vec<_>>()}})
}

const OLD: (&str, u8) = ("k-old", 1);
const NEW: (&str, u8) = ("k-new", 2);

fn rotate(gateway: &TestGateway, ids: &[(&str, u8)]) -> Output {
    let mut document = gateway.document.clone();
    document["encryption"] = keys(ids)["encryption"].clone();
    let file = gateway.directory.path().join("rotate.yaml");
    std::fs::write(&file, document.to_string()).unwrap();
    Command::new(env!("CARGO_BIN_EXE_sallyport")).args(["keys", "rotate", "--config"]).arg(&file).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn call(client: &Client, tokens: &Tokens) -> Value {
    crate::connect::call(client, &tokens.access).await
}

#[tokio::test]
async fn after_a_rotation_while_serving_the_old_key_can_go() {
    let upstream = Protected::start(Duration::from_secs(3600)).await;
    upstream.state().metadata = json!({"token_endpoint_auth_methods_supported": ["private_key_jwt"]});
    let mut document = configuration(&upstream, json!({}));
    document["encryption"] = keys(&[OLD])["encryption"].clone();
    let mut gateway = TestGateway::with(document).await;
    let mut browser = signed_in(&gateway).await;
    let leaving = leave(&gateway, &mut browser).await;
    browser.open(&upstream.allow(leaving.leaves_to.as_deref().unwrap(), "ada")).await;
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    assert_eq!(call(&client, &tokens).await["result"]["person"], "ada");

    let alone = rotate(&gateway, &[NEW]);
    assert!(
        !alone.status.success()
            && said(&alone).contains("0 values sealed anew")
            && said(&alone).contains("3 that no key opens")
    );

    gateway.restart_with(keys(&[NEW, OLD]));
    let rotated = rotate(&gateway, &[NEW, OLD]);
    assert!(rotated.status.success(), "{rotated:?}");
    assert!(said(&rotated).starts_with("3 values sealed anew, 0 replaced"), "{}", said(&rotated));
    assert_eq!(call(&client, &tokens).await["result"]["person"], "ada", "while it serves");
    assert!(said(&rotate(&gateway, &[NEW, OLD])).starts_with("0 values sealed anew"), "nothing is left to do");

    let sealed_by_the_old = "SELECT (SELECT count(*) FROM connections WHERE instr(sealed_tokens, 'k-old'))
        + (SELECT count(*) FROM upstream_clients WHERE instr(sealed_details, 'k-old'))
        + (SELECT count(*) FROM signing_keys WHERE instr(sealed_key, 'k-old'))";
    let left: i64 = gateway.database().query_row(sealed_by_the_old, [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);

    gateway.restart_with(keys(&[NEW]));
    gateway.clock.advance(Duration::from_secs(3599));
    let tokens = Tokens::from(client.refresh(&tokens.refresh).await).await;
    assert_eq!(call(&client, &tokens).await["result"]["person"], "ada", "refreshed with the re-sealed registration");
    let state = upstream.state();
    assert_eq!((state.refreshes, state.registrations.len()), (1, 1));
}

#[test]
fn without_a_key_to_change_to_nothing_happens() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sallyport.yaml");
    let document = json!({
        "identity": {"provider": "dev"},
        "store": {"url": format!("sqlite:{}", directory.path().join("test.db").display())},
        "routes": [{"path": "/mcp", "operationId": "one", "upstream": {"url": "http://127.0.0.1:1/mcp", "authMode": "none"}}],
    });
    std::fs::write(&file, document.to_string()).unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_sallyport")).args(["keys", "rotate", "--config"]).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("id: embedded"));
}

/// A row that was moved to another person opens nothing there, and ends nothing of its own.
#[tokio::test]
async fn a_connection_that_was_moved_to_another_person_does_not_open() {
    let upstream = Protected::start(Duration::from_secs(3600)).await;
    let gateway = TestGateway::with(configuration(&upstream, json!({}))).await;
    let client = Client::register(&gateway).await;
    let mut tokens = Vec::new();
    for user in ["ada", "bob"] {
        let mut browser = crate::support::Browser::new(&gateway.origin);
        client.consent_page(&mut browser, "/mcp/one", user).await;
        let leaving = leave(&gateway, &mut browser).await;
        browser.open(&upstream.allow(leaving.leaves_to.as_deref().unwrap(), user)).await;
        tokens.push(client.log_in("/mcp/one", user).await);
    }
    let move_row =
        "UPDATE connections SET sealed_tokens = (SELECT sealed_tokens FROM connections ORDER BY owner LIMIT 1)";
    assert_eq!(gateway.database().execute(move_row, []).unwrap(), 2);
    gateway.clock.advance(Duration::from_secs(11));
    let mut answers = Vec::new();
    for (user, tokens) in ["ada", "bob"].iter().zip(&tokens) {
        let answer = call(&client, tokens).await;
        if answer["result"]["person"] == **user {
            answers.push("own");
        } else {
            assert_eq!(answer["error"]["data"]["state"], "reconsent_required", "{answer}");
            answers.push("none");
        }
    }
    answers.sort_unstable();
    assert_eq!(answers, ["none", "own"], "each has their own or nothing");
}
