//! The log: its format and level, and the thread that writes it.
//!
//! Lines go to standard error through a bounded queue, so that a reader that has stopped reading stops nobody here: lines
//! that do not fit are dropped and counted.

use std::{
    io::{self, IsTerminal, Write},
    sync::OnceLock,
};

use tracing_subscriber::{
    EnvFilter, Layer as _, filter::filter_fn, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt,
};

use super::{
    counters::DROPPED_BY_LOG,
    notes::{Notes, is_ours},
    spool::Spool,
};

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
    let name = match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    };
    let filter = EnvFilter::new(format!("warn,sallyport={name},pingora_core=error,pingora_proxy=off,hickory=error"));
    let lines = tracing_subscriber::fmt::layer().with_writer(Lines);
    let lines = match format {
        Format::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
        Format::Pretty => lines.with_target(false).boxed(),
    };
    if tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(Notes.with_filter(filter_fn(is_ours)))
        .try_init()
        .is_err()
    {
        tracing::debug!("the log was already started");
        return;
    }
    let events = (level != Level::Error && level != Level::Warn).then_some(format);
    match Spool::start("log", &DROPPED_BY_LOG, |lines| io::stderr().write_all(lines)) {
        Ok(spool) => drop(LOG.set(Log { spool, events })),
        Err(error) => tracing::error!(event = "mcp_telemetry_failed", %error, "the log has no thread of its own"),
    }
}

/// In which format the events of exchanges go to the log, if they do.
pub fn events() -> Option<Format> {
    LOG.get()?.events
}

/// Takes all of these lines, which are already formatted, and leaves an empty buffer.
pub fn take(lines: &mut Vec<u8>) {
    match LOG.get() {
        Some(log) => log.spool.take(lines),
        None => write(std::mem::take(lines)),
    }
}

fn write(lines: Vec<u8>) {
    let Some(log) = LOG.get() else {
        // Nobody is left to tell when standard error is closed.
        drop(io::stderr().write_all(&lines));
        return;
    };
    log.spool.put(lines);
}

/// Waits until everything so far is written, but not for long.
pub fn flush() {
    if let Some(log) = LOG.get() {
        log.spool.flush();
    }
}

struct Log {
    spool: Spool,
    events: Option<Format>,
}

/// Where `tracing` writes: one call is one line.
struct Lines;

impl<'w> MakeWriter<'w> for Lines {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        Self
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        write(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

static LOG: OnceLock<Log> = OnceLock::new();
