//! Other proxies, where they are installed, with the same work.

use std::net::SocketAddr;

use tempfile::TempDir;

use super::{
    client::Target,
    free_address::free_address,
    gateway::UPSTREAM_TOKEN,
    jwt::{AUDIENCE, ISSUER, SECRET, SUBJECT, hs256},
    plan::Plan,
    process::{self, Core, Process},
    published,
};

/// A proxy beside the gateway.
pub struct Peer {
    pub name: String,
    pub process: Process,
    pub target: Target,
    /// Whether it puts the upstream's credential in.
    pub authorizes: bool,
    _directory: Option<TempDir>,
}

/// The relay of Pingora as published; in the quick form this program's, which need not be built first.
pub fn pingora(plan: &Plan, stub: SocketAddr, path: &str) -> Peer {
    let address = free_address();
    let addresses = [&*address.to_string(), &*stub.to_string()];
    let process = if plan.quick {
        Process::role(Core::Proxy, &[&["role:relay"], &addresses[..]].concat())
    } else {
        Process::program(&[&[published::relay().to_str().unwrap()], &addresses[..]].concat(), &[])
    };
    process::wait_for(address);
    let target = Target { address, path: path.to_owned(), token: "unchecked".to_owned() };
    Peer { name: "bare Pingora 0.9.1 relay".to_owned(), process, target, authorizes: false, _directory: None }
}

/// The same relay with everything that the gateway sets: merged writes, a runtime for each worker, its buffers.
pub fn merged(stub: SocketAddr, path: &str) -> Peer {
    let address = free_address();
    let process = Process::role(Core::Proxy, &["role:relay", &address.to_string(), &stub.to_string(), "merged"]);
    process::wait_for(address);
    let target = Target { address, path: path.to_owned(), token: "unchecked".to_owned() };
    Peer {
        name: "Pingora relay, settings and patch of ours".to_owned(),
        process,
        target,
        authorizes: false,
        _directory: None,
    }
}

/// Those that are on the `PATH`, and the one that `SALLYPORT_BENCH_PEER` starts.
pub fn installed(stub: SocketAddr) -> Vec<Peer> {
    let mut peers = Vec::new();
    if is_installed("nginx") {
        peers.push(nginx(stub));
    }
    if is_installed("haproxy") {
        peers.push(haproxy(stub, "HAProxy, relay", "", false));
        let opaque = "http-request set-var(txn.credential) req.hdr(Authorization),regsub(\"^Bearer \",\"\"),map_str({directory}/tokens.map)\n\
             http-request deny deny_status 401 unless { var(txn.credential) -m found }\n\
             http-request set-header Authorization \"Bearer %[var(txn.credential)]\"\n";
        peers.push(haproxy(stub, "HAProxy, opaque token in a map", opaque, true));
        let signed = format!(
            "http-request set-var(txn.bearer) http_auth_bearer\n\
             http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_header_query('$.alg') -m str HS256 }}\n\
             http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify(\"HS256\",\"{SECRET}\") -m int 1 }}\n"
        );
        let jwt = format!("{signed}http-request set-header Authorization \"Bearer {UPSTREAM_TOKEN}\"\n");
        // The rules of HAProxy's own guide, and the credential of whom the token is for.
        let whole = format!(
            "{signed}\
             http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_payload_query('$.iss') -m str {ISSUER} }}\n\
             http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_payload_query('$.aud') -m str {AUDIENCE} }}\n\
             http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')\n\
             http-request set-var(txn.now) date()\n\
             http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}\n\
             http-request set-var(txn.credential) var(txn.bearer),jwt_payload_query('$.sub'),map_str({{directory}}/tokens.map)\n\
             http-request deny deny_status 403 unless {{ var(txn.credential) -m found }}\n\
             http-request set-header Authorization \"Bearer %[var(txn.credential)]\"\n"
        );
        let log = "log stdout format raw local0\n option httplog\n";
        for (name, rules) in [
            ("HAProxy, HS256 JWT", &jwt),
            ("HAProxy, HS256 JWT, its claims, credential of a person", &whole),
            ("HAProxy, HS256 JWT, its claims, credential of a person, log", &format!("{log}{whole}")),
        ] {
            let mut peer = haproxy(stub, name, rules, true);
            peer.target.token = hs256();
            peers.push(peer);
        }
    }
    if let Ok(command) = std::env::var("SALLYPORT_BENCH_PEER") {
        peers.push(other(stub, &command));
    }
    peers
}

