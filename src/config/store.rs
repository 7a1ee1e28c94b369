//! `store`, `encryption` and `outbound`.

use std::fmt;
use std::path::PathBuf;

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, alphabet};
use ipnet::IpNet;
use url::Url;
use zeroize::Zeroizing;

use crate::config::check::Check;
use crate::config::file;
use crate::config::parse;
use crate::config::problem::Fault;
use crate::crypto::Secret;

/// Where state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// One file, one process.
    Sqlite {
        /// The database file; relative to the working directory.
        path: PathBuf,
    },
    /// A server, any number of replicas.
    Postgres {
        /// The connection URL, which usually holds a password.
        url: Secret,
    },
}

/// One key of the key ring.
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptionKey {
    /// Names the key in sealed values.
    pub id: String,
    /// The AES-256 key.
    pub bytes: Zeroizing<[u8; 32]>,
}

/// The gateway's own calls to other servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// Private networks that such calls may reach, also over plain http.
    pub allow_private_networks: Vec<IpNet>,
    /// Further certificate authorities, PEM.
    pub ca_file: Option<PathBuf>,
}

impl Store {
    /// Checks the section.
    pub fn check(file: &file::Store, check: &mut Check) -> Self {
        let default = Self::Sqlite { path: PathBuf::from(DEFAULT_PATH) };
        let at = &file.url;
        let Some(secret) = at.0.get() else { return default };
        match parse_url(secret.0.expose()) {
            Ok((store, has_password)) => {
                if has_password && at.0.literal {
                    check.warn(&at.0.place, Fault::LiteralSecret);
                }
                store
            }
            Err(expected) => {
                check.report(&at.0.place, Fault::InvalidSecret { expected });
                default
            }
        }
    }
}

impl EncryptionKey {
    /// Checks the section. Replicas that share a database must share the keys, so Postgres needs one.
    pub fn check_all(file: &file::Encryption, store: &Store, check: &mut Check) -> Vec<Self> {
        let items = check.list(&file.keys);
        if items.is_empty() && matches!(store, Store::Postgres { .. }) {
            let needs = "at least one key when the store is PostgreSQL; `sallyport keys generate` makes one";
            check.report(&file.keys.place, Fault::Missing { needs });
        }
        let mut taken = Vec::new();
        let mut keys = Vec::new();
        for item in items {
            let id = check.parse_required(&item.id, "a name for the key, such as k1", parse::slug);
            if let Some(id) = &id {
                check.unique(&mut taken, id.clone(), &item.id.place, &item.id.shown);
            }
            check.require(&item.key.0, "a reference to 32 bytes in base64, such as $env(SALLYPORT_KEY)");
            let Some(secret) = check.secret(&item.key) else { continue };
            let Some(bytes) = key_bytes(secret.expose()) else {
                let expected = "32 bytes in base64, such as `sallyport keys generate` makes";
                check.report(&item.key.0.place, Fault::InvalidSecret { expected });
                continue;
            };
            keys.extend(id.map(|id| Self { id, bytes }));
        }
        keys
    }
}

impl Outbound {
    /// Checks the section.
    pub fn check(file: &file::Outbound, check: &mut Check) -> Self {
        Self {
            allow_private_networks: check.networks(&file.allow_private_networks),
            ca_file: check.path(&file.ca_file),
        }
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("EncryptionKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The store of a URL, and whether the URL holds a password.
fn parse_url(text: &str) -> Result<(Store, bool), parse::Expected> {
    const EXPECTED: parse::Expected = "sqlite:PATH or postgres://user:password@host/database";
    if let Some(path) = text.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() || path.contains([':', '?', '\0']) {
            return Err("sqlite: followed by the path of a database file");
        }
        return Ok((Store::Sqlite { path: PathBuf::from(path) }, false));
    }
    let url = Url::parse(text).or(Err(EXPECTED))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") || url.cannot_be_a_base() {
        return Err(EXPECTED);
    }
    let has_password = url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password");
    Ok((Store::Postgres { url: Secret::new(text) }, has_password))
}

/// Accepts the standard and the URL-safe alphabet, padded or not.
fn key_bytes(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = if text.contains(['-', '_']) { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
    let bytes = Zeroizing::new(GeneralPurpose::new(alphabet, config).decode(text.trim()).ok()?);
    <[u8; 32]>::try_from(bytes.as_slice()).ok().map(Zeroizing::new)
}

const DEFAULT_PATH: &str = "data/sallyport.db";
