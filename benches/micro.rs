//! What the warm path of a request costs, part by part: `cargo bench --bench micro`.

#![allow(missing_docs, clippy::unwrap_used, reason = "what criterion generates; a benchmark may fall over")]

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, header};
use sallyport::{
    clock::{Clock, Timestamp},
    crypto::{Digest, Key, KeyRing, random_token},
    oauth::{
        AuthMethod, ClientId, RedirectTarget,
        metadata::{AsMetadata, ResourceMetadata, authorization_server_document, protected_resource_document},
    },
    resource_server::ResourceServer,
    routes::Route,
    store::{
        BrowserSession, Changes, Client, Grant, GrantId, Interaction, InteractionId, IssuedTokens, NewCode, Store,
        SubjectId, User, sqlite::SqliteStore,
    },
    web::{Origin, OriginRules, RequestOrigin},
};
use tempfile::TempDir;
use zeroize::Zeroizing;

fn token_digest(bencher: &mut Criterion) {
    let token = random_token("at_");
    bencher.bench_function("token digest", |b| b.iter(|| Digest::of(black_box(&token))));
}

fn authenticate(bencher: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let directory = TempDir::new().unwrap();
    let clock = Clock::system();
    let store = Arc::new(SqliteStore::open(&directory.path().join("sallyport.db")).unwrap());
    let token = random_token("at_");
    runtime.block_on(keep_token(store.as_ref(), &token, clock.now()));

    let server = ResourceServer::new(store, &Changes::default(), clock);
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    let (origin, route) = (Origin::parse(ORIGIN).unwrap(), route());
    // The entry is asked for again every ten seconds, as it is in life.
    bencher.bench_function("authenticate, warm", |b| {
        b.iter(|| runtime.block_on(server.authenticate(black_box(&headers), &origin, &route)).unwrap());
    });
}

fn session_id(bencher: &mut Criterion) {
    let ring = KeyRing::new(&[Key { id: "k1".to_owned(), bytes: Zeroizing::new([7; 32]) }]).unwrap();
    let context = format!("mcp-session\n32\n48\n{}\n{}\n{OPERATION}", "s".repeat(32), "c".repeat(48));
    let plain = b"0197b0a4-2d5c-7c60-9d3e-5f3f0f3b0c11";
    let sealed = ring.seal(&context, plain);
    bencher.bench_function("session id, seal", |b| b.iter(|| ring.seal(black_box(&context), black_box(plain))));
    bencher
        .bench_function("session id, open", |b| b.iter(|| ring.open(black_box(&context), black_box(&sealed)).unwrap()));
}

fn origin(bencher: &mut Criterion) {
    let rules = OriginRules {
        public_origins: vec![Origin::parse(ORIGIN).unwrap()],
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
    };
    let request = RequestOrigin {
        host: Some("internal:8080"),
        forwarded_host: Some("gateway.example.com"),
        forwarded_proto: Some("https"),
        peer: Some("10.1.2.3".parse().unwrap()),
        tls: false,
    };
    bencher.bench_function("origin behind a proxy", |b| b.iter(|| rules.resolve(black_box(&request)).unwrap()));
}

fn metadata(bencher: &mut Criterion) {
    let issuer = format!("{ORIGIN}{PATH}");
    let endpoint = |path: &str| format!("{ORIGIN}{path}");
    bencher.bench_function("authorization server metadata", |b| {
        b.iter(|| {
            serde_json::to_vec(&authorization_server_document(&AsMetadata {
                issuer: black_box(&issuer),
                authorization_endpoint: &(endpoint("/oauth/authorize") + PATH),
                token_endpoint: &endpoint("/oauth/token"),
                registration_endpoint: &endpoint("/oauth/register"),
                revocation_endpoint: &endpoint("/oauth/revoke"),
                token_endpoint_auth_methods: &[AuthMethod::None, AuthMethod::ClientSecretBasic],
                cimd_enabled: false,
            }))
            .unwrap()
        });
    });
    bencher.bench_function("protected resource metadata", |b| {
        b.iter(|| {
            serde_json::to_vec(&protected_resource_document(&ResourceMetadata {
                resource: black_box(&issuer),
                resource_name: Some("Company docs"),
                authorization_server: &issuer,
                mcp_protocol_version: "2025-11-25",
            }))
            .unwrap()
        });
    });
}

