//! Hears what other replicas change: one connection of its own that listens on the channel of the schema.
//!
//! The triggers of the schema announce changes (`migrations/0004_announcements.sql`). A connection that is silent is asked
//! for a sign of life, so that one that a network swallowed is not believed for longer than [`HEARTBEAT`] and a time-out.

use std::{future::poll_fn, io, pin::pin, time::Duration};

use serde::{Deserialize, de::IgnoredAny};
use tokio::time::timeout;
use tokio_postgres::{
    AsyncMessage, Client, Config, Connection, NoTls, Socket,
    tls::{MakeTlsConnect, TlsConnect},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::statement::failure;
use crate::{
    crypto::Digest,
    store::{Change, Changes, ConnectionKey, Error, GrantId, Owner, Result},
};

/// How to reach the database for listening.
pub(super) struct Line {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

impl Line {
    /// A line that connects when it is first used.
    ///
    /// The server shows it under a name of its own, beside those of the pool.
    pub(super) fn new(mut config: Config, tls: Option<MakeRustlsConnect>) -> Self {
        let name = format!("{} changes", config.get_application_name().unwrap_or_default());
        config.application_name(name);
        Self { config, tls }
    }

    /// Publishes what is heard until the connection is lost.
    pub(super) async fn hear(&self, changes: &Changes) -> Result<()> {
        match &self.tls {
            None => self.hear_over(NoTls, changes).await,
            Some(tls) => self.hear_over(tls.clone(), changes).await,
        }
    }

    async fn hear_over<T>(&self, tls: T, changes: &Changes) -> Result<()>
    where
        T: MakeTlsConnect<Socket>,
        T::Stream: Unpin,
        T::TlsConnect: TlsConnect<Socket>,
    {
        let connected = timeout(PATIENCE, self.config.connect(tls)).await.map_err(silent)?;
        let (client, mut connection) = connected.map_err(failure)?;
        let listening = pin!(listen(&client, changes));
        tokio::select! {
            lost = listening => lost,
            lost = publish(&mut connection, changes) => lost,
        }
    }
}

/// Begins to listen, and then makes sure that the connection lives.
async fn listen(client: &Client, changes: &Changes) -> Result<()> {
    let channel = client.query_one(CHANNEL, &[]);
    let channel: String =
        timeout(PATIENCE, channel).await.map_err(silent)?.and_then(|row| row.try_get(0)).map_err(failure)?;
    let listen = format!("LISTEN {channel}");
    timeout(PATIENCE, client.batch_execute(&listen)).await.map_err(silent)?.map_err(failure)?;
    changes.publish(&Change::Unheard);
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        timeout(PATIENCE, client.batch_execute("SELECT 1")).await.map_err(silent)?.map_err(failure)?;
    }
}

/// Moves the connection's bytes, and publishes the announcements among them.
async fn publish<S, T>(connection: &mut Connection<S, T>, changes: &Changes) -> Result<()>
where
    Connection<S, T>: Unpin,
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    loop {
        match poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notification(heard))) => changes.publish(&change(heard.payload())),
            Some(Ok(_notice)) => {}
            Some(Err(source)) => return Err(failure(source)),
            None => return Err(Error::Unavailable(Box::new(io::Error::from(io::ErrorKind::ConnectionAborted)))),
        }
    }
}

/// An announcement as the triggers write it.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Announcement {
    Grant(String),
    Token(String),
    Connection(String, String, Option<i64>),
    Tools(IgnoredAny),
}

/// What an announcement means; one that cannot be read may mean anything.
fn change(payload: &str) -> Change {
    match serde_json::from_str(payload) {
        Ok(Announcement::Grant(id)) => Change::GrantRevoked(GrantId(id)),
        Ok(Announcement::Token(hex)) => Digest::from_hex(&hex).map_or(Change::Unheard, Change::AccessTokenRevoked),
        Ok(Announcement::Connection(owner, upstream_id, version)) => match (Owner::from_stored(&owner), version) {
            (Ok(owner), Some(version)) => Change::ConnectionRefreshed(ConnectionKey { owner, upstream_id }, version),
            (Ok(owner), None) => Change::ConnectionGone(ConnectionKey { owner, upstream_id }),
            (Err(_not_ours), _) => Change::Unheard,
        },
        Ok(Announcement::Tools(_route)) => Change::ToolPinsChanged,
        Err(_newer_or_cut_off) => Change::Unheard,
    }
}

