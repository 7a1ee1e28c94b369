//! The HTTP client for URLs of the configuration.

use std::{net::Ipv6Addr, sync::Arc};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use reqwest::redirect;

use super::{
    BuildError, Resolver, Settings,
    address::Reach,
    guard::{Guard, Transport},
    tls,
};

/// A client that reaches every address, also over plain http, and what it reaches; redirects are not followed. Of the
/// settings, the networks do not matter.
pub(super) fn client(
    settings: &Settings,
    resolver: Arc<Resolver>,
) -> Result<(reqwest::Client, Arc<Reach>), BuildError> {
    let everywhere: [IpNet; 2] = [Ipv4Net::default().into(), Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0).into()];
    let reach = Arc::new(Reach::new(everywhere.into(), true));
    let client = reqwest::Client::builder()
        .dns_resolver(Guard { resolver, reach: Arc::clone(&reach), transport: Transport::Plain })
        .tls_backend_preconfigured(tls::client_config(settings.extra_ca_pem.as_deref())?)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .user_agent(&settings.user_agent)
        .build()?;
    Ok((client, reach))
}
