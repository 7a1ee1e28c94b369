//! Tokens for benchmarks, brought about the way they come about in life: login, consent, code, tokens.

use std::time::Duration;

use sallyport::{
    clock::Timestamp,
    crypto::{Digest, random_token},
    oauth::{AuthMethod, ClientId},
    store::{
        BrowserSession, Client, Grant, GrantId, Interaction, InteractionId, IssuedTokens, NewCode, Store, SubjectId,
        User,
    },
};

/// A grant with its tokens.
pub struct Tokens {
    pub access: String,
    pub refresh: String,
}

/// The client that all grants are for; it is public.
pub const CLIENT: &str = "dcr:bench";

/// Makes the schema and the client.
pub async fn prepare(store: &dyn Store, now: Timestamp) {
    store.migrate().await.unwrap();
    let client = Client {
        id: ClientId::new(CLIENT),
        name: None,
        uri: None,
        redirect_uris: vec![REDIRECT.to_owned()],
        auth_method: AuthMethod::None,
        secret_digest: None,
        keys: None,
        created_at: now,
        last_used_at: now,
    };
    store.create_client(&client).await.unwrap();
}

/// The subject of a person.
pub fn subject(person: &str) -> SubjectId {
    SubjectId::derive(ISSUER, person)
}

/// Lets `person` grant the route at `resource` to the client.
pub async fn grant(store: &dyn Store, person: &str, operation_id: &str, resource: &str, now: Timestamp) -> Tokens {
    let later = now.plus(Duration::from_hours(8));
    let tokens = Tokens { access: random_token("at_"), refresh: random_token("rt_") };
    let user = User {
        subject: subject(person),
        issuer: ISSUER.to_owned(),
        sub: person.to_owned(),
        email: None,
        name: None,
        claims: serde_json::Map::new(),
    };
    let session = BrowserSession { digest: Digest::of(&random_token("")), user, created_at: now, expires_at: later };
    let interaction = Interaction {
        id: InteractionId(random_token("")),
        client_id: ClientId::new(CLIENT),
        redirect_uri: REDIRECT.to_owned(),
        state: None,
        code_challenge: "challenge".to_owned(),
        operation_id: operation_id.to_owned(),
        resource: resource.to_owned(),
        issuer: ISSUER.to_owned(),
        scope: "mcp:tools".to_owned(),
        error: None,
        ask_again: false,
        session: None,
        created_at: now,
        expires_at: later,
    };
    let grant = Grant {
        id: GrantId(random_token("")),
        subject: subject(person),
        client_id: ClientId::new(CLIENT),
        operation_id: operation_id.to_owned(),
        resource: resource.to_owned(),
        scope: interaction.scope.clone(),
        created_at: now,
        expires_at: later,
    };
    let code = NewCode {
        digest: Digest::of(&random_token("")),
        redirect_uri: REDIRECT.to_owned(),
        code_challenge: interaction.code_challenge.clone(),
        expires_at: later,
    };
    let issued = IssuedTokens {
        access: Digest::of(&tokens.access),
        access_expires_at: later,
        refresh: Digest::of(&tokens.refresh),
    };
    store.open_session(&session, None).await.unwrap();
    store.create_interaction(&interaction).await.unwrap();
    assert!(store.bind_interaction(&interaction.id, &session.digest, now).await.unwrap());
    assert!(store.approve_interaction(&interaction.id, &session.digest, &grant, &code, now).await.unwrap());
    store.redeem_code(&code.digest, &issued, now).await.unwrap();
    tokens
}

const ISSUER: &str = "https://login.example.com";
const REDIRECT: &str = "http://127.0.0.1/callback";
