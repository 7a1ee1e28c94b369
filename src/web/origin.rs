//! How the outside reaches us: the origin that issuers, metadata and redirects are built from.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;
use thiserror::Error;
use url::{Host, Url};

/// The scheme of an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain.
    Http,
    /// TLS.
    Https,
}

/// A web origin, `https://host[:port]`, in canonical form: lower case, no default port, no trailing slash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: Scheme,
    authority: String,
    loopback: bool,
}

/// Why a request has no usable origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OriginError {
    /// Not `host` or `host:port` (400).
    #[error("the Host of the request is missing or is not a valid host")]
    NotAHost,
    /// A host that this gateway does not serve (421, RFC 9110 section 15.5.20).
    #[error("this gateway is not served at the Host of the request")]
    Misdirected,
}

/// What a request says of how it reached us.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestOrigin<'a> {
    /// The `Host` header, or HTTP/2's `:authority`.
    pub host: Option<&'a str>,
    /// `X-Forwarded-Host`, of one line.
    pub forwarded_host: Option<&'a str>,
    /// `X-Forwarded-Proto`, of one line.
    pub forwarded_proto: Option<&'a str>,
    /// The peer of the connection.
    pub peer: Option<IpAddr>,
    /// Whether the connection itself is TLS.
    pub tls: bool,
}

/// Which origins are ours, and whom we believe about them.
#[derive(Debug, Clone, Default)]
pub struct OriginRules {
    /// The pinned origins; empty: derived from the request.
    pub public_origins: Vec<Origin>,
    /// The peers whose forwarding headers count.
    pub trusted_proxies: Vec<IpNet>,
}

impl Origin {
    /// Parses `http://host[:port]` or `https://host[:port]` with nothing after it but an optional slash.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = match text.split_once("://")? {
            (scheme, rest) if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
            (scheme, rest) if scheme.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
            _ => return None,
        };
        Self::of(scheme, authority.strip_suffix('/').unwrap_or(authority))
    }

    /// The origin of a scheme and an authority as a `Host` header carries it.
    pub fn of(scheme: Scheme, authority: &str) -> Option<Self> {
        let allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
        if authority.is_empty() || authority.len() > 261 || !authority.bytes().all(allowed) {
            return None;
        }
        let url = Url::parse(&format!("{}://{authority}/", scheme.as_str())).ok()?;
        let host = url.host()?;
        let loopback = match &host {
            Host::Ipv4(ip) => ip.is_loopback(),
            Host::Ipv6(ip) => ip.is_loopback(),
            Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        };
        let authority = url.port().map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
        Some(Self { scheme, authority, loopback })
    }

    /// The scheme.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// `host[:port]`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether the host is this very machine.
    pub const fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Whether the browser reaches us over https.
    pub const fn is_secure(&self) -> bool {
        matches!(self.scheme, Scheme::Https)
    }
}

impl Scheme {
    /// The scheme as it stands in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority)
    }
}

impl OriginRules {
    /// The origin at which this request reached us.
    ///
    /// Forwarding headers count only from a trusted proxy; from anybody else they are ignored. Of a list only the last
    /// value counts, which that proxy wrote itself: what stands before it came from its own client. With pinned origins
    /// the scheme is the pinned one's.
    pub fn resolve(&self, request: &RequestOrigin<'_>) -> Result<Origin, OriginError> {
        let trusted = request.peer.is_some_and(|peer| {
            let peer = peer.to_canonical();
            self.trusted_proxies.iter().any(|network| network.contains(&peer))
        });
        let forwarded_host = request.forwarded_host.filter(|_| trusted).map(nearest);
        let forwarded_proto = request.forwarded_proto.filter(|_| trusted).map(nearest);
        let host = forwarded_host.or(request.host).ok_or(OriginError::NotAHost)?;
        let scheme = match forwarded_proto {
            Some(proto) if proto.eq_ignore_ascii_case("https") => Scheme::Https,
            Some(proto) if proto.eq_ignore_ascii_case("http") => Scheme::Http,
            Some(_) => return Err(OriginError::NotAHost),
            None if request.tls => Scheme::Https,
            None => Scheme::Http,
        };
        let origin = Origin::of(scheme, host).ok_or(OriginError::NotAHost)?;
        if self.public_origins.is_empty() {
            return Ok(origin);
        }
        let serves = |pinned: &&Origin| {
            **pinned == origin || Origin::of(pinned.scheme, host).is_some_and(|same_host| same_host == **pinned)
        };
        self.public_origins.iter().find(serves).cloned().ok_or(OriginError::Misdirected)
    }
}

