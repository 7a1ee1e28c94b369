//! Which registered redirect URI a request means, and the authorization responses that go there.

use form_urlencoded::Serializer;
use thiserror::Error;

use super::{AuthorizationError, RedirectKind, RegisteredRedirect};

/// No registered redirect URI is the requested one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the redirect URI is not registered for this client")]
pub struct NoMatch;

/// A redirect URI that was found among the registered ones: the only kind of place an authorization response goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectTarget(RegisteredRedirect);

impl RedirectTarget {
    /// Finds the redirect URI of an authorization request among the registered ones (RFC 6749 section 3.1.2.3).
    ///
    /// Texts must be equal. The one exception is the port of `http` URIs to a loopback host, which a native client
    /// learns only when it starts (RFC 8252 section 7.3); `localhost` counts as loopback, because widely used clients
    /// say so. A request without a redirect URI means the only registered one. A registered text that
    /// [`RegisteredRedirect::parse`] would refuse matches nothing.
    pub fn matched(registered: &[String], requested: Option<&str>) -> Result<Self, NoMatch> {
        let requested = match (requested, registered) {
            (Some(requested), _) => requested,
            (None, [only]) => only,
            (None, _) => return Err(NoMatch),
        };
        let Ok(target) = RegisteredRedirect::parse(requested) else { return Err(NoMatch) };
        let portless = target.portless_loopback();
        let matches = |known: &String| {
            known == target.as_str()
                || portless.is_some()
                    && RegisteredRedirect::parse(known).is_ok_and(|known| known.portless_loopback() == portless)
        };
        if registered.iter().any(matches) { Ok(Self(target)) } else { Err(NoMatch) }
    }

    /// The URI as the client sent it; the token request must repeat it.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Where it leads.
    pub const fn kind(&self) -> &RedirectKind {
        self.0.kind()
    }

    /// The URL of a successful authorization response (RFC 6749 section 4.1.2, RFC 9207 section 2).
    pub fn success(&self, code: &str, state: Option<&str>, iss: &str) -> String {
        self.respond(&[("code", Some(code)), ("state", state), ("iss", Some(iss))])
    }

    /// The URL of an authorization error response (RFC 6749 section 4.1.2.1, RFC 9207 section 2).
    pub fn failure(&self, error: AuthorizationError, description: &str, state: Option<&str>, iss: &str) -> String {
        self.respond(&[
            ("error", Some(error.as_str())),
            ("error_description", Some(description)),
            ("state", state),
            ("iss", Some(iss)),
        ])
    }

