//! `sallyport run` and `sallyport migrate`.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::{
    app::{self, Start},
    config::{self, Config},
    telemetry,
};

/// Serves until a signal ends it.
pub(super) fn run(path: &Path, upgrade: bool) -> ExitCode {
    let config = match load(path) {
        Ok(config) => config,
        Err(refusal) => return refusal,
    };
    start_log(&config);
    for warning in &config.warnings {
        tracing::warn!(event = "mcp_config_warning", "{warning}");
    }
    refuse_core_files();
    let path = path.to_owned();
    let reload = Box::new(move || read(&path));
    let result = app::run(&config, Start { upgrade, reload: Some(reload), ..Start::default() });
    telemetry::log::flush();
    ended(result)
}

/// Brings the store's schema up to date.
pub(super) fn migrate(path: &Path) -> ExitCode {
    let config = match load(path) {
        Ok(config) => config,
        Err(refusal) => return refusal,
    };
    start_log(&config);
    ended(app::migrate(&config))
}

/// Loads a configuration; otherwise says on standard error what is wrong.
pub(super) fn load(path: &Path) -> Result<Config, ExitCode> {
    read(path).map_err(|error| {
        complain(&error.to_string());
        ExitCode::from(WRONG_CONFIGURATION)
    })
}

fn read(path: &Path) -> Result<Config, config::Error> {
    config::load(config::Source::Path(path.to_owned()), &|name| std::env::var(name).ok())
}

/// Says on standard error why the program ends.
pub(super) fn complain(text: &str) {
    // Nobody is left to tell when standard error is closed.
    drop(writeln!(io::stderr(), "{text}"));
}

pub(super) fn ended(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("sallyport: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Keeps the memory, which holds tokens and keys, out of core files.
fn refuse_core_files() {
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        tracing::warn!(event = "mcp_config_warning", %error, "a crash may write the memory to a core file");
    }
}

fn start_log(config: &Config) {
    let format = match config.log.format {
        config::LogFormat::Auto => telemetry::Format::for_terminal(),
        config::LogFormat::Json => telemetry::Format::Json,
        config::LogFormat::Pretty => telemetry::Format::Pretty,
    };
    let level = match config.log.level {
        config::LogLevel::Error => telemetry::Level::Error,
        config::LogLevel::Warn => telemetry::Level::Warn,
        config::LogLevel::Info => telemetry::Level::Info,
        config::LogLevel::Debug => telemetry::Level::Debug,
        config::LogLevel::Trace => telemetry::Level::Trace,
    };
    telemetry::init(format, level);
}

const WRONG_CONFIGURATION: u8 = 2;
