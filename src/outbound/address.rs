//! Which addresses a URL that a stranger can influence may lead to.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// What kind of network an address belongs to, by the IANA special-purpose registries (RFC 6890).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressClass {
    /// Reached over the public internet.
    Public,
    /// This machine.
    Loopback,
    /// A private network (RFC 1918, RFC 4193) or shared carrier space (RFC 6598).
    Private,
    /// One link only; cloud metadata services live here.
    LinkLocal,
    /// A cloud metadata service on a public-looking address.
    Metadata,
    /// More than one host.
    Multicast,
    /// Everything that is no ordinary unicast address: unspecified, documentation, benchmarking, tunnels, future use.
    Reserved,
}

impl AddressClass {
    /// The class of `address`, looking through IPv4-mapped and NAT64 forms at the IPv4 address inside.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => class_of_v4(v4),
            IpAddr::V6(v6) => match nat64_target(v6) {
                Some(v4) => class_of_v4(v4),
                None => class_of_v6(v6),
            },
        }
    }
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::Metadata => "cloud metadata",
            Self::Multicast => "multicast",
            Self::Reserved => "reserved",
        })
    }
}

/// The operator's rule for addresses: public ones, and the networks named in `outbound.allowPrivateNetworks`.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    allowed: Vec<IpNet>,
}

/// Why none of a host's addresses may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// An address outside the public internet and outside the operator's networks.
    Blocked(IpAddr),
    /// Plain http to a host that is not inside the operator's networks.
    NotHttps,
}

impl Reach {
    pub(super) fn new(mut allowed: Vec<IpNet>, allow_loopback: bool) -> Self {
        if allow_loopback {
            allowed.push(v4(127, 0, 0, 0, 8).into());
            allowed.push(v6(Ipv6Addr::LOCALHOST.segments(), 128).into());
        }
        Self { allowed }
    }

    /// The addresses that may be connected to over https: every public or allowed one.
    pub(super) fn over_tls(&self, addresses: &[IpAddr]) -> Result<Vec<IpAddr>, Refusal> {
        let usable: Vec<_> = canonical(addresses).filter(|address| self.permits(*address)).collect();
        match canonical(addresses).next() {
            Some(first) if usable.is_empty() => Err(Refusal::Blocked(first)),
            _ => Ok(usable),
        }
    }

    /// The addresses that may be connected to over plain http: all of them, if all lie in the operator's networks.
    pub(super) fn over_plain_http(&self, addresses: &[IpAddr]) -> Result<Vec<IpAddr>, Refusal> {
        if let Some(blocked) = canonical(addresses).find(|address| !self.permits(*address)) {
            return Err(Refusal::Blocked(blocked));
        }
        if canonical(addresses).all(|address| self.allows(address)) {
            Ok(canonical(addresses).collect())
        } else {
            Err(Refusal::NotHttps)
        }
    }

    fn permits(&self, address: IpAddr) -> bool {
        AddressClass::of(address) == AddressClass::Public || self.allows(address)
    }

    fn allows(&self, address: IpAddr) -> bool {
        self.allowed.iter().any(|network| network.contains(&address))
    }
}

fn canonical(addresses: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
    addresses.iter().map(IpAddr::to_canonical)
}

fn class_of_v4(address: Ipv4Addr) -> AddressClass {
    V4_SPECIAL.iter().find(|(network, _)| network.contains(&address)).map_or(AddressClass::Public, |(_, class)| *class)
}

fn class_of_v6(address: Ipv6Addr) -> AddressClass {
    V6_SPECIAL
        .iter()
        .find(|(network, _)| network.contains(&address))
        // Nothing outside 2000::/3 is assigned for global unicast.
        .map_or(AddressClass::Reserved, |(_, class)| *class)
}

/// The IPv4 address behind the well-known NAT64 prefix (RFC 6052 section 2.1).
fn nat64_target(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = address.octets();
    NAT64.contains(&address).then(|| Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15]))
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(s: [u16; 8], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]), prefix)
}

const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);

const V4_SPECIAL: &[(Ipv4Net, AddressClass)] = &[
    (v4(0, 0, 0, 0, 8), AddressClass::Reserved),
    (v4(10, 0, 0, 0, 8), AddressClass::Private),
    (v4(100, 64, 0, 0, 10), AddressClass::Private),
    (v4(127, 0, 0, 0, 8), AddressClass::Loopback),
    // Azure's WireServer answers every virtual machine here.
    (v4(168, 63, 129, 16, 32), AddressClass::Metadata),
    (v4(169, 254, 0, 0, 16), AddressClass::LinkLocal),
    (v4(172, 16, 0, 0, 12), AddressClass::Private),
    (v4(192, 0, 0, 0, 24), AddressClass::Reserved),
    (v4(192, 0, 2, 0, 24), AddressClass::Reserved),
    (v4(192, 88, 99, 0, 24), AddressClass::Reserved),
    (v4(192, 168, 0, 0, 16), AddressClass::Private),
    (v4(198, 18, 0, 0, 15), AddressClass::Reserved),
    (v4(198, 51, 100, 0, 24), AddressClass::Reserved),
    (v4(203, 0, 113, 0, 24), AddressClass::Reserved),
    (v4(224, 0, 0, 0, 4), AddressClass::Multicast),
    (v4(240, 0, 0, 0, 4), AddressClass::Reserved),
];

