//! What the PostgreSQL store does when its server or the way to it does not play along.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_postgres::{Client, NoTls};

#[path = "../../../tests/support/free_address.rs"]
mod free_address;

use super::{ConnectError, PostgresStore, Settings};
use crate::{
    clock::Timestamp,
    crypto::{Digest, Secret},
    store::{BrowserSessions, ClientId, Clients, Error, Store, test_postgres::Cluster},
};

fn store(url: &str) -> PostgresStore {
    PostgresStore::connect(&Secret::new(url), &Settings::default()).unwrap()
}

fn is_unavailable<T>(outcome: Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::Unavailable(_)))
}

async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn free_port() -> u16 {
    free_address::free_address().port()
}

#[tokio::test]
async fn a_server_that_stops_makes_it_unavailable_and_one_that_returns_mends_it() {
    let mut cluster = Cluster::start(None);
    let store = store(&cluster.url());
    store.migrate().await.unwrap();
    let digest = Digest::of("cookie");
    assert!(!store.end_session(&digest).await.unwrap());
    for _ in 0..2 {
        cluster.stop();
        let before = Instant::now();
        assert!(is_unavailable(store.end_session(&digest).await));
        assert!(is_unavailable(store.session(&digest, Timestamp::from_seconds(0)).await));
        assert!(is_unavailable(store.ping().await));
        assert!(is_unavailable(store.migrate().await));
        assert!(before.elapsed() < Duration::from_secs(5), "at once, not after a time-out");
        cluster.serve();
        store.ping().await.unwrap();
        assert!(!store.end_session(&digest).await.unwrap());
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_no_error_at_start() {
    let store = store(&format!("postgres://ada@127.0.0.1:{}/sallyport", free_port()));
    assert!(is_unavailable(store.migrate().await));
    assert!(is_unavailable(store.ping().await));
}

#[tokio::test]
async fn a_server_that_takes_connections_and_says_nothing_is_unavailable() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let store = store(&format!("postgres://ada@{}/sallyport", silent.local_addr().unwrap()));
    let before = Instant::now();
    assert!(is_unavailable(store.ping().await));
    assert!(before.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_unavailable() {
    let cluster = Cluster::start(None);
    assert!(is_unavailable(store(&format!("{}_which_is_not_there", cluster.url())).ping().await));
}

#[tokio::test]
async fn a_read_only_server_is_unavailable() {
    let cluster = Cluster::start(None);
    store(&cluster.url()).migrate().await.unwrap();
    let standby = store(&format!("{}?options=-cdefault_transaction_read_only%3Don", cluster.url()));
    assert!(is_unavailable(standby.end_session(&Digest::of("cookie")).await));
    standby.ping().await.unwrap();
}

#[tokio::test]
async fn a_row_that_somebody_keeps_locked_makes_it_unavailable_and_harms_nothing_else() {
    let cluster = Cluster::start(None);
    let store = store(&format!("{}?options=-cstatement_timeout%3D100", cluster.url()));
    store.migrate().await.unwrap();
    let other = client(&cluster.url()).await;
    other.batch_execute("INSERT INTO clients VALUES ('dcr:ada', null, null, '[]', 'none', null, 0, 0)").await.unwrap();
    other.batch_execute("BEGIN; SELECT FROM clients FOR UPDATE").await.unwrap();
    let (id, now) = (ClientId::new("dcr:ada"), Timestamp::from_seconds(1));
    assert!(is_unavailable(store.touch_client(&id, now).await));
    assert_eq!(store.client(&id).await.unwrap().unwrap().last_used_at, Timestamp::from_seconds(0));
    other.batch_execute("COMMIT").await.unwrap();
    store.touch_client(&id, now).await.unwrap();
    assert_eq!(store.client(&id).await.unwrap().unwrap().last_used_at, now);
}

#[tokio::test]
async fn errors_do_not_quote_rows() {
    let cluster = Cluster::start(None);
    let store = store(&cluster.url());
    store.migrate().await.unwrap();
    client(&cluster.url()).await.batch_execute("ALTER TABLE clients ADD CHECK (name <> 'hunter2')").await.unwrap();
    let refused = crate::store::Client {
        id: ClientId::new("dcr:ada"),
        name: Some("hunter2".to_owned()),
        uri: None,
        redirect_uris: Vec::new(),
        auth_method: crate::store::AuthMethod::None,
        secret_digest: None,
        keys: None,
        created_at: Timestamp::from_seconds(0),
        last_used_at: Timestamp::from_seconds(0),
    };
    let error = store.create_client(&refused).await.unwrap_err();
    assert!(matches!(error, Error::Failed(_)));
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

/// A certificate authority in a file, and the certificate that it gave to `localhost`.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new(file: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(file, issuer.pem()).unwrap();
        Self { issuer }
    }

    /// Writes a certificate and its key to where the server reads them.
    fn certify(&self, directory: &Path) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let owner = fs::metadata(directory).unwrap();
        for (name, pem) in [("server.crt", certificate.pem()), ("server.key", key.serialize_pem())] {
            let file = directory.join(name);
            fs::write(&file, pem).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            chown(&file, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
    }
}

/// PostgreSQL manual, section 34.19.3: what each `sslmode` protects against.
#[tokio::test]
async fn sslmode_verifies_as_much_as_it_says() {
    let port = free_port();
    let mut cluster = Cluster::start(Some(port));
    let files = tempfile::tempdir().unwrap();
    let (ours, theirs) = (files.path().join("ours.pem"), files.path().join("theirs.pem"));
    let url = |host: &str, parameters: &str| format!("postgres://postgres@{host}:{port}/postgres?{parameters}");

    let plain = store(&url("127.0.0.1", "sslmode=prefer"));
    plain.ping().await.unwrap();
    assert!(is_unavailable(store(&url("127.0.0.1", "sslmode=require")).ping().await), "the server has no TLS yet");

    Authority::new(&theirs);
    Authority::new(&ours).certify(cluster.directory());
    let directory = cluster.directory().display().to_string();
    let administrator = client(&cluster.url()).await;
    for setting in [
        "ssl = on",
        &format!("ssl_cert_file = '{directory}/server.crt'"),
        &format!("ssl_key_file = '{directory}/server.key'"),
    ] {
        administrator.batch_execute(&format!("ALTER SYSTEM SET {setting}")).await.unwrap();
    }
    cluster.stop();
    cluster.serve();

    let (ours, theirs) = (format!("sslrootcert={}", ours.display()), format!("sslrootcert={}", theirs.display()));
    for (host, parameters, connects, encrypted) in [
        ("localhost", "sslmode=disable".to_owned(), true, false),
        ("localhost", "sslmode=prefer".to_owned(), true, true),
        ("localhost", String::new(), true, true),
        ("localhost", "sslmode=require".to_owned(), true, true),
        ("127.0.0.1", format!("sslmode=require&{ours}"), true, true),
        ("127.0.0.1", format!("sslmode=require&{theirs}"), false, false),
        ("127.0.0.1", format!("sslmode=verify-ca&{ours}"), true, true),
        ("localhost", format!("sslmode=verify-ca&{theirs}"), false, false),
        ("localhost", format!("sslmode=verify-full&{ours}"), true, true),
        ("127.0.0.1", format!("sslmode=verify-full&{ours}"), false, false),
        ("localhost", format!("sslmode=verify-full&{theirs}"), false, false),
    ] {
        let store = store(&url(host, &parameters));
        let outcome = store.ping().await;
        assert_eq!(outcome.is_ok(), connects, "{host} {parameters}: {outcome:?}");
        assert!(connects || is_unavailable(outcome), "{host} {parameters}");
        let sessions = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                        WHERE application_name = 'sallyport' AND ssl";
        let seen: i64 = client(&cluster.url()).await.query_one(sessions, &[]).await.unwrap().get(0);
        assert_eq!(seen > 0, encrypted, "{host} {parameters}");
        drop(store);
        client(&cluster.url()).await.batch_execute(GONE).await.unwrap();
    }
}

/// Ends what the store before left, and waits until it is gone.
const GONE: &str = "DO $$ BEGIN
  PERFORM pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'sallyport';
END $$";

#[test]
fn certificates_that_cannot_be_read_are_an_error_at_start() {
    let files = tempfile::tempdir().unwrap();
    let empty = files.path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    let connect = |file: &Path| {
        let url = format!("postgres://ada@db/sallyport?sslmode=verify-full&sslrootcert={}", file.display());
        PostgresStore::connect(&Secret::new(url), &Settings::default()).err()
    };
    assert!(matches!(connect(&empty), Some(ConnectError::NoRoots)));
    assert!(matches!(connect(&files.path().join("missing.pem")), Some(ConnectError::RootCert { .. })));
}
