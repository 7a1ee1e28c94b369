//! One JSON line per step on stdout, as of every driver here, and the file of secrets.

use serde_json::{Value, json};
use std::{cell::Cell, fs::OpenOptions, io::Write, path::PathBuf, process::ExitCode, time::Instant};

/// The step that is under way.
pub struct Report {
    secrets: Option<PathBuf>,
    step: Cell<(&'static str, Instant)>,
}

impl Report {
    /// Before the first step.
    pub fn new(secrets: Option<PathBuf>) -> Self {
        Self { secrets, step: Cell::new(("start", Instant::now())) }
    }

    /// Begins a step.
    pub fn step(&self, name: &'static str) {
        self.step.set((name, Instant::now()));
    }

    /// The step went as it must.
    pub fn done(&self, facts: Value) {
        let (name, begun) = self.step.get();
        let mut line = json!({"step": name, "ok": true, "ms": begun.elapsed().as_millis() as u64});
        if let (Some(line), Value::Object(facts)) = (line.as_object_mut(), facts) {
            line.extend(facts);
        }
        println!("{line}");
    }

    /// The step did not, and the driver ends.
    pub fn failed(&self, error: &str) -> ExitCode {
        println!("{}", json!({"step": self.step.get().0, "ok": false, "error": error}));
        ExitCode::FAILURE
    }

    /// Notes a value that must not appear in any log.
    pub fn secret(&self, value: &str) {
        let Some(file) = self.secrets.as_ref().filter(|_| value.len() >= 8) else { return };
        let noted =
            OpenOptions::new().create(true).append(true).open(file).and_then(|mut file| writeln!(file, "{value}"));
        noted.expect("the file of secrets can be written");
    }
}
