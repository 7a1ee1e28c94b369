//! Secrets, digests, random values, sealed values and the key ring.

mod digest;
pub mod jwt;
mod key_ring;
mod key_set;
mod random;
mod secret;
mod signed_jwt;
mod signing_key;

pub use digest::{Digest, constant_time_eq, s256};
pub use key_ring::{Key, KeyRing, KeyRingError, SealError};
pub use key_set::{KeySet, KeySetDocument};
pub use random::{random_bytes, random_token};
pub use secret::{Secret, in_clear, in_clear_if_any};
pub use signed_jwt::{MAX_CLAIMS, SIGNING_ALGORITHMS, SignedJwt, SignedJwtError, date, text};
pub use signing_key::{SigningError, SigningKey};