/// Those peers; of several ways with a JWT the one that does all the work.
pub fn one_of_a_kind(stub: SocketAddr) -> Vec<Peer> {
    let mut peers = installed(stub);
    peers.retain(|peer| !peer.name.starts_with("HAProxy, HS256") || peer.name.ends_with("log"));
    peers
}

/// Whether a program of this name is on the `PATH`.
pub fn is_installed(name: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|place| place.join(name).is_file()))
}

fn nginx(stub: SocketAddr) -> Peer {
    let address = free_address();
    let directory = TempDir::new().unwrap();
    let root = directory.path().display();
    let config = directory.path().join("nginx.conf");
    let text = format!(
        "worker_processes 1; daemon off; master_process off; pid {root}/pid; error_log /dev/null;\n\
         events {{ worker_connections 18000; }}\n\
         http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {root}/b; proxy_temp_path {root}/p;\n\
         fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;\n\
         upstream stub {{ server {stub}; keepalive 128; keepalive_requests 1000000000; }}\n\
         server {{ listen {address} backlog=4096; location / {{ proxy_pass http://stub; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; proxy_buffering off; proxy_read_timeout 1h; }} }} }}\n"
    );
    std::fs::write(&config, text).unwrap();
    let command =
        ["nginx", "-p", directory.path().to_str().unwrap(), "-c", config.to_str().unwrap()].map(str::to_owned);
    start("nginx, relay", address, &command, directory, false)
}

fn haproxy(stub: SocketAddr, name: &str, rules: &str, authorizes: bool) -> Peer {
    let address = free_address();
    let directory = TempDir::new().unwrap();
    std::fs::write(
        directory.path().join("tokens.map"),
        format!("{TOKEN} {UPSTREAM_TOKEN}\n{SUBJECT} {UPSTREAM_TOKEN}\n"),
    )
    .unwrap();
    let rules = rules.replace("{directory}", directory.path().to_str().unwrap());
    let text = format!(
        "global\n nbthread 1\n maxconn 9000\ndefaults\n mode http\n timeout connect 5s\n timeout client 1h\n timeout server 1h\n\
         frontend door\n bind {address} backlog 4096\n {rules}\n default_backend stub\n\
         backend stub\n http-reuse always\n server stub {stub}\n"
    );
    let config = directory.path().join("haproxy.cfg");
    std::fs::write(&config, text).unwrap();
    let command = ["haproxy", "-db", "-f", config.to_str().unwrap()].map(str::to_owned);
    start(name, address, &command, directory, authorizes)
}

/// Any other proxy: a command line that listens at `$LISTEN`, relays to `$UPSTREAM`, and takes `$TOKEN`.
fn other(stub: SocketAddr, command: &str) -> Peer {
    let address = free_address();
    let (listen, upstream) = (address.to_string(), stub.to_string());
    let environment =
        [("LISTEN", listen.as_str()), ("UPSTREAM", &upstream), ("TOKEN", TOKEN), ("UPSTREAM_TOKEN", UPSTREAM_TOKEN)];
    let process = Process::program(&["sh", "-c", command], &environment);
    process::wait_for(address);
    let token = std::env::var("SALLYPORT_BENCH_PEER_TOKEN").unwrap_or_else(|_| TOKEN.to_owned());
    let path = std::env::var("SALLYPORT_BENCH_PEER_PATH").unwrap_or_else(|_| "/call".to_owned());
    let name = std::env::var("SALLYPORT_BENCH_PEER_NAME").unwrap_or_else(|_| "SALLYPORT_BENCH_PEER".to_owned());
    Peer { name, process, target: Target { address, path, token }, authorizes: false, _directory: None }
}

/// Starts a proxy and waits until it listens.
pub fn start(name: &str, address: SocketAddr, command: &[String], directory: TempDir, authorizes: bool) -> Peer {
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let process = Process::program(&command, &[]);
    process::wait_for(address);
    let target = Target { address, path: "/call".to_owned(), token: TOKEN.to_owned() };
    Peer { name: name.to_owned(), process, target, authorizes, _directory: Some(directory) }
}

const TOKEN: &str = "at_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";
