//! Resolution for the HTTP client: it gets to see permitted addresses only.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::{
    Error,
    address::{Reach, Refusal},
    dns::DnsError,
    resolver::Resolver,
};

/// Which rule holds for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Tls,
    Plain,
}

/// Hands the HTTP client the addresses that it may connect to.
///
/// What is checked is what is used: a name that answers differently the second time gains nothing.
pub(super) struct Guard {
    pub(super) resolver: Arc<Resolver>,
    pub(super) reach: Arc<Reach>,
    pub(super) transport: Transport,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (resolver, reach, transport) = (Arc::clone(&self.resolver), Arc::clone(&self.reach), self.transport);
        Box::pin(async move {
            let addresses = resolver.lookup(name.as_str()).await.map_err(Refused::Dns)?;
            let permitted = select(&reach, transport, &addresses)?;
            // Port 0 leaves the URL's port in force.
            Ok(Box::new(permitted.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

/// Checks what resolution will not see: the scheme, credentials in the URL, and IP literals.
pub(super) fn check_url(reach: &Reach, url: &Url) -> Result<(Transport, String), Error> {
    let transport = match url.scheme() {
        "https" => Transport::Tls,
        "http" => Transport::Plain,
        _ => return Err(Error::BadUrl { problem: "that is neither https nor http" }),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::BadUrl { problem: "with credentials" });
    }
    let (host, literal) = match url.host() {
        Some(Host::Domain(name)) => (name.to_owned(), None),
        Some(Host::Ipv4(address)) => (address.to_string(), Some(IpAddr::V4(address))),
        Some(Host::Ipv6(address)) => (address.to_string(), Some(IpAddr::V6(address))),
        None => return Err(Error::BadUrl { problem: "without a host" }),
    };
    if let Some(address) = literal {
        select(reach, transport, &[address]).map_err(|refused| refused.into_error(host.clone()))?;
    }
    Ok((transport, host))
}

fn select(reach: &Reach, transport: Transport, addresses: &[IpAddr]) -> Result<Vec<IpAddr>, Refused> {
    match transport {
        Transport::Tls => reach.over_tls(addresses),
        Transport::Plain => reach.over_plain_http(addresses),
    }
    .map_err(Refused::Address)
}

/// Why resolution gave the HTTP client nothing; travels through its error chain.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Refused {
    #[error("resolution failed")]
    Dns(#[source] DnsError),
    #[error("no address of the host may be used: {0:?}")]
    Address(Refusal),
}

impl Refused {
    pub(super) fn into_error(self, host: String) -> Error {
        match self {
            Self::Dns(source) => Error::Dns { host, source },
            Self::Address(Refusal::Blocked(address)) => Error::Blocked { host, address },
            Self::Address(Refusal::NotHttps) => Error::NotHttps { host },
        }
    }
}
