//! What the warm path of a request costs, part by part: `cargo bench --bench micro`.

#![allow(missing_docs, clippy::unwrap_used, reason = "what criterion generates; a benchmark may fall over")]

#[path = "support/seed.rs"]
#[allow(dead_code, reason = "shared with the load bench, which uses more of it")]
mod seed;

use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, header};
use sallyport::{
    clock::Clock,
    crypto::{Digest, Key, KeyRing, random_token},
    oauth::{
        AuthMethod, RedirectTarget,
        metadata::{AsMetadata, ResourceMetadata, authorization_server_document, protected_resource_document},
    },
    resource_server::ResourceServer,
    routes::Route,
    store::{Changes, sqlite::SqliteStore},
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
    let token = runtime.block_on(async {
        seed::prepare(store.as_ref(), clock.now()).await;
        seed::grant(store.as_ref(), "ada", OPERATION, &format!("{ORIGIN}{PATH}"), clock.now()).await.access
    });

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
                id_jag_enabled: false,
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
