//! What may stand on a page: text that cannot deceive the eye, and links that cannot leave the gateway.

use std::fmt;

/// Text made fit to be shown, whoever chose it: one line, no invisible or direction-changing characters, bounded.
///
/// It is not HTML-escaped yet; the templates do that for every value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SafeText(String);

impl SafeText {
    /// Whether nothing visible was left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The cleaned text, or `otherwise` if nothing visible was left.
    pub fn or<'text>(&'text self, otherwise: &'text str) -> &'text str {
        if self.is_empty() { otherwise } else { &self.0 }
    }

    /// The cleaned text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SafeText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A name or a title: at most 80 characters.
pub fn safe_text(text: &str) -> SafeText {
    clean(text, NAME_LIMIT)
}

/// A sentence or two, or a technical value such as a redirect URI: at most 400 characters.
pub fn safe_paragraph(text: &str) -> SafeText {
    clean(text, PARAGRAPH_LIMIT)
}

/// A host fit to be shown, with its port if that matters: like [`SafeText`], but an overlong one loses its beginning.
///
/// The end of a host says whom it belongs to: `login.example.com.….evil.example`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SafeHost(String);

impl fmt::Display for SafeHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A host in its ASCII form, at most its last 80 characters.
pub fn safe_host(host: &str) -> SafeHost {
    let SafeText(mut shown) = clean(host, usize::MAX);
    let surplus = shown.chars().count().saturating_sub(NAME_LIMIT);
    if surplus > 0 {
        let kept: String = shown.chars().skip(surplus + 1).collect();
        shown = format!("…{kept}");
    }
    SafeHost(shown)
}

/// A link or form target at the gateway's own origin, whatever it was made from.
///
/// Escaping does not stop `javascript:` or `//elsewhere`, so every target gets exactly one leading slash, and loses
/// what browsers skip or read as a slash (control characters, backslashes) before they look for a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalHref(String);

impl LocalHref {
    /// A path with its query, already percent-encoded.
    pub fn new(path_and_query: &str) -> Self {
        let kept: String = path_and_query.chars().filter(|c| !c.is_control() && !c.is_whitespace()).collect();
        let path = kept.trim_start_matches(['/', '\\']);
        Self(format!("/{path}"))
    }
}

impl fmt::Display for LocalHref {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Collapses white space to single spaces, drops deceptive characters, and ends an overlong text with an ellipsis.
fn clean(text: &str, limit: usize) -> SafeText {
    let mut shown = String::new();
    let mut length = 0;
    let mut space_pending = false;
    for c in text.chars() {
        if c.is_whitespace() {
            space_pending = !shown.is_empty();
            continue;
        }
        if is_deceptive(c) {
            continue;
        }
        if length + usize::from(space_pending) >= limit {
            shown.pop();
            shown.truncate(shown.trim_end().len());
            shown.push('…');
            break;
        }
        if std::mem::take(&mut space_pending) {
            shown.push(' ');
            length += 1;
        }
        shown.push(c);
        length += 1;
    }
    SafeText(shown)
}

/// A whole text for people who must not miss anything: what would deceive the eye is written as its escape.
pub fn visible(text: &str) -> SafeText {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_deceptive(c) || (c.is_whitespace() && c != ' ') {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    SafeText(shown)
}

/// Controls, direction marks and overrides, and characters that take part in a name without being seen.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

const NAME_LIMIT: usize = 80;
const PARAGRAPH_LIMIT: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deceptive_characters_are_removed_and_white_space_collapses() {
        for (given, shown) in [
            ("Claude Code", "Claude Code"),
            ("  Ada \n\r\t Lovelace\u{2028}", "Ada Lovelace"),
            ("moc.live\u{202e}evil.com", "moc.liveevil.com"),
            ("\u{2066}a\u{2069}\u{200f}b\u{61c}c", "abc"),
            ("pay\u{200b}pal\u{feff}\u{ad}", "paypal"),
            ("a\0b\u{1b}[31mc\u{85}d", "ab[31mc d"),
            ("\u{3164}\u{2800}\u{200d} ", ""),
            ("Zoë 東京 عربي", "Zoë 東京 عربي"),
            ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ] {
            assert_eq!(safe_text(given).as_str(), shown, "{given:?}");
        }
    }

    #[test]
    fn overlong_text_ends_with_an_ellipsis_within_the_limit() {
        for (given, limit) in [("x".repeat(5_000), 80), ("é ".repeat(5_000), 80), ("x".repeat(81), 80)] {
            let shown = safe_text(&given);
            assert!(shown.as_str().ends_with('…') && !shown.as_str().ends_with(" …"), "{shown}");
            assert!((limit - 2..=limit).contains(&shown.as_str().chars().count()), "{shown}");
        }
        assert_eq!(safe_text(&"x".repeat(80)).as_str(), "x".repeat(80));
        assert_eq!(safe_paragraph(&"x".repeat(5_000)).as_str().chars().count(), 400);
    }

    #[test]
    fn what_deceives_the_eye_is_made_visible_and_nothing_is_cut() {
        assert_eq!(visible("  a\u{202e}b\u{200b}\tc\u{e0041}ä").as_str(), "  a\\u{202e}b\\u{200b}\\u{9}c\\u{e0041}ä");
        assert_eq!(visible(&"x".repeat(5_000)).as_str().len(), 5_000);
    }

    /// An attacker would pad a host until only its trustworthy-looking beginning is left.
    #[test]
    fn an_overlong_host_keeps_its_end() {
        let shown = safe_host(&format!("login.example.com.{}.evil.example", "x".repeat(200))).to_string();
        assert!(shown.starts_with("…xx") && shown.ends_with("x.evil.example"), "{shown}");
        assert_eq!(shown.chars().count(), 80);
        assert_eq!(safe_host("claude.ai:8443\u{202e}").to_string(), "claude.ai:8443");
        assert_eq!(safe_host(&"x".repeat(80)).to_string(), "x".repeat(80));
    }

    #[test]
    fn a_link_cannot_leave_the_gateway() {
        for (given, target) in [
            ("/oauth/setup?a=b", "/oauth/setup?a=b"),
            ("javascript:alert(1)", "/javascript:alert(1)"),
            ("https://evil.example/", "/https://evil.example/"),
            ("//evil.example", "/evil.example"),
            ("/\\evil.example", "/evil.example"),
            ("/\t/evil.example", "/evil.example"),
            ("\n/\r/evil.example", "/evil.example"),
            ("", "/"),
        ] {
            assert_eq!(LocalHref::new(given).to_string(), target, "{given:?}");
        }
    }
}
