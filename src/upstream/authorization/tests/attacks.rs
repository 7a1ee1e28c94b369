//! Upstreams that try to turn the gateway against the network it stands in.

use serde_json::json;
use url::Url;

use super::{
    discovery::find,
    fake::{Fake, RESOURCE_METADATA, SERVER_METADATA, discovery, on_loopback, settings},
};
use crate::{
    clock::Clock,
    outbound::{
        self,
        test_server::{Reply, TestServer},
    },
    upstream::{OauthSettings, authorization::DiscoveryError as Error},
};

/// Contract section 11: configuring an upstream is the permission to reach it, and it alone.
#[tokio::test]
async fn what_a_private_upstream_names_needs_the_operators_permission() {
    let fake = Fake::start().await;
    let error = discovery(&[], &Clock::system()).discover(&fake.mcp(), &settings(), None).await.unwrap_err();
    assert_eq!(fake.paths(), ["/mcp"]);
    assert!(matches!(error, Error::ResourceMetadata(outbound::Error::Blocked { .. })), "{error:?}");
    assert!(error.to_string().contains("`outbound.allowPrivateNetworks`"), "{error}");
    assert!(error.operator_hint().contains("`outbound.allowPrivateNetworks`"));
    assert!(!error.is_transient());
}

/// SEC-28, SEC-29: metadata that points into the network.
#[tokio::test]
async fn metadata_that_points_at_private_addresses_is_not_fetched() {
    let victim = TestServer::start(|_| Reply::json("{}")).await;
    let port = victim.address.port();
    // The fake is within the operator's permission, the victim beside it is not.
    let find = |fake: &Fake, challenge: String| {
        let url = fake.mcp();
        async move { discovery(&["127.0.0.1/32"], &Clock::system()).discover(&url, &settings(), Some(&challenge)).await }
    };
    for target in [
        "https://169.254.169.254/latest/meta-data/".to_owned(),
        "https://[::ffff:169.254.169.254]/".to_owned(),
        "https://[fd00:ec2::254]/".to_owned(),
        "https://10.0.0.1/".to_owned(),
        format!("https://127.0.0.2:{port}/"),
        format!("https://[::1]:{port}/"),
    ] {
        let fake = Fake::start().await;
        let error = find(&fake, format!("Bearer resource_metadata=\"{target}\"")).await.unwrap_err();
        assert!(matches!(error, Error::ResourceMetadata(outbound::Error::Blocked { .. })), "{target}: {error:?}");
        fake.with_resource_metadata(&json!({"authorization_servers": [target]}));
        let error = find(&fake, "Bearer".to_owned()).await.unwrap_err();
        assert!(matches!(error, Error::ServerMetadata(outbound::Error::Blocked { .. })), "{target}: {error:?}");
    }
    let fake = Fake::start().await;
    for target in ["http://169.254.169.254/", "http://localhost/", "file:///etc/passwd", "javascript:1", "x"] {
        let error = find(&fake, format!("Bearer resource_metadata=\"{target}\"")).await.unwrap_err();
        assert!(matches!(error, Error::MetadataUrl { .. }), "{target}: {error:?}");
    }
    assert_eq!((fake.paths().len(), victim.connections()), (0, 0));
}

#[tokio::test]
async fn this_machines_localhost_needs_permission() {
    let fake = Fake::start().await;
    let localhost = Url::parse(&fake.mcp().as_str().replace("127.0.0.1", "localhost")).unwrap();
    let error = discovery(&[], &Clock::system()).discover(&localhost, &settings(), None).await.unwrap_err();
    assert!(matches!(error, Error::ResourceMetadata(outbound::Error::Blocked { .. })), "{error:?}");
    assert_eq!(fake.paths(), ["/mcp"]);
}

#[tokio::test]
async fn a_redirect_is_not_followed_into_the_network() {
    let victim = TestServer::start(|_| Reply::json("{}")).await;
    let location = victim.url("/").to_string();
    for path in ["/mcp", RESOURCE_METADATA, SERVER_METADATA] {
        let fake = Fake::start().await;
        fake.tell(path, 307, &[("Location", &location)], "");
        let _outcome = find(&fake).await;
    }
    assert_eq!(victim.connections(), 0);
}

#[tokio::test]
async fn a_ten_gigabyte_document_is_dropped() {
    for announced in [true, false] {
        let large = TestServer::start(move |_| {
            let length = if announced { "Content-Length: 10737418240\r\n" } else { "" };
            Reply::Endless(format!("HTTP/1.1 200 OK\r\n{length}\r\n").into_bytes(), vec![b' '; 8192])
        })
        .await;
        let configured = OauthSettings { protected_resource_metadata_url: Some(large.url("/")), ..settings() };
        let error = on_loopback().discover(&large.url("/mcp"), &configured, None).await.unwrap_err();
        assert!(matches!(error, Error::ResourceMetadata(outbound::Error::TooLarge { .. })), "{error:?}");
        assert!(large.sent_until_hang_up().await < 64 * 1024 * 1024);
    }
}

/// What strangers write reaches the log cut and without control characters, and the person not at all.
#[tokio::test]
async fn an_error_repeats_little_of_what_a_stranger_wrote() {
    let fake = Fake::start().await;
    fake.with_metadata(&json!({"issuer": format!("https://evil.example/\n\u{1b}[2J\u{202e}{}", "x".repeat(5000))}));
    let error = find(&fake).await.unwrap_err();
    let printed = error.to_string();
    assert!(printed.len() < 500 && printed.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{printed}");
    assert!(!error.user_sentence().contains("evil"));
}
