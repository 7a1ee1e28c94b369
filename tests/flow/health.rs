//! The admin listener.

use reqwest::StatusCode;

use crate::support::TestGateway;

#[tokio::test]
async fn health_and_readiness_are_told_on_the_admin_listener_only() {
    let gateway = TestGateway::start().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(reqwest::get(format!("{}{path}", gateway.admin)).await.unwrap().status(), StatusCode::OK, "{path}");
        assert_eq!(reqwest::get(gateway.url(path)).await.unwrap().status(), StatusCode::NOT_FOUND, "{path}");
    }
}
