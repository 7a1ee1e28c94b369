//! Which texts and links of strangers may be shown to people.

use thiserror::Error;
use url::Url;

/// Why a text cannot be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unshowable {
    /// Above [`MAX_TEXT_CHARS`].
    #[error("longer than {MAX_TEXT_CHARS} characters")]
    TooLong,
    /// Control characters, line separators, or characters that turn the direction of what follows.
    #[error("has characters that mislead who reads it")]
    Misleading,
}

/// A stranger's name or other short text, trimmed; none if nothing is left.
pub fn shown_text(text: &str) -> Result<Option<String>, Unshowable> {
    let text = text.trim();
    if text.chars().count() > MAX_TEXT_CHARS {
        return Err(Unshowable::TooLong);
    }
    if text.chars().any(is_misleading) {
        return Err(Unshowable::Misleading);
    }
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

/// Whether a stranger's link may be shown: `https`, and no user name that makes its host look like another.
pub fn is_link(text: &str) -> bool {
    text.len() <= MAX_LINK_BYTES
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        && text.starts_with("https://")
        && Url::parse(text).is_ok_and(|url| url.username().is_empty() && url.password().is_none())
}

fn is_misleading(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
}

/// How long a text may be.
pub const MAX_TEXT_CHARS: usize = 200;
/// How long a link may be.
pub const MAX_LINK_BYTES: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_of_any_script_are_shown() {
        for name in ["Claude Code (linear)", "\u{65e5}\u{672c}", "\u{645}\u{631}\u{62d}", "<b>&\"'"] {
            assert_eq!(shown_text(name), Ok(Some(name.to_owned())));
        }
        assert_eq!(shown_text("  a b "), Ok(Some("a b".to_owned())));
        assert_eq!(shown_text(" "), Ok(None));
    }

    #[test]
    fn texts_that_mislead_are_not_shown() {
        for name in ["a\u{0}b", "a\nb", "a\u{7f}b", "a\u{85}b", "a\u{202e}b", "a\u{2066}b", "a\u{2028}b", "a\u{200b}b"]
        {
            assert_eq!(shown_text(name), Err(Unshowable::Misleading), "{name:?}");
        }
        assert!(shown_text(&"\u{65e5}".repeat(MAX_TEXT_CHARS)).is_ok());
        assert_eq!(shown_text(&"x".repeat(MAX_TEXT_CHARS + 1)), Err(Unshowable::TooLong));
    }

    #[test]
    fn only_plain_https_links_are_shown() {
        assert!(is_link("https://a.example/logo.png?x=1"));
        for text in [
            "",
            "x",
            "//a.example",
            "http://a.example/",
            "javascript:alert(1)",
            "data:image/svg+xml,x",
            "https://",
            "https:a.example",
            "https://a.example@evil.example/",
            "https://a.example\\@evil.example/",
            "https://a b/",
            "https://a.example/\n",
            &format!("https://a.example/{}", "x".repeat(MAX_LINK_BYTES)),
        ] {
            assert!(!is_link(text), "{text}");
        }
    }
}