fn redirect_matching(bencher: &mut Criterion) {
    let registered = REDIRECTS.map(ToOwned::to_owned);
    let requested = "http://127.0.0.1:52341/callback";
    bencher.bench_function("redirect URI, any loopback port", |b| {
        b.iter(|| RedirectTarget::matched(black_box(&registered), Some(black_box(requested))).unwrap());
    });
}

/// Brings an access token about the way it comes about in life: login, consent, code, token.
async fn keep_token(store: &dyn Store, token: &str, now: Timestamp) {
    let later = now.plus(Duration::from_hours(8));
    let (issuer, client) = ("https://login.example.com".to_owned(), ClientId::new("dcr:ada"));
    let subject = SubjectId::derive(&issuer, "ada");
    let user = User {
        subject: subject.clone(),
        issuer,
        sub: "ada".to_owned(),
        email: None,
        name: None,
        claims: serde_json::Map::new(),
    };
    let session = BrowserSession { digest: Digest::of("cookie"), user, created_at: now, expires_at: later };
    let interaction = Interaction {
        id: InteractionId("interaction".to_owned()),
        client_id: client.clone(),
        redirect_uri: REDIRECTS[0].to_owned(),
        state: None,
        code_challenge: "challenge".to_owned(),
        operation_id: OPERATION.to_owned(),
        resource: format!("{ORIGIN}{PATH}"),
        issuer: ORIGIN.to_owned(),
        scope: "mcp:tools".to_owned(),
        error: None,
        session: None,
        created_at: now,
        expires_at: later,
    };
    let grant = Grant {
        id: GrantId("grant".to_owned()),
        subject,
        client_id: client.clone(),
        operation_id: interaction.operation_id.clone(),
        resource: interaction.resource.clone(),
        scope: interaction.scope.clone(),
        created_at: now,
        expires_at: later,
    };
    let code = NewCode {
        digest: Digest::of("code"),
        redirect_uri: interaction.redirect_uri.clone(),
        code_challenge: interaction.code_challenge.clone(),
        expires_at: later,
    };
    let tokens = IssuedTokens { access: Digest::of(token), access_expires_at: later, refresh: Digest::of("refresh") };
    let client = Client {
        id: client,
        name: None,
        uri: None,
        redirect_uris: vec![interaction.redirect_uri.clone()],
        auth_method: AuthMethod::None,
        secret_digest: None,
        created_at: now,
        last_used_at: now,
    };
    store.migrate().await.unwrap();
    store.create_client(&client).await.unwrap();
    store.open_session(&session, None).await.unwrap();
    store.create_interaction(&interaction).await.unwrap();
    assert!(store.bind_interaction(&interaction.id, &session.digest, now).await.unwrap());
    assert!(store.approve_interaction(&interaction.id, &session.digest, &grant, &code, now).await.unwrap());
    store.redeem_code(&code.digest, &tokens, now).await.unwrap();
}

fn route() -> Route {
    Route {
        path: PATH.to_owned(),
        operation_id: OPERATION.to_owned(),
        title: "Company docs".to_owned(),
        upstream_id: "docs".to_owned(),
        upstream_title: "Company docs".to_owned(),
    }
}

const ORIGIN: &str = "https://gateway.example.com";
const PATH: &str = "/mcp/docs";
const OPERATION: &str = "docs-mcp-server";
const REDIRECTS: [&str; 3] =
    ["cursor://anysphere.cursor-mcp/oauth/callback", "https://app.example.com/callback", "http://127.0.0.1/callback"];

criterion_group!(parts, token_digest, authenticate, session_id, origin, metadata, redirect_matching);
criterion_main!(parts);