const V6_SPECIAL: &[(Ipv6Net, AddressClass)] = &[
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), AddressClass::Loopback),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), AddressClass::Private),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), AddressClass::LinkLocal),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), AddressClass::Multicast),
    // IETF protocol assignments: Teredo, benchmarking, ORCHID.
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), AddressClass::Reserved),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), AddressClass::Reserved),
    // 6to4 tunnels to whatever IPv4 address stands inside.
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), AddressClass::Reserved),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), AddressClass::Reserved),
    (v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3), AddressClass::Public),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| ip(text)).collect()
    }

    #[test]
    fn every_special_purpose_block_is_recognised_at_both_ends() {
        use AddressClass::{LinkLocal as Link, Loopback, Metadata, Multicast, Private, Public, Reserved};
        for (address, class) in [
            ("0.0.0.0", Reserved),
            ("0.255.255.255", Reserved),
            ("1.0.0.0", Public),
            ("9.255.255.255", Public),
            ("10.0.0.0", Private),
            ("10.255.255.255", Private),
            ("11.0.0.0", Public),
            ("100.63.255.255", Public),
            ("100.64.0.0", Private),
            ("100.100.100.200", Private),
            ("100.127.255.255", Private),
            ("100.128.0.0", Public),
            ("127.0.0.1", Loopback),
            ("127.255.255.255", Loopback),
            ("168.63.129.16", Metadata),
            ("168.63.129.17", Public),
            ("169.253.255.255", Public),
            ("169.254.169.254", Link),
            ("169.255.0.0", Public),
            ("172.15.255.255", Public),
            ("172.16.0.0", Private),
            ("172.31.255.255", Private),
            ("172.32.0.0", Public),
            ("192.0.0.192", Reserved),
            ("192.0.2.1", Reserved),
            ("192.88.99.1", Reserved),
            ("192.167.255.255", Public),
            ("192.168.0.0", Private),
            ("192.169.0.0", Public),
            ("198.17.255.255", Public),
            ("198.18.0.0", Reserved),
            ("198.19.255.255", Reserved),
            ("198.51.100.7", Reserved),
            ("203.0.113.7", Reserved),
            ("223.255.255.255", Public),
            ("224.0.0.1", Multicast),
            ("240.0.0.1", Reserved),
            ("255.255.255.255", Reserved),
            ("::", Reserved),
            ("::1", Loopback),
            ("::2", Reserved),
            ("::7f00:1", Reserved),
            ("::ffff:127.0.0.1", Loopback),
            ("::ffff:169.254.169.254", Link),
            ("::ffff:8.8.8.8", Public),
            ("::ffff:0:127.0.0.1", Reserved),
            ("64:ff9b::a9fe:a9fe", Link),
            ("64:ff9b::10.0.0.1", Private),
            ("64:ff9b::8.8.8.8", Public),
            ("64:ff9b:1::8.8.8.8", Reserved),
            ("100::1", Reserved),
            ("2000::1", Public),
            ("2001::7f00:1", Reserved),
            ("2001:1ff:ffff::", Reserved),
            ("2001:200::", Public),
            ("2001:db8::1", Reserved),
            ("2002:7f00:1::", Reserved),
            ("2002:808:808::", Reserved),
            ("2003::1", Public),
            ("2606:4700::1111", Public),
            ("3fff::1", Reserved),
            ("3fff:1000::1", Public),
            ("4000::1", Reserved),
            ("5f00::1", Reserved),
            ("fc00::1", Private),
            ("fd00:ec2::254", Private),
            ("fe80::1", Link),
            ("febf::1", Link),
            ("fec0::1", Reserved),
            ("ff02::1", Multicast),
        ] {
            assert_eq!(AddressClass::of(ip(address)), class, "{address}");
        }
    }

    #[test]
    fn of_a_mixed_answer_only_the_permitted_addresses_are_used() {
        let reach = Reach::new(vec![], false);
        assert_eq!(reach.over_tls(&ips(&["10.0.0.1", "8.8.8.8", "::1"])), Ok(ips(&["8.8.8.8"])));
        assert_eq!(reach.over_tls(&ips(&["10.0.0.1", "::1"])), Err(Refusal::Blocked(ip("10.0.0.1"))));
    }

    #[test]
    fn plain_http_needs_every_address_inside_the_allowed_networks() {
        let reach = Reach::new(vec!["10.1.0.0/16".parse().unwrap()], false);
        assert_eq!(reach.over_plain_http(&ips(&["10.1.2.3"])), Ok(ips(&["10.1.2.3"])));
        assert_eq!(reach.over_plain_http(&ips(&["8.8.8.8"])), Err(Refusal::NotHttps));
        assert_eq!(reach.over_plain_http(&ips(&["10.1.2.3", "8.8.8.8"])), Err(Refusal::NotHttps));
        assert_eq!(reach.over_plain_http(&ips(&["10.1.2.3", "10.2.0.1"])), Err(Refusal::Blocked(ip("10.2.0.1"))));
    }

    #[test]
    fn an_allowed_network_is_matched_through_the_mapped_form() {
        let reach = Reach::new(vec!["10.1.0.0/16".parse().unwrap()], false);
        assert_eq!(reach.over_tls(&ips(&["::ffff:10.1.2.3"])), Ok(ips(&["10.1.2.3"])));
        assert!(reach.over_tls(&ips(&["::ffff:10.2.2.3"])).is_err());
    }

    #[test]
    fn allowing_loopback_allows_nothing_else() {
        let reach = Reach::new(vec![], true);
        assert!(reach.over_plain_http(&ips(&["127.0.0.1", "::1"])).is_ok());
        assert!(reach.over_plain_http(&ips(&["10.0.0.1"])).is_err());
        assert!(reach.over_tls(&ips(&["169.254.169.254"])).is_err());
    }
}
