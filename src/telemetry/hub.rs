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
use tokio::sync::mpsc;

use super::{
    EventsFile, Exchange, Exporter, Format, Invoked, Metrics, Span, TraceContext,
    counters::{DROPPED_BY_FILE, DROPPED_BY_QUEUE},
    event::Event,
    file::Rotating,
    line, notes, otlp,
    spool::Spool,
    usage,
};
use crate::{
    clock::{Clock, Timestamp},
    store::Usage,
};

/// Takes finished lines out of a buffer.
pub type Output = Box<dyn Fn(&mut Vec<u8>) + Send>;

/// Where events go.
#[derive(Default)]
pub struct Settings {
    /// The time by which events are dated.
    pub clock: Clock,
    /// The log, where it wants events.
    pub log: Option<(Format, Output)>,
    /// A file of events.
    pub file: Option<EventsFile>,
    /// A collector.
    pub otlp: Option<Otlp>,
    /// Whether exchanges are added up for [`Telemetry::take_usage`].
    pub usage: bool,
}

/// What a collector gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Otlp {
    /// How many of a hundred traces that begin here are recorded.
    pub trace_percent: u64,
}

/// Everything that is seen from outside of one gateway.
pub struct Telemetry {
    metrics: Arc<Metrics>,
    queue: ArrayQueue<Entry>,
    /// Whether anybody reads events; metrics are always counted.
    wanted: bool,
    /// How many of a hundred traces that begin here are recorded, if any are exported.
    trace_percent: Option<u64>,
    exporter: Mutex<Option<Exporter>>,
    worker: Mutex<Worker>,
    thread: Option<Thread>,
    stopped: Arc<AtomicBool>,
}

/// Boxed, so that the queue itself stays in the processor's cache.
enum Entry {
    Invoked(Box<Invoked>),
    Ended(Box<Exchange>),
}

struct Worker {
    clock: Clock,
    log: Option<(Format, Output)>,
    lines: Vec<u8>,
    file: Option<Spool>,
    file_lines: Vec<u8>,
    otlp: Option<otlp::Pending>,
    usage: Option<usage::Pending>,
}

impl Telemetry {
    /// Starts the thread that writes events.
    pub fn start(settings: Settings) -> io::Result<Arc<Self>> {
        let stopped = Arc::new(AtomicBool::new(false));
        let wanted = settings.log.is_some() || settings.file.is_some() || settings.otlp.is_some() || settings.usage;
        let file = settings.file.map(Rotating::open).transpose()?;
        let file = file.map(|mut file| Spool::start("events", &DROPPED_BY_FILE, move |lines| file.write(lines)));
        let (sender, batches) = settings.otlp.map(|_| mpsc::channel(otlp::WAITING)).unzip();
        let worker = Worker {
            clock: settings.clock,
            log: settings.log,
            lines: Vec::new(),
            file: file.transpose()?,
            file_lines: Vec::new(),
            otlp: sender.map(otlp::Pending::new),
            usage: settings.usage.then(usage::Pending::default),
        };
        if worker.file.is_some() || worker.otlp.is_some() {
            notes::want();
        }
        Ok(Arc::new_cyclic(|telemetry| Self {
            metrics: Arc::default(),
            queue: ArrayQueue::new(if wanted { WAITING } else { 1 }),
            wanted,
            trace_percent: settings.otlp.map(|otlp| otlp.trace_percent),
            exporter: Mutex::new(batches.map(Exporter::new)),
            worker: Mutex::new(worker),
            thread: wanted.then(|| spawn(telemetry, &stopped)).flatten(),
            stopped,
        }))
    }

