//! From a `postgres://` URL to a pool that has not connected yet.

use std::{path::PathBuf, str::FromStr, time::Duration};

use deadpool_postgres::{BuildError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use thiserror::Error;
use tokio_postgres::{
    Config, NoTls,
    config::{Host, SslMode as Negotiation},
};

use super::{
    Settings,
    hear::Line,
    tls::{self, Roots, Verification},
};
use crate::crypto::Secret;

/// Why a URL does not make a store. Nothing of the URL's secrets is in it.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// Not a connection URL.
    #[error("the PostgreSQL URL cannot be read")]
    Url(#[source] tokio_postgres::Error),
    /// Not one of libpq's modes.
    #[error("sslmode must be disable, prefer, require, verify-ca or verify-full")]
    SslMode,
    /// Not a text.
    #[error("sslrootcert is not UTF-8")]
    RootCertPath(#[source] std::str::Utf8Error),
    /// The file of `sslrootcert` is missing or holds no certificates.
    #[error("cannot read certificates from {}", path.display())]
    RootCert {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// Neither `sslrootcert` nor the system gives a certificate authority.
    #[error("there is no certificate authority to verify the database with; set sslrootcert")]
    NoRoots,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// The pool cannot be set up.
    #[error("the connection pool cannot be set up")]
    Pool(#[source] BuildError),
}

/// A pool for `url`, and a line on which changes are heard; they connect when they are first used.
pub(super) fn open(url: &Secret, settings: &Settings) -> Result<(Pool, Line), ConnectError> {
    let Target { mut config, sslmode, roots } = Target::parse(url.expose())?;
    let mut options = OPTIONS.to_owned();
    if let Some(own) = config.get_options() {
        options = format!("{options} {own}");
    }
    config.options(options);
    if config.get_application_name().is_none() {
        config.application_name("sallyport");
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(TCP_TIMEOUT);
    }
    let (negotiation, verification) = sslmode.means(roots);
    config.ssl_mode(negotiation);

    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let tls = verification.map(|verification| tls::connector(&verification)).transpose()?;
    let line = Line::new(config.clone(), tls.clone());
    let manager = match tls {
        None => Manager::from_config(config, NoTls, recycling),
        Some(tls) => Manager::from_config(config, tls, recycling),
    };
    let pool = Pool::builder(manager)
        .max_size(settings.max_connections)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(Duration::from_secs(2)))
        .create_timeout(Some(Duration::from_secs(2)))
        .recycle_timeout(Some(Duration::from_secs(1)))
        .build()
        .map_err(ConnectError::Pool)?;
    Ok((pool, line))
}

struct Target {
    config: Config,
    sslmode: SslMode,
    roots: Option<Roots>,
}

impl Target {
    /// Reads a URL. `sslmode` and `sslrootcert` are read here, since the driver does not know all of them.
    fn parse(url: &str) -> Result<Self, ConnectError> {
        let (address, parameters) = url.split_once('?').unwrap_or((url, ""));
        let (mut sslmode, mut roots, mut others) = (SslMode::Prefer, None, Vec::new());
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode", mode)) => sslmode = mode.parse()?,
                Some(("sslrootcert", "system")) => roots = Some(Roots::System),
                Some(("sslrootcert", path)) => {
                    let path =
                        percent_encoding::percent_decode_str(path).decode_utf8().map_err(ConnectError::RootCertPath)?;
                    roots = Some(Roots::File(PathBuf::from(&*path)));
                }
                _ => others.push(parameter),
            }
        }
        let config = Config::from_str(&format!("{address}?{}", others.join("&"))).map_err(ConnectError::Url)?;
        if config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_))) {
            // As in libpq: TLS is not spoken over a socket of the file system.
            sslmode = SslMode::Disable;
        }
        Ok(Self { config, sslmode, roots })
    }
}

