//! Whose network address a request comes from, behind the proxies that we trust.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use http::HeaderMap;
use ipnet::IpNet;

/// The address that a request is counted for. Of an IPv6 address only the network of its site counts (`/64`), since a
/// site has as many addresses as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Caller {
    address: IpAddr,
    shared: bool,
}

impl Caller {
    /// Works out who calls: the peer, or for a trusted proxy the right-most address in `X-Forwarded-For` that is no
    /// trusted proxy.
    ///
    /// What stands further left came from the caller itself and proves nothing. A proxy that says nothing usable stands
    /// for everybody behind it.
    pub fn of(peer: IpAddr, headers: &HeaderMap, trusted_proxies: &[IpNet]) -> Self {
        let is_trusted = |address: &IpAddr| trusted_proxies.iter().any(|network| network.contains(address));
        let peer = peer.to_canonical();
        if !is_trusted(&peer) {
            return Self::new(peer, false);
        }
        let lines: Vec<&str> =
            headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok()).collect();
        let hops = lines.iter().rev().flat_map(|line| line.rsplit(',')).take(MAX_HOPS);
        let mut nearest = None;
        for hop in hops {
            let Some(address) = parse_hop(hop) else { break };
            nearest = Some(address);
            if !is_trusted(&address) {
                break;
            }
        }
        match nearest {
            Some(address) => Self::new(address, false),
            None => Self::new(peer, true),
        }
    }

    /// Whether more than one caller may stand behind the address.
    pub const fn is_shared(&self) -> bool {
        self.shared
    }

    fn new(address: IpAddr, shared: bool) -> Self {
        let address = match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        };
        Self { address, shared }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(network) => write!(f, "{network}/64"),
        }
    }
}

/// One entry, an address with or without a port.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let address = hop.parse().ok().or_else(|| hop.parse().ok().map(|socket: std::net::SocketAddr| socket.ip()));
    address.or_else(|| hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok()).map(|address| address.to_canonical())
}

const MAX_HOPS: usize = 16;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn caller(peer: &str, forwarded: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "127.0.0.0/8", "fc00::/7"].map(|network| network.parse().unwrap());
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
        }
        let caller = Caller::of(peer.parse().unwrap(), &headers, &trusted);
        format!("{caller}{}", if caller.is_shared() { " shared" } else { "" })
    }

    #[test]
    fn a_stranger_is_who_it_is_whatever_it_says() {
        assert_eq!(caller("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(caller("::ffff:203.0.113.9", &[]), "203.0.113.9");
    }

    #[test]
    fn a_trusted_proxy_says_who_calls_and_the_caller_cannot_add_to_it() {
        for (forwarded, expected) in [
            (&["203.0.113.9"][..], "203.0.113.9"),
            (&["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
            (&["1.1.1.1", "2.2.2.2, 203.0.113.9, 10.0.0.7"], "203.0.113.9"),
            (&["203.0.113.9:4711"], "203.0.113.9"),
            (&["[2001:db8:1:2:3::4]:443"], "2001:db8:1:2::/64"),
            (&["2001:db8:1:2:3::4"], "2001:db8:1:2::/64"),
            (&["10.0.0.8, 10.0.0.7"], "10.0.0.8"),
            (&["203.0.113.9, unknown"], "10.0.0.1 shared"),
            (&["203.0.113.9, ,10.0.0.7"], "10.0.0.7"),
            (&[""], "10.0.0.1 shared"),
            (&[], "10.0.0.1 shared"),
        ] {
            assert_eq!(caller("10.0.0.1", forwarded), expected, "{forwarded:?}");
        }
    }
}
