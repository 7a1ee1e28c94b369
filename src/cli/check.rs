//! `sallyport check`.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use super::run;
use crate::config;

/// Prints what follows from the configuration.
pub(super) fn check(path: &Path) -> ExitCode {
    match run::load(path) {
        Ok(config) => match writeln!(io::stdout(), "{}", config::describe(&config)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_closed) => ExitCode::FAILURE,
        },
        Err(refusal) => refusal,
    }
}
