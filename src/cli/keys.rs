//! Encryption keys.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::run;
use crate::{app, crypto::random_bytes, upstream::reseal::Tally};

/// Prints a new key, for a secret store or an environment variable.
pub(super) fn generate() -> ExitCode {
    match writeln!(io::stdout(), "{}", STANDARD.encode(random_bytes::<32>())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_closed) => ExitCode::FAILURE,
    }
}

/// Seals everything that is kept with the first key of the ring, and says what became of it.
pub(super) fn rotate(path: &Path) -> ExitCode {
    let config = match run::load(path) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let Tally { resealed, overtaken, unreadable } = match app::reseal(&config) {
        Ok(tally) => tally,
        Err(error) => return run::ended(Err(error)),
    };
    let _closed = writeln!(
        io::stdout(),
        "{resealed} values sealed anew, {overtaken} replaced by a gateway meanwhile, {unreadable} that no key opens"
    );
    if unreadable == 0 {
        return ExitCode::SUCCESS;
    }
    run::complain("Keep the other keys, and add the one that is missing: what it sealed opens with no other.");
    ExitCode::FAILURE
}
