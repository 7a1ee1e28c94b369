//! Whom outbound TLS connections trust.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem, pem::PemObject as _},
};

/// Why the operator's CA bundle is of no use.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// Not PEM.
    #[error("the CA file is not valid PEM: {0}")]
    NotPem(#[source] pem::Error),
    /// PEM without a certificate.
    #[error("the CA file holds no certificate")]
    Empty,
    /// A certificate that can't be a root.
    #[error("the CA file holds a certificate that can't be used: {0}")]
    NotARoot(#[source] rustls::Error),
}

/// The machine's roots (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured) and the operator's own.
///
/// A machine without roots is worth a warning only: it may need none but the operator's, or no TLS at all.
pub(super) fn client_config(extra_ca_pem: Option<&[u8]>) -> Result<ClientConfig, BuildTlsError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(fault = %error, "a certificate of the machine's root store could not be read");
    }
    roots.add_parsable_certificates(found.certs);
    if let Some(pem) = extra_ca_pem {
        add_bundle(&mut roots, pem)?;
    }
    if roots.is_empty() {
        tracing::warn!("no root certificates: install ca-certificates, or set SSL_CERT_FILE or `outbound.caFile`");
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Why no TLS configuration could be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildTlsError {
    /// The operator's CA bundle.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// The TLS library.
    #[error("TLS could not be set up: {0}")]
    Rustls(#[from] rustls::Error),
}

fn add_bundle(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), CaError> {
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(CaError::NotPem)?).map_err(CaError::NotARoot)?;
    }
    if roots.len() == before { Err(CaError::Empty) } else { Ok(()) }
}
