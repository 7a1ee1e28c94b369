//! The rules of single values: text in, type or the violated expectation out.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use url::{Host, Url};

use crate::config::origin::Origin;

/// Why a rule failed: what it expects.
pub type Expected = &'static str;

/// A text of one line that is not empty.
pub fn line(text: &str) -> Result<String, Expected> {
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        return Err("a line of text that is not empty");
    }
    Ok(text.to_owned())
}

/// An IP address and a port.
pub fn socket_address(text: &str) -> Result<SocketAddr, Expected> {
    text.parse().or(Err("an IP address and a port, such as 127.0.0.1:8080 or [::]:8080"))
}

/// A network, or a single address.
pub fn network(text: &str) -> Result<IpNet, Expected> {
    let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    net.map(|net| net.trunc()).ok_or("a network such as 10.0.0.0/8 or fc00::/7")
}

/// An absolute path of plain segments, without a trailing slash; the root is the empty text.
pub fn url_path(text: &str) -> Result<String, Expected> {
    const EXPECTED: Expected = "an absolute path such as /mcp/linear, of segments made of letters, digits and ._~-, \
                                without `.`, `..`, empty segments, %-encoding or a query";
    let path = text.strip_suffix('/').unwrap_or(text);
    if path.is_empty() && text == "/" {
        return Ok(String::new());
    }
    let segments = path.strip_prefix('/').ok_or(EXPECTED)?;
    let plain = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte))
    };
    if segments.split('/').all(plain) { Ok(path.to_owned()) } else { Err(EXPECTED) }
}

/// An id that can stand in a URL path.
pub fn slug(text: &str) -> Result<String, Expected> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if text.is_empty() || text.len() > 128 || matches!(text, "." | "..") || !text.bytes().all(plain) {
        return Err("an id of letters, digits and ._-, at most 128 long");
    }
    Ok(text.to_owned())
}

/// An origin of the gateway.
pub fn public_origin(text: &str) -> Result<Origin, Expected> {
    const EXPECTED: Expected = "an origin such as https://gateway.example.com, without a path";
    let origin = Origin::parse(text).ok_or(EXPECTED)?;
    if matches!(origin.scheme(), "https" | "http") { Ok(origin) } else { Err(EXPECTED) }
}

/// An http or https URL with a host and without credentials or fragment.
pub fn http_url(text: &str) -> Result<Url, Expected> {
    const EXPECTED: Expected = "a URL such as https://mcp.example.com/mcp, without user, password or fragment";
    let url = Url::parse(text).or(Err(EXPECTED))?;
    let fits = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none();
    if fits { Ok(url) } else { Err(EXPECTED) }
}

/// Scope tokens of RFC 6749 section 3.3, one at least, separated by spaces.
pub fn scope(text: &str) -> Result<String, Expected> {
    let tokens: Vec<&str> = text.split(' ').filter(|token| !token.is_empty()).collect();
    for token in &tokens {
        scope_token(token)?;
    }
    if tokens.is_empty() { Err("scopes separated by spaces, such as openid email") } else { Ok(tokens.join(" ")) }
}

/// One scope token of RFC 6749 section 3.3.
pub fn scope_token(text: &str) -> Result<String, Expected> {
    let allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    if text.is_empty() || !text.bytes().all(allowed) {
        return Err("a scope without spaces, quotes or backslashes");
    }
    Ok(text.to_owned())
}

/// Whether the host of a URL can only be this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailing_slash_is_not_part_of_a_path() {
        assert_eq!(url_path("/mcp/"), Ok("/mcp".to_owned()));
        assert_eq!(url_path("/mcp/Linear_v1.2~x-y"), Ok("/mcp/Linear_v1.2~x-y".to_owned()));
        assert_eq!(url_path("/"), Ok(String::new()));
    }

    #[test]
    fn paths_that_could_be_read_in_two_ways_are_refused() {
        for path in [
            "",
            "mcp",
            "//",
            "//mcp",
            "/mcp//",
            "/mcp//x",
            "/mcp/..",
            "/./mcp",
            "/a/../b",
            "/mcp%2Fx",
            "/mcp?x=1",
            "/mcp#x",
            "/mcp;x",
            "/m cp",
            "/möp",
            "/mcp\\x",
            "https://host/mcp",
        ] {
            assert!(url_path(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_single_address_is_a_network() {
        assert_eq!(network("10.1.2.3"), Ok("10.1.2.3/32".parse().unwrap()));
        assert_eq!(network("10.1.2.3/8"), Ok("10.0.0.0/8".parse().unwrap()));
        assert!(network("10.0.0.0/33").is_err());
        assert!(network("localhost").is_err());
    }

    #[test]
    fn scopes_follow_rfc_6749_section_3_3() {
        assert_eq!(scope("  openid   email "), Ok("openid email".to_owned()));
        for text in ["", " ", "a\"b", "a\\b", "a\tb", "é"] {
            assert!(scope(text).is_err(), "{text}");
        }
    }
}
