use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, TcpListener as StdListener},
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::ring};
use serde_json::Value;

use super::*;
use crate::outbound::{
    dns::{Answer, Dns, DnsError, Query},
    resolver::Bounds,
    test_server::{Reply, TestServer},
};

const LIMITS: Limits = Limits { body: 64 * 1024, timeout: Duration::from_secs(10) };

/// A name service whose every name has the given addresses: the first list, then the second, and so on.
struct Names(Vec<Vec<IpAddr>>, AtomicUsize);

impl Dns for Names {
    fn query<'a>(&'a self, _host: &'a str) -> Query<'a> {
        let turn = self.1.fetch_add(1, Ordering::SeqCst).min(self.0.len() - 1);
        let addresses = self.0[turn].clone();
        Box::pin(async move {
            if addresses.is_empty() { Err(DnsError::NoSuchName) } else { Ok(Answer { addresses, ttl: Duration::ZERO }) }
        })
    }
}

fn resolver(answers: &[&[&str]]) -> Arc<Resolver> {
    let answers = answers.iter().map(|list| list.iter().map(|text| text.parse().unwrap()).collect()).collect();
    let never = Bounds {
        shortest: Duration::ZERO,
        longest: Duration::ZERO,
        after_failure: Duration::ZERO,
        stale: Duration::ZERO,
    };
    Arc::new(Resolver::new(Box::new(Names(answers, AtomicUsize::new(0))), never))
}

fn client_with(settings: Settings, answers: &[&[&str]]) -> Client {
    Client::new(&Settings { user_agent: "sallyport/test".to_owned(), ..settings }, resolver(answers)).unwrap()
}

fn strict(answers: &[&[&str]]) -> Client {
    client_with(Settings::default(), answers)
}

fn allowing(networks: &[&str], answers: &[&[&str]]) -> Client {
    let allow_private = networks.iter().map(|network| network.parse().unwrap()).collect();
    client_with(Settings { allow_private, ..Settings::default() }, answers)
}

fn on_loopback() -> Client {
    allowing(&["127.0.0.0/8"], &[&["127.0.0.1"]])
}

async fn get(client: &Client, url: &str) -> Result<Fetched<Value>, Error> {
    client.get_json(&url.parse().unwrap(), LIMITS).await
}

async fn get_from(server: &TestServer) -> Result<Fetched<Value>, Error> {
    on_loopback().get_json(&server.url("/doc"), LIMITS).await
}

