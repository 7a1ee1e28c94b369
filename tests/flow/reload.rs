//! SIGHUP: a changed configuration holds as a whole or not at all, and nothing that is under way notices.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::StatusCode;
use rustls::{ClientConfig, pki_types::ServerName};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{
    leaving::{SOON, open_stream, upstream},
    support::{Authority, Client, Log, TestGateway, Upstream, free_address},
};

const RELOADED: &str = "mcp_config_reloaded";
const REFUSED: &str = "mcp_config_reload_refused";

fn route(name: &str, url: &str) -> Value {
    json!({"path": format!("/mcp/{name}"), "operationId": name, "upstream": {"url": url, "authMode": "none"}})
}

/// Asks for a reload and waits until `event` was logged once more.
fn reload(gateway: &mut TestGateway, log: &Log, changes: Value, event: &str) -> Value {
    let before = log.events(event).len();
    gateway.write(changes);
    gateway.signal("HUP");
    log.await_events(event, before + 1).pop().unwrap()
}

#[tokio::test]
async fn routes_come_change_and_go_and_what_is_open_stays() {
    let (kept, first, second) =
        (upstream(Duration::from_secs(3)).await, Upstream::start().await, Upstream::start().await);
    let routes = json!([route("one", &kept), route("two", &first.url("/first"))]);
    let (mut gateway, log) = TestGateway::with_log(json!({"routes": routes})).await;
    let client = Client::register(&gateway).await;
    let (one, two) = (client.log_in("/mcp/one", "ada").await, client.log_in("/mcp/two", "ada").await);
    let mut stream = open_stream(&client, &one.access).await;
    assert_eq!(client.call("/mcp/two", &two.access).await.status(), StatusCode::OK);
    let (slow, access) = (client.http.post(gateway.url("/mcp/one")).bearer_auth(&one.access), &one.access);
    let slow = tokio::spawn(slow.body("{}").send());

    // Changed, and one more.
    let routes = json!([route("one", &kept), route("two", &second.url("/second")), route("three", &kept)]);
    let told = reload(&mut gateway, &log, json!({"routes": routes}), RELOADED);
    assert_eq!((&told["routes"], &told["changed"]), (&json!(3), &json!("three, two")), "{told}");
    assert_eq!(client.call("/mcp/two", &two.access).await.status(), StatusCode::OK);
    assert!(second.seen().last().unwrap().starts_with("POST /second"), "{:?}", second.seen());
    let three = client.log_in("/mcp/three", "ada").await;
    assert_eq!(client.call("/mcp/three", &three.access).await.status(), StatusCode::OK);
    assert_eq!(slow.await.unwrap().unwrap().status(), StatusCode::OK, "a call keeps what it began with");

    // Gone: no grant of it is used or shown again, and the others go on.
    reload(&mut gateway, &log, json!({"routes": [route("one", &kept)]}), RELOADED);
    for token in [&two.access, &three.access, access] {
        assert_eq!(client.call("/mcp/two", token).await.status(), StatusCode::NOT_FOUND);
    }
    assert_eq!(client.call("/mcp/one", access).await.status(), StatusCode::OK);
    assert_eq!(client.refresh(&one.refresh).await.status(), StatusCode::OK);
    let mut more = [0];
    assert!(timeout(Duration::from_millis(100), stream.read(&mut more)).await.is_err(), "the stream is open");

    // A stream on a route that is not what it was ends properly.
    let mut other = route("one", &kept);
    other["access"] = json!({"deny": [{"claim": "sub", "anyOf": ["nobody"]}]});
    reload(&mut gateway, &log, json!({"routes": [other]}), RELOADED);
    let mut rest = Vec::new();
    timeout(SOON, stream.read_to_end(&mut rest)).await.expect("the stream ends").unwrap();
    assert_eq!(rest, b"0\r\n\r\n", "with its proper end");
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_refused_whole() {
    let (mut gateway, log) = TestGateway::with_log(json!({})).await;
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    let sound = gateway.document.clone();
    let good_route = sound["routes"][0].clone();
    let bad_ca = json!({"url": "https://up.example/mcp", "authMode": "none", "tls": {"caFile": "/no/such/file.pem"}});
    for (changes, told) in [
        (json!({"routes": [route("three", "nonsense")]}), "routes[0].upstream.url"),
        (
            json!({"routes": [good_route, {"path": "/mcp/x", "operationId": "x", "upstream": bad_ca}]}),
            "/no/such/file.pem",
        ),
        (json!({"server": {"threads": 2}, "routes": [good_route]}), "server.threads"),
        (json!({"server": {"listen": ["127.0.0.1:1"]}, "routes": [good_route]}), "server.listen"),
        (json!({"server": {"gracePeriodSeconds": 7}, "log": {"level": "warn"}}), "server.gracePeriodSeconds, log"),
        (json!({"store": {"url": "sqlite:elsewhere.db"}}), "store"),
    ] {
        gateway.document = sound.clone();
        let refused = reload(&mut gateway, &log, changes, REFUSED);
        assert!(refused["error"].as_str().unwrap().contains(told), "{refused}");
        for route in ["/mcp/one", "/mcp/two"] {
            let status = client.call(route, &tokens.access).await.status();
            assert_eq!(status == StatusCode::OK, route == "/mcp/one", "{told} {route}");
            assert_ne!(status, StatusCode::NOT_FOUND);
        }
    }
    std::fs::remove_file(gateway.file()).unwrap();
    gateway.signal("HUP");
    assert!(log.await_events(REFUSED, 7)[6]["error"].as_str().unwrap().contains("cannot be read"));
    gateway.document = sound;
    reload(&mut gateway, &log, json!({"routes": [good_route]}), RELOADED);
    assert_eq!(client.call("/mcp/two", &tokens.access).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn secrets_limits_and_keys_are_read_anew() {
    let upstream = Upstream::start().await;
    let keys = |ids: &[&str]| {
        let key = |id: &&str| json!({"id": id, "key": format!("$file({id})")});
        json!(ids.iter().map(key).collect::<Vec<_>>())
    };
    let upstream_with_secret = json!({"url": upstream.url("/one"), "authMode": "header",
        "headers": {"X-Api-Key": "$file(secret)"}});
    let routes = json!([{"path": "/mcp/one", "operationId": "one", "upstream": upstream_with_secret}]);
    let (mut gateway, log) = TestGateway::with_log_and_files(
        json!({"routes": routes, "encryption": {"keys": keys(&["k1"])}}),
        &[("secret", "the-first-secret"), ("k1", &STANDARD.encode([1; 32])), ("k2", &STANDARD.encode([2; 32]))],
    )
    .await;
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
    assert!(upstream.seen().last().unwrap().contains("the-first-secret"));

    std::fs::write(gateway.directory.path().join("secret"), "the-second-secret\n").unwrap();
    let changes = json!({"encryption": {"keys": keys(&["k2", "k1"])}, "rateLimits": {"registration": 1}});
    reload(&mut gateway, &log, changes, RELOADED);
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
    assert!(upstream.seen().last().unwrap().contains("the-second-secret"));
    assert_eq!(client.refresh(&tokens.refresh).await.status(), StatusCode::OK, "the old key still opens");
    let register = async || {
        let request = client.http.post(gateway.url("/oauth/register")).header("x-forwarded-for", "192.0.2.1");
        request.json(&json!({"redirect_uris": []})).send().await.unwrap().status()
    };
    assert_eq!((register().await, register().await), (StatusCode::BAD_REQUEST, StatusCode::TOO_MANY_REQUESTS));
    assert!(!log.all().iter().any(|line| line.contains("the-first-secret") || line.contains("the-second-secret")));
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_and_connections_with_the_old_one_go_on() {
    let authority = Authority::new("public");
    let (first, second) = (authority.issue(&["gw.example"]), authority.issue(&["gw.example"]));
    let files = tempfile::tempdir().unwrap();
    let path = |name: &str| files.path().join(name).display().to_string();
    std::fs::write(path("cert.pem"), &first.certificate).unwrap();
    std::fs::write(path("key.pem"), &first.key).unwrap();
    let secure = free_address();
    let (mut gateway, _) = TestGateway::with_log(json!({})).await;
    gateway.stop();
    let tls = json!({"cert": path("cert.pem"), "key": path("key.pem")});
    let listen = json!([gateway.address().to_string(), {"address": secure.to_string(), "tls": tls}]);
    gateway.write(json!({"server": {"listen": listen}}));
    let log = gateway.restart_process();

    let open = async || {
        let config = ClientConfig::builder().with_root_certificates(authority.roots()).with_no_client_auth();
        let stream = TcpStream::connect(secure).await.unwrap();
        let name = ServerName::try_from("gw.example").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    };
    let shown = |stream: &tokio_rustls::client::TlsStream<TcpStream>| {
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    };
    let mut old = open().await;
    std::fs::write(path("cert.pem"), &second.certificate).unwrap();
    let refused = reload(&mut gateway, &log, json!({}), REFUSED);
    assert!(refused["error"].as_str().unwrap().contains("server.listen"), "the key does not fit yet: {refused}");
    assert_eq!(shown(&open().await), shown(&old));
    std::fs::write(path("key.pem"), &second.key).unwrap();
    reload(&mut gateway, &log, json!({}), RELOADED);
    assert_ne!(shown(&open().await), shown(&old));
    old.write_all(b"GET /nothing HTTP/1.1\r\nHost: gw.example\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    timeout(SOON, old.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 404");
}

#[tokio::test]
async fn a_storm_of_signals_fails_no_call() {
    let (mut gateway, log) = TestGateway::with_log(json!({})).await;
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    for _ in 0..40 {
        gateway.signal("HUP");
        assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
    }
    let files = |gateway: &TestGateway| std::fs::read_dir(format!("/proc/{}/fd", gateway.pid())).unwrap().count();
    let settled = files(&gateway);
    let told = reload(&mut gateway, &log, json!({}), RELOADED);
    assert_eq!(told["changed"], "", "nothing was changed");
    assert!(files(&gateway) <= settled + 2, "{settled} {}", files(&gateway));
    assert_eq!(client.refresh(&tokens.refresh).await.status(), StatusCode::OK);
}