fn nearest(list: &str) -> &str {
    list.rsplit(',').next().unwrap_or(list).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(rules: &OriginRules, request: RequestOrigin<'_>) -> Result<String, OriginError> {
        rules.resolve(&request).map(|origin| origin.to_string())
    }

    fn behind_proxy() -> OriginRules {
        OriginRules { public_origins: vec![], trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()] }
    }

    #[test]
    fn the_host_and_the_connection_give_the_origin() {
        let rules = OriginRules::default();
        let host = |host, tls| RequestOrigin { host: Some(host), tls, ..Default::default() };
        assert_eq!(resolve(&rules, host("GW.example.com:443", true)).unwrap(), "https://gw.example.com");
        assert_eq!(resolve(&rules, host("gw.example.com:8080", false)).unwrap(), "http://gw.example.com:8080");
        assert_eq!(resolve(&rules, host("[::1]:8080", false)).unwrap(), "http://[::1]:8080");
    }

    #[test]
    fn what_is_not_a_host_is_refused() {
        let rules = OriginRules::default();
        for bad in ["", "a b", "a/b", "user@host", "host:port", "a?b", "a#b", "a\\b", "[::1", "h\u{e4}", "a%2fb", ":80"]
        {
            let request = RequestOrigin { host: Some(bad), ..Default::default() };
            assert_eq!(resolve(&rules, request), Err(OriginError::NotAHost), "{bad:?}");
        }
        assert_eq!(resolve(&rules, RequestOrigin::default()), Err(OriginError::NotAHost));
    }

    #[test]
    fn forwarding_headers_count_from_a_trusted_proxy_only() {
        let request = |peer: &str| RequestOrigin {
            host: Some("internal:8080"),
            forwarded_host: Some("evil.example, gw.example.com"),
            forwarded_proto: Some("https"),
            peer: Some(peer.parse().unwrap()),
            tls: false,
        };
        assert_eq!(resolve(&behind_proxy(), request("10.1.2.3")).unwrap(), "https://gw.example.com");
        assert_eq!(resolve(&behind_proxy(), request("::ffff:10.1.2.3")).unwrap(), "https://gw.example.com");
        assert_eq!(resolve(&behind_proxy(), request("203.0.113.9")).unwrap(), "http://internal:8080");
    }

    #[test]
    fn a_pinned_gateway_answers_at_its_own_origins_only() {
        let rules = OriginRules {
            public_origins: vec![Origin::parse("https://gw.example.com").unwrap()],
            trusted_proxies: vec![],
        };
        let host = |host| RequestOrigin { host: Some(host), ..Default::default() };
        assert_eq!(resolve(&rules, host("gw.example.com")).unwrap(), "https://gw.example.com");
        assert_eq!(resolve(&rules, host("evil.example")), Err(OriginError::Misdirected));
        assert_eq!(resolve(&rules, host("gw.example.com:8080")), Err(OriginError::Misdirected));
    }

    #[test]
    fn an_origin_is_nothing_but_scheme_host_and_port() {
        assert_eq!(Origin::parse("HTTPS://GW.example.com:443/").unwrap().to_string(), "https://gw.example.com");
        for bad in ["gw.example.com", "ftp://a", "https://a/b", "https://a?b", "https://", "https://u@a", "null"] {
            assert!(Origin::parse(bad).is_none(), "{bad}");
        }
        assert!(Origin::parse("http://127.0.0.1:1").unwrap().is_loopback());
        assert!(!Origin::parse("http://localhost.evil.com").unwrap().is_loopback());
    }
}
