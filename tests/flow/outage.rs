//! A store that does not answer: said so, with the time to come back, and recovering by itself.

use reqwest::{StatusCode, header};

use crate::support::{Browser, Client, TestGateway};

#[tokio::test]
async fn while_the_store_is_locked_clients_and_people_are_told_to_come_back() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;

    let database = gateway.database();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = client.refresh(&tokens.refresh).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key(header::RETRY_AFTER));
    assert_eq!(refused.json::<serde_json::Value>().await.unwrap()["error"], "temporarily_unavailable");
    let page = Browser::new(&gateway.origin).open(&client.authorize_url(&client.request("/mcp/one"))).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.headers.contains_key(header::RETRY_AFTER));
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);

    database.execute_batch("ROLLBACK").unwrap();
    assert_eq!(client.refresh(&tokens.refresh).await.status(), StatusCode::OK);
}

/// A row that cannot be read will not be readable in five seconds either.
#[tokio::test]
async fn a_damaged_store_is_an_error_and_not_a_promise() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    gateway.database().execute("UPDATE clients SET auth_method = 'nonsense'", []).unwrap();
    let refused = client.refresh("rt_unknown").await;
    assert_eq!(refused.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!refused.headers().contains_key(header::RETRY_AFTER));
    assert_eq!(refused.json::<serde_json::Value>().await.unwrap()["error"], "server_error");
    let page = Browser::new(&gateway.origin).open(&client.authorize_url(&client.request("/mcp/one"))).await;
    assert_eq!(page.status, StatusCode::INTERNAL_SERVER_ERROR);
}
