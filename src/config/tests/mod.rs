//! Tests of the configuration as a whole: text in, `Config` or messages out.

mod bad_values;
mod derived;
mod described;
mod files;
mod robustness;

use crate::config::{Config, Error, Source, load};

/// Loads a text with a few variables set: `SECRET`, `EMPTY`, `KEY` (32 bytes), `URL`.
pub fn load_text(text: &str) -> Result<Config, Error> {
    let env = |name: &str| {
        let value = match name {
            "SECRET" => "s3cr3t-v4lue",
            "EMPTY" => "",
            "KEY" => "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "URL_SAFE_KEY" => "-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_8",
            "URL" => "https://mcp.example.com/mcp",
            "BROKEN_LINE" => "s3cr3t-v4lue\nX-Injected: 1",
            _ => return None,
        };
        Some(value.to_owned())
    };
    load(Source::Text { name: "test.yaml".to_owned(), text: text.to_owned() }, &env)
}

/// Loads a text that must be valid.
pub fn load_valid(text: &str) -> Config {
    load_text(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A valid configuration with `sections` in front of a dev identity and one route.
pub fn with_sections(sections: &str) -> String {
    format!("{sections}\nidentity: {{provider: dev}}\n{ROUTES}")
}

/// A valid configuration whose `identity` is the given one-line mapping.
pub fn with_identity(identity: &str) -> String {
    format!("identity: {{{identity}}}\n{ROUTES}")
}

/// A valid configuration whose only upstream has the given further keys.
pub fn with_upstream(keys: &str) -> String {
    format!(
        "identity: {{provider: dev}}\nroutes:\n  - path: /mcp\n    operationId: a\n    upstream:\n      url: \
         https://mcp.example.com/mcp\n      {keys}\n"
    )
}

const ROUTES: &str =
    "routes:\n  - {path: /mcp, operationId: a, upstream: {url: \"https://mcp.example.com/mcp\", authMode: none}}\n";