fn silent(elapsed: tokio::time::error::Elapsed) -> Error {
    Error::Unavailable(Box::new(elapsed))
}

/// The channel of the schema that holds the tables.
const CHANNEL: &str = "SELECT 'sallyport_' || md5(n.nspname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = 'grants'::regclass";
const HEARTBEAT: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;
    use crate::{
        clock::Timestamp,
        store::{
            Connection as Kept, ConnectionState, Connections as _, Grants as _, RefreshedTokens, SeenTool, Store as _,
            SubjectId, ToolPins as _,
            postgres::{PostgresStore, Settings},
            test_postgres::TestDatabase,
        },
    };

    const NOW: Timestamp = Timestamp::from_seconds(4_000_000_000);
    const SOON: Duration = Duration::from_secs(10);

    async fn store(database: &TestDatabase) -> Arc<PostgresStore> {
        named_store(database, "test").await
    }

    async fn named_store(database: &TestDatabase, name: &str) -> Arc<PostgresStore> {
        let url = crate::crypto::Secret::new(format!("{}&application_name={name}", database.url()));
        let store = PostgresStore::connect(&url, &Settings::default()).unwrap();
        store.migrate().await.unwrap();
        Arc::new(store)
    }

    /// What `store` hears, beginning anew after every loss.
    fn heard_by(store: &Arc<PostgresStore>) -> UnboundedReceiver<Change> {
        let (sender, heard) = unbounded_channel();
        let (changes, sender) = (Changes::default(), Arc::new(sender));
        changes.subscribe(&sender, |sender, change| drop(sender.send(change.clone())));
        let store = Arc::clone(store);
        tokio::spawn(async move {
            loop {
                assert!(store.hear(&changes).await.is_err() && Arc::strong_count(&sender) == 1);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        heard
    }

    async fn next(heard: &mut UnboundedReceiver<Change>) -> Change {
        timeout(SOON, heard.recv()).await.expect("it is heard").unwrap()
    }

    async fn run(store: &PostgresStore, sql: &str) {
        store.pool.get().await.unwrap().batch_execute(sql).await.unwrap();
    }

    const A_GRANT: &str = "INSERT INTO grants VALUES ('g', 'sub_ada', 'c', 'o', 'r', 's', 0, 5000000000000, null);
        INSERT INTO access_tokens VALUES (decode(repeat('0a', 32), 'hex'), 'g', 4500000000000);
        INSERT INTO access_tokens VALUES (decode(repeat('0b', 32), 'hex'), 'g', 0);";

    #[tokio::test]
    async fn what_one_replica_changes_is_heard_by_the_other_and_what_ends_by_itself_is_not() {
        let database = TestDatabase::create().await;
        let (one, other) = (store(&database).await, store(&database).await);
        run(&one, A_GRANT).await;
        let mut heard = heard_by(&other);
        assert_eq!(next(&mut heard).await, Change::Unheard);

        run(&one, "DELETE FROM access_tokens WHERE expires_at = 0").await;
        run(&one, "DELETE FROM access_tokens WHERE expires_at > 0").await;
        assert_eq!(next(&mut heard).await, Change::AccessTokenRevoked(Digest::from_bytes([10; 32])));
        assert!(one.revoke_grant(&GrantId("g".to_owned()), NOW).await.unwrap());
        assert_eq!(next(&mut heard).await, Change::GrantRevoked(GrantId("g".to_owned())));

        let owner = Owner::User(SubjectId::from_stored("sub_ada".to_owned()));
        let key = ConnectionKey { owner, upstream_id: "lin ear".to_owned() };
        let kept = Kept {
            key: key.clone(),
            issuer: "i".to_owned(),
            client_id: "c".to_owned(),
            sealed_tokens: vec![1],
            access_expires_at: None,
            scope: None,
            wanted_scope: None,
            state: ConnectionState::Live,
            version: 0,
            connected_at: NOW,
            updated_at: NOW,
            last_used_at: None,
        };
        one.save_connection(&kept).await.unwrap();
        let version = one.connection(&key).await.unwrap().unwrap().version;
        let fresh = RefreshedTokens { sealed_tokens: vec![2], access_expires_at: None, scope: None };
        assert!(one.refresh_connection(&key, version, &fresh, NOW).await.unwrap());
        assert_eq!(next(&mut heard).await, Change::ConnectionRefreshed(key.clone(), version + 1));
        assert!(one.end_connection(&key, version + 1, NOW).await.unwrap());
        assert_eq!(next(&mut heard).await, Change::ConnectionGone(key.clone()));
        one.remove_connection(&key).await.unwrap();
        assert_eq!(next(&mut heard).await, Change::ConnectionGone(key));

        let (operation_id, tool, definition) = ("r".to_owned(), "t".to_owned(), "{}".to_owned());
        let seen = SeenTool { operation_id, tool, digest: Digest::of("{}"), definition };
        one.see_tool(&seen, NOW).await.unwrap();
        assert_eq!(next(&mut heard).await, Change::ToolPinsChanged);
        one.see_tool(&SeenTool { digest: Digest::of("[]"), ..seen }, NOW).await.unwrap();
        assert_eq!(next(&mut heard).await, Change::ToolPinsChanged);
    }

    #[tokio::test]
    async fn a_line_that_is_cut_says_so_when_it_hears_again() {
        let database = TestDatabase::create().await;
        let (one, other) = (store(&database).await, named_store(&database, "to-be-cut").await);
        run(&one, A_GRANT).await;
        let mut heard = heard_by(&other);
        for _ in 0..3 {
            assert_eq!(next(&mut heard).await, Change::Unheard);
            let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                       WHERE application_name = 'to-be-cut changes'";
            run(&one, cut).await;
        }
        assert_eq!(next(&mut heard).await, Change::Unheard);
        assert!(one.revoke_grant(&GrantId("g".to_owned()), NOW).await.unwrap());
        assert_eq!(next(&mut heard).await, Change::GrantRevoked(GrantId("g".to_owned())));
    }

    #[tokio::test]
    async fn two_gateways_in_one_database_do_not_hear_each_other() {
        let (ours, theirs) = (TestDatabase::create().await, TestDatabase::create().await);
        let (our_store, their_store) = (store(&ours).await, store(&theirs).await);
        run(&our_store, A_GRANT).await;
        run(&their_store, &A_GRANT.replace("'g'", "'theirs'")).await;
        let mut heard = heard_by(&our_store);
        assert_eq!(next(&mut heard).await, Change::Unheard);
        assert!(their_store.revoke_grant(&GrantId("theirs".to_owned()), NOW).await.unwrap());
        assert!(our_store.revoke_grant(&GrantId("g".to_owned()), NOW).await.unwrap());
        assert_eq!(next(&mut heard).await, Change::GrantRevoked(GrantId("g".to_owned())));
    }

    #[test]
    fn announcements_are_read_and_what_cannot_be_read_may_mean_anything() {
        let key = |owner| ConnectionKey { owner, upstream_id: "lin ear".to_owned() };
        let ada = Owner::from_stored("user:sub_ada").unwrap();
        for (payload, expected) in [
            (r#"{"grant" : "g"}"#.to_owned(), Change::GrantRevoked(GrantId("g".to_owned()))),
            (format!(r#"{{"token":"{}"}}"#, "0a".repeat(32)), Change::AccessTokenRevoked(Digest::from_bytes([10; 32]))),
            (r#"{"connection":["shared","lin ear",7]}"#.to_owned(), Change::ConnectionRefreshed(key(Owner::Shared), 7)),
            (r#"{"connection":["user:sub_ada","lin ear",null]}"#.to_owned(), Change::ConnectionGone(key(ada))),
            (r#"{"tools" : "linear"}"#.to_owned(), Change::ToolPinsChanged),
            (r#"{"connection":["nobody","lin ear",7]}"#.to_owned(), Change::Unheard),
            (r#"{"token":"0a"}"#.to_owned(), Change::Unheard),
            (format!(r#"{{"token":"{}"}}"#, "é".repeat(32)), Change::Unheard),
            (r#"{"grant" : "cut"#.to_owned(), Change::Unheard),
            (r#"{"newer" : 1}"#.to_owned(), Change::Unheard),
            (String::new(), Change::Unheard),
        ] {
            assert_eq!(change(&payload), expected, "{payload}");
        }
    }
}
