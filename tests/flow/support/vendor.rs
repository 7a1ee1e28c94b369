//! The habits of real authorization servers that no test can run, for the one of [`super::Protected`].

use std::collections::BTreeMap;

use serde_json::{Value, json};

type Fields = BTreeMap<String, String>;

/// Whose habits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    /// By the book: rotates refresh tokens, and ends a grant of which one comes twice, as Notion does.
    Standard,
    /// Knows no `resource`: without `audience` the token is for itself.
    Auth0,
    /// Registers nobody, names the person's scopes apart and with commas, nests the token, fails with status 200.
    Slack,
    /// Registers nobody, answers in forms, fails with status 200, gives tokens without an end and nothing to refresh.
    GitHub,
    /// Registers nobody, is silent about PKCE, refuses `resource`; a refresh without `scope` is for something else.
    Entra,
    /// Registers nobody, and gives a refresh token only to who asks for it in its own way.
    Google,
    /// Its MCP server says 403 of a token that has ended, and nothing of scopes.
    Atlassian,
}

/// The API that a token must be for at Auth0.
pub const AUDIENCE: &str = "https://api.example";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const JSON: &str = "Content-Type: application/json\r\n";

impl Vendor {
    /// Changes of the metadata; `null` takes a member away.
    pub fn metadata(self, origin: &str) -> Value {
        let secrets = json!(["client_secret_post", "client_secret_basic"]);
        match self {
            Self::Standard | Self::Atlassian => json!({}),
            Self::Auth0 => json!({"issuer": format!("{origin}/")}),
            Self::Slack => json!({
                "registration_endpoint": null, "token_endpoint_auth_methods_supported": ["client_secret_post"],
            }),
            Self::GitHub | Self::Google => {
                json!({"registration_endpoint": null, "token_endpoint_auth_methods_supported": secrets})
            }
            Self::Entra => json!({
                "registration_endpoint": null, "code_challenge_methods_supported": null,
                "token_endpoint_auth_methods_supported": secrets,
            }),
        }
    }

    /// The error of an authorization request, if it gets one.
    pub fn refuses(self, asked: &Fields) -> Option<&'static str> {
        let has = |name: &str| asked.get(name).is_some_and(|value| !value.is_empty());
        match self {
            Self::Slack if !has("user_scope") && !has("scope") => Some("invalid_scope"),
            Self::Entra if has("resource") => Some("invalid_target"),
            Self::Entra if !asked.get("scope").is_some_and(|scope| scope.contains("/.default")) => {
                Some("invalid_request")
            }
            _ => None,
        }
    }

    /// Whether a grant that was asked for like this has a refresh token.
    pub fn is_offline(self, asked: &Fields) -> bool {
        let says = |name: &str, value: &str| asked.get(name).is_some_and(|given| given == value);
        match self {
            Self::GitHub => false,
            Self::Google => says("access_type", "offline") && says("prompt", "consent"),
            _ => true,
        }
    }

    /// Whether tokens that were asked for like this are for the MCP server, and not for something else.
    pub fn is_for_us(self, asked: &Fields) -> bool {
        match self {
            Self::Auth0 => asked.get("audience").is_some_and(|audience| audience == AUDIENCE),
            _ => true,
        }
    }

    /// The error of a token request, if it gets one before it is looked at.
    pub fn refuses_token_request(self, form: &Fields) -> Option<&'static str> {
        match self {
            Self::Entra if form.contains_key("resource") => Some("invalid_target"),
            Self::Slack if !form.contains_key("client_secret") => Some("invalid_client_id"),
            _ => None,
        }
    }

    /// Whether a refresh like this is for the MCP server still.
    pub fn keeps_audience(self, form: &Fields) -> bool {
        self != Self::Entra || form.contains_key("scope")
    }

    /// Tokens as it hands them out: status, headers, body.
    pub fn granted(self, tokens: Value) -> (&'static str, &'static str, String) {
        match self {
            Self::GitHub => {
                let access = tokens["access_token"].as_str().unwrap();
                ("200 OK", FORM, format!("access_token={access}&scope=repo%2Cgist&token_type=bearer"))
            }
            Self::Slack => {
                let mut person = tokens;
                person["scope"] = json!("chat:write,users:read");
                person["token_type"] = json!("user");
                let nested = json!({"ok": true, "team": {"id": "T1"}, "authed_user": person});
                ("200 OK", JSON, nested.to_string())
            }
            _ => ("200 OK", JSON, tokens.to_string()),
        }
    }

    /// The refusal of a token request.
    pub fn failed(self, error: &str) -> (&'static str, &'static str, String) {
        match self {
            Self::GitHub => ("200 OK", FORM, format!("error={error}&error_description=No.")),
            Self::Slack => ("200 OK", JSON, json!({"ok": false, "error": error}).to_string()),
            _ => ("400 Bad Request", JSON, json!({"error": error}).to_string()),
        }
    }

    /// What it calls a dead refresh token.
    pub fn dead_refresh_token(self) -> &'static str {
        match self {
            Self::GitHub => "bad_refresh_token",
            Self::Slack => "invalid_refresh_token",
            _ => "invalid_grant",
        }
    }
}
