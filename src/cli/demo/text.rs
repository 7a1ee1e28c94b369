//! What `sallyport demo` prints once it is ready: where it is, and how clients get there.

use base64::{Engine, prelude::BASE64_STANDARD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use url::Url;

/// The text for a demo, run as `program`, at `origin`, whose sample server is reached at `route_url`.
///
/// Every line that starts a client can be pasted into a POSIX shell as it stands.
pub fn text(program: &str, origin: &str, route_url: &Url) -> String {
    let vs_code = json!({"name": NAME, "type": "http", "url": route_url});
    let cursor_file = json!({"mcpServers": {NAME: {"url": route_url}}});
    let cursor_link = cursor_link(route_url);
    format!(
        "Sallyport demo is ready.

  Gateway       {origin}
  MCP endpoint  {route_url}
  Sign-in       a development user, without a password; nothing is kept when the demo stops

Walk the entire flow and see every step:

  {program} doctor {route_url}

Connect a client:

  Claude Code    claude mcp add --transport http {NAME} {route_url}
                 then sign in with /mcp
  VS Code        code --add-mcp '{vs_code}'
  Cursor         {cursor_link}
                 or in .cursor/mcp.json: {cursor_file}
  Codex          codex mcp add {NAME} --url {route_url}
  Gemini CLI     gemini mcp add --transport http {NAME} {route_url}
                 then sign in with /mcp auth {NAME}
  MCP Inspector  npx @modelcontextprotocol/inspector
                 then choose Streamable HTTP and enter {route_url}

Ctrl-C stops the demo.
"
    )
}

/// A link that makes Cursor offer to add the server: the entry of its `mcp.json` in base64.
fn cursor_link(route_url: &Url) -> String {
    let entry = BASE64_STANDARD.encode(json!({"url": route_url}).to_string());
    let entry = utf8_percent_encode(&entry, NON_ALPHANUMERIC);
    format!("cursor://anysphere.cursor-deeplink/mcp/install?name={NAME}&config={entry}")
}

/// What clients call the demo.
const NAME: &str = "sallyport-demo";

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: &str = "http://127.0.0.1:8080/mcp/sample";

    fn printed() -> String {
        text("sallyport", "http://127.0.0.1:8080", &ROUTE.parse().unwrap())
    }

    #[test]
    fn every_client_gets_its_line_to_the_letter() {
        let printed = printed();
        for line in [
            "claude mcp add --transport http sallyport-demo http://127.0.0.1:8080/mcp/sample\n",
            "code --add-mcp '{\"name\":\"sallyport-demo\",\"type\":\"http\",\"url\":\"http://127.0.0.1:8080/mcp/sample\"}'\n",
            "{\"mcpServers\":{\"sallyport-demo\":{\"url\":\"http://127.0.0.1:8080/mcp/sample\"}}}\n",
            "codex mcp add sallyport-demo --url http://127.0.0.1:8080/mcp/sample\n",
            "gemini mcp add --transport http sallyport-demo http://127.0.0.1:8080/mcp/sample\n",
            "npx @modelcontextprotocol/inspector\n",
            "sallyport doctor http://127.0.0.1:8080/mcp/sample\n",
        ] {
            assert!(printed.contains(line), "{line}");
        }
    }

    #[test]
    fn the_cursor_link_carries_the_entry_that_cursor_reads() {
        let printed = printed();
        let link = printed.split_whitespace().find(|word| word.starts_with("cursor:")).unwrap();
        let link: Url = link.parse().unwrap();
        let query: std::collections::HashMap<_, _> = link.query_pairs().into_owned().collect();
        assert_eq!(query["name"], "sallyport-demo");
        let entry = BASE64_STANDARD.decode(&query["config"]).unwrap();
        let entry: serde_json::Value = serde_json::from_slice(&entry).unwrap();
        assert_eq!(entry, json!({"url": ROUTE}));
    }
}
