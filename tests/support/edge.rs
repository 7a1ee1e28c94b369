//! A gateway's edge on a port of its own, in the runtime of the test.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use http::StatusCode;
use pingora::{
    apps::ServerApp,
    protocols::{GetSocketDigest, SocketDigest, Stream, l4::stream::Stream as L4Stream},
    server::configuration::ServerConf,
};
use sallyport::{
    clock::Clock,
    crypto::{Key, KeyRing},
    policy::{Policies, Policy},
    proxy::{self, AllowedOrigins, Endpoints, Gateway, Limits, Parts, Process, Resolve, Setup, Underway},
    resource_server::{ClaimPaths, ResourceServer},
    routes::{Route, Routes},
    store::Changes,
    telemetry::{self, Telemetry},
    upstream::{CredentialSource, HttpVersion, Server, Servers, Tls},
    web::{self, OriginRules},
};
use tokio::{net::TcpListener, task::JoinHandle};
use zeroize::Zeroizing;

use super::{
    credentials::{self, ScriptedCredentials},
    http::{Answer, Connection, Request},
    store::FakeStore,
};

/// A running edge.
pub struct TestEdge {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its tokens.
    pub store: Arc<FakeStore>,
    /// The connections of its users.
    pub credentials: Arc<ScriptedCredentials>,
    /// Its clock.
    pub clock: Clock,
    /// What is announced to it.
    pub changes: Arc<Changes>,
    /// What is under way.
    pub underway: Arc<Underway>,
    /// Whether it drains.
    pub draining: Arc<AtomicBool>,
    /// What it tells of its requests.
    pub telemetry: Arc<Telemetry>,
    task: JoinHandle<()>,
    minder: JoinHandle<()>,
}

/// An edge to be started.
pub struct Builder {
    servers: Vec<(String, Server)>,
    policies: Vec<(String, Policy)>,
    origin_rules: OriginRules,
    allowed_origins: AllowedOrigins,
    resolver: Arc<dyn Resolve>,
    credentials: Arc<ScriptedCredentials>,
    clock: Clock,
    changes: Arc<Changes>,
    underway: Arc<Underway>,
    telemetry: Arc<Telemetry>,
}

/// Answers requests to endpoints with what it saw.
struct EchoEndpoints;

/// Names nothing but what a test gives it.
pub struct FixedResolver(pub Vec<IpAddr>);

#[async_trait]
impl Resolve for FixedResolver {
    async fn lookup(&self, _host: &str) -> io::Result<Arc<[IpAddr]>> {
        if self.0.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(self.0.clone().into()) }
    }
}

#[async_trait]
impl Endpoints for EchoEndpoints {
    fn claims(&self, path: &str) -> bool {
        path.starts_with("/oauth/")
    }

    async fn answer(&self, request: web::Request) -> web::Response {
        let seen = serde_json::json!({
            "method": request.method.as_str(), "path": request.path, "query": request.query,
            "body": request.body.len(), "origin": request.origin.to_string(),
            "peer": request.peer.map(|peer| peer.to_string()), "id": request.id.as_str(),
        });
        web::Response::json(StatusCode::OK, &seen)
    }
}

impl Builder {
    /// With a route `/mcp/{name}` to `url`.
    pub fn route(self, name: &str, url: &str) -> Self {
        self.route_with(name, url, |_| {})
    }

    /// With a route whose upstream is changed by `change`.
    pub fn route_with(mut self, name: &str, url: &str, change: impl FnOnce(&mut Server)) -> Self {
        let mut server = Server {
            id: format!("{name}-upstream"),
            url: url.parse().expect("a URL"),
            http: HttpVersion::Http1,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(20),
            forward_search: true,
            follow_redirects: false,
            tls: Tls::default(),
            credential: CredentialSource::None,
        };
        change(&mut server);
        self.servers.push((name.to_owned(), server));
        self
    }

    /// With a route `/mcp/{name}` to `url`, behind which every user has a connection.
    pub fn connected_route(self, name: &str, url: &str) -> Self {
        self.route_with(name, url, |server| server.credential = credentials::user_oauth())
    }

    /// With a policy of a route.
    pub fn policy(mut self, name: &str, policy: Policy) -> Self {
        self.policies.push((name.to_owned(), policy));
        self
    }

    /// With these origin rules.
    pub fn origins(mut self, rules: OriginRules) -> Self {
        self.origin_rules = rules;
        self
    }

    /// With these web pages allowed.
    pub fn allow(mut self, allowed: AllowedOrigins) -> Self {
        self.allowed_origins = allowed;
        self
    }

    /// With this telemetry.
    pub fn telemetry(mut self, settings: telemetry::Settings) -> Self {
        self.telemetry = Telemetry::start(settings).expect("telemetry");
        self
    }

    /// With these addresses for every name.
    pub fn resolving_to(mut self, addresses: &[&str]) -> Self {
        self.resolver =
            Arc::new(FixedResolver(addresses.iter().map(|address| address.parse().expect("an address")).collect()));
        self
    }

