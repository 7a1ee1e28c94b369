//! An MCP server behind an authorization server of its own, which rotates refresh tokens and revokes on replay.
//!
//! It runs on real time, for tests with gateways in processes of their own, and can have the habits of a [`Vendor`].

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::Vendor;

/// The protected upstream.
pub struct Protected {
    address: std::net::SocketAddr,
    state: Arc<Mutex<State>>,
}

/// What it knows, and what tests may change.
pub struct State {
    /// Whose habits its authorization server has.
    pub vendor: Vendor,
    /// Further members of the authorization server's metadata; `null` takes one away.
    pub metadata: Value,
    /// How long access tokens live.
    pub lifetime: Duration,
    /// Whether refreshes wait before the grant is looked at, for as long as this stands.
    pub holds_refreshes: bool,
    /// How long a refresh takes before the grant is looked at, and how long before the answer goes out.
    pub pauses: (Duration, Duration),
    /// The API keys that are taken beside the tokens, in `X-Api-Key`.
    pub api_keys: Vec<String>,
    /// Whether access tokens are refused although they are good.
    pub refuses_all: bool,
    /// Whether the MCP server says so with status 200 where it refuses a token.
    pub hides_refusals: bool,
    /// Forms that came to the token endpoint.
    pub token_requests: Vec<BTreeMap<String, String>>,
    /// The registrations that were asked for.
    pub registrations: Vec<Value>,
    /// The clients that registered and were forgotten: from the first to this one.
    pub forgotten_clients: usize,
    /// The heads of MCP requests that were let in.
    pub calls: Vec<String>,
    /// Every token that was handed out.
    pub issued: Vec<String>,
    /// How often a refresh token came a second time, which ended its grant.
    pub replays: u32,
    /// How many refreshes gave new tokens.
    pub refreshes: u32,
    /// How many refreshes are being answered.
    pub under_way: u32,
    port: u16,
    codes: HashMap<String, (BTreeMap<String, String>, String)>,
    access: HashMap<String, (usize, Instant)>,
    refresh: HashMap<String, (usize, bool)>,
    grants: Vec<Grant>,
}

/// What a person allowed.
struct Grant {
    user: String,
    alive: bool,
    has_refresh_token: bool,
    is_for_us: bool,
}

struct Request {
    method: String,
    target: String,
    head: String,
    body: String,
}

struct Reply {
    status: &'static str,
    headers: String,
    body: String,
}

