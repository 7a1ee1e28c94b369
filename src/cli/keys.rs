//! Encryption keys.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::crypto::random_bytes;

/// Prints a new key, for a secret store or an environment variable.
pub(super) fn generate() -> ExitCode {
    match writeln!(io::stdout(), "{}", STANDARD.encode(random_bytes::<32>())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_closed) => ExitCode::FAILURE,
    }
}
