//! What a gateway in a process of its own writes to its log.

use std::{
    io::{BufRead, BufReader},
    process::ChildStderr,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// All lines so far.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub fn of(stderr: ChildStderr) -> Self {
        let log = Self::default();
        let lines = Arc::clone(&log.0);
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        log
    }

    /// The lines about the request of this id, once its access line, which is the last, is there.
    pub fn about(&self, request: &str) -> Vec<Value> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let all: Vec<Value> = self.all().iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
            let lines: Vec<Value> = all.into_iter().filter(|line| line["requestId"] == request).collect();
            if lines.iter().any(|line| line["target"] == "sallyport::access") {
                return lines;
            }
            assert!(Instant::now() < deadline, "no access line for {request}: {lines:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The lines of this event so far.
    pub fn events(&self, event: &str) -> Vec<Value> {
        let all = self.all().into_iter().filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        all.filter(|line| line["event"] == event).collect()
    }

    /// The lines of this event, once there are so many.
    pub fn await_events(&self, event: &str, count: usize) -> Vec<Value> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let lines = self.events(event);
            if lines.len() >= count {
                return lines;
            }
            assert!(Instant::now() < deadline, "not {count} times {event}: {:?}", self.all());
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}
