//! An upstream MCP server with its authorization server, on loopback.
//!
//! Any path can be told to answer something else, word for word what a real server was seen to answer.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, LazyLock, Mutex},
};

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use url::Url;

use crate::{
    clock::Clock,
    crypto::SigningKey,
    oauth::CodeChallenge,
    outbound::{
        Client, Prober, Resolver, Settings,
        test_server::{Reply, Request, TestServer},
    },
    upstream::{
        OauthSettings, Prompt, Registration, Resource,
        authorization::{AuthorizationClient, ClientKeys, Discovery, KeyError},
    },
};

/// The word in any answer that stands for the fake's own origin.
pub(super) const ORIGIN: &str = "ORIGIN";

/// The fake; it serves the MCP endpoint `/mcp` and is its own issuer.
pub(super) struct Fake {
    server: TestServer,
    state: Arc<Mutex<State>>,
}

/// An answer told word for word.
#[derive(Clone)]
struct Told {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

#[derive(Default)]
struct State {
    told: HashMap<String, Told>,
    codes: HashMap<String, String>,
    refresh_token: Option<String>,
    issued: u32,
}

impl Fake {
    pub(super) async fn start() -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let answering = Arc::clone(&state);
        let server = TestServer::start(move |request| answer(&mut answering.lock().unwrap(), request)).await;
        Self { server, state }
    }

    /// From now on `path` answers this.
    pub(super) fn tell(&self, path: &str, status: u16, headers: &[(&str, &str)], body: &str) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let told = Told { status, headers, body: body.to_owned() };
        self.state.lock().unwrap().told.insert(path.to_owned(), told);
    }

    /// From now on `path` answers this document.
    pub(super) fn tell_json(&self, path: &str, document: &Value) {
        self.tell(path, 200, &[("Content-Type", "application/json")], &document.to_string());
    }

    /// From now on the server metadata has these members, too, or no longer, where they are `null`.
    pub(super) fn with_metadata(&self, members: &Value) {
        let mut metadata = server_metadata();
        for (name, value) in members.as_object().unwrap() {
            metadata[name] = value.clone();
        }
        self.tell_json(SERVER_METADATA, &metadata);
    }

    /// From now on the resource metadata has these members, too.
    pub(super) fn with_resource_metadata(&self, members: &Value) {
        let mut metadata = resource_metadata();
        for (name, value) in members.as_object().unwrap() {
            metadata[name] = value.clone();
        }
        self.tell_json(RESOURCE_METADATA, &metadata);
    }

    /// The person at the browser allows what an authorization URL asks for; the code.
    pub(super) fn allow(&self, authorization_url: &Url) -> String {
        let parameter = |name| authorization_url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
        assert_eq!(parameter("code_challenge_method"), "S256");
        let mut state = self.state.lock().unwrap();
        let code = format!("code-{}", state.codes.len());
        state.codes.insert(code.clone(), parameter("code_challenge"));
        code
    }

    pub(super) fn url(&self, path: &str) -> Url {
        self.server.url(path)
    }

    pub(super) fn mcp(&self) -> Url {
        self.url("/mcp")
    }

    pub(super) fn origin(&self) -> String {
        format!("http://{}", self.server.address)
    }

    pub(super) fn seen(&self) -> Vec<Request> {
        self.server.seen()
    }

    /// The paths that were asked for since the last look.
    pub(super) fn paths(&self) -> Vec<String> {
        self.seen().iter().map(|request| request.target.clone()).collect()
    }

    /// The last request to `path`.
    pub(super) fn last(&self, path: &str) -> Request {
        self.seen().into_iter().rfind(|request| request.path() == path).unwrap()
    }
}

fn answer(state: &mut State, request: &Request) -> Reply {
    let origin = format!("http://{}", request.header("host").unwrap());
    let told = state.told.get(request.path()).cloned().unwrap_or_else(|| usual(state, request));
    let headers: Vec<_> =
        told.headers.iter().map(|(name, value)| (name.clone(), value.replace(ORIGIN, &origin))).collect();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Reply::new(told.status, &headers, &told.body.replace(ORIGIN, &origin))
}

/// What a server without quirks answers.
fn usual(state: &mut State, request: &Request) -> Told {
    let json = |status, document: Value| Told {
        status,
        headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
        body: document.to_string(),
    };
    match (request.method.as_str(), request.path()) {
        ("POST", "/mcp") => {
            let challenge = format!("Bearer resource_metadata=\"{ORIGIN}{RESOURCE_METADATA}\", scope=\"issues:read\"");
            let headers = vec![("WWW-Authenticate".to_owned(), challenge)];
            Told { status: 401, headers, body: String::new() }
        }
        ("GET", RESOURCE_METADATA) => json(200, resource_metadata()),
        ("GET", SERVER_METADATA) => json(200, server_metadata()),
        ("POST", "/register") => {
            let mut document: Value = serde_json::from_str(&request.body).unwrap();
            document["client_id"] = "client-1".into();
            json(201, document)
        }
        ("POST", "/token") => match tokens(state, request) {
            Some(document) => json(200, document),
            None => json(400, json!({"error": "invalid_grant", "error_description": "The grant is not known."})),
        },
        ("POST", "/revoke") => {
            state.refresh_token = None;
            Told { status: 200, headers: Vec::new(), body: String::new() }
        }
        _ => Told { status: 404, headers: Vec::new(), body: "not found".to_owned() },
    }
}

