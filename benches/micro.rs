//! What the warm path of a request costs, part by part: `cargo bench --bench micro`.

#![allow(missing_docs, clippy::unwrap_used, reason = "what criterion generates; a benchmark may fall over")]

#[path = "support/seed.rs"]
#[allow(dead_code, reason = "shared with the load bench, which uses more of it")]
mod seed;

use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http::{HeaderMap, header};
use sallyport::{
    clock::Clock,
    crypto::{Digest, Key, KeyRing, random_token},
    mcp::filter::{Batch, Edits, EventFilter, Item, Kind, View, judge, narrow},
    oauth::{
        AuthMethod, RedirectTarget,
        metadata::{AsMetadata, ResourceMetadata, authorization_server_document, protected_resource_document},
    },
    pins::{Pins, RoutePins},
    policy::{AccessControl, Capabilities, Capability},
    resource_server::{ClaimPath, Claims, ResourceServer},
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
        b.iter(|| runtime.block_on(server.authenticate(black_box(&headers), &origin, &route, None)).unwrap());
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

/// A filter with 90 of 100 tools listed, over what upstreams send and what clients send.
fn filter(bencher: &mut Criterion) {
    let mut capabilities = Capabilities::new(None);
    let item = |n: usize| Capability { key: format!("tool_number_{n}"), ..Capability::default() };
    capabilities.show(Kind::Tool, (0..100).filter(|n| n % 10 != 0).map(item));
    let view = Somebodys { capabilities: Some(capabilities), claims: Claims::default(), pins: None };
    let list = list_of_tools();
    let events = format!("event: message\r\ndata: {list}\r\n\r\n");
    let call = |length: usize| {
        let text = "Wörter, \"Zitate\" und Zahlen wie 3.14; ".repeat(length / 40 + 1);
        let params = serde_json::json!({"name": "tool_number_1", "arguments": {"text": text}});
        serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string()
    };
    let mut group = bencher.benchmark_group("filter");
    for (name, body) in [("tools/call, 1 KiB", call(850)), ("tools/call, 1 MiB", call(1024 * 1024))] {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                let batch = Batch::parse(black_box(body.as_bytes())).unwrap();
                judge(&batch.messages()[0], &body, &view, &mut Edits::default()).unwrap();
            });
        });
    }
    group.throughput(Throughput::Bytes(list.len() as u64));
    group.bench_function("tools/list of 100, JSON", |b| b.iter(|| narrow(black_box(&list), &view).unwrap()));
    group.throughput(Throughput::Bytes(events.len() as u64));
    group.bench_function("tools/list of 100, events", |b| {
        b.iter(|| EventFilter::new(None).push(black_box(events.as_bytes()), &view).unwrap());
    });
    group.finish();
}

/// Pinned tools, 100 of them: how much more a list costs than one that is shown whole and looked at by nobody.
fn pinning(bencher: &mut Criterion) {
    let list = list_of_tools();
    let spaced = serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(&list).unwrap()).unwrap();
    let pins = Pins::new(&Changes::default());
    let mut group = bencher.benchmark_group("pinning");
    group.throughput(Throughput::Bytes(list.len() as u64));
    let unpinned = Somebodys { capabilities: None, claims: Claims::default(), pins: None };
    group.bench_function("tools/list of 100, not pinned", |b| b.iter(|| narrow(black_box(&list), &unpinned).unwrap()));
    let pinned = Somebodys { capabilities: None, claims: Claims::default(), pins: Some(pins.of(OPERATION)) };
    group.bench_function("tools/list of 100, as before", |b| b.iter(|| narrow(black_box(&list), &pinned).unwrap()));
    // As by two servers behind one address: each text is compared, read and hashed, since the one before was the other's.
    group.bench_function("tools/list of 100, written otherwise each time", |b| {
        let mut texts = [&list, &spaced].into_iter().cycle();
        b.iter(|| narrow(black_box(texts.next().unwrap()), &pinned).unwrap());
    });
    group.finish();
}

