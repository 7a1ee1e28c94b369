//! What an upstream says about its own refusal.

use std::fmt;

use serde_json::{Map, Value};

use crate::oauth::display::{MAX_TEXT_CHARS, shown_text};

/// The error of an authorization server (RFC 6749 sections 4.1.2.1 and 5.2), cleaned.
///
/// `Display` and `Debug` show the code alone: descriptions hold names and worse, and belong on the page of the person
/// whose connection it is, never into a log.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamError {
    code: String,
    description: Option<String>,
}

impl UpstreamError {
    pub(super) fn new(code: &str, description: Option<&str>) -> Self {
        let code = code.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
        // Entra breaks its descriptions into lines.
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let description = description.map(|text| one_line(text).chars().take(MAX_TEXT_CHARS).collect::<String>());
        Self {
            code: code.take(MAX_CODE).collect(),
            description: description.and_then(|text| shown_text(&text).ok().flatten()),
        }
    }

    /// The error in an answer; none if it names none.
    ///
    /// Beside the standard's members, those that servers with an API of their own use (quirk "Supabase").
    pub(super) fn of(answer: &Map<String, Value>) -> Option<Self> {
        let nested = answer.get("error").and_then(Value::as_object);
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        let nested_text = |name: &str| nested.and_then(|error| error.get(name)).and_then(Value::as_str);
        let code =
            text("error").or_else(|| text("error_code")).or_else(|| nested_text("code")).or_else(|| text("code"));
        let description = text("error_description")
            .or_else(|| nested_text("message"))
            .or_else(|| text("msg"))
            .or_else(|| text("message"));
        (code.is_some() || description.is_some()).then(|| Self::new(code.unwrap_or_default(), description))
    }

    /// The code; empty if there was only a description.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The description, for the person who connects; fit to be shown as text.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.code.is_empty() { "without a code" } else { &self.code })
    }
}

impl fmt::Debug for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UpstreamError({self})")
    }
}

const MAX_CODE: usize = 64;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(answer: Value) -> Option<(String, Option<String>)> {
        let error = UpstreamError::of(answer.as_object().unwrap())?;
        Some((error.code().to_owned(), error.description().map(str::to_owned)))
    }

    #[test]
    fn the_error_is_found_where_servers_put_it() {
        let pair = |code: &str, description: Option<&str>| Some((code.to_owned(), description.map(str::to_owned)));
        for (answer, expected) in [
            (json!({"error": "invalid_grant"}), pair("invalid_grant", None)),
            (json!({"error": "a", "error_description": "b"}), pair("a", Some("b"))),
            // Supabase.
            (
                json!({"code": 400, "error_code": "refresh_token_not_found", "msg": "x"}),
                pair("refresh_token_not_found", Some("x")),
            ),
            (json!({"message": "Unrecognized client_id"}), pair("", Some("Unrecognized client_id"))),
            (json!({"error": {"code": "c", "message": "d"}}), pair("c", Some("d"))),
            (json!({"error": {"code": 403, "message": "d"}}), pair("", Some("d"))),
            (json!({"error": null}), None),
            (json!({}), None),
        ] {
            assert_eq!(of(answer.clone()), expected, "{answer}");
        }
    }

    #[test]
    fn what_a_stranger_writes_is_cut_and_cleaned_and_kept_out_of_logs() {
        let error = UpstreamError::new("bad\ncode<script>\u{202e}", Some(&"y".repeat(5000)));
        assert_eq!(error.code(), "badcodescript");
        assert_eq!(error.description().map(str::len), Some(MAX_TEXT_CHARS));
        let lines = UpstreamError::new("invalid_grant", Some("AADSTS70008: expired.\r\nTrace ID: 1"));
        assert_eq!(lines.description(), Some("AADSTS70008: expired. Trace ID: 1"));
        assert_eq!(UpstreamError::new("a", Some("turned \u{202e} round")).description(), None);
        let printed = format!("{error} {error:?}");
        assert!(!printed.contains("yy"), "{printed}");
    }
}
