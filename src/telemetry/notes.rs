//! Events that are written with `tracing` where a decision falls, picked up for the sinks beside the log.

use std::{
    fmt,
    sync::{
        LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use crossbeam_queue::ArrayQueue;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Layer};

use super::counters::DROPPED_BY_QUEUE;

/// An event as it was written.
#[derive(Debug)]
pub struct Note {
    pub(super) at: SystemTime,
    pub(super) level: &'static str,
    pub(super) name: String,
    pub(super) message: String,
    pub(super) fields: Vec<(&'static str, Value)>,
}

/// The value of a field.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(u64),
}

/// Picks up what has an `event` of ours.
pub(super) struct Notes;

/// Starts picking up: there is a sink.
pub(super) fn want() {
    WANTED.store(true, Ordering::Release);
}

/// The oldest note that waits.
pub(super) fn take() -> Option<Note> {
    WAITING.pop()
}

impl<S: Subscriber> Layer<S> for Notes {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        if !WANTED.load(Ordering::Acquire) {
            return;
        }
        let mut note = Note {
            at: SystemTime::now(),
            level: event.metadata().level().as_str(),
            name: String::new(),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut note);
        if note.name.starts_with("mcp_") && WAITING.push(note).is_err() {
            DROPPED_BY_QUEUE.count();
        }
    }
}

/// Whether it is an event that a person may want to keep; a filter of its own keeps the layer out of the log's business.
pub(super) fn is_ours(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO && metadata.fields().field("event").is_some()
}

impl Visit for Note {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value.to_owned());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.push((field.name(), Value::Number(value)));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        match u64::try_from(value) {
            Ok(value) => self.record_u64(field, value),
            Err(_negative) => self.put(field.name(), value.to_string()),
        }
    }
}

impl Note {
    fn put(&mut self, name: &'static str, value: String) {
        match name {
            "event" => self.name = value,
            "message" => self.message = value,
            _ => self.fields.push((name, Value::Text(value))),
        }
    }
}

static WANTED: AtomicBool = AtomicBool::new(false);
static WAITING: LazyLock<ArrayQueue<Note>> = LazyLock::new(|| ArrayQueue::new(1024));
