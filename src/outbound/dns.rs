//! One question to the machine's name service, uncached.

use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    pin::Pin,
    time::{Duration, Instant},
};

use hickory_resolver::{
    Hosts, TokioResolver,
    config::{LookupIpStrategy, ResolveHosts},
    net::NetError,
    proto::{
        op::Query as Question,
        rr::{Name, RecordType},
    },
};

/// Why a name has no addresses.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DnsError {
    /// The name does not exist.
    #[error("the name does not exist")]
    NoSuchName,
    /// The name exists, but not as that of a host.
    #[error("the name has no addresses")]
    NoAddress,
    /// No name server answered in time.
    #[error("no name server answered in time")]
    Timeout,
    /// `/etc/resolv.conf` names no name server.
    #[error("no name server is configured on this machine")]
    NoNameServer,
    /// The name servers failed.
    #[error("the name servers failed: {0}")]
    Failed(#[source] NetError),
}

impl DnsError {
    /// Whether this says nothing about the name itself, so that an older answer may still hold.
    pub(super) fn is_outage(&self) -> bool {
        match self {
            Self::NoSuchName | Self::NoAddress => false,
            Self::Timeout | Self::NoNameServer | Self::Failed(_) => true,
        }
    }
}

/// Who answers a question; tests bring their own.
pub(super) trait Dns: Send + Sync {
    /// The addresses of `host`, at least one.
    fn query<'a>(&'a self, host: &'a str) -> Query<'a>;
}

pub(super) type Query<'a> = Pin<Box<dyn Future<Output = Result<Answer, DnsError>> + Send + 'a>>;

#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ttl: Duration,
}

/// The name service of this machine.
pub(super) struct SystemDns {
    hosts: Hosts,
    servers: Option<TokioResolver>,
}

impl SystemDns {
    pub(super) fn load() -> Self {
        let servers = name_servers()
            .inspect_err(|error| {
                tracing::warn!(fault = %error, "no name servers: only /etc/hosts and IP addresses can be used");
            })
            .ok();
        Self { hosts: Hosts::from_system().unwrap_or_default(), servers }
    }

    /// What `/etc/hosts` says, for both address families together: a host listed there is never asked for elsewhere.
    fn listed(&self, host: &str) -> Vec<IpAddr> {
        let Ok(name) = Name::from_utf8(host) else { return Vec::new() };
        [RecordType::A, RecordType::AAAA]
            .into_iter()
            .filter_map(|kind| self.hosts.lookup_static_host(&Question::query(name.clone(), kind)))
            .flat_map(|lookup| lookup.answers().iter().filter_map(|record| record.data.ip_addr()).collect::<Vec<_>>())
            .collect()
    }

    async fn ask(&self, host: &str) -> Result<Answer, DnsError> {
        let listed = self.listed(host);
        if !listed.is_empty() {
            return Ok(Answer { addresses: listed, ttl: Duration::MAX });
        }
        // RFC 6761 section 6.3: never a question for name servers.
        if host == "localhost" || host.ends_with(".localhost") {
            let addresses = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            return Ok(Answer { addresses, ttl: Duration::MAX });
        }
        let servers = self.servers.as_ref().ok_or(DnsError::NoNameServer)?;
        let lookup = servers.lookup_ip(host).await.map_err(|error| match error {
            error if error.is_nx_domain() => DnsError::NoSuchName,
            error if error.is_no_records_found() => DnsError::NoAddress,
            NetError::Timeout => DnsError::Timeout,
            error => DnsError::Failed(error),
        })?;
        let addresses: Vec<_> = lookup.iter().take(MAX_ADDRESSES).collect();
        if addresses.is_empty() {
            return Err(DnsError::NoAddress);
        }
        Ok(Answer { addresses, ttl: lookup.valid_until().saturating_duration_since(Instant::now()) })
    }
}

impl Dns for SystemDns {
    fn query<'a>(&'a self, host: &'a str) -> Query<'a> {
        Box::pin(self.ask(host))
    }
}

fn name_servers() -> Result<TokioResolver, NetError> {
    let mut builder = TokioResolver::builder_tokio()?;
    let options = builder.options_mut();
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.use_hosts_file = ResolveHosts::Never;
    // `Resolver` remembers what is to be remembered.
    options.cache_size = 0;
    builder.build()
}

const MAX_ADDRESSES: usize = 16;
