//! agentgateway, where it is installed: as a relay, and as a gateway of MCP.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    client::{Connection, Target, header},
    free_address::free_address,
    gateway::UPSTREAM_TOKEN,
    jwt,
    peers::{self, Peer},
};

/// The proxies, and how a tool is called at each.
pub async fn installed(stub: SocketAddr) -> Vec<(Peer, Vec<u8>)> {
    if !peers::is_installed("agentgateway") {
        return Vec::new();
    }
    let relay = start("agentgateway, ES256 JWT, relay", "/call", &json!({"host": stub.to_string()}));
    let upstream = json!({"name": "stub", "mcp": {"host": format!("http://{stub}/mcp")}});
    let gateway = start("agentgateway, ES256 JWT, MCP", "/mcp", &json!({"mcp": {"targets": [upstream]}}));
    let call = relay.target.call();
    let call_in_session = in_session(&gateway.target.call(), &open_session(&gateway.target).await);
    vec![(relay, call), (gateway, call_in_session)]
}

/// One worker, no log of requests, and the upstream's credential put in.
fn start(name: &str, path: &str, backend: &Value) -> Peer {
    let directory = TempDir::new().unwrap();
    let (token, keys) = jwt::es256();
    let file = directory.path().join("keys.json");
    std::fs::write(&file, keys).unwrap();
    let [admin, statistics, readiness] = std::array::from_fn(|_| free_address().to_string());
    let address = free_address();
    let policies = json!({
        "jwtAuth": {"mode": "strict", "issuer": jwt::ISSUER, "audiences": [jwt::AUDIENCE], "jwks": {"file": file}},
        "backendAuth": {"key": UPSTREAM_TOKEN},
    });
    let route = json!({"matches": [{"path": {"exact": path}}], "policies": policies, "backends": [backend]});
    let config = json!({
        "config": {
            "workerThreads": 1, "adminAddr": admin, "statsAddr": statistics, "readinessAddr": readiness,
            "logging": {"level": "info,request=off"},
        },
        "binds": [{"port": address.port(), "listeners": [{"protocol": "HTTP", "routes": [route]}]}],
    });
    let config_file = directory.path().join("config.json");
    std::fs::write(&config_file, config.to_string()).unwrap();
    let command = ["agentgateway", "-f", config_file.to_str().unwrap()].map(str::to_owned);
    let mut peer = peers::start(name, address, &command, directory, true);
    peer.target = Target { address, path: path.to_owned(), token };
    peer
}

/// Opens a session of MCP, whose calls carry its id.
async fn open_session(target: &Target) -> String {
    let parameters = json!({
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "sallyport-bench", "version": "1"},
    });
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": parameters});
    let mut connection = Connection::open(target.address).await;
    let (status, answer) = connection.exchange(&target.post(initialize.to_string().as_bytes())).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
    let session = String::from_utf8(header(&answer, b"mcp-session-id").unwrap().to_vec()).unwrap();
    let initialized = target.post(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    let (status, answer) = connection.exchange(&in_session(&initialized, &session)).await;
    assert_eq!(status, 202, "{}", String::from_utf8_lossy(&answer));
    session
}

fn in_session(request: &[u8], session: &str) -> Vec<u8> {
    let line = request.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    [&request[..line], format!("Mcp-Session-Id: {session}\r\n").as_bytes(), &request[line..]].concat()
}
