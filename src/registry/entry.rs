//! An entry of the registry: a route as a `server.json`, and what the registry says of it.

use std::net::Ipv4Addr;

use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{clock::Timestamp, routes::Route, web::Origin};

/// A route as the registry shows it.
pub(super) struct Entry<'r> {
    /// The name of the server: the gateway's host in reverse, and the route's id.
    pub(super) name: String,
    /// Since when it is so.
    pub(super) since: Timestamp,
    route: &'r Route,
    url: String,
    host: String,
}

impl<'r> Entry<'r> {
    /// The entry of a route of the gateway at `origin`.
    pub(super) fn of(route: &'r Route, origin: &Origin, since: Timestamp) -> Self {
        let host = host(origin);
        let mut namespace = namespace(&host);
        // Only a host of more than 70 characters with an id of more than 100 is cut.
        namespace.truncate(NAME - 1 - route.operation_id.len());
        Self {
            name: format!("{namespace}/{}", route.operation_id),
            since,
            route,
            url: format!("{origin}{}", route.path),
            host,
        }
    }

    /// What names the entry within its gateway, in the order of the list.
    pub(super) fn id(&self) -> &'r str {
        &self.route.operation_id
    }

    /// The entry as the API gives it.
    ///
    /// `$schema` is left out, and both `_meta` are always there: VS Code reads the members without looking whether they
    /// are there, and refuses every schema but one of its own.
    pub(super) fn response(&self) -> Value {
        let title = cut(&self.route.title);
        let description = cut(&format!("{title}, behind the gateway at {}", self.host));
        let since = rfc3339(self.since);
        json!({
            "server": {
                "name": self.name,
                "title": title,
                "description": description,
                "version": VERSION,
                "remotes": [{"type": "streamable-http", "url": self.url}],
                "_meta": {"io.modelcontextprotocol.registry/publisher-provided": {"operationId": self.route.operation_id}},
            },
            "_meta": {"io.modelcontextprotocol.registry/official": {
                "status": "active",
                "publishedAt": since,
                "updatedAt": since,
                "isLatest": true,
            }},
        })
    }
}

/// Whether an entry has the version that is asked for.
pub(super) fn is_version(asked: &str) -> bool {
    matches!(asked, VERSION | "latest")
}

fn host(origin: &Origin) -> String {
    let authority = origin.authority();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => authority.split(':').next(),
    };
    host.unwrap_or_default().to_owned()
}

/// A host as the namespace of a server's name: in reverse, of letters, digits, dots and hyphens.
fn namespace(host: &str) -> String {
    let plain: String = host.chars().map(|c| if matches!(c, ':' | '_') { '-' } else { c }).collect();
    if plain.parse::<Ipv4Addr>().is_ok() {
        return plain;
    }
    plain.split('.').rev().filter(|label| !label.is_empty()).collect::<Vec<_>>().join(".")
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT).collect()
}

fn rfc3339(at: Timestamp) -> String {
    let time = OffsetDateTime::from_unix_timestamp(at.as_seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(&Rfc3339).unwrap_or_default()
}

/// The one version of every entry: a gateway serves a route in one form, and does not know its upstream's version.
pub(super) const VERSION: &str = "1.0.0";
/// How long a name may be.
const NAME: usize = 200;
/// How long a title or a description may be.
const TEXT: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_gives_a_namespace() {
        for (origin, expected) in [
            ("https://gateway.example.com", "com.example.gateway"),
            ("https://gateway.example.com.:8443", "com.example.gateway"),
            ("http://127.0.0.1:8080", "127.0.0.1"),
            ("http://[::1]:8080", "--1"),
            ("http://my_host:8080", "my-host"),
            ("http://localhost:8080", "localhost"),
        ] {
            assert_eq!(namespace(&host(&Origin::parse(origin).unwrap())), expected, "{origin}");
        }
    }

    #[test]
    fn names_and_texts_keep_to_their_limits() {
        let route = Route {
            path: "/mcp/a".to_owned(),
            operation_id: "a".repeat(128),
            title: "\u{e4}".repeat(300),
            upstream_id: "a".to_owned(),
            upstream_title: "a".to_owned(),
        };
        let origin =
            Origin::parse(&format!("https://{}.example.com", ["b".repeat(60), "c".repeat(60)].join("."))).unwrap();
        let entry = Entry::of(&route, &origin, Timestamp::from_seconds(0));
        assert_eq!(entry.name.len(), 200);
        let response = entry.response();
        let length = |text: &Value| text.as_str().unwrap().chars().count();
        assert_eq!((length(&response["server"]["title"]), length(&response["server"]["description"])), (100, 100));
        assert_eq!(response["_meta"]["io.modelcontextprotocol.registry/official"]["updatedAt"], "1970-01-01T00:00:00Z");
    }
}
