//! Looks over all the bytes of a text.

/// Whether every byte is as `wanted`.
///
/// It does not end at the first that is not, so that many are compared at once.
pub fn are_all(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(true, |so_far, byte| so_far & wanted(*byte))
}
