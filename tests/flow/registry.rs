//! The registry: what it lists, to whom, and that its answers have the form of the API.

use std::collections::HashMap;

use reqwest::{Method, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::TestGateway;

/// The parts of the API's schema (version 2025-12-01) that a read-only registry of remotes uses; a member
/// that the schema does not have fails the test.
mod schema {
    use super::{Deserialize, HashMap, Value};

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct ServerList {
        pub servers: Vec<ServerResponse>,
        pub metadata: Metadata,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct Metadata {
        pub next_cursor: Option<String>,
        pub count: usize,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct ServerResponse {
        pub server: ServerDetail,
        #[serde(rename = "_meta")]
        pub meta: ResponseMeta,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct ResponseMeta {
        #[serde(rename = "io.modelcontextprotocol.registry/official")]
        pub official: Official,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct Official {
        pub status: String,
        pub published_at: String,
        pub updated_at: String,
        pub is_latest: bool,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct ServerDetail {
        pub name: String,
        pub description: String,
        pub title: String,
        pub version: String,
        pub remotes: Vec<Remote>,
        #[serde(rename = "_meta")]
        pub meta: HashMap<String, HashMap<String, Value>>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Remote {
        #[serde(rename = "type")]
        pub kind: String,
        pub url: String,
    }

    impl ServerResponse {
        /// What the schema says beside the types.
        pub fn check(&self) {
            let Self { server, meta } = self;
            let (namespace, id) = server.name.split_once('/').expect("a namespace");
            let plain = |text: &str, more: &str| {
                !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
            };
            assert!(plain(namespace, ".-") && plain(id, "._-"), "{}", server.name);
            assert!((3..=200).contains(&server.name.len()), "{}", server.name);
            for text in [&server.title, &server.description] {
                assert!((1..=100).contains(&text.chars().count()), "{text}");
            }
            assert!(server.version.len() <= 255 && server.version.split('.').all(|part| part.parse::<u32>().is_ok()));
            assert_eq!(server.meta.keys().collect::<Vec<_>>(), ["io.modelcontextprotocol.registry/publisher-provided"]);
            for remote in &server.remotes {
                assert_eq!(remote.kind, "streamable-http");
                assert!(remote.url.starts_with("http") && !remote.url.contains(char::is_whitespace), "{}", remote.url);
            }
            assert_eq!((meta.official.status.as_str(), meta.official.is_latest), ("active", true));
            for date in [&meta.official.published_at, &meta.official.updated_at] {
                let format = &time::format_description::well_known::Rfc3339;
                assert!(time::OffsetDateTime::parse(date, format).is_ok(), "{date}");
            }
        }
    }
}

use schema::{ServerList, ServerResponse};

async fn read(gateway: &TestGateway, path: &str) -> Value {
    let answer = reqwest::get(gateway.url(&format!("/mcp-registry/v0.1{path}"))).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json", "{path}");
    assert_eq!(answer.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*", "{path}");
    assert!(!answer.headers().contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS), "{path}");
    answer.json().await.unwrap()
}

async fn list(gateway: &TestGateway, query: &str) -> ServerList {
    let list: ServerList = serde_json::from_value(read(gateway, &format!("/servers{query}")).await).unwrap();
    list.servers.iter().for_each(ServerResponse::check);
    assert_eq!(list.metadata.count, list.servers.len());
    list
}

fn names(list: &ServerList) -> Vec<&str> {
    list.servers.iter().map(|response| response.server.name.as_str()).collect()
}

#[tokio::test]
async fn every_open_route_is_listed_where_clients_reach_it() {
    let gateway = TestGateway::start().await;
    let all = list(&gateway, "").await;
    assert_eq!(names(&all), ["127.0.0.1/one", "127.0.0.1/two"]);
    let one = &all.servers[0].server;
    assert_eq!((one.title.as_str(), one.remotes.len()), ("Route One", 1));
    assert_eq!(one.remotes[0].url, gateway.url("/mcp/one"));

    let first = list(&gateway, "?limit=1").await;
    assert_eq!(names(&first), ["127.0.0.1/one"]);
    let cursor = first.metadata.next_cursor.unwrap();
    let second = list(&gateway, &format!("?limit=1&cursor={cursor}")).await;
    assert_eq!((names(&second), &second.metadata.next_cursor), (vec!["127.0.0.1/two"], &None));
    for (query, expected) in [
        ("?search=TWO", 1),
        ("?version=latest", 2),
        ("?version=2.0.0", 0),
        ("?updated_since=2020-01-01T00:00:00Z", 2),
        ("?updated_since=2999-01-01T00:00:00Z", 0),
    ] {
        assert_eq!(list(&gateway, query).await.servers.len(), expected, "{query}");
    }
}

#[tokio::test]
async fn a_server_is_found_by_its_encoded_name() {
    let gateway = TestGateway::start().await;
    let versions: ServerList =
        serde_json::from_value(read(&gateway, "/servers/127.0.0.1%2Fone/versions").await).unwrap();
    assert_eq!((names(&versions), versions.servers[0].server.version.as_str()), (vec!["127.0.0.1/one"], "1.0.0"));
    let latest = read(&gateway, "/servers/127.0.0.1%2Fone/versions/latest").await;
    assert_eq!(latest, read(&gateway, "/servers/127.0.0.1%2Fone/versions/1.0.0").await);
    serde_json::from_value::<ServerResponse>(latest).unwrap().check();
    for path in [
        "/servers/127.0.0.1%2Fthree/versions",
        "/servers/127.0.0.1%2Fone/versions/2.0.0",
        "/servers/127.0.0.1%252Fone/versions/latest",
        "/servers/evil.example%2Fone/versions/latest",
    ] {
        let answer = reqwest::get(gateway.url(&format!("/mcp-registry/v0.1{path}"))).await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*", "{path}");
        assert_eq!(answer.json::<Value>().await.unwrap()["error"], "Server not found", "{path}");
    }
    let bad = reqwest::get(gateway.url("/mcp-registry/v0.1/servers?limit=none")).await.unwrap();
    assert_eq!(bad.status(), StatusCode::BAD_REQUEST);
    assert!(bad.json::<Value>().await.unwrap()["error"].as_str().unwrap().contains("limit"));
}

/// A list of servers is a list of capabilities: what not everybody may use, strangers are not told of.
#[tokio::test]
async fn routes_that_are_not_for_everybody_are_not_listed() {
    let mut gateway = TestGateway::start().await;
    let upstream = gateway.upstream.url("/one");
    let route = |id: &str, access: Value| {
        json!({"path": format!("/mcp/{id}"), "operationId": id, "summary": id, "access": access,
               "upstream": {"url": upstream, "authMode": "none", "id": id}})
    };
    gateway.restart_with(json!({"routes": [
        route("open", json!({})),
        route("allowed", json!({"allow": [{"claim": "sub", "anyOf": ["ada"]}]})),
        route("denied", json!({"deny": [{"claim": "sub", "anyOf": ["bob"]}]})),
    ]}));
    assert_eq!(names(&list(&gateway, "").await), ["127.0.0.1/open"]);
    assert!(list(&gateway, "?search=allowed").await.servers.is_empty());
    for id in ["allowed", "denied", "missing"] {
        let path = format!("/mcp-registry/v0.1/servers/127.0.0.1%2F{id}/versions/latest");
        let answer = reqwest::get(gateway.url(&path)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{id}");
        assert_eq!(answer.json::<Value>().await.unwrap()["error"], "Server not found", "{id}");
    }
}

#[tokio::test]
async fn nothing_can_be_written() {
    let gateway = TestGateway::with(json!({"server": {"basePath": "/_gw"}})).await;
    let http = reqwest::Client::new();
    let call = async |method: Method, path: &str| {
        let url = gateway.url(&format!("/_gw/mcp-registry{path}"));
        let answer = http.request(method, url).header(header::ORIGIN, "https://ide.example").send().await.unwrap();
        let origin = answer.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN).map(|value| value.to_str().unwrap());
        assert_eq!(origin, Some("*"), "{path}");
        let allow = answer.headers().get(header::ALLOW).map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), allow.unwrap_or_default())
    };
    let (version, read) = ("/v0.1/servers/127.0.0.1%2Fone/versions/1.0.0", "GET, HEAD, OPTIONS".to_owned());
    for (method, path) in [
        (Method::POST, "/v0.1/publish"),
        (Method::PUT, version),
        (Method::DELETE, version),
        (Method::PATCH, "/v0.1/servers/127.0.0.1%2Fone/versions/1.0.0/status"),
        (Method::PATCH, "/v0.1/servers/127.0.0.1%2Fone/status"),
    ] {
        assert_eq!(call(method.clone(), path).await.0, 501, "{method} {path}");
    }
    for (method, path, expected) in [
        (Method::POST, "/v0.1/servers", (405, read.clone())),
        (Method::PUT, "/v0.1/servers", (405, read.clone())),
        (Method::PATCH, version, (405, read)),
        (Method::GET, "/v0.1/publish", (405, "OPTIONS".to_owned())),
        (Method::OPTIONS, "/v0.1/servers", (204, String::new())),
        (Method::HEAD, "/v0.1/servers", (200, String::new())),
        (Method::GET, "/v0.1", (404, String::new())),
        (Method::GET, "/v0/servers", (404, String::new())),
        (Method::GET, "", (404, String::new())),
    ] {
        assert_eq!(call(method.clone(), path).await, expected, "{method} {path}");
    }
    assert_eq!(reqwest::get(gateway.url("/mcp-registry/v0.1/servers")).await.unwrap().status(), StatusCode::NOT_FOUND);
}
