//! The contract suite: what every store promises, stated once and run on each of them.

mod assertions;
mod cleanup;
mod clients;
mod codes;
mod connect_flows;
mod connections;
mod consents;
mod home;
mod interactions;
mod keys;
mod leases;
mod logins;
mod refresh;
mod revocation;
mod schema;
mod sessions;
mod tickets;
mod tools;
mod upstream_clients;
mod usage;

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{sync::Barrier, task::JoinSet};

use self::home::Home;
use crate::{
    clock::Timestamp,
    crypto::Digest,
    store::{
        AuthMethod, BrowserSession, Client, ClientId, ConnectFlow, Connection, ConnectionKey, ConnectionState, Grant,
        GrantId, Interaction, InteractionId, IssuedTokens, NewCode, Owner, Store, SubjectId, User,
    },
};

/// Runs each named function on every store. A function that is not named is dead code, and does not compile.
macro_rules! on_every_store {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::store::contract::home::Home::sqlite()).await;
            })*
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::store::contract::home::Home::postgres().await).await;
            })*
        }
    };
}
use on_every_store;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const GRACE: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

/// Runs `act` in 32 tasks that start together, and returns what they saw.
async fn race<T, F>(store: &Arc<dyn Store>, act: impl Fn(Arc<dyn Store>, usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(RACERS));
    let mut racers = JoinSet::new();
    for number in 0..RACERS {
        let (start, act) = (Arc::clone(&start), act(Arc::clone(store), number));
        racers.spawn(async move {
            start.wait().await;
            act.await
        });
    }
    racers.join_all().await
}

const RACERS: usize = 32;

fn client(id: &str) -> Client {
    Client {
        id: ClientId::new(id),
        name: Some("Ada's editor".to_owned()),
        uri: None,
        redirect_uris: vec!["http://127.0.0.1/callback".to_owned(), "cursor://callback".to_owned()],
        auth_method: AuthMethod::None,
        secret_digest: None,
        keys: None,
        created_at: NOW,
        last_used_at: NOW,
    }
}

fn session(cookie: &str) -> BrowserSession {
    let issuer = "https://login.example.com".to_owned();
    BrowserSession {
        digest: Digest::of(cookie),
        user: User {
            subject: SubjectId::derive(&issuer, "ada"),
            issuer,
            sub: "ada".to_owned(),
            email: Some("ada@example.com".to_owned()),
            name: Some("Ada Lovelace".to_owned()),
            claims: serde_json::Map::new(),
        },
        created_at: NOW,
        expires_at: NOW.plus(DAY),
    }
}

fn interaction(id: &str) -> Interaction {
    Interaction {
        id: InteractionId(id.to_owned()),
        client_id: ClientId::new("dcr:ada"),
        redirect_uri: "http://127.0.0.1:3000/callback".to_owned(),
        state: Some("a state".to_owned()),
        code_challenge: "a challenge".to_owned(),
        operation_id: "linear-mcp-server".to_owned(),
        resource: "https://gateway.example.com/mcp/linear-v1".to_owned(),
        issuer: "https://gateway.example.com".to_owned(),
        scope: "mcp".to_owned(),
        error: None,
        ask_again: false,
        session: None,
        created_at: NOW,
        expires_at: NOW.plus(600 * SECOND),
    }
}

fn grant(id: &str) -> Grant {
    Grant {
        id: GrantId(id.to_owned()),
        subject: SubjectId::derive("https://login.example.com", "ada"),
        client_id: ClientId::new("dcr:ada"),
        operation_id: "linear-mcp-server".to_owned(),
        resource: "https://gateway.example.com/mcp/linear-v1".to_owned(),
        scope: "mcp".to_owned(),
        created_at: NOW,
        expires_at: NOW.plus(3650 * DAY),
    }
}

fn code(text: &str) -> NewCode {
    NewCode {
        digest: Digest::of(text),
        redirect_uri: "http://127.0.0.1:3000/callback".to_owned(),
        code_challenge: "a challenge".to_owned(),
        expires_at: NOW.plus(60 * SECOND),
    }
}

/// What `owner` was granted at `upstream_id`, with tokens of every byte.
fn connection(owner: &Owner, upstream_id: &str) -> Connection {
    Connection {
        key: ConnectionKey { owner: owner.clone(), upstream_id: upstream_id.to_owned() },
        issuer: "https://login.upstream.example.com".to_owned(),
        client_id: "our client id".to_owned(),
        sealed_tokens: (0..=255).collect(),
        access_expires_at: Some(NOW.plus(3600 * SECOND)),
        scope: Some("read write".to_owned()),
        state: ConnectionState::Live,
        version: 0,
        connected_at: NOW,
        updated_at: NOW,
        wanted_scope: None,
        last_used_at: None,
    }
}

fn ada() -> Owner {
    Owner::User(SubjectId::derive("https://login.example.com", "ada"))
}

/// A flow of 10 minutes by which Ada connects Linear.
fn connect_flow(state: &str) -> ConnectFlow {
    ConnectFlow {
        state: Digest::of(state),
        session: Digest::of("cookie"),
        key: connection(&ada(), "linear").key,
        operation_id: "linear-mcp-server".to_owned(),
        issuer: "https://login.upstream.example.com".to_owned(),
        sealed_details: (0..=255).rev().collect(),
        interaction: Some(InteractionId("interaction".to_owned())),
        expires_at: NOW.plus(600 * SECOND),
    }
}

/// A pair of tokens named `name`, issued at `now`.
fn tokens(name: &str, now: Timestamp) -> IssuedTokens {
    IssuedTokens {
        access: Digest::of(&format!("at_{name}")),
        access_expires_at: now.plus(900 * SECOND),
        refresh: Digest::of(&format!("rt_{name}")),
    }
}

/// An interaction bound to a live session, ready to be approved.
async fn bound_interaction(store: &dyn Store, id: &str) -> (InteractionId, Digest) {
    let session = session(&format!("cookie of {id}"));
    store.open_session(&session, None).await.unwrap();
    let interaction = interaction(id);
    store.create_interaction(&interaction).await.unwrap();
    assert!(store.bind_interaction(&interaction.id, &session.digest, NOW).await.unwrap());
    (interaction.id, session.digest)
}

/// Keeps `grant` with an unspent code of 60 seconds, the way it comes about in life.
async fn keep_grant(store: &dyn Store, grant: &Grant) -> Digest {
    let (interaction, session) = bound_interaction(store, &format!("interaction of {}", grant.id)).await;
    let code = code(&format!("code of {}", grant.id));
    assert!(store.approve_interaction(&interaction, &session, grant, &code, NOW).await.unwrap());
    code.digest
}

/// Keeps `grant` and redeems its code, so that it has the tokens named like it.
async fn keep_grant_with_tokens(store: &dyn Store, grant: &Grant) -> IssuedTokens {
    let code = keep_grant(store, grant).await;
    let tokens = tokens(&grant.id.0, NOW);
    assert_eq!(store.redeem_code(&code, &tokens, NOW).await.unwrap(), crate::store::RedeemedCode::Redeemed);
    tokens
}

async fn is_live(store: &dyn Store, tokens: &IssuedTokens, now: Timestamp) -> bool {
    let access = store.access_token(&tokens.access, now).await.unwrap().is_some();
    let refresh = store.refresh_token(&tokens.refresh, now).await.unwrap().is_some();
    access || refresh
}