/// libpq's `sslmode` (PostgreSQL manual, section 34.19.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SslMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl FromStr for SslMode {
    type Err = ConnectError;

    fn from_str(mode: &str) -> Result<Self, ConnectError> {
        match mode {
            "disable" => Ok(Self::Disable),
            "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "verify-ca" => Ok(Self::VerifyCa),
            "verify-full" => Ok(Self::VerifyFull),
            _ => Err(ConnectError::SslMode),
        }
    }
}

impl SslMode {
    /// Whether TLS is asked for, and what the server must prove. As in libpq, `require` with roots is `verify-ca`.
    fn means(self, roots: Option<Roots>) -> (Negotiation, Option<Verification>) {
        let system = Roots::System;
        match (self, roots) {
            (Self::Disable, _) => (Negotiation::Disable, None),
            (Self::Prefer, _) => (Negotiation::Prefer, Some(Verification::None)),
            (Self::Require, None) => (Negotiation::Require, Some(Verification::None)),
            (Self::Require, Some(roots)) => (Negotiation::Require, Some(Verification::Chain(roots))),
            (Self::VerifyCa, roots) => (Negotiation::Require, Some(Verification::Chain(roots.unwrap_or(system)))),
            (Self::VerifyFull, roots) => (Negotiation::Require, Some(Verification::Full(roots.unwrap_or(system)))),
        }
    }
}

/// The statements wait for row locks and then look again, which is what `read committed` does.
const OPTIONS: &str = "-c statement_timeout=5000 -c default_transaction_isolation=read\\ committed";
/// After this the kernel gives up a connection whose other end is silent.
const TCP_TIMEOUT: Duration = Duration::from_secs(6);

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<(SslMode, Option<Roots>), ConnectError> {
        Target::parse(url).map(|target| (target.sslmode, target.roots))
    }

    #[test]
    fn every_mode_of_libpq_is_read_and_others_are_refused() {
        let mode = |mode| parse(&format!("postgres://ada@db/sallyport?sslmode={mode}"));
        assert_eq!(mode("disable").unwrap().0, SslMode::Disable);
        assert_eq!(mode("prefer").unwrap().0, SslMode::Prefer);
        assert_eq!(mode("require").unwrap().0, SslMode::Require);
        assert_eq!(mode("verify-ca").unwrap().0, SslMode::VerifyCa);
        assert_eq!(mode("verify-full").unwrap().0, SslMode::VerifyFull);
        for wrong in ["", "allow", "verify_full", "VERIFY-FULL", "verify-full "] {
            assert!(matches!(mode(wrong), Err(ConnectError::SslMode)), "{wrong}");
        }
        assert_eq!(parse("postgres://ada@db/sallyport").unwrap(), (SslMode::Prefer, None));
    }

    #[test]
    fn other_parameters_reach_the_driver() {
        let url = "postgres://ada:p%40ss@db:5433/sallyport?connect_timeout=3&sslmode=require&application_name=a%20b\
                   &sslrootcert=%2Fetc%2Fca%20file.pem";
        let target = Target::parse(url).unwrap();
        assert_eq!(target.config.get_application_name(), Some("a b"));
        assert_eq!(target.config.get_password(), Some(&b"p@ss"[..]));
        assert_eq!(target.config.get_ports(), [5433]);
        assert_eq!(target.roots, Some(Roots::File("/etc/ca file.pem".into())));
        assert!(matches!(Target::parse("postgres://ada@db/sallyport?sslmod=require"), Err(ConnectError::Url(_))));
        assert!(matches!(Target::parse("mysql://ada@db/sallyport"), Err(ConnectError::Url(_))));
    }

    #[test]
    fn errors_do_not_tell_the_password() {
        for url in ["postgres://ada:hunter2@db:x/sallyport", "postgres://ada:hunter2@db/s?sslmode=x", "hunter2"] {
            let error = open(&Secret::new(url), &Settings::default()).err().unwrap();
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }
}
