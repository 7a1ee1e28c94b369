//! The canonical form of resource URIs, so that a client's spelling of a route finds the route and nothing else.

use std::fmt;

use thiserror::Error;
use url::Url;

/// A protected resource's URI in canonical form (RFC 8707 section 2): an MCP route as its tokens name it.
///
/// Lower-case scheme and host, no default port, no query, no fragment, no slash at the end. Tokens are bound to this
/// text, so two routes must never share it: spellings that a server might resolve to another path are refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceUri(String);

/// Why a text does not name a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidResource {
    /// Above [`MAX_RESOURCE_BYTES`].
    #[error("longer than {MAX_RESOURCE_BYTES} bytes")]
    TooLong,
    /// A control character, a space, a backslash, or anything outside ASCII.
    #[error("contains a character that no URI may contain")]
    Character,
    /// Not an absolute `http` or `https` URI.
    #[error("not an absolute http or https URI")]
    NotAbsolute,
    /// A missing or misspelled host or port, or user information before it.
    #[error("its host or port is not valid")]
    Authority,
    /// A dot segment, also an encoded one, or an empty segment.
    #[error("its path has a dot segment or an empty segment")]
    Path,
}

impl ResourceUri {
    /// Reads a resource as a client spells it.
    ///
    /// Query and fragment are dropped. RFC 8707 section 2 advises clients against the one and forbids them the other, but
    /// there are clients that add a query of their own, and neither can lead to another route. Percent-encoded
    /// characters stay as they are, so an encoded slash never equals a slash.
    pub fn parse(text: &str) -> Result<Self, InvalidResource> {
        use InvalidResource as Invalid;
        if text.len() > MAX_RESOURCE_BYTES {
            return Err(Invalid::TooLong);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return Err(Invalid::Character);
        }
        let (scheme, rest) = text.split_once("://").ok_or(Invalid::NotAbsolute)?;
        if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
            return Err(Invalid::NotAbsolute);
        }
        let rest = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        if authority.is_empty() || authority.ends_with(':') || !authority.bytes().all(is_plain) {
            return Err(Invalid::Authority);
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.split('/').skip(1).any(|segment| segment.is_empty() || is_dots(segment)) {
            return Err(Invalid::Path);
        }
        let Ok(url) = Url::parse(&format!("{scheme}://{authority}{path}")) else { return Err(Invalid::Authority) };
        Ok(Self(url.as_str().strip_suffix('/').unwrap_or(url.as_str()).to_owned()))
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `requested`, as a client spells it, means this resource.
    pub fn matches(&self, requested: &str) -> bool {
        Self::parse(requested).is_ok_and(|requested| requested == *self)
    }
}

impl fmt::Display for ResourceUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `.` and `..`, which every URL parser resolves, also where the dots are encoded.
fn is_dots(segment: &str) -> bool {
    matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

/// How long a resource URI may be.
pub const MAX_RESOURCE_BYTES: usize = 2048;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROUTE: &str = "https://gw.example/mcp/linear";

    fn route() -> ResourceUri {
        ResourceUri::parse(ROUTE).unwrap()
    }

    #[test]
    fn every_usual_spelling_of_a_route_means_the_route() {
        for text in [
            ROUTE,
            "https://gw.example/mcp/linear/",
            "HTTPS://GW.Example/mcp/linear",
            "https://gw.example:443/mcp/linear",
            "https://gw.example/mcp/linear?kb_name=x",
            "https://gw.example/mcp/linear/?a=../b",
            "https://gw.example/mcp/linear#x",
            "https://gw.example/mcp/linear?a=/b#/c",
        ] {
            assert!(route().matches(text), "{text}");
            assert_eq!(ResourceUri::parse(text).unwrap().as_str(), ROUTE);
        }
        assert_eq!(ResourceUri::parse("http://LOCALHOST:80/").unwrap().as_str(), "http://localhost");
        assert_eq!(ResourceUri::parse("http://[::1]:8080").unwrap().as_str(), "http://[::1]:8080");
    }

    /// RFC 8707 section 2: a token for one resource must not be usable at another.
    #[test]
    fn no_trick_makes_another_uri_mean_the_route() {
        for text in [
            "",
            "mcp/linear",
            "/mcp/linear",
            "//gw.example/mcp/linear",
            "urn:mcp:linear",
            "https:gw.example/mcp/linear",
            "ftp://gw.example/mcp/linear",
            "http://gw.example/mcp/linear",
            "https://gw.example:8443/mcp/linear",
            "https://gw.example:/mcp/linear",
            "https://gw.example./mcp/linear",
            "https://gw.example.evil/mcp/linear",
            "https://gw.example@evil.example/mcp/linear",
            "https://user@gw.example/mcp/linear",
            "https://gw%2eexample/mcp/linear",
            "https://gw.example/mcp/Linear",
            "https://gw.example/mcp/linear//",
            "https://gw.example/mcp//linear",
            "https://gw.example//mcp/linear",
            "https://gw.example/mcp/linear/x",
            "https://gw.example/mcp/other/../linear",
            "https://gw.example/mcp/other/%2e%2E/linear",
            "https://gw.example/mcp/other/.%2e/linear",
            "https://gw.example/mcp/./linear",
            "https://gw.example/mcp/%2e/linear",
            "https://gw.example/mcp/linear/.",
            "https://gw.example/mcp/linear/x/..",
            "https://gw.example/mcp\\linear",
            "https://gw.example/mcp/other/..\\linear",
            "https://gw.example/mcp%2Flinear",
            "https://gw.example/mcp/%6cinear",
            "https://gw.example/mcp/lin\tear",
            "https://gw.example/mcp/linear\n",
            " https://gw.example/mcp/linear",
            "https://gw.example/mcp/linear%20",
            "https://gw.example/mcp/line\u{430}r",
        ] {
            assert!(!route().matches(text), "{text}");
        }
    }

    #[test]
    fn the_length_is_bounded() {
        let of = |length: usize| format!("https://a.example/{}", "x".repeat(length - "https://a.example/".len()));
        assert!(ResourceUri::parse(&of(MAX_RESOURCE_BYTES)).is_ok());
        assert_eq!(ResourceUri::parse(&of(MAX_RESOURCE_BYTES + 1)), Err(InvalidResource::TooLong));
    }

    proptest! {
        /// A kept canonical text that is read again stays what it was, or two routes could meet on the second reading.
        #[test]
        fn canonical_form_is_a_fixed_point(text in "https?://[a-zA-Z0-9.:-]{1,12}(/[ -~]{0,20})?") {
            if let Ok(once) = ResourceUri::parse(&text) {
                prop_assert_eq!(ResourceUri::parse(once.as_str()), Ok(once.clone()));
                prop_assert!(!once.as_str().ends_with('/') && !once.as_str().contains(['?', '#']));
            }
        }

        #[test]
        fn the_path_survives_unchanged(path in "(/[a-zA-Z0-9._~%!$&'()*+,;=:@-]{3,8}){1,4}") {
            let text = format!("https://gw.example{path}");
            if let Ok(resource) = ResourceUri::parse(&text) {
                prop_assert_eq!(resource.as_str(), text);
            }
        }

        #[test]
        fn no_input_panics(text in "\\PC{0,60}") {
            let _ = ResourceUri::parse(&text);
        }
    }
}