/// A new pair, if the code and its verifier, or the last refresh token, are right.
fn tokens(state: &mut State, request: &Request) -> Option<Value> {
    match request.form("grant_type").as_deref() {
        Some("authorization_code") => {
            let challenge = state.codes.remove(&request.form("code")?)?;
            CodeChallenge::from_stored(challenge).verify(&request.form("code_verifier")?).ok()?;
        }
        _ => {
            state.refresh_token.take().filter(|token| Some(token) == request.form("refresh_token").as_ref())?;
        }
    }
    state.issued += 1;
    let refresh_token = format!("refresh-{}", state.issued);
    state.refresh_token = Some(refresh_token.clone());
    Some(json!({
        "access_token": format!("access-{}", state.issued),
        "token_type": "Bearer",
        "expires_in": 3600,
        "refresh_token": refresh_token,
        "scope": "issues:read",
    }))
}

fn resource_metadata() -> Value {
    json!({
        "resource": format!("{ORIGIN}/mcp"),
        "authorization_servers": [ORIGIN],
        "scopes_supported": ["issues:read", "issues:write"],
    })
}

fn server_metadata() -> Value {
    json!({
        "issuer": ORIGIN,
        "authorization_endpoint": format!("{ORIGIN}/authorize"),
        "token_endpoint": format!("{ORIGIN}/token"),
        "registration_endpoint": format!("{ORIGIN}/register"),
        "revocation_endpoint": format!("{ORIGIN}/revoke"),
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
        "authorization_response_iss_parameter_supported": true,
    })
}

/// A client that may reach `networks` although they are private; made once, because that takes a while.
pub(super) fn client(networks: &[&str]) -> Client {
    static MADE: Mutex<BTreeMap<String, Client>> = Mutex::new(BTreeMap::new());
    MADE.lock().unwrap().entry(networks.concat()).or_insert_with(|| new_client(networks)).clone()
}

fn new_client(networks: &[&str]) -> Client {
    let allow_private = networks.iter().map(|network| network.parse().unwrap()).collect();
    let settings = Settings { allow_private, user_agent: "sallyport/test".to_owned(), ..Settings::default() };
    Client::new(&settings, Arc::new(Resolver::system())).unwrap()
}

pub(super) fn discovery(networks: &[&str], clock: &Clock) -> Discovery {
    static PROBER: LazyLock<Prober> =
        LazyLock::new(|| Prober::new(&Settings::default(), Arc::new(Resolver::system())).unwrap());
    Discovery::new(client(networks), PROBER.clone(), clock.clone())
}

/// Discovery that may reach the fake.
pub(super) fn on_loopback() -> Discovery {
    discovery(&["127.0.0.0/8"], &Clock::system())
}

/// A client of authorization servers that may reach `networks`, with a key of its own.
pub(super) fn authorization_client(networks: &[&str]) -> AuthorizationClient {
    AuthorizationClient::new(client(networks), Arc::new(OwnKey::default()), Clock::system())
}

/// A key that is made at first use and kept nowhere.
#[derive(Default)]
struct OwnKey(OnceCell<Arc<SigningKey>>);

#[async_trait]
impl ClientKeys for OwnKey {
    async fn signing_key(&self) -> Result<Arc<SigningKey>, KeyError> {
        let made = self
            .0
            .get_or_try_init(async || Ok::<_, KeyError>(Arc::new(SigningKey::from_pkcs8(&SigningKey::generate()?)?)));
        made.await.cloned()
    }
}

/// What an operator who sets nothing has.
pub(super) fn settings() -> OauthSettings {
    OauthSettings {
        registration: Registration::Auto,
        scopes: Vec::new(),
        scope_delimiter: " ".to_owned(),
        prompt: Prompt::Auto,
        authorization_parameters: std::collections::BTreeMap::new(),
        resource: Resource::Send,
        protected_resource_metadata_url: None,
        assume_pkce: false,
    }
}

pub(super) const RESOURCE_METADATA: &str = "/.well-known/oauth-protected-resource/mcp";
pub(super) const ROOT_RESOURCE_METADATA: &str = "/.well-known/oauth-protected-resource";
pub(super) const SERVER_METADATA: &str = "/.well-known/oauth-authorization-server";
pub(super) const OPENID_METADATA: &str = "/.well-known/openid-configuration";
