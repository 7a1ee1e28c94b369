//! Forms of our own pages: the proof that one of our pages sent them.

use http::header;

use super::Request;
use crate::crypto::{constant_time_eq, s256};

/// The proof in a form that our page, shown in this browser session and for this purpose, sent it.
///
/// It is derived from the session cookie, which no other site can read, so nothing has to be kept.
pub struct CsrfToken(String);

impl CsrfToken {
    /// The token of a purpose in the browser session of this cookie value.
    pub fn of(session_cookie: &str, purpose: &str) -> Self {
        Self(s256(&format!("sallyport-csrf\0{purpose}\0{session_cookie}")))
    }

    /// The token as the form carries it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the form brought this token back.
    pub fn matches(&self, presented: &str) -> bool {
        constant_time_eq(&self.0, presented)
    }
}

/// Whether the body is a URL-encoded form.
pub fn is_form(request: &Request) -> bool {
    request.header(&header::CONTENT_TYPE).is_some_and(|value| {
        let media_type = value.split(';').next().unwrap_or_default().trim();
        media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    })
}

#[cfg(test)]
mod tests {
    use super::CsrfToken;

    #[test]
    fn a_csrf_token_fits_its_session_and_purpose_only() {
        let token = CsrfToken::of("cookie", "consent i1");
        assert!(token.matches(CsrfToken::of("cookie", "consent i1").as_str()));
        assert!(!token.matches(CsrfToken::of("cookie", "consent i2").as_str()));
        assert!(!token.matches(CsrfToken::of("other", "consent i1").as_str()));
        assert!(!token.matches(""));
    }
}
