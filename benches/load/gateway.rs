//! The gateway under load: its configuration, its tokens, its process.

use std::{collections::HashMap, fmt::Write as _, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use sallyport::{
    clock::Clock,
    crypto::{Key, KeyRing, Secret},
    store::{
        Connection, ConnectionKey, Owner, Store,
        postgres::{self, PostgresStore},
        sqlite::SqliteStore,
    },
};
use serde_json::{Value, json};
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::{
    client::{self, Target},
    free_address::free_address,
    process::{self, Process},
    seed,
};

/// A route of the gateway under load.
pub struct Route {
    /// Names it, and its path.
    pub name: String,
    /// The path of the stub behind it.
    pub upstream: &'static str,
    pub credential: Credential,
    /// The configuration of its filter.
    pub capabilities: Option<Value>,
}

/// What goes upstream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    Header,
    /// Of a connection of the person.
    Connection,
}

/// A gateway that is not running yet; its store can still be filled.
pub struct Prepared {
    pub store: Arc<dyn Store>,
    pub directory: TempDir,
    pub tokens: HashMap<String, seed::Tokens>,
    pub address: SocketAddr,
    admin: SocketAddr,
    config: PathBuf,
}

/// A gateway that runs.
pub struct Gateway {
    pub process: Process,
    pub address: SocketAddr,
    pub tokens: HashMap<String, seed::Tokens>,
    _directory: TempDir,
}

impl Route {
    pub fn new(name: &str, upstream: &'static str, credential: Credential) -> Self {
        Self { name: name.to_owned(), upstream, credential, capabilities: None }
    }

    pub fn filtered(mut self, capabilities: Value) -> Self {
        self.capabilities = Some(capabilities);
        self
    }

    fn config(&self, stub: SocketAddr) -> Value {
        let mut upstream = json!({"url": format!("http://{stub}{}", self.upstream), "id": self.name});
        match self.credential {
            Credential::Header => {
                upstream["authMode"] = json!("header");
                upstream["headers"] = json!({"Authorization": format!("Bearer {UPSTREAM_TOKEN}")});
            }
            Credential::Connection => upstream["authMode"] = json!("user-oauth"),
        }
        let mut route = json!({"path": path(&self.name), "operationId": self.name, "upstream": upstream});
        if let Some(capabilities) = &self.capabilities {
            route["capabilities"] = capabilities.clone();
        }
        route
    }
}

impl Prepared {
    /// Makes configuration, store, a grant for each route, and the connections that they need.
    pub async fn new(stub: SocketAddr, routes: &[Route], database: Option<&str>, changes: &[(&str, Value)]) -> Self {
        let directory = TempDir::new().unwrap();
        let (address, admin) = (free_address(), free_address());
        let sqlite = directory.path().join("sallyport.db");
        let url = database.map_or_else(|| format!("sqlite:{}", sqlite.display()), str::to_owned);
        let mut document = json!({
            "server": {
                "listen": [address.to_string()],
                "adminListen": admin.to_string(),
                "gracePeriodSeconds": 0,
                "threads": 1,
                "limits": {"requestsPerUser": 20_000},
            },
            "store": {"url": url},
            "encryption": {"keys": [{"id": "k1", "key": STANDARD.encode(KEY)}]},
            "identity": {"provider": "dev", "users": [PERSON]},
            "outbound": {"allowPrivateNetworks": ["127.0.0.0/8"]},
            "log": {"format": "json"},
            "rateLimits": {"token": 0},
            "routes": routes.iter().map(|route| route.config(stub)).collect::<Vec<_>>(),
        });
        for (pointer, value) in changes {
            *document.pointer_mut(pointer).unwrap() = value.clone();
        }
        let config = directory.path().join("sallyport.yaml");
        std::fs::write(&config, document.to_string()).unwrap();

        let clock = Clock::system();
        let store: Arc<dyn Store> = match database {
            None => Arc::new(SqliteStore::open(&sqlite).unwrap()),
            Some(url) => Arc::new(PostgresStore::connect(&Secret::new(url), &postgres::Settings::default()).unwrap()),
        };
        seed::prepare(store.as_ref(), clock.now()).await;
        let mut tokens = HashMap::new();
        for route in routes {
            let resource = format!("http://{address}{}", path(&route.name));
            let granted = seed::grant(store.as_ref(), PERSON, &route.name, &resource, clock.now()).await;
            tokens.insert(route.name.clone(), granted);
            if route.credential == Credential::Connection {
                connect(store.as_ref(), &route.name, &clock).await;
            }
        }
        Self { store, directory, tokens, address, admin, config }
    }

