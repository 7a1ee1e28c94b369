//! A process that is killed within a login: the person and the client go on as if nothing had been.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;

use crate::{
    client_documents::configuration,
    support::{Browser, Client, Protected, TestGateway, Tokens, choose_user},
};

/// It takes no goodbye, and comes back with what it had said.
fn kill(gateway: &mut TestGateway) {
    gateway.stop();
    gateway.restart_process();
}

/// The way through sign-in, consent, the connection of an upstream, and tokens, with a new process for every step.
#[tokio::test]
async fn a_login_goes_on_whatever_step_the_process_was_killed_after() {
    let upstream = Protected::start(Duration::from_secs(3600)).await;
    let (mut gateway, _log) = TestGateway::with_log(configuration(&upstream, json!({}))).await;
    let client = Client::register(&gateway).await;
    kill(&mut gateway);
    let mut browser = Browser::new(&gateway.origin);
    let chooser = browser.open(&client.authorize_url(&client.request("/mcp/one"))).await;
    kill(&mut gateway);
    let consent = choose_user(&mut browser, chooser, "ada").await;
    kill(&mut gateway);
    let leaving = browser.open(&gateway.url(&consent.link("Connect"))).await;
    let back = upstream.allow(leaving.leaves_to.as_deref().expect("to the upstream"), "ada");
    kill(&mut gateway);
    let consent = browser.open(&back).await;
    kill(&mut gateway);
    let code = browser.submit(&consent, ("decision", "approve")).await.answer()["code"].clone();
    kill(&mut gateway);
    let tokens = Tokens::from(client.redeem(&code).await).await;
    kill(&mut gateway);
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
    let tokens = Tokens::from(client.refresh(&tokens.refresh).await).await;
    kill(&mut gateway);
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
    assert_eq!(upstream.state().calls.len(), 2, "with the connection that was made on the way");
}

/// While a request is on its way nobody can say what came of it. Whoever asks again gets in, or is told to begin anew;
/// what was answered holds.
#[tokio::test]
async fn a_request_that_dies_with_its_process_can_be_made_again() {
    let (mut gateway, _log) = TestGateway::with_log(json!({})).await;
    let client = Client::register(&gateway).await;
    let mut tokens = client.log_in("/mcp/one", "ada").await;
    for after in [0, 1, 2, 4, 8] {
        let mut browser = Browser::new(&gateway.origin);
        let code = client.authorize(&mut browser, "/mcp/one", "ada").await;
        let (redeemed, refreshed) = {
            let form = [
                ("grant_type", "authorization_code"),
                ("code", &*code),
                ("redirect_uri", &client.redirect_uri),
                ("code_verifier", &client.verifier),
                ("client_id", &client.id),
            ];
            let refresh =
                [("grant_type", "refresh_token"), ("refresh_token", &*tokens.refresh), ("client_id", &client.id)];
            let url = gateway.url("/oauth/token");
            let (redeem, refresh) = (client.http.post(&url).form(&form), client.http.post(&url).form(&refresh));
            let (redeem, refresh) = (tokio::spawn(redeem.send()), tokio::spawn(refresh.send()));
            tokio::time::sleep(Duration::from_millis(after)).await;
            kill(&mut gateway);
            (redeem.await.unwrap(), refresh.await.unwrap())
        };
        match redeemed {
            Ok(answer) => {
                let new = Tokens::from(answer).await;
                assert_eq!(client.call("/mcp/one", &new.access).await.status(), StatusCode::OK, "{after} ms");
            }
            Err(_cut) => {
                let again = client.redeem(&code).await.status();
                assert!([StatusCode::OK, StatusCode::BAD_REQUEST].contains(&again), "{after} ms: {again}");
            }
        }
        // The grace window covers a refresh whose answer was lost.
        tokens = match refreshed {
            Ok(answer) => Tokens::from(answer).await,
            Err(_cut) => Tokens::from(client.refresh(&tokens.refresh).await).await,
        };
        assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK, "{after} ms");
    }
}