    /// Appends to the text itself: what the client registered stays byte for byte as it is.
    fn respond(&self, parameters: &[(&str, Option<&str>)]) -> String {
        let mut url = self.as_str().to_owned();
        match url.split_once('?') {
            None => url.push('?'),
            Some((_, query)) if query.is_empty() || query.ends_with('&') => {}
            Some(_) => url.push('&'),
        }
        let start = url.len();
        let mut query = Serializer::for_suffix(url, start);
        for (name, value) in parameters {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    fn matched(registered: &[&str], requested: &str) -> Option<String> {
        let registered: Vec<String> = registered.iter().map(|&text| text.to_owned()).collect();
        RedirectTarget::matched(&registered, Some(requested)).ok().map(|target| target.as_str().to_owned())
    }

    fn target(text: &str) -> RedirectTarget {
        RedirectTarget::matched(&[text.to_owned()], None).unwrap()
    }

    /// RFC 8252 section 7.3: any port of a loopback redirect URI is allowed at the time of the request.
    #[test]
    fn the_port_of_a_loopback_uri_does_not_matter() {
        for (registered, requested) in [
            ("http://localhost/callback", "http://localhost:52341/callback"),
            ("http://127.0.0.1/callback", "http://127.0.0.1:52341/callback"),
            ("http://127.0.0.1:33418/", "http://127.0.0.1:50000/"),
            ("http://127.0.0.1:33418/", "http://127.0.0.1/"),
            ("http://[::1]:1/cb?x=1", "http://[::1]:65535/cb?x=1"),
        ] {
            assert_eq!(matched(&[registered], requested).as_deref(), Some(requested), "{registered} {requested}");
        }
    }

    /// RFC 9700 section 4.1.3: everything else is compared as text.
    #[test]
    fn nothing_but_the_port_of_a_loopback_uri_may_differ() {
        for (registered, requested) in [
            ("https://a.example/cb", "https://a.example:8443/cb"),
            ("https://a.example/cb", "https://a.example:443/cb"),
            ("https://a.example/cb", "https://A.example/cb"),
            ("https://a.example/cb", "https://a.example/cb/"),
            ("https://a.example/cb", "https://a.example/cb?x=1"),
            ("https://a.example/cb", "https://a.example/cb/../evil"),
            ("https://a.example/cb", "https://a.example/%63b"),
            ("https://a.example/cb", "https://a.example.evil.example/cb"),
            ("https://a.example/cb", "https://a.example@evil.example/cb"),
            ("https://a.example/cb", "https://evil.example/https://a.example/cb"),
            ("https://a.example/cb", "http://a.example/cb"),
            ("https://a.example/cb", "//a.example/cb"),
            ("https://localhost/cb", "https://localhost:8443/cb"),
            ("http://localhost/cb", "https://localhost/cb"),
            ("http://localhost/cb", "http://127.0.0.1/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.2/cb"),
            ("http://127.0.0.1/cb", "http://127.1/cb"),
            ("http://127.0.0.1/cb", "http://[::1]/cb"),
            ("http://[::1]/cb", "http://[0:0:0:0:0:0:0:1]/cb"),
            ("http://localhost/cb", "http://LOCALHOST/cb"),
            ("http://localhost/cb", "HTTP://localhost/cb"),
            ("http://localhost/cb", "http://localhost.evil.com/cb"),
            ("http://localhost/cb", "http://localhost:80@evil.com/cb"),
            ("http://localhost/cb", "http://localhost:80.evil.com/cb"),
            ("http://localhost/cb", "http://localhost:/cb"),
            ("http://localhost/cb", "http://localhost:0/cb"),
            ("http://localhost/cb", "http://localhost:65536/cb"),
            ("http://localhost/cb", "http://localhost:8080/CB"),
            ("http://localhost/cb", "http://localhost:8080/cb?x=1"),
            ("http://localhost/cb", "http://localhost:8080/cb#x"),
            ("http://localhost/cb", "http://localhost:8080\\cb"),
            ("http://localhost/cb", "http://localhost:8080/c\tb"),
            ("http://localhost/cb", "http://localhost:8080/%2e/cb"),
            ("http://localhost/cb", "http://localhost:8080//cb"),
            ("com.example.app:/cb", "com.example.app:8080/cb"),
            ("cursor://host/cb", "cursor://host:80/cb"),
            ("https://a.example/cb", ""),
        ] {
            assert_eq!(matched(&[registered], requested), None, "{registered} {requested}");
        }
    }

    #[test]
    fn any_of_several_registered_uris_may_be_requested() {
        let cursor = [
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "https://www.cursor.com/agents/mcp/oauth/callback",
            "http://localhost:8787/callback",
        ];
        for requested in cursor {
            assert!(matched(&cursor, requested).is_some(), "{requested}");
        }
        assert!(matched(&cursor, "http://localhost:9000/callback").is_some());
        assert!(matched(&cursor, "https://www.cursor.com/").is_none());
    }

    /// RFC 6749 section 3.1.2.3.
    #[test]
    fn an_omitted_uri_means_the_only_registered_one() {
        let (one, two) = ("https://a.example/1".to_owned(), "https://a.example/2".to_owned());
        assert_eq!(RedirectTarget::matched(std::slice::from_ref(&one), None).unwrap().as_str(), one);
        assert_eq!(RedirectTarget::matched(&[one, two], None), Err(NoMatch));
        assert_eq!(RedirectTarget::matched(&[], None), Err(NoMatch));
    }

    #[test]
    fn a_dangerous_uri_matches_nothing_even_if_a_record_holds_it() {
        assert_eq!(matched(&["javascript:alert(1)"], "javascript:alert(1)"), None);
        assert_eq!(RedirectTarget::matched(&["javascript:alert(1)".to_owned()], None), Err(NoMatch));
    }

    /// RFC 6749 section 3.1.2: the query of a redirect URI must be retained; RFC 9207 section 2: `iss` is added.
    #[test]
    fn responses_keep_the_query_and_add_iss() {
        let iss = "https://gw.example/mcp/a";
        let tail = "code=c%2B1&state=s+%26&iss=https%3A%2F%2Fgw.example%2Fmcp%2Fa";
        for (text, expected) in [
            ("https://a.example/cb", format!("https://a.example/cb?{tail}")),
            ("https://a.example", format!("https://a.example?{tail}")),
            ("https://a.example/cb?", format!("https://a.example/cb?{tail}")),
            ("https://a.example/cb?x=%41&y", format!("https://a.example/cb?x=%41&y&{tail}")),
            ("https://a.example/cb?x&", format!("https://a.example/cb?x&{tail}")),
            ("cursor://x/cb", format!("cursor://x/cb?{tail}")),
            ("com.example.app:/cb", format!("com.example.app:/cb?{tail}")),
        ] {
            assert_eq!(target(text).success("c+1", Some("s &"), iss), expected);
        }
    }

    /// RFC 6749 section 4.1.2.1.
    #[test]
    fn a_failure_names_the_error_and_returns_the_state() {
        let url = target("http://localhost:1/cb").failure(
            AuthorizationError::AccessDenied,
            "The person said no.",
            Some("s"),
            "https://gw.example",
        );
        let expected = "http://localhost:1/cb?error=access_denied&error_description=The+person+said+no.&state=s\
                        &iss=https%3A%2F%2Fgw.example";
        assert_eq!(url, expected);
        let stateless = target("http://localhost:1/cb").failure(AuthorizationError::ServerError, "x", None, "i");
        assert!(!stateless.contains("state="));
    }

    proptest! {
        #[test]
        fn state_and_code_cannot_break_out_of_the_query(state in "\\PC{0,20}", code in "\\PC{0,20}") {
            let url = target("https://a.example/cb?x=1").success(&code, Some(&state), "https://gw.example");
            prop_assert!(url.is_ascii() && !url.contains(['#', '\r', '\n', ' ']));
            let pairs: Vec<(String, String)> = Url::parse(&url).unwrap().query_pairs().into_owned().collect();
            let expected = [("x", "1"), ("code", &code), ("state", &state), ("iss", "https://gw.example")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
            prop_assert_eq!(pairs, expected);
        }

        #[test]
        fn any_loopback_port_matches_and_no_other_port_does(port in 1_u16.., other in 1_u16..) {
            let loopback = format!("http://127.0.0.1:{port}/cb");
            let registered = format!("http://127.0.0.1:{other}/cb");
            prop_assert!(matched(&[&registered], &loopback).is_some());
            prop_assume!(port != other);
            let (registered, requested) = (registered.replace("http", "https"), loopback.replace("http", "https"));
            prop_assert!(matched(&[&registered], &requested).is_none());
        }

        #[test]
        fn no_request_panics(text in "\\PC{0,60}") {
            prop_assert_eq!(matched(&["http://localhost/cb"], &text), None);
        }
    }
}