    /// Starts it and waits until it listens.
    pub fn start(self) -> Gateway {
        let process = self.spawn();
        process::wait_for(self.address);
        Gateway { process, address: self.address, tokens: self.tokens, _directory: self.directory }
    }

    /// Starts it.
    pub fn spawn(&self) -> Process {
        let another = std::env::var("SALLYPORT_BENCH_GATEWAY");
        let program = another.as_deref().unwrap_or(env!("CARGO_BIN_EXE_sallyport"));
        Process::program(&[program, "run", "--config", self.config.to_str().unwrap()], &[])
    }

    /// Whether it is ready by its own word.
    pub async fn is_ready(&self) -> bool {
        let Ok(stream) = tokio::net::TcpStream::connect(self.admin).await else { return false };
        drop(stream);
        let mut connection = client::Connection::open(self.admin).await;
        connection.exchange(b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n").await.0 == 200
    }
}

impl Gateway {
    /// The load on one route.
    pub fn target(&self, route: &str) -> Target {
        Target { address: self.address, path: path(route), token: self.tokens[route].access.clone() }
    }
}

/// Where a route is.
pub fn path(route: &str) -> String {
    format!("/mcp/{route}")
}

/// Keeps a connection to the upstream of this id, sealed as the gateway seals it.
async fn connect(store: &dyn Store, upstream_id: &str, clock: &Clock) {
    let subject = seed::subject(PERSON);
    let ring = KeyRing::new(&[Key { id: "k1".to_owned(), bytes: Zeroizing::new(KEY) }]).unwrap();
    let held = json!({
        "access_token": UPSTREAM_TOKEN,
        "refresh_token": "refresh",
        "redirect_uri": "https://gateway.example.com/callback",
        "server": {
            "issuer": ISSUER,
            "authorization_endpoint": format!("{ISSUER}/authorize"),
            "token_endpoint": format!("{ISSUER}/token"),
            "token_endpoint_auth_methods": [],
            "scopes_supported": [],
            "prm_scopes": [],
            "resource": "https://mcp.example.com/mcp",
            "iss_supported": false,
            "cimd_supported": false,
        },
    });
    let place = format!("connections/tokens/user/{subject}/{upstream_id}");
    let now = clock.now();
    let key = ConnectionKey { owner: Owner::User(subject), upstream_id: upstream_id.to_owned() };
    let connection = Connection {
        issuer: ISSUER.to_owned(),
        client_id: "client".to_owned(),
        access_expires_at: Some(now.plus(Duration::from_hours(8))),
        ..Connection::fresh(key, ring.seal(&place, held.to_string().as_bytes()), now)
    };
    store.save_connection(&connection).await.unwrap();
}

/// Many routes with a header each.
pub fn many_routes(count: usize) -> Vec<Route> {
    let mut name = String::new();
    let route = |number: usize| {
        name.clear();
        write!(name, "route{number:03}").unwrap();
        Route::new(&name, "/call", Credential::Header)
    };
    (0..count).map(route).collect()
}

/// What the stub must get.
pub const UPSTREAM_TOKEN: &str = "upstream-credential-of-the-person-who-calls-0123456789";
const PERSON: &str = "ada";
const ISSUER: &str = "https://as.example.com";
const KEY: [u8; 32] = [7; 32];
