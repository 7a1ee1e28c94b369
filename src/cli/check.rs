//! `sallyport check`.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use super::run;
use crate::{app, config};

/// Prints what follows from the configuration; with claims, what a caller who has them would see.
pub(super) fn check(path: &Path, claims: Option<&str>) -> ExitCode {
    let config = match run::load(path) {
        Ok(config) => config,
        Err(refusal) => return refusal,
    };
    let text = match claims.map(serde_json::from_str) {
        None => config::describe(&config),
        Some(Ok(claims)) => match app::explain(&config, &claims) {
            Ok(text) => text,
            Err(error) => return refused(&format!("{error:#}")),
        },
        Some(Err(error)) => return refused(&format!("`--explain` needs the claims as a JSON object: {error}")),
    };
    match writeln!(io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_closed) => ExitCode::FAILURE,
    }
}

fn refused(message: &str) -> ExitCode {
    // Nobody is left to tell if this fails.
    let _ = writeln!(io::stderr(), "{message}");
    ExitCode::from(2)
}
