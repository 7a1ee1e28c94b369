//! Two people, two upstreams with authorization servers of their own, and one that takes API keys: everybody's secrets
//! arrive where they belong, and nowhere else.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{StatusCode, header};
use serde_json::{Value, json};

use crate::{
    postgres::TestDatabase,
    processes::dump,
    support::{Browser, Client, Page, Protected, TestGateway, Tokens},
};

const CLIENT_SECRET: &str = "registered-by-hand-0123456789";
const KEYS: [(&str, &str); 2] = [("ada", "sk-live-of-ada-0123456789"), ("bob", "sk-live-of-bob-0123456789")];

/// The first registers us, the second knows us by hand, the third takes keys.
struct World {
    upstreams: [Protected; 3],
    document: Value,
}

impl World {
    async fn new() -> Self {
        let hour = Duration::from_hours(1);
        let upstreams = [Protected::start(hour).await, Protected::start(hour).await, Protected::start(hour).await];
        upstreams[1].state().metadata = json!({"token_endpoint_auth_methods_supported": ["client_secret_post"]});
        upstreams[2].state().api_keys = KEYS.iter().map(|(_, key)| (*key).to_owned()).collect();
        let route = |name: &str, upstream: &Protected, more: Value| {
            let mut section = json!({"url": upstream.url("/mcp"), "id": name, "displayName": name});
            section.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"path": format!("/mcp/{name}"), "operationId": name, "summary": name, "upstream": section})
        };
        let by_hand = json!({"mode": "manual", "clientId": "gateway", "clientSecret": CLIENT_SECRET,
                             "tokenEndpointAuthMethod": "client_secret_post"});
        let document = json!({
            "outbound": {"allowPrivateNetworks": ["127.0.0.0/8"]},
            "encryption": {"keys": [{"id": "k1", "key": STANDARD.encode([7; 32])}]},
            "routes": [
                route("first", &upstreams[0], json!({})),
                route("second", &upstreams[1], json!({"clientRegistration": by_hand})),
                route("third", &upstreams[2], json!({"authMode": "user-key", "userKey": {"header": "X-Api-Key"}})),
            ],
        });
        Self { upstreams, document }
    }
}

