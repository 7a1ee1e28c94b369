//! The key ring: AES-256-GCM with the key's id in the sealed value, so that keys can be changed while serving.

use aes_gcm::{
    Aes256Gcm, Nonce,
    aead::{Aead, KeyInit, Payload},
};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use super::random_bytes;

/// A key of the ring: an id that sealed values name, and 32 secret bytes.
pub struct Key {
    /// Names the key in sealed values; at most 255 bytes.
    pub id: String,
    /// The AES-256 key.
    pub bytes: Zeroizing<[u8; 32]>,
}

/// Seals with its first key and opens with all of them.
pub struct KeyRing {
    keys: Vec<(String, Aes256Gcm)>,
}

/// Why a key ring could not be made.
#[derive(Debug, Error)]
pub enum KeyRingError {
    /// There is nothing to seal with.
    #[error("the key ring is empty")]
    Empty,
    /// An id has to fit into one length byte.
    #[error("key id `{0}` is empty or longer than 255 bytes")]
    Id(String),
}

/// Why a sealed value did not open.
#[derive(Debug, Error)]
pub enum SealError {
    /// Not the form of a sealed value.
    #[error("the value is not in the sealed form")]
    Malformed,
    /// The key that sealed it is not in the ring.
    #[error("the value was sealed with a key that is not in the key ring")]
    UnknownKey,
    /// Changed, moved to another record, or sealed for another purpose.
    #[error("the value does not authenticate")]
    Forged,
}

impl KeyRing {
    /// A ring whose first key seals.
    pub fn new(keys: &[Key]) -> Result<Self, KeyRingError> {
        if keys.is_empty() {
            return Err(KeyRingError::Empty);
        }
        let keys = keys
            .iter()
            .map(|key| match key.id.len() {
                1..=255 => Ok((key.id.clone(), Aes256Gcm::new((&*key.bytes).into()))),
                _ => Err(KeyRingError::Id(key.id.clone())),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }

    /// A ring of one key that is derived from `secret`, for values that only the holder of `secret` may open.
    ///
    /// `purpose` separates the uses of one secret. The secret must hold at least 256 random bits.
    pub fn derived(purpose: &str, secret: &str) -> Self {
        let bytes = Sha256::new().chain_update(purpose).chain_update([0]).chain_update(secret).finalize();
        Self { keys: vec![("derived".to_owned(), Aes256Gcm::new(&bytes))] }
    }

    /// Seals `plain` for the place that `context` names; it opens only there.
    ///
    /// The form is: version (1), length of the key id, key id, nonce (12 bytes), ciphertext with tag.
    #[expect(clippy::missing_panics_doc, clippy::expect_used, reason = "AES-GCM fails only above 64 GiB")]
    pub fn seal(&self, context: &str, plain: &[u8]) -> Vec<u8> {
        let (id, cipher) = &self.keys[0];
        let nonce: [u8; 12] = random_bytes();
        let mut sealed = Vec::with_capacity(2 + id.len() + 12 + plain.len() + 16);
        sealed.extend(self.prefix());
        sealed.extend_from_slice(&nonce);
        let payload = Payload { msg: plain, aad: context.as_bytes() };
        sealed.extend(cipher.encrypt(&Nonce::from(nonce), payload).expect("the plaintext is far below the limit"));
        sealed
    }

    /// How everything begins that this ring seals; what begins otherwise was sealed by another key.
    pub fn prefix(&self) -> Vec<u8> {
        let id = self.keys[0].0.as_bytes();
        [&[VERSION, u8::try_from(id.len()).unwrap_or(u8::MAX)], id].concat()
    }

    /// Opens what [`KeyRing::seal`] sealed for the same `context`, with whichever key of the ring sealed it.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let [VERSION, id_length, rest @ ..] = sealed else { return Err(SealError::Malformed) };
        let (id, rest) = rest.split_at_checked(usize::from(*id_length)).ok_or(SealError::Malformed)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<12>().ok_or(SealError::Malformed)?;
        let (_, cipher) = self.keys.iter().find(|(known, _)| known.as_bytes() == id).ok_or(SealError::UnknownKey)?;
        let payload = Payload { msg: ciphertext, aad: context.as_bytes() };
        match cipher.decrypt(&Nonce::from(*nonce), payload) {
            Ok(plain) => Ok(Zeroizing::new(plain)),
            Err(aes_gcm::Error) => Err(SealError::Forged),
        }
    }
}

const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, byte: u8) -> Key {
        Key { id: id.to_owned(), bytes: Zeroizing::new([byte; 32]) }
    }

    #[test]
    fn a_sealed_value_opens_in_its_own_place_only() {
        let ring = KeyRing::new(&[key("k1", 1)]).unwrap();
        let sealed = ring.seal("connections/ada/refresh_token", b"secret");
        assert_eq!(&**ring.open("connections/ada/refresh_token", &sealed).unwrap(), b"secret");
        assert!(matches!(ring.open("connections/bob/refresh_token", &sealed), Err(SealError::Forged)));
    }

    #[test]
    fn a_new_first_key_still_opens_what_the_old_one_sealed() {
        let old = KeyRing::new(&[key("k1", 1)]).unwrap();
        let new = KeyRing::new(&[key("k2", 2), key("k1", 1)]).unwrap();
        let sealed = old.seal("c", b"secret");
        assert_eq!(&**new.open("c", &sealed).unwrap(), b"secret");
        assert!(matches!(old.open("c", &new.seal("c", b"secret")), Err(SealError::UnknownKey)));
        assert!(sealed.starts_with(&old.prefix()) && !sealed.starts_with(&new.prefix()));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let ring = KeyRing::new(&[key("k1", 1)]).unwrap();
        let sealed = ring.seal("c", b"secret");
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(ring.open("c", &changed).is_err(), "byte {index}");
            assert!(ring.open("c", &sealed[..index]).is_err(), "cut at {index}");
        }
    }

    #[test]
    fn a_derived_ring_opens_with_the_same_secret_and_purpose_only() {
        let sealed = KeyRing::derived("grace", "rt_one").seal("c", b"secret");
        assert_eq!(&**KeyRing::derived("grace", "rt_one").open("c", &sealed).unwrap(), b"secret");
        assert!(KeyRing::derived("grace", "rt_two").open("c", &sealed).is_err());
        assert!(KeyRing::derived("other", "rt_one").open("c", &sealed).is_err());
    }

    #[test]
    fn an_empty_ring_is_refused() {
        assert!(matches!(KeyRing::new(&[]), Err(KeyRingError::Empty)));
    }
}