    /// The gateway and its store.
    pub fn build(self, draining: Arc<AtomicBool>) -> (Result<Gateway, proxy::Error>, Arc<FakeStore>) {
        let store = Arc::new(FakeStore::default());
        let route = |name: &String| Route {
            path: format!("/mcp/{name}"),
            operation_id: name.clone(),
            title: name.clone(),
            upstream_id: format!("{name}-upstream"),
            upstream_title: name.clone(),
        };
        let key = Key { id: "k1".to_owned(), bytes: Zeroizing::new([7; 32]) };
        let setup = Setup {
            endpoints: Arc::new(EchoEndpoints),
            resource_server: ResourceServer::with_claims(
                Arc::clone(&store) as _,
                &self.changes,
                ClaimPaths::new(self.policies.iter().map(|(name, policy)| (name.clone(), policy.claim_paths()))),
                self.clock.clone(),
            ),
            routes: Arc::new(Routes::new(self.servers.iter().map(|(name, _)| route(name)))),
            policies: Arc::new(Policies::new(self.policies)),
            servers: Arc::new(Servers::new(self.servers)),
            origin_rules: self.origin_rules,
            allowed_origins: self.allowed_origins,
            credentials: self.credentials,
            key_ring: Arc::new(KeyRing::new(&[key]).expect("a key")),
            clock: self.clock,
        };
        let gateway = Gateway::new(Parts {
            setup,
            resolver: self.resolver,
            underway: self.underway,
            draining,
            telemetry: self.telemetry,
        });
        (gateway, store)
    }

    /// With these limits.
    pub fn limits(self, limits: Limits) -> Self {
        self.underway.limit(limits);
        self
    }

    /// What will be under way at it.
    pub fn underway(&self) -> Arc<Underway> {
        Arc::clone(&self.underway)
    }

    /// The connections that its users will have.
    pub fn credentials(&self) -> Arc<ScriptedCredentials> {
        Arc::clone(&self.credentials)
    }

    /// Starts it.
    pub async fn start(self) -> TestEdge {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let draining = Arc::new(AtomicBool::new(false));
        let (credentials, clock) = (Arc::clone(&self.credentials), self.clock.clone());
        let (changes, underway) = (Arc::clone(&self.changes), Arc::clone(&self.underway));
        let telemetry = Arc::clone(&self.telemetry);
        let (gateway, store) = self.build(Arc::clone(&draining));
        let mut conf = ServerConf::default();
        proxy::configure(&mut conf, Process::Shared);
        let proxy = Arc::new(proxy::application(gateway.expect("a gateway"), &Arc::new(conf)));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            let (_stop, shutdown) = tokio::sync::watch::channel(false);
            while let Ok((stream, _)) = listener.accept().await {
                let (proxy, shutdown) = (Arc::clone(&proxy), shutdown.clone());
                tokio::spawn(async move {
                    let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
                    let mut stream = L4Stream::from(stream);
                    stream.set_socket_digest(digest);
                    let mut next: Option<Stream> = Some(Box::new(stream));
                    while let Some(stream) = next {
                        next = proxy.process_new(stream, &shutdown).await;
                    }
                });
            }
        });
        let minded = Arc::clone(&underway);
        let minder = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                minded.end_overdue();
            }
        });
        TestEdge { address, store, credentials, clock, changes, underway, draining, telemetry, task, minder }
    }
}

impl Drop for TestEdge {
    fn drop(&mut self) {
        self.task.abort();
        self.minder.abort();
    }
}

impl TestEdge {
    /// An edge without routes yet.
    pub fn builder() -> Builder {
        let changes = Arc::new(Changes::default());
        Builder {
            underway: Underway::new(&changes, Limits::default()),
            changes,
            servers: Vec::new(),
            policies: Vec::new(),
            origin_rules: OriginRules::default(),
            allowed_origins: AllowedOrigins::default(),
            resolver: Arc::new(FixedResolver(vec![IpAddr::from([127, 0, 0, 1])])),
            credentials: Arc::default(),
            clock: Clock::adjustable(),
            telemetry: Telemetry::start(telemetry::Settings::default()).expect("telemetry"),
        }
    }

    /// An edge with the route `/mcp/a` to `url`.
    pub async fn relaying_to(url: &str) -> Self {
        Self::builder().route("a", url).start().await
    }

    /// The origin at which tests reach it.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The `Host` at which tests reach it.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// A token of the user `ada` at the client `client-1` for this route.
    pub fn token(&self, route: &str) -> String {
        self.token_of("ada", "client-1", route)
    }

    /// A token of this user at this client for this route.
    pub fn token_of(&self, subject: &str, client: &str, route: &str) -> String {
        let resource = format!("{}/mcp/{route}", self.origin());
        self.store.issue(subject, client, route, &resource, "mcp:tools")
    }

    /// A connection to it.
    pub async fn connect(&self) -> Connection {
        Connection::open(self.address).await
    }

    /// Sends a request with the right `Host` on a connection of its own.
    pub async fn exchange(&self, request: Request) -> Answer {
        self.connect().await.exchange(&request.host(&self.host())).await
    }

    /// Sends a request with a good token for `/mcp/a`.
    pub async fn call(&self, request: Request) -> Answer {
        self.exchange(request.bearer(&self.token("a"))).await
    }

    /// Sends bytes on a connection of their own and returns the first answer, if one comes.
    pub async fn raw(&self, bytes: &[u8]) -> Option<Answer> {
        let mut connection = self.connect().await;
        connection.try_write(bytes).await;
        connection.answer(false).await
    }

    /// Begins to drain.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }
}