#[tokio::test]
async fn a_document_comes_with_what_is_needed_to_cache_it() {
    let server = TestServer::start(|_| {
        Reply::new(200, &[("Cache-Control", "max-age=60"), ("ETag", "\"v1\""), ("Set-Cookie", "a=b")], r#"{"a":1}"#)
    })
    .await;
    let fetched = get_from(&server).await.unwrap();
    assert_eq!(fetched.body["a"], 1);
    assert_eq!(fetched.freshness.max_age, Some(Duration::from_mins(1)));
    assert_eq!(fetched.freshness.etag.as_deref(), Some("\"v1\""));
}

#[tokio::test]
async fn a_request_says_who_asks_and_carries_nothing_else() {
    let server = TestServer::start(|_| Reply::new(200, &[("Set-Cookie", "a=b")], "{}")).await;
    let client = on_loopback();
    client.get_json::<Value>(&server.url("/one"), LIMITS).await.unwrap();
    client.get_json::<Value>(&server.url("/two"), LIMITS).await.unwrap();
    let second = &server.seen()[1];
    assert_eq!(second.header("user-agent"), Some("sallyport/test"));
    assert_eq!(second.header("accept"), Some("application/json"));
    for absent in ["cookie", "referer", "authorization", "accept-encoding"] {
        assert_eq!(second.header(absent), None, "{absent}");
    }
}

/// RFC 6749 section 2.3.1: the parts of the credentials are form-encoded.
#[tokio::test]
async fn a_form_is_posted_with_encoded_basic_credentials_and_any_status_comes_back() {
    let server = TestServer::start(|_| Reply::new(400, &[], r#"{"error":"invalid_grant"}"#)).await;
    let authorization = Authorization::Basic { client_id: "a:b", client_secret: "p w%" };
    let form = [("grant_type", "authorization_code"), ("code", "x&y=z")];
    let answer = on_loopback().post_form(&server.url("/token"), &form, authorization, LIMITS).await.unwrap();
    assert_eq!(answer.status, 400);
    assert_eq!(answer.body, r#"{"error":"invalid_grant"}"#);
    let request = &server.seen()[0];
    assert_eq!(request.method, "POST");
    // base64("a%3Ab:p+w%25")
    assert_eq!(request.header("authorization"), Some("Basic YSUzQWI6cCt3JTI1"));
    assert_eq!(request.form("code").as_deref(), Some("x&y=z"));
}

#[tokio::test]
async fn a_json_document_is_posted_as_such() {
    let server = TestServer::start(|_| Reply::new(201, &[], "{}")).await;
    let document = serde_json::json!({"client_name": "gateway"});
    let answer = on_loopback().post_json(&server.url("/register"), &document, LIMITS).await.unwrap();
    assert_eq!(answer.status, 201);
    let request = &server.seen()[0];
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(serde_json::from_str::<Value>(&request.body).unwrap(), document);
}

#[tokio::test]
async fn addresses_that_are_not_public_are_refused_in_every_spelling() {
    let client = strict(&[&[]]);
    for url in [
        "http://127.0.0.1/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://[::ffff:7f00:1]/",
        "https://0x7f.1/",
        "https://2130706433/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://127.0.0.1./",
        "https://0/",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/",
        "https://100.64.0.1/",
        "https://[fd00:ec2::254]/",
        "https://[fe80::1]/",
        "https://[64:ff9b::a9fe:a9fe]/",
        "https://[2002:7f00:1::]/",
        "https://[2001:0:7f00:1::]/",
        "https://[ff02::1]/",
    ] {
        let error = get(&client, url).await.unwrap_err();
        assert!(matches!(error, Error::Blocked { .. }), "{url}: {error:?}");
        assert!(error.to_string().contains("`outbound.allowPrivateNetworks`"), "{error}");
    }
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_refused() {
    for address in ["169.254.169.254", "127.0.0.1", "10.0.0.1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1"] {
        let client = strict(&[&[address]]);
        for url in ["https://metadata.google.internal/", "http://metadata.google.internal/", "https://localhost/"] {
            let error = get(&client, url).await.unwrap_err();
            assert!(matches!(error, Error::Blocked { .. }), "{url} at {address}: {error:?}");
        }
    }
}

#[tokio::test]
async fn this_machines_own_localhost_is_refused() {
    let client = Client::new(&Settings::default(), Arc::new(Resolver::system())).unwrap();
    assert!(matches!(get(&client, "https://localhost/").await, Err(Error::Blocked { .. })));
}

#[tokio::test]
async fn a_name_that_changes_its_address_after_the_first_use_is_refused_then() {
    let server = TestServer::start(|_| Reply::json("{}")).await;
    let client = allowing(&["127.0.0.1/32"], &[&["127.0.0.1"], &["127.0.0.2"]]);
    let url = format!("http://rebinding.example:{}/", server.address.port());
    get(&client, &url).await.unwrap();
    let error = get(&client, &url).await.unwrap_err();
    assert!(matches!(error, Error::Blocked { address, .. } if address.to_string() == "127.0.0.2"), "{error:?}");
    assert_eq!(server.count("/"), 1);
}

#[tokio::test]
async fn of_a_mixed_answer_the_refused_address_is_never_connected_to() {
    // Both addresses have a listener on one port; only the second address is allowed.
    let refused = TestServer::start(|_| Reply::json("{}")).await;
    let port = refused.address.port();
    let allowed = tokio::net::TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    let client = allowing(&["127.0.0.2/32"], &[&["127.0.0.1", "127.0.0.2"]]);
    // The listener hangs up before TLS; that it was called is what counts.
    let url = format!("https://mixed.example:{port}/");
    let (outcome, called) = tokio::join!(get(&client, &url), async { allowed.accept().await.map(drop) });
    assert!(matches!(outcome, Err(Error::Connect { .. })) && called.is_ok());
    let url = format!("http://mixed.example:{port}/");
    assert!(matches!(get(&client, &url).await, Err(Error::Blocked { .. })));
    assert_eq!(refused.connections(), 0);
}

#[tokio::test]
async fn plain_http_to_a_public_host_is_refused() {
    let client = strict(&[&["8.8.8.8"]]);
    for url in ["http://public.example/", "http://8.8.8.8/"] {
        assert!(matches!(get(&client, url).await, Err(Error::NotHttps { .. })), "{url}");
    }
}

#[tokio::test]
async fn other_schemes_and_credentials_in_the_url_are_refused() {
    let client = on_loopback();
    for url in ["file:///etc/passwd", "ftp://127.0.0.1/", "data:,{}", "http://user@127.0.0.1/", "http://:pw@127.0.0.1/"]
    {
        assert!(matches!(get(&client, url).await, Err(Error::BadUrl { .. })), "{url}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = TestServer::start(|_| Reply::json("{}")).await;
    let location = target.url("/").to_string();
    for status in [301, 302, 303, 307, 308] {
        let location = location.clone();
        let server = TestServer::start(move |_| Reply::new(status, &[("Location", &location)], "")).await;
        let error = get_from(&server).await.unwrap_err();
        assert!(matches!(error, Error::Redirected { .. }), "{error:?}");
        let form = on_loopback().post_form(&server.url("/"), &[], Authorization::None, LIMITS).await;
        assert!(matches!(form, Err(Error::Redirected { .. })));
    }
    assert!(target.seen().is_empty());
}

#[tokio::test]
async fn an_endless_document_is_dropped_at_the_limit() {
    let plain = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = vec![b' '; 8192];
    let framed = [b"2000\r\n".as_slice(), &chunk, b"\r\n"].concat();
    for (head, chunk) in [(plain, chunk), (chunked, framed)] {
        let server = TestServer::start(move |_| Reply::Endless(head.into(), chunk.clone())).await;
        let error = get_from(&server).await.unwrap_err();
        assert!(matches!(error, Error::TooLarge { limit: 65_536, .. }), "{error:?}");
        // What the kernel's buffers swallowed, not gigabytes.
        assert!(server.sent_until_hang_up().await < 64 * 1024 * 1024);
    }
}

#[tokio::test]
async fn a_document_that_announces_ten_gigabytes_is_refused_by_its_head() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n";
    let server = TestServer::start(move |_| Reply::Hang(head.into())).await;
    assert!(matches!(get_from(&server).await, Err(Error::TooLarge { .. })));
}

#[tokio::test]
async fn a_document_of_exactly_the_limit_is_read() {
    let body = format!("\"{}\"", "a".repeat(LIMITS.body - 2));
    let server = TestServer::start(move |_| Reply::json(&body)).await;
    assert_eq!(get_from(&server).await.unwrap().body.as_str().map(str::len), Some(LIMITS.body - 2));
}

#[tokio::test]
async fn a_content_length_that_lies_gains_nothing() {
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}{\"smuggled\":true}";
    let server = TestServer::start(move |_| Reply::Raw(short.into())).await;
    assert_eq!(get_from(&server).await.unwrap().body, serde_json::json!({}));

    let long = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{}";
    let server = TestServer::start(move |_| Reply::Raw(long.into())).await;
    assert!(matches!(get_from(&server).await, Err(Error::Broken { .. })));
}

#[tokio::test]
async fn a_slow_answer_ends_at_the_deadline_of_the_whole_call() {
    let no_head = String::new();
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"a\":".to_owned();
    for bytes in [no_head, half] {
        let server = TestServer::start(move |_| Reply::Hang(bytes.clone().into())).await;
        let limits = Limits { timeout: Duration::from_millis(300), ..LIMITS };
        let started = Instant::now();
        let error = on_loopback().get_json::<Value>(&server.url("/"), limits).await.unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
        assert!(started.elapsed() < Duration::from_secs(5));
        server.sent_until_hang_up().await;
    }
}

#[tokio::test]
async fn an_answer_that_is_no_document_is_an_error_by_its_cause() {
    let server = TestServer::start(|_| Reply::new(200, &[("Content-Type", "text/html")], "<html>")).await;
    assert!(matches!(get_from(&server).await, Err(Error::NotJson { .. })));
    let server = TestServer::start(|_| Reply::new(404, &[], "{}")).await;
    assert!(matches!(get_from(&server).await, Err(Error::Status { status, .. }) if status == 404));
    let server = TestServer::start(|_| Reply::Raw(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())).await;
    assert!(matches!(get_from(&server).await, Err(Error::Broken { .. })));
    let server = TestServer::start(|_| Reply::Raw(vec![])).await;
    assert!(matches!(get_from(&server).await, Err(Error::Broken { .. })));
}

#[tokio::test]
async fn a_host_that_is_down_or_unknown_is_named_as_such() {
    let port = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert!(matches!(get(&on_loopback(), &format!("http://127.0.0.1:{port}/")).await, Err(Error::Connect { .. })));
    assert!(matches!(get(&strict(&[&[]]), "https://gone.example/").await, Err(Error::Dns { .. })));
}

/// The path and the query of a URL can hold secrets; a log line gets the host only.
#[tokio::test]
async fn errors_name_the_host_and_nothing_else_of_the_url() {
    let server = TestServer::start(|_| Reply::Raw(vec![])).await;
    let url = server.url("/path-secret?code=query-secret");
    let error = on_loopback().get_json::<Value>(&url, LIMITS).await.unwrap_err();
    let printed = format!("{error} {error:?}");
    assert!(printed.contains("127.0.0.1") && !printed.contains("secret"), "{printed}");
}

struct Tls {
    port: u16,
    ca_pem: String,
}

/// A TLS server for `secure.example` that answers one connection.
fn tls_server() -> Tls {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(vec![]).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["secure.example".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key.serialize_der().try_into().unwrap())
        .unwrap();
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream);
        let _handshake_refused = stream.read(&mut [0; 4096]);
        let _peer_gone = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
        stream.conn.send_close_notify();
        let _peer_gone = stream.flush();
    });
    Tls { port, ca_pem }
}

fn trusting(ca_pem: Option<&str>) -> Client {
    let allow_private = vec!["127.0.0.0/8".parse().unwrap()];
    let extra_ca_pem = ca_pem.map(|pem| pem.as_bytes().to_vec());
    client_with(Settings { allow_private, extra_ca_pem, ..Settings::default() }, &[&["127.0.0.1"]])
}

#[tokio::test]
async fn the_operators_ca_is_trusted() {
    let server = tls_server();
    let url = format!("https://secure.example:{}/", server.port);
    get(&trusting(Some(&server.ca_pem)), &url).await.unwrap();
}

#[tokio::test]
async fn a_certificate_of_an_unknown_ca_or_for_another_name_is_refused() {
    let server = tls_server();
    let url = format!("https://secure.example:{}/", server.port);
    assert!(matches!(get(&trusting(None), &url).await, Err(Error::Tls { .. })));

    let server = tls_server();
    let url = format!("https://other.example:{}/", server.port);
    let error = get(&trusting(Some(&server.ca_pem)), &url).await.unwrap_err();
    assert!(matches!(error, Error::Tls { .. }), "{error:?}");
}

#[test]
fn a_ca_file_without_certificates_is_refused() {
    let build = |pem: &str| {
        let settings = Settings { extra_ca_pem: Some(pem.into()), ..Settings::default() };
        Client::new(&settings, resolver(&[&[]])).map(|_| ())
    };
    assert!(build("nothing").is_err());
    assert!(build("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").is_err());
}

/// Servers close a connection that is not used, and a request that was sent at that moment is lost.
#[tokio::test]
async fn a_connection_that_was_idle_is_not_used_again() {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let accepted = Arc::clone(&connections);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            accepted.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let _first_request = stream.read(&mut [0; 4096]);
                let _peer_gone = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
                let _second_request = stream.read(&mut [0; 4096]);
            });
        }
    });
    let client = on_loopback();
    get(&client, &url).await.unwrap();
    tokio::time::sleep(super::IDLE + Duration::from_millis(500)).await;
    get(&client, &url).await.unwrap();
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}