/// Calls of what is hidden and of what there is not, which should take the same time: nobody is to find names out by it.
fn refusal(bencher: &mut Criterion) {
    let control = AccessControl { role_claim: ClaimPath::new("roles"), group_claim: ClaimPath::new("groups") };
    let everybodys = [control.role_claim.clone(), control.group_claim.clone()];
    let person = serde_json::json!({"roles": ["reader", "writer"], "groups": ["sales", "support"]});
    let claims = Claims::of(&everybodys, person.as_object().unwrap());
    let mut capabilities = Capabilities::new(Some(control));
    let item = |n: usize| {
        let roles = if n.is_multiple_of(2) { ["reader", "owner"] } else { ["owner", "auditor"] };
        let groups = vec!["board".to_owned(), "finance".to_owned()];
        Capability {
            key: format!("tool_number_{n}"),
            roles: roles.map(ToOwned::to_owned).into(),
            groups,
            ..Capability::default()
        }
    };
    capabilities.show(Kind::Tool, (0..100).map(item));
    let pins = Pins::new(&Changes::default()).of(OPERATION);
    let definition = |n: usize, title: &str| tool(n).replace("Search", title);
    pins.is_settled("tool_number_2", &definition(2, "Search"));
    pins.is_settled("tool_number_2", &definition(2, "Delete"));
    let view = Somebodys { capabilities: Some(capabilities), claims, pins: Some(pins) };
    let mut group = bencher.benchmark_group("refusal");
    for (name, tool) in [
        ("a tool that there is not", "tool_number_x"),
        ("a tool of other roles", "tool_number_1"),
        ("a tool that waits for an administrator", "tool_number_2"),
    ] {
        let params = serde_json::json!({"name": tool, "arguments": {"text": "x".repeat(100)}});
        let body = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
        group.bench_function(name, |b| {
            b.iter(|| {
                let batch = Batch::parse(black_box(body.as_bytes())).unwrap();
                judge(&batch.messages()[0], &body, &view, &mut Edits::default()).unwrap_err();
            });
        });
    }
    group.finish();
}

/// An answer with 100 tools.
fn list_of_tools() -> String {
    let tools: Vec<_> = (0..100).map(tool).collect();
    format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{{\"tools\":[{}]}}}}", tools.join(","))
}

/// A tool of about 600 bytes, as servers describe them, its name first.
fn tool(n: usize) -> String {
    let rest = serde_json::json!({
        "title": "Search the issues of a project",
        "description": "Searches the issues of a project by text, state, label and assignee, newest first. Returns at most \
            fifty issues with their titles, states, labels and links; use the cursor of the answer to see more of them.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": "What to look for"},
                "state": {"type": "string", "enum": ["open", "closed", "all"]},
                "limit": {"type": "integer", "minimum": 1, "maximum": 50},
            },
            "required": ["query"],
        },
        "annotations": {"readOnlyHint": true},
    });
    format!("{{\"name\":\"tool_number_{n}\",{}", &rest.to_string()[1..])
}

/// What somebody with these claims sees: these capabilities, or all of them whole; tools may be pinned.
struct Somebodys {
    capabilities: Option<Capabilities>,
    claims: Claims,
    pins: Option<Arc<RoutePins>>,
}

impl View for Somebodys {
    fn item(&self, kind: Kind, key: &str) -> Item<'_> {
        self.capabilities.as_ref().map_or(Item::Whole, |shown| shown.item(kind, key, &self.claims))
    }

    fn shows_uri(&self, _uri: &str) -> bool {
        true
    }

    fn hides_uris(&self) -> bool {
        false
    }

    fn shows_any(&self, _kind: Kind) -> bool {
        true
    }

    fn is_private(&self) -> bool {
        false
    }

    fn passes_method(&self, _method: &str) -> bool {
        self.capabilities.is_none()
    }

    fn accepts_tool(&self, name: &str, definition: &str) -> bool {
        self.pins.as_ref().is_none_or(|pins| pins.is_settled(name, definition))
    }

    fn known_tool<'t>(&self, text: &'t str) -> Option<(&'t str, usize)> {
        self.pins.as_ref()?.known(text)
    }

    fn holds_tool(&self, name: &str) -> bool {
        self.pins.as_ref().is_some_and(|pins| pins.waits(name))
    }
}

criterion_group!(
    parts,
    token_digest,
    authenticate,
    session_id,
    origin,
    metadata,
    redirect_matching,
    filter,
    pinning,
    refusal
);
criterion_main!(parts);
