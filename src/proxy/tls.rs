//! TLS material, checked before Pingora sees it, because Pingora panics on what it cannot parse.

use std::{path::Path, sync::Arc};

use arc_swap::ArcSwap;
use pingora::{
    listeners::tls::TlsSettings,
    utils::tls::{CertKey, WrappedX509, parse_x509},
};
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use thiserror::Error;

use crate::{crypto::Digest, upstream::Tls};

/// Why TLS material cannot be used.
#[derive(Debug, Error)]
pub enum Error {
    /// Not PEM.
    #[error("not in PEM form")]
    Pem(#[source] rustls::pki_types::pem::Error),
    /// No certificate in it.
    #[error("no certificate in it")]
    NoCertificate,
    /// Not a certificate.
    #[error("a certificate in it does not parse")]
    Certificate(#[source] x509_parser::nom::Err<x509_parser::error::X509Error>),
    /// A certificate that cannot be an authority, or a key that does not fit.
    #[error("rustls refuses it")]
    Refused(#[source] rustls::Error),
    /// A private key of no known form.
    #[error("{why}")]
    Key {
        /// What is wrong with it.
        why: &'static str,
    },
    /// Pingora refuses it.
    #[error("it cannot be served")]
    Listener(#[source] Box<pingora::Error>),
    /// A file that does not open.
    #[error("the file cannot be read")]
    File(#[source] std::io::Error),
}

/// What a connection to an upstream trusts and presents.
#[derive(Default)]
pub struct Material {
    /// The authorities to trust instead of the usual ones.
    pub ca: Option<Arc<[WrappedX509]>>,
    /// The client certificate.
    pub identity: Option<Arc<CertKey>>,
    /// Tells materials apart.
    pub fingerprint: Option<Digest>,
}

/// Checks the TLS material of an upstream.
pub fn material(upstream: &str, tls: &Tls) -> Result<Material, super::Error> {
    let ca = tls
        .ca_pem
        .as_deref()
        .map(authorities)
        .transpose()
        .map_err(|source| super::Error::UpstreamCa { upstream: upstream.to_owned(), source })?;
    let identity = tls
        .client_identity
        .as_ref()
        .map(|(chain, key)| identity(chain, key.expose().as_bytes()))
        .transpose()
        .map_err(|source| super::Error::UpstreamIdentity { upstream: upstream.to_owned(), source })?;
    let text = |pem: &[u8]| String::from_utf8_lossy(pem).into_owned();
    let fingerprint = (ca.is_some() || identity.is_some()).then(|| {
        let ca = tls.ca_pem.as_deref().map(text).unwrap_or_default();
        let (chain, key) =
            tls.client_identity.as_ref().map(|(chain, key)| (text(chain), key.expose())).unwrap_or_default();
        Digest::of(&format!("{}\n{ca}{}\n{chain}{key}", ca.len(), chain.len()))
    });
    Ok(Material { ca, identity, fingerprint })
}

fn authorities(pem: &[u8]) -> Result<Arc<[WrappedX509]>, Error> {
    let mut store = rustls::RootCertStore::empty();
    let mut wrapped = Vec::new();
    for certificate in certificates(pem)? {
        store.add(certificate.clone()).map_err(Error::Refused)?;
        wrapped.push(WrappedX509::new(certificate.to_vec(), parse_x509));
    }
    Ok(wrapped.into())
}

fn identity(chain: &[u8], key: &[u8]) -> Result<Arc<CertKey>, Error> {
    let chain = certificates(chain)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(Error::Pem)?;
    let der = key.secret_der().to_vec();
    PrivateKeyDer::try_from(der.as_slice()).map_err(|why| Error::Key { why })?;
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::Refused)?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_client_auth_cert(chain.clone(), key)
        .map_err(Error::Refused)?;
    Ok(Arc::new(CertKey::new(chain.iter().map(|certificate| certificate.to_vec()).collect(), der)))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(Error::Pem)?;
    if certificates.is_empty() {
        return Err(Error::NoCertificate);
    }
    for certificate in &certificates {
        x509_parser::parse_x509_certificate(certificate).map_err(Error::Certificate)?;
    }
    Ok(certificates)
}

/// The certificate of a listener with its key, which can be renewed while it serves.
#[derive(Debug)]
pub struct Certificate(ArcSwap<CertifiedKey>);

impl Certificate {
    /// Shows this one until the next.
    pub fn new(first: CertifiedKey) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(first)))
    }

    /// A certificate chain and its private key, from PEM files.
    pub fn read(chain: &Path, key: &Path) -> Result<CertifiedKey, Error> {
        let chain = certificates(&std::fs::read(chain).map_err(Error::File)?)?;
        let key = PrivateKeyDer::from_pem_slice(&std::fs::read(key).map_err(Error::File)?).map_err(Error::Pem)?;
        CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider()).map_err(Error::Refused)
    }

    /// Shows another one to every connection from now on.
    pub fn renew(&self, next: CertifiedKey) {
        self.0.store(Arc::new(next));
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// The TLS settings of a listener that speaks HTTP/2 and HTTP/1.1.
pub fn listener(certificate: &Arc<Certificate>) -> Result<TlsSettings, Error> {
    let mut settings = TlsSettings::intermediate("", "").map_err(Error::Listener)?;
    settings.set_cert_resolver(Arc::clone(certificate) as _);
    settings.enable_h2();
    Ok(settings)
}
