//! The way of a record: counted, queued, and written by a thread of its own.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant, UNIX_EPOCH},
};

use crossbeam_queue::ArrayQueue;

use super::{
    EventsFile, Exchange, Format, Invoked, Metrics,
    counters::{DROPPED_BY_FILE, DROPPED_BY_QUEUE},
    event::Event,
    file::Rotating,
    line, notes,
    spool::Spool,
};
use crate::clock::{Clock, Timestamp};

/// Takes finished lines.
pub type Output = Box<dyn Fn(Vec<u8>) + Send>;

/// Where events go.
#[derive(Default)]
pub struct Settings {
    /// The time by which events are dated.
    pub clock: Clock,
    /// The log, where it wants events.
    pub log: Option<(Format, Output)>,
    /// A file of events.
    pub file: Option<EventsFile>,
}

/// Everything that is seen from outside of one gateway.
pub struct Telemetry {
    metrics: Arc<Metrics>,
    queue: ArrayQueue<Entry>,
    /// Whether anybody reads events; metrics are always counted.
    wanted: bool,
    worker: Mutex<Worker>,
    thread: Option<Thread>,
    stopped: Arc<AtomicBool>,
}

enum Entry {
    Invoked(Invoked),
    Ended(Exchange),
}

struct Worker {
    clock: Clock,
    log: Option<(Format, Output)>,
    lines: Vec<u8>,
    file: Option<Spool>,
    file_lines: Vec<u8>,
}

impl Telemetry {
    /// Starts the thread that writes events.
    pub fn start(settings: Settings) -> io::Result<Arc<Self>> {
        let stopped = Arc::new(AtomicBool::new(false));
        let wanted = settings.log.is_some() || settings.file.is_some();
        let file = settings.file.map(Rotating::open).transpose()?;
        let file = file.map(|mut file| Spool::start("events", &DROPPED_BY_FILE, move |lines| file.write(lines)));
        let worker = Worker {
            clock: settings.clock,
            log: settings.log,
            lines: Vec::new(),
            file: file.transpose()?,
            file_lines: Vec::new(),
        };
        if worker.file.is_some() {
            notes::want();
        }
        Ok(Arc::new_cyclic(|telemetry| Self {
            metrics: Arc::default(),
            queue: ArrayQueue::new(if wanted { WAITING } else { 1 }),
            wanted,
            worker: Mutex::new(worker),
            thread: wanted.then(|| spawn(telemetry, &stopped)).flatten(),
            stopped,
        }))
    }

    /// What is counted.
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// A capability is about to be used.
    pub fn invoked(&self, invoked: impl FnOnce() -> Invoked) {
        if self.wanted {
            self.put(Entry::Invoked(invoked()));
        }
    }

    /// An exchange has ended.
    pub fn ended(&self, exchange: Exchange) {
        self.metrics.count(&exchange);
        if self.wanted {
            self.put(Entry::Ended(exchange));
        }
    }

    fn put(&self, entry: Entry) {
        if self.queue.push(entry).is_err() {
            DROPPED_BY_QUEUE.count();
        }
        // Otherwise the thread looks by itself: waking it for every record would cost more than writing it.
        if self.queue.len() == WAITING / 2
            && let Some(thread) = &self.thread
        {
            thread.unpark();
        }
    }

    /// Hands everything so far to the sinks.
    pub fn flush(&self) {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner).work(&self.queue);
    }

    /// Writes everything so far, and waits for that a little.
    pub fn finish(&self) {
        self.flush();
        if let Some(file) = &self.worker.lock().unwrap_or_else(PoisonError::into_inner).file {
            file.flush();
        }
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        self.finish();
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }
}

fn spawn(telemetry: &Weak<Telemetry>, stopped: &Arc<AtomicBool>) -> Option<Thread> {
    let (telemetry, stopped) = (Weak::clone(telemetry), Arc::clone(stopped));
    let work = move || {
        while !stopped.load(Ordering::Acquire) {
            thread::park_timeout(EVERY);
            if let Some(telemetry) = telemetry.upgrade() {
                telemetry.flush();
            }
        }
    };
    match thread::Builder::new().name("telemetry".to_owned()).spawn(work) {
        Ok(handle) => Some(handle.thread().clone()),
        Err(error) => {
            tracing::error!(event = "mcp_telemetry_failed", %error, "events cannot be written");
            None
        }
    }
}

impl Worker {
    fn work(&mut self, queue: &ArrayQueue<Entry>) {
        let (now, instant) = (self.clock.now(), Instant::now());
        let at = |then: Instant| now.minus(instant.saturating_duration_since(then));
        // What comes in meanwhile waits for the next round, so that this one ends.
        for _ in 0..queue.len() {
            match queue.pop() {
                None => break,
                Some(Entry::Invoked(invoked)) => self.write(&Event::Invoked(&invoked), at(invoked.at)),
                Some(Entry::Ended(exchange)) => self.ended(&exchange, at(exchange.started + exchange.latency)),
            }
        }
        while let Some(note) = notes::take() {
            let since_epoch = note.at.duration_since(UNIX_EPOCH).unwrap_or_default();
            let at = Timestamp::from_millis(0).plus(since_epoch);
            // The log has it already.
            self.write_beside_the_log(&Event::Noted(&note), at);
        }
        self.hand_over();
    }

    fn ended(&mut self, exchange: &Exchange, at: Timestamp) {
        self.write(&Event::Ended(exchange), at);
        if exchange.accepted && exchange.call.as_ref().is_some_and(|call| call.method.uses_capability()) {
            self.write(&Event::Completed(exchange), at);
        }
    }

    fn write(&mut self, event: &Event<'_>, at: Timestamp) {
        if let Some((format, _)) = &self.log {
            line::write(event, at, *format, &mut self.lines);
        }
        self.write_beside_the_log(event, at);
    }

    fn write_beside_the_log(&mut self, event: &Event<'_>, at: Timestamp) {
        if self.file.is_some() {
            line::write(event, at, Format::Json, &mut self.file_lines);
        }
        if self.lines.len().max(self.file_lines.len()) > BATCH {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        if let (Some((_, output)), Some(lines)) = (&self.log, taken(&mut self.lines)) {
            output(lines);
        }
        if let (Some(file), Some(lines)) = (&self.file, taken(&mut self.file_lines)) {
            file.put(lines);
        }
    }
}

fn taken(lines: &mut Vec<u8>) -> Option<Vec<u8>> {
    (!lines.is_empty()).then(|| std::mem::take(lines))
}

/// How many records wait at most.
const WAITING: usize = 8192;
/// How often they are looked after.
const EVERY: Duration = Duration::from_millis(50);
/// How many bytes of lines are written at once.
const BATCH: usize = 64 * 1024;