impl Protected {
    pub async fn start(lifetime: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            vendor: Vendor::Standard,
            metadata: json!({}),
            lifetime,
            holds_refreshes: false,
            pauses: (Duration::ZERO, Duration::ZERO),
            api_keys: Vec::new(),
            refuses_all: false,
            hides_refusals: false,
            token_requests: Vec::new(),
            registrations: Vec::new(),
            forgotten_clients: 0,
            calls: Vec::new(),
            issued: Vec::new(),
            replays: 0,
            refreshes: 0,
            under_way: 0,
            port: address.port(),
            codes: HashMap::new(),
            access: HashMap::new(),
            refresh: HashMap::new(),
            grants: Vec::new(),
        }));
        let serving = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&serving), format!("http://{address}")));
            }
        });
        Self { address, state }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// With the habits of somebody else.
    pub async fn of(vendor: Vendor) -> Self {
        let this = Self::start(Duration::from_hours(1)).await;
        {
            let mut state = this.state();
            state.vendor = vendor;
            state.metadata = vendor.metadata(&this.url(""));
        }
        this
    }

    /// Ends all access tokens, where they end at all.
    pub fn end_access_tokens(&self) {
        let mut state = self.state();
        if state.vendor != Vendor::GitHub {
            state.access.clear();
        }
    }

    /// Forgets all refresh tokens; the access tokens live on.
    pub fn forget_refresh_tokens(&self) {
        self.state().refresh.clear();
    }

    /// Ends what everybody has allowed.
    pub fn end_grants(&self) {
        for grant in &mut self.state().grants {
            grant.alive = false;
        }
    }

    /// What the person allows at this authorization URL, as `user`: where the browser goes back to.
    pub fn allow(&self, location: &str, user: &str) -> String {
        let url = url::Url::parse(location).unwrap();
        assert!(location.starts_with(&self.url("/authorize?")), "{location}");
        let asked: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(asked["code_challenge_method"], "S256");
        let mut state = self.state();
        let mut back = url::Url::parse(&asked["redirect_uri"]).unwrap();
        let issuer = state.metadata["issuer"].as_str().map_or_else(|| self.url(""), str::to_owned);
        back.query_pairs_mut().append_pair("state", &asked["state"]).append_pair("iss", &issuer);
        if let Some(error) = state.vendor.refuses(&asked) {
            back.query_pairs_mut().append_pair("error", error);
            return back.into();
        }
        let code = format!("code-{}-of-{}-secret", state.issued.len(), state.port);
        state.issued.push(code.clone());
        state.codes.insert(code.clone(), (asked, user.to_owned()));
        back.query_pairs_mut().append_pair("code", &code);
        back.into()
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>, origin: String) {
    let Some(request) = read(&mut stream).await else { return };
    let is_refresh = request.target == "/token" && request.body.contains("grant_type=refresh_token");
    let pauses = state.lock().unwrap().pauses;
    if is_refresh {
        state.lock().unwrap().under_way += 1;
        tokio::time::sleep(pauses.0).await;
        while state.lock().unwrap().holds_refreshes {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if is_closed(&stream) {
            state.lock().unwrap().under_way -= 1;
            return;
        }
    }
    let Reply { status, headers, body } = answer(&mut state.lock().unwrap(), &request, &origin);
    if is_refresh {
        tokio::time::sleep(pauses.1).await;
        state.lock().unwrap().under_way -= 1;
    }
    let length = body.len();
    let answer = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    let _gone = stream.write_all(answer.as_bytes()).await;
}

/// Whether the client is gone; then nothing of its request is done.
fn is_closed(stream: &TcpStream) -> bool {
    match stream.try_read(&mut [0]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut received = Vec::new();
    loop {
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&received[..end]).into_owned();
            let length = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").map(|v| v.trim().to_owned()))
                .map_or(0, |length| length.parse::<usize>().unwrap());
            if received.len() >= end + 4 + length {
                let mut words = head.split(' ');
                let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
                let body = String::from_utf8_lossy(&received[end + 4..]).into_owned();
                return Some(Request { method, target, head, body });
            }
        }
        let mut part = [0; 4096];
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return None,
            Ok(length) => received.extend_from_slice(&part[..length]),
        }
    }
}

fn answer(state: &mut State, request: &Request, origin: &str) -> Reply {
    match (request.method.as_str(), request.target.as_str()) {
        ("POST", "/mcp") => call(state, request, origin),
        ("GET", "/.well-known/oauth-protected-resource/mcp") => json_reply(
            "200 OK",
            &json!({"resource": format!("{origin}/mcp"), "authorization_servers": [origin], "scopes_supported": ["read"]}),
        ),
        ("GET", "/.well-known/oauth-authorization-server") => {
            let mut metadata = json!({
                "issuer": origin,
                "authorization_endpoint": format!("{origin}/authorize"),
                "token_endpoint": format!("{origin}/token"),
                "registration_endpoint": format!("{origin}/register"),
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none"],
                "authorization_response_iss_parameter_supported": true,
            });
            for (name, value) in state.metadata.as_object().unwrap() {
                metadata[name] = value.clone();
            }
            metadata.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            json_reply("200 OK", &metadata)
        }
        ("POST", "/register") => {
            let mut document: Value = serde_json::from_str(&request.body).unwrap();
            state.registrations.push(document.clone());
            document["client_id"] = format!("registered-{}", state.registrations.len()).into();
            json_reply("201 Created", &document)
        }
        ("POST", "/token") => {
            let form: BTreeMap<_, _> = url::form_urlencoded::parse(request.body.as_bytes()).into_owned().collect();
            state.token_requests.push(form.clone());
            let vendor = state.vendor;
            let number = form.get("client_id").and_then(|id| id.strip_prefix("registered-")?.parse::<usize>().ok());
            let forgotten = number.is_some_and(|number| number <= state.forgotten_clients);
            let refusal = vendor.refuses_token_request(&form).or(forgotten.then_some("invalid_client"));
            let (status, headers, body) = match refusal {
                Some(error) => vendor.failed(error),
                None => match tokens(state, &form) {
                    Some(document) => vendor.granted(document),
                    None => vendor.failed(vendor.dead_refresh_token()),
                },
            };
            Reply { status, headers: headers.to_owned(), body }
        }
        _ => json_reply("404 Not Found", &json!({})),
    }
}