async fn call(client: &Client, name: &str, access: &str) -> Value {
    let request = client
        .http
        .post(format!("{}/mcp/{name}", client.origin))
        .header(header::AUTHORIZATION, format!("Bearer {access}"))
        .header(header::ACCEPT, "application/json, text/event-stream")
        .json(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo", "arguments": {}}}));
    request.send().await.unwrap().json().await.unwrap()
}

/// One person with a connection at each upstream, made on the consent page.
struct Person {
    name: &'static str,
    browser: Browser,
    clients: Vec<(Client, Tokens)>,
    secrets: Vec<String>,
}

impl Person {
    async fn connect(gateway: &TestGateway, world: &World, (name, key): (&'static str, &str)) -> Self {
        let mut this =
            Self { name, browser: Browser::new(&gateway.origin), clients: Vec::new(), secrets: vec![key.to_owned()] };
        for (index, route) in ["first", "second", "third"].into_iter().enumerate() {
            let metadata = json!({"redirect_uris": ["http://127.0.0.1:9999/callback"],
                                  "token_endpoint_auth_method": "client_secret_post"});
            let client = Client::register_as(gateway, metadata).await;
            let consent = client.consent_page(&mut this.browser, &format!("/mcp/{route}"), name).await;
            let leaving = this.browser.open(&gateway.url(&consent.link("Connect"))).await;
            let consent = if index == 2 {
                this.paste(&leaving, key).await
            } else {
                let back = world.upstreams[index].allow(leaving.leaves_to.as_deref().expect("to the upstream"), name);
                this.browser.open(&back).await
            };
            let code = this.browser.submit(&consent, ("decision", "approve")).await.answer()["code"].clone();
            let tokens = Tokens::from(client.redeem(&code).await).await;
            this.secrets.extend([code, client.verifier.clone(), tokens.access.clone(), tokens.refresh.clone()]);
            this.secrets.extend(client.secret.clone());
            this.clients.push((client, tokens));
        }
        this
    }

    async fn paste(&mut self, page: &Page, key: &str) -> Page {
        let mut fields = page.hidden_fields();
        fields.push(("key".to_owned(), key.to_owned()));
        self.browser.post(&page.form_action(), &fields, "same-origin").await
    }

    /// Whom each upstream takes the person for.
    async fn is_known(&self) {
        for (index, route) in ["first", "second", "third"].into_iter().enumerate() {
            let (client, tokens) = &self.clients[index];
            let answer = call(client, route, &tokens.access).await;
            let known = if index == 2 { &self.secrets[0] } else { self.name };
            assert_eq!(answer["result"]["person"], known, "{} at {route}: {answer}", self.name);
        }
    }

    /// Loses the connection, and makes it anew by the link that the call gives.
    async fn reconnect(&mut self, gateway: &TestGateway, world: &World) {
        world.upstreams[0].end_grants();
        world.upstreams[0].end_access_tokens();
        let (client, tokens) = &self.clients[0];
        let answer = call(client, "first", &tokens.access).await;
        let link = answer["error"]["data"]["authUrl"].as_str().unwrap_or_else(|| panic!("no link: {answer}"));
        let query = url::Url::parse(link).unwrap();
        let ticket = query.query_pairs().find(|(name, _)| name == "browserTicket").unwrap().1.into_owned();
        self.secrets.push(ticket);
        let page = self.browser.open_page(link).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.html);
        let leaving = self.browser.submit(&page, ("decision", "connect")).await;
        let back = world.upstreams[0].allow(leaving.leaves_to.as_deref().expect("to the upstream"), self.name);
        assert_eq!(self.browser.open(&back).await.status, StatusCode::OK, "{}", gateway.origin);
    }
}

/// All that travelled and must be nowhere in a log or in the store.
fn secrets(world: &World, people: &[&Person]) -> Vec<String> {
    let mut secrets: Vec<String> = people.iter().flat_map(|person| person.secrets.clone()).collect();
    for upstream in &world.upstreams {
        let state = upstream.state();
        secrets.extend(state.issued.iter().cloned());
        secrets.extend(state.token_requests.iter().filter_map(|form| form.get("code_verifier").cloned()));
    }
    secrets.push(CLIENT_SECRET.to_owned());
    assert!(secrets.len() > 30, "only {} secrets", secrets.len());
    secrets
}

/// What arrived at each upstream: never a token of the gateway's, nor one of another upstream's.
fn expect_own_credentials(world: &World, people: &[&Person]) {
    for (index, upstream) in world.upstreams.iter().enumerate() {
        let mut strange: Vec<String> = people.iter().flat_map(|person| person.secrets[1..].to_vec()).collect();
        let others = world.upstreams.iter().enumerate().filter(|(other, _)| *other != index);
        strange.extend(others.flat_map(|(_, other)| other.state().issued.clone()));
        let state = upstream.state();
        assert!(!state.calls.is_empty());
        for head in &state.calls {
            assert!(!strange.iter().any(|secret| head.contains(secret)), "upstream {index} got {head}");
        }
        for form in &state.token_requests {
            let values: Vec<_> = form.values().collect();
            assert!(!values.iter().any(|value| strange.contains(value)), "upstream {index} was sent a strange secret");
            assert_eq!(form.get("client_secret").map(String::as_str), (index == 1).then_some(CLIENT_SECRET));
        }
    }
}

async fn run(document: Value, world: World, store: impl AsyncFnOnce(&TestGateway) -> Vec<u8>) {
    let (gateway, log) = TestGateway::with_log(document).await;
    let mut ada = Person::connect(&gateway, &world, KEYS[0]).await;
    let bob = Person::connect(&gateway, &world, KEYS[1]).await;
    ada.is_known().await;
    bob.is_known().await;
    for upstream in &world.upstreams {
        upstream.end_access_tokens();
    }
    ada.is_known().await;
    bob.is_known().await;
    ada.reconnect(&gateway, &world).await;
    ada.is_known().await;
    expect_own_credentials(&world, &[&ada, &bob]);

    let secrets = secrets(&world, &[&ada, &bob]);
    let kept = store(&gateway).await;
    let lines = log.all();
    assert!(lines.len() > 50);
    for secret in &secrets {
        assert!(!kept.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret} is in the store");
        let line = lines.iter().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} is in the log: {line:?}");
    }
}

