//! Why a fetch failed.

use std::{error::Error as StdError, io, net::IpAddr, time::Duration};

use http::StatusCode;

use super::{address::AddressClass, dns::DnsError, guard::Refused};

/// Why a fetch failed. The texts name the host only, so they can be logged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Every address of the host is closed to us.
    #[error(
        "{host} leads to {address}, a {} address; to let the gateway reach it, add its network to `outbound.allowPrivateNetworks`",
        AddressClass::of(*.address)
    )]
    Blocked {
        /// The host of the URL.
        host: String,
        /// The address that was refused, the first of them if there are several.
        address: IpAddr,
    },
    /// The URL is not https.
    #[error("{host} must be reached over https; plain http is for networks in `outbound.allowPrivateNetworks`")]
    NotHttps {
        /// The host of the URL.
        host: String,
    },
    /// The URL can't be fetched, whatever its host says.
    #[error("a URL {problem} can't be fetched")]
    BadUrl {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The host's name could not be resolved.
    #[error("{host} could not be resolved: {source}")]
    Dns {
        /// The host of the URL.
        host: String,
        /// What the name service said.
        source: DnsError,
    },
    /// No connection could be made.
    #[error("no connection to {host}")]
    Connect {
        /// The host of the URL.
        host: String,
        /// What the operating system said.
        source: reqwest::Error,
    },
    /// The TLS handshake failed.
    #[error("no TLS connection to {host}: {source}")]
    Tls {
        /// The host of the URL.
        host: String,
        /// What rustls said.
        source: rustls::Error,
    },
    /// The whole exchange did not finish in time.
    #[error("{host} did not answer within {} ms", .after.as_millis())]
    Timeout {
        /// The host of the URL.
        host: String,
        /// The deadline.
        after: Duration,
    },
    /// The body is larger than allowed.
    #[error("the answer of {host} is larger than {limit} bytes")]
    TooLarge {
        /// The host of the URL.
        host: String,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The host answered with a redirect, which is never followed.
    #[error("{host} answered with a redirect ({status}), which is not followed")]
    Redirected {
        /// The host of the URL.
        host: String,
        /// The status.
        status: StatusCode,
    },
    /// The host answered with a status other than success.
    #[error("{host} answered with status {status}")]
    Status {
        /// The host of the URL.
        host: String,
        /// The status.
        status: StatusCode,
    },
    /// The body is not the JSON document that was expected.
    #[error(
        "the answer of {host} is not the expected JSON document (line {}, column {})",
        .source.line(),
        .source.column()
    )]
    NotJson {
        /// The host of the URL.
        host: String,
        /// Where and why parsing stopped.
        source: serde_json::Error,
    },
    /// The connection broke off, or what came over it was not HTTP.
    #[error("the exchange with {host} broke off")]
    Broken {
        /// The host of the URL.
        host: String,
        /// What the HTTP client said.
        source: reqwest::Error,
    },
}

impl Error {
    /// Sorts a failure of the HTTP client by its cause.
    pub(super) fn of_exchange(host: &str, error: reqwest::Error) -> Self {
        let host = host.to_owned();
        let error = error.without_url();
        if let Some(refused) = cause::<Refused>(&error) {
            return refused.clone().into_error(host);
        }
        if let Some(source) = cause::<rustls::Error>(&error) {
            return Self::Tls { host, source: source.clone() };
        }
        if error.is_connect() {
            return Self::Connect { host, source: error };
        }
        Self::Broken { host, source: error }
    }
}

/// The first cause of type `T`. An `io::Error` hides the error it wraps from `source`, so it is opened.
fn cause<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
