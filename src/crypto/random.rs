//! Random values from the operating system.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};

/// `N` bytes from the operating system's random source.
///
/// # Panics
/// If the operating system has no randomness to give; nothing safe can be done then.
#[expect(clippy::expect_used, reason = "a gateway without randomness must not go on")]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// A token of 256 random bits, base64url without padding, behind a prefix that tells its kind.
pub fn random_token(prefix: &str) -> String {
    let mut token = String::with_capacity(prefix.len() + 43);
    token.push_str(prefix);
    URL_SAFE_NO_PAD.encode_string(random_bytes::<32>(), &mut token);
    token
}

#[cfg(test)]
mod tests {
    use super::random_token;

    #[test]
    fn tokens_carry_their_prefix_and_43_characters_and_differ() {
        let (one, two) = (random_token("at_"), random_token("at_"));
        assert!(one.starts_with("at_"));
        assert_eq!(one.len(), 46);
        assert_ne!(one, two);
    }
}