#[tokio::test]
async fn two_people_at_three_upstreams_leave_no_secret_in_log_and_sqlite() {
    let world = World::new().await;
    run(world.document.clone(), world, async |gateway| {
        let entries = std::fs::read_dir(gateway.directory.path()).unwrap().map(|entry| entry.unwrap().path());
        let files = entries.filter(|path| path.to_string_lossy().contains(".db"));
        let kept: Vec<u8> = files.flat_map(|path| std::fs::read(path).unwrap()).collect();
        assert!(kept.len() > 4096);
        kept
    })
    .await;
}

#[tokio::test]
async fn two_people_at_three_upstreams_leave_no_secret_in_log_and_postgres() {
    let (mut world, database) = (World::new().await, TestDatabase::create().await);
    world.document["store"] = json!({"url": database.url()});
    run(world.document.clone(), world, async |_| dump(&database).await.into_bytes()).await;
}

/// Mix-up and injection: an answer of one authorization server at the callback of another's connection, and a code of one
/// in the answer of another. Neither connects anything, and no code gets to the other's token endpoint.
#[tokio::test]
async fn an_answer_of_one_upstream_is_nothing_at_the_callback_of_another() {
    let world = World::new().await;
    let gateway = TestGateway::with(world.document.clone()).await;
    let mut browser = Browser::new(&gateway.origin);
    for swap in ["whole answers", "codes", "states"] {
        let mut answers = Vec::new();
        for (index, route) in ["first", "second"].into_iter().enumerate() {
            let client = Client::register(&gateway).await;
            let consent = client.consent_page(&mut browser, &format!("/mcp/{route}"), "ada").await;
            let leaving = browser.open(&gateway.url(&consent.link("Connect"))).await;
            let back = world.upstreams[index].allow(leaving.leaves_to.as_deref().expect("to the upstream"), "ada");
            let back = url::Url::parse(&back).unwrap();
            let parameters: Vec<(String, String)> = back.query_pairs().into_owned().collect();
            answers.push((back, parameters));
        }
        for (mine, other) in [(0, 1), (1, 0)] {
            let parameters = answers[mine].1.iter().map(|(name, value)| {
                let swapped = match swap {
                    "whole answers" => true,
                    "codes" => name == "code",
                    _ => name == "state",
                };
                let value = if swapped { &answers[other].1.iter().find(|(n, _)| n == name).unwrap().1 } else { value };
                (name.clone(), value.clone())
            });
            let mut url = answers[mine].0.clone();
            url.set_query(None);
            url.query_pairs_mut().extend_pairs(parameters.collect::<Vec<_>>());
            let page = browser.open(url.as_str()).await;
            assert!(page.status.is_client_error() || page.status == StatusCode::BAD_GATEWAY, "{swap}: {}", page.status);
        }
        for (index, upstream) in world.upstreams.iter().enumerate().take(2) {
            let other = answers[1 - index].1.iter().find(|(name, _)| name == "code").unwrap().1.clone();
            // Only a code that is put into an otherwise right answer gets anywhere: to the server of that answer, which
            // did not issue it and has no use for it without its verifier.
            let sent = upstream.state().token_requests.iter().any(|form| form.get("code") == Some(&other));
            assert!(!sent || swap == "codes", "{swap}: a code went to the wrong server");
        }
    }
    let connected: i64 =
        gateway.database().query_row("SELECT count(*) FROM connections", [], |row| row.get(0)).unwrap();
    assert_eq!(connected, 0);
}