    /// What is counted.
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The task that sends to the collector, once.
    pub fn exporter(&self) -> Option<Exporter> {
        self.exporter.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether spans of exchanges are recorded.
    pub const fn traces(&self) -> bool {
        self.trace_percent.is_some()
    }

    /// The place of an exchange in a trace: behind the span that its caller names, or at the beginning of a new one.
    pub fn span(&self, caller: Option<TraceContext>) -> Option<Span> {
        let Some(percent) = self.trace_percent else { return caller.map(Span::passed_on) };
        Some(Span::begin(caller, percent))
    }

    /// A capability is about to be used.
    pub fn invoked(&self, invoked: impl FnOnce() -> Invoked) {
        if self.wanted {
            self.put(Entry::Invoked(Box::new(invoked())));
        }
    }

    /// An exchange has ended.
    pub fn ended(&self, exchange: Exchange) {
        self.metrics.count(&exchange);
        if self.wanted {
            self.put(Entry::Ended(Box::new(exchange)));
        }
    }

    fn put(&self, entry: Entry) {
        if self.queue.push(entry).is_err() {
            DROPPED_BY_QUEUE.count();
        }
        // Otherwise the thread looks by itself: waking it for every record would cost more than writing it. Where many come,
        // it is woken while they are still in the cache.
        if self.queue.len() % MANY == MANY - 1
            && let Some(thread) = &self.thread
        {
            thread.unpark();
        }
    }

    /// What was used since the last time; who cannot keep it puts it back.
    pub fn take_usage(&self) -> Vec<Usage> {
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        worker.work(&self.queue);
        worker.usage.as_mut().map(usage::Pending::take).unwrap_or_default()
    }

    /// Takes back what could not be kept.
    pub fn put_usage_back(&self, usage: Vec<Usage>) {
        if let Some(pending) = &mut self.worker.lock().unwrap_or_else(PoisonError::into_inner).usage {
            pending.put_back(usage);
        }
    }

    /// Hands everything so far to the sinks.
    pub fn flush(&self) {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner).work(&self.queue);
    }

    /// Writes everything so far, and waits for that a little.
    pub fn finish(&self) {
        self.flush();
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(otlp) = &mut worker.otlp {
            otlp.hand_over(true);
        }
        if let Some(file) = &worker.file {
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
        let at = |then: Instant| Moment::of(now, instant.saturating_duration_since(then));
        // What comes in meanwhile waits for the next round, so that this one ends.
        for turn in 1..=queue.len() {
            match queue.pop() {
                None => break,
                Some(Entry::Invoked(invoked)) => self.write(&Event::Invoked(&invoked), at(invoked.at)),
                Some(Entry::Ended(exchange)) => {
                    if let Some(usage) = &mut self.usage {
                        usage.count(&exchange, now);
                    }
                    self.ended(&exchange, at(exchange.started + exchange.latency));
                }
            }
            if turn % AT_A_TIME == 0 {
                // A worker may wait for this core, and what it has to do is waited for by somebody.
                thread::yield_now();
            }
        }
        while let Some(note) = notes::take() {
            let since_epoch = note.at.duration_since(UNIX_EPOCH).unwrap_or_default();
            let at = Moment(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX));
            // The log has it already.
            self.write_beside_the_log(&Event::Noted(&note), at);
        }
        self.hand_over();
    }

    fn ended(&mut self, exchange: &Exchange, at: Moment) {
        self.write(&Event::Ended(exchange), at);
        if exchange.accepted && exchange.call.as_ref().is_some_and(|call| call.method.uses_capability()) {
            self.write(&Event::Completed(exchange), at);
        }
        if let Some(otlp) = &mut self.otlp {
            otlp.spans(exchange, at.0);
        }
    }

    fn write(&mut self, event: &Event<'_>, at: Moment) {
        if let Some((format, _)) = &self.log {
            line::write(event, at.timestamp(), *format, &mut self.lines);
        }
        self.write_beside_the_log(event, at);
    }

    fn write_beside_the_log(&mut self, event: &Event<'_>, at: Moment) {
        if self.file.is_some() {
            line::write(event, at.timestamp(), Format::Json, &mut self.file_lines);
        }
        if let Some(otlp) = &mut self.otlp {
            otlp.event(event, at.0);
        }
        if self.lines.len().max(self.file_lines.len()) > BATCH {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        if let Some((_, output)) = &self.log {
            output(&mut self.lines);
        }
        if let Some(file) = &self.file {
            file.take(&mut self.file_lines);
        }
        if let Some(otlp) = &mut self.otlp {
            otlp.hand_over(false);
        }
    }
}

/// A moment in nanoseconds since 1970.
#[derive(Clone, Copy)]
struct Moment(u64);

impl Moment {
    /// The moment that was `age` ago.
    fn of(now: Timestamp, age: Duration) -> Self {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(nanos(Timestamp::from_millis(0).until(now)).saturating_sub(nanos(age)))
    }

    fn timestamp(self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.0 / 1_000_000).unwrap_or(i64::MAX))
    }
}

/// How many records wait at most.
const WAITING: usize = 8192;
/// After how many of them the thread is woken.
const MANY: usize = 1024;
/// How many are written before others get the core.
const AT_A_TIME: usize = 16;
/// How often they are looked after otherwise.
const EVERY: Duration = Duration::from_millis(50);
/// How many bytes of lines are written at once.
const BATCH: usize = 256 * 1024;
