//! Token revocation (RFC 7009).

use reqwest::{Response, StatusCode};

use crate::support::{Client, TestGateway};

async fn revoke(client: &Client, token: &str) -> Response {
    let form = [("token", token), ("client_id", &client.id)];
    client.http.post(format!("{}/oauth/revoke", client.origin)).form(&form).send().await.unwrap()
}

#[tokio::test]
async fn a_revoked_access_token_is_refused_at_once_and_the_grant_lives_on() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
    let answer = revoke(&client, &tokens.access).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.bytes().await.unwrap().is_empty());
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(client.refresh(&tokens.refresh).await.status(), StatusCode::OK);
}

/// RFC 7009 section 2.1: revoking the refresh token ends the access tokens of the grant too.
#[tokio::test]
async fn a_revoked_refresh_token_ends_the_grant() {
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
    assert_eq!(revoke(&client, &tokens.refresh).await.status(), StatusCode::OK);
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(client.refresh(&tokens.refresh).await.status(), StatusCode::BAD_REQUEST);
}

/// RFC 7009 section 2.2: the answer does not tell whether there was such a token.
#[tokio::test]
async fn unknown_and_foreign_tokens_get_the_same_answer_and_stay_as_they_are() {
    let gateway = TestGateway::start().await;
    let (client, stranger) = (Client::register(&gateway).await, Client::register(&gateway).await);
    let tokens = client.log_in("/mcp/one", "ada").await;
    for token in ["rt_unknown", tokens.access.as_str(), tokens.refresh.as_str()] {
        let answer = revoke(&stranger, token).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.bytes().await.unwrap().is_empty());
    }
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
    assert_eq!(client.refresh(&tokens.refresh).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_unknown_client_may_not_revoke() {
    let gateway = TestGateway::start().await;
    let mut client = Client::register(&gateway).await;
    client.id = "dcr:unknown".to_owned();
    assert_eq!(revoke(&client, "rt_x").await.status(), StatusCode::UNAUTHORIZED);
}
