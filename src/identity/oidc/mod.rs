//! Login at an OpenID provider: the relying party's half of the protocol, free of pages and store.
//!
//! OpenID Connect Core 1.0 sections 3.1 and 10, Discovery 1.0, PKCE (RFC 7636) and the issuer in the authorization
//! response (RFC 9207). The provider may be down when the gateway starts and at any time after; what it said last is
//! used for as long as it can be.

mod claims;
mod error;
mod exchange;
pub(in crate::identity) mod id_token;
pub(in crate::identity) mod issuer_keys;
mod kept;
mod metadata;
mod provider;
pub(in crate::identity) mod signed;
mod token_exchange;
mod userinfo;
mod workos;

pub use claims::IdentityClaims;
pub use error::{Error, IdTokenError};
pub use provider::{Begin, Dialect, Endpoints, Pkce, Provider, ProviderSettings};

#[cfg(test)]
mod fake_provider;
#[cfg(test)]
mod tests;