fn json_reply(status: &'static str, document: &Value) -> Reply {
    Reply { status, headers: "Content-Type: application/json\r\n".to_owned(), body: document.to_string() }
}

/// Answers a call with whom the token belongs to.
fn call(state: &mut State, request: &Request, origin: &str) -> Reply {
    let header = |name: &str| {
        request.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let bearer = header("authorization").and_then(|value| value.strip_prefix("Bearer ").map(str::to_owned));
    let grant = bearer.as_deref().and_then(|token| state.access.get(token));
    let person = grant
        .filter(|(_, end)| Instant::now() < *end && !state.refuses_all)
        .map(|(grant, _)| &state.grants[*grant])
        .filter(|grant| grant.alive && grant.is_for_us)
        .map(|grant| grant.user.clone());
    let key = header("x-api-key").or(bearer).filter(|key| state.api_keys.contains(key));
    let Some(person) = person.or(key) else {
        if state.hides_refusals {
            let error = json!({"code": -32000, "message": "Authentication failed: token is not valid"});
            return json_reply("200 OK", &json!({"jsonrpc": "2.0", "id": 1, "error": error}));
        }
        if state.vendor == Vendor::Atlassian && header("authorization").is_some() {
            return json_reply("403 Forbidden", &json!({"message": "The app is not installed on this instance"}));
        }
        let challenge = format!("Bearer resource_metadata=\"{origin}/.well-known/oauth-protected-resource/mcp\"");
        let headers = format!("WWW-Authenticate: {challenge}\r\n");
        return Reply { status: "401 Unauthorized", headers, body: String::new() };
    };
    state.calls.push(request.head.clone());
    let id = serde_json::from_str::<Value>(&request.body).map_or(Value::Null, |body| body["id"].clone());
    json_reply("200 OK", &json!({"jsonrpc": "2.0", "id": id, "result": {"person": person}}))
}

/// A new pair; a refresh token that comes twice ends its grant (RFC 9700 section 4.14.2).
fn tokens(state: &mut State, form: &BTreeMap<String, String>) -> Option<Value> {
    let grant = if form.get("grant_type")? == "authorization_code" {
        let (asked, user) = state.codes.remove(form.get("code")?)?;
        if URL_SAFE_NO_PAD.encode(Sha256::digest(form.get("code_verifier")?)) != asked["code_challenge"] {
            return None;
        }
        let (has_refresh_token, is_for_us) = (state.vendor.is_offline(&asked), state.vendor.is_for_us(&asked));
        state.grants.push(Grant { user, alive: true, has_refresh_token, is_for_us });
        state.grants.len() - 1
    } else {
        let (grant, spent) = state.refresh.get_mut(form.get("refresh_token")?)?;
        let grant = *grant;
        if std::mem::replace(spent, true) {
            state.replays += 1;
            state.grants[grant].alive = false;
        }
        if !state.grants[grant].alive {
            return None;
        }
        state.refreshes += 1;
        state.grants[grant].is_for_us &= state.vendor.keeps_audience(form);
        grant
    };
    let number = state.issued.len();
    let name = |kind| format!("upstream-{kind}-{number}-of-{}-secret", state.port);
    let (access, refresh) = (name("access"), name("refresh"));
    let lifetime = state.lifetime;
    state.issued.push(access.clone());
    state.access.insert(access.clone(), (grant, Instant::now() + lifetime));
    let mut tokens = json!({"access_token": access, "token_type": "Bearer", "expires_in": lifetime.as_secs()});
    if state.grants[grant].has_refresh_token {
        state.issued.push(refresh.clone());
        state.refresh.insert(refresh.clone(), (grant, false));
        tokens["refresh_token"] = refresh.into();
    }
    Some(tokens)
}
