//! The members of an answer, whatever form it has.

use serde_json::{Map, Value};

/// Reads a body as JSON, or else as a form; none if it is neither.
///
/// The `Content-Type` is not asked: it is wrong too often. Quirk "GitHub: token endpoint answers form-encoded".
pub(super) fn parse(body: &[u8]) -> Option<Map<String, Value>> {
    if let Ok(Value::Object(members)) = serde_json::from_slice(body) {
        return Some(members);
    }
    // Any text parses as a form, a page with a link in it, too. A form is one word, and answers the question.
    let body = body.trim_ascii();
    if !body.iter().all(|byte| byte.is_ascii_graphic() && !b"<>\"".contains(byte)) {
        return None;
    }
    let mut members = Map::new();
    for (name, value) in form_urlencoded::parse(body).take(MAX_MEMBERS) {
        members.entry(name).or_insert_with(|| Value::String(value.into_owned()));
    }
    let says = |name: &str| members.get(name).is_some_and(|value| value != "");
    (says("access_token") || says("error")).then_some(members)
}

const MAX_MEMBERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_forms_are_read_and_pages_are_not() {
        let read = |body: &str| parse(body.as_bytes()).map(|members| Value::Object(members).to_string());
        assert_eq!(read(r#"{"a":1}"#).as_deref(), Some(r#"{"a":1}"#));
        assert_eq!(read("access_token=a%20b&scope=").as_deref(), Some(r#"{"access_token":"a b","scope":""}"#));
        assert_eq!(read("error=x&error=y").as_deref(), Some(r#"{"error":"x"}"#));
        for body in [
            "",
            "Forbidden",
            "<html>error=1</html>",
            "<a&error=invalid_grant&>",
            "see &error=invalid_grant& there",
            "error",
            "[1]",
            "null",
            "\"error\"",
            "a=b",
            "\u{0}",
        ] {
            assert_eq!(read(body), None, "{body}");
        }
    }
}
