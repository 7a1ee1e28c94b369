//! What is seen from outside: log, events, metrics, traces.
//!
//! Log lines about decisions are written with `tracing` where the decision falls. An exchange leaves a compact [`Exchange`]
//! when it ends: it is counted at once in [`Metrics`], put into a bounded queue, and turned into events by a thread of its
//! own, so that no request waits for a format, a disk or a collector. What does not fit is dropped and counted.

mod causes;
pub mod counters;
mod event;
mod file;
mod hub;
mod line;
pub mod log;
mod method;
mod metrics;
mod notes;
mod otlp;
pub mod peek;
mod record;
#[cfg(test)]
mod schema_test;
mod spool;
mod trace;
mod usage;

pub use causes::causes;
pub use file::EventsFile;
pub use hub::{Otlp, Output, Settings, Telemetry};
pub use log::{Format, Level, init};
pub use method::Method;
pub use metrics::{CONTENT_TYPE, Metrics};
pub use otlp::{Exporter, Post};
pub use record::{Call, Caller, Exchange, Fault, Invoked, Outcome, Target};
pub use trace::{Span, SpanId, TraceContext, TraceId};
