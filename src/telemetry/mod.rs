//! Log format and level.
//!
//! Lines go to standard error. Events carry a stable `event` in snake case and the fields of the contract in camel
//! case; they are written where the decision falls, with `tracing`.

use std::{
    error::Error,
    fmt,
    io::{self, IsTerminal},
};

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

impl Format {
    /// For people on a terminal, JSON elsewhere.
    pub fn for_terminal() -> Self {
        if io::stderr().is_terminal() { Self::Pretty } else { Self::Json }
    }
}

/// The least severe lines to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// A person must act.
    Error,
    /// Something is odd.
    Warn,
    /// One line per exchange and per decision.
    Info,
    /// Causes and retries too.
    Debug,
    /// Everything.
    Trace,
}

/// Starts the log of this process; a second call changes nothing.
///
/// Pingora's own lines are kept to what an operator can act on, since every exchange has a line of ours.
pub fn init(format: Format, level: Level) {
    let level = match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    };
    let filter = EnvFilter::new(format!("warn,sallyport={level},pingora_core=error,pingora_proxy=off,hickory=error"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match format {
        Format::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
        Format::Pretty => lines.with_target(false).try_init(),
    };
    if started.is_err() {
        tracing::debug!("the log was already started");
    }
}

/// An error with everything that caused it, on one line for the log.
pub fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl fmt::Display + 'e {
    struct Causes<'e>(&'e (dyn Error + 'static));
    impl fmt::Display for Causes<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}", self.0)?;
            let mut cause = self.0.source();
            while let Some(error) = cause {
                write!(f, ": {error}")?;
                cause = error.source();
            }
            Ok(())
        }
    }
    Causes(error)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::causes;
    use crate::store;

    #[test]
    fn an_error_is_logged_with_its_causes() {
        let error = store::Error::Unavailable(Box::new(io::Error::other("connection refused")));
        assert_eq!(causes(&error).to_string(), "the store is unavailable: connection refused");
    }
}
