//! The edge as `app` runs it: a Pingora server in a thread of its own.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    thread::JoinHandle,
    time::Duration,
};

use async_trait::async_trait;
use pingora::server::{RunArgs, Server, ShutdownSignal, ShutdownSignalWatch, configuration::ServerConf};
use sallyport::proxy::{self, Certificate, Listener, Process, Underway};
use tokio::{net::TcpStream, sync::Notify, time::timeout};

use super::{TestEdge, credentials::ScriptedCredentials, edge::Builder, free_address, store::FakeStore};

/// A Pingora server in a thread of its own; it stops with its value.
pub struct RunningServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where its tokens are.
    pub store: Arc<FakeStore>,
    /// The connections of its users.
    pub credentials: Arc<ScriptedCredentials>,
    /// What is under way in it.
    pub underway: Arc<Underway>,
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

struct Stop(Arc<Notify>);

#[async_trait]
impl ShutdownSignalWatch for Stop {
    async fn recv(&self) -> ShutdownSignal {
        self.0.notified().await;
        ShutdownSignal::FastShutdown
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.stop.notify_one();
        self.thread.take().expect("a thread").join().expect("a clean stop");
    }
}

impl RunningServer {
    /// Serves the route `/mcp/a` to `url`, over TLS if there is a certificate with its key.
    pub async fn start(url: &str, tls: Option<(PathBuf, PathBuf)>) -> Self {
        Self::of(TestEdge::builder().route("a", url), tls).await
    }

    /// Serves what `builder` has, over TLS if there is a certificate with its key.
    pub async fn of(builder: Builder, tls: Option<(PathBuf, PathBuf)>) -> Self {
        let address = free_address();
        let credentials = builder.credentials();
        let underway = builder.underway();
        let (gateway, store) = builder.build(Arc::new(AtomicBool::new(false)));
        let mut conf = ServerConf { threads: 1, grace_period_seconds: Some(0), ..ServerConf::default() };
        proxy::configure(&mut conf, Process::Shared);
        let mut server = Server::new_with_opt_and_conf(None, conf);
        server.bootstrap();
        let tls = tls.map(|(chain, key)| Certificate::new(Certificate::read(&chain, &key).expect("a certificate")));
        let listener = Listener { address: address.to_string(), tls };
        let service = proxy::service(gateway.expect("a gateway"), &server.configuration, &[listener]);
        server.add_service(service.expect("a service"));
        let stop = Arc::new(Notify::new());
        let signal = Box::new(Stop(Arc::clone(&stop)));
        let thread = std::thread::spawn(move || server.run(RunArgs { shutdown_signal: signal }));
        timeout(SOON, async {
            while TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("it listens");
        Self { address, store, credentials, underway, stop, thread: Some(thread) }
    }
}

/// Long enough for a slow machine.
const SOON: Duration = Duration::from_secs(20);
