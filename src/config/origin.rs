//! Web origins.

use std::fmt;

use url::{Host, Url};

/// An origin in the form that browsers and `Host` headers use: lower case, without the scheme's default port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: String,
    authority: String,
    loopback: bool,
}

/// Who may call the MCP routes from a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// Pages of any origin.
    Any,
    /// Pages of this origin.
    Exactly(Origin),
}

impl Origin {
    /// Reads `scheme://host[:port]`; a single trailing slash is forgiven.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.is_empty()
            || authority.contains(['/', '?', '#', '@', '\\', '%'])
            || text.contains(char::is_whitespace)
        {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let special = matches!(scheme.as_str(), "http" | "https" | "ws" | "wss" | "ftp");
        let url = Url::parse(&format!("{scheme}://{authority}")).ok()?;
        let host = match url.host()? {
            Host::Domain(name) if special => name.to_owned(),
            Host::Domain(name) => name.to_ascii_lowercase(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => format!("[{address}]"),
        };
        if host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte)) {
            return None;
        }
        let loopback = crate::config::parse::is_loopback(&url);
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host,
        };
        Some(Self { scheme, authority, loopback })
    }

    /// `https`, `http`, or another scheme, in lower case.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The host, with the port where it is not the scheme's default: what `Host` says.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether the host can only be this machine.
    pub const fn is_loopback(&self) -> bool {
        self.loopback
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", self.scheme, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::Origin;

    #[test]
    fn origins_have_one_spelling() {
        for (text, expected) in [
            ("https://Gateway.Example.com", "https://gateway.example.com"),
            ("HTTPS://gateway.example.com:443/", "https://gateway.example.com"),
            ("https://gateway.example.com:8443", "https://gateway.example.com:8443"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:80", "http://[::1]"),
            ("vscode-webview://Abc-123", "vscode-webview://abc-123"),
        ] {
            assert_eq!(Origin::parse(text).map(|origin| origin.to_string()).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_more_than_an_origin_is_refused() {
        for text in [
            "",
            "gateway.example.com",
            "https://",
            "https:///",
            "https://a/b",
            "https://a?b",
            "https://a#b",
            "https://user@a",
            "https://a b",
            "https://a:99999",
            "https://a%2eb",
            "https://a\\b",
            "://a",
            "null",
            "*",
        ] {
            assert_eq!(Origin::parse(text), None, "{text}");
        }
    }
}
