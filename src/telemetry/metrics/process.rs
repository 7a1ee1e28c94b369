//! What the kernel knows about this process, by the names of Prometheus's own client libraries.

use std::{fs, sync::OnceLock};

/// A look at `/proc`; nothing where it cannot be read.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Process {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
    pub(super) virtual_bytes: u64,
    pub(super) open_files: u64,
    pub(super) most_files: u64,
    pub(super) threads: u64,
    pub(super) started_at: f64,
}

impl Process {
    pub(super) fn look() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The name of the program may hold spaces and parentheses; nothing behind the last one does.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
        let ticks = ticks(number(11)? + number(12)?);
        Some(Self {
            cpu_seconds: ticks,
            resident_bytes: number(21)? * PAGE,
            virtual_bytes: number(20)?,
            open_files: fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64),
            most_files: most_files().unwrap_or_default(),
            threads: number(17)?,
            started_at: started_at(number(19)?),
        })
    }
}

fn started_at(since_boot: u64) -> f64 {
    static BOOT: OnceLock<u64> = OnceLock::new();
    let boot = *BOOT.get_or_init(|| {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok()).unwrap_or_default()
    });
    exact(boot) + ticks(since_boot)
}

fn most_files() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Linux counts in hundredths of a second towards programs, whatever its own clock does.
fn ticks(count: u64) -> f64 {
    exact(count) / 100.0
}

#[expect(clippy::cast_precision_loss, reason = "times of this century fit into 52 bits")]
fn exact(number: u64) -> f64 {
    number as f64
}

/// The page size of x86-64, and the usual one of 64-bit ARM.
const PAGE: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_files_and_a_start() {
        let process = Process::look().unwrap();
        assert!(process.resident_bytes > 1_000_000 && process.virtual_bytes > process.resident_bytes, "{process:?}");
        assert!(process.open_files >= 3 && process.most_files >= process.open_files, "{process:?}");
        assert!(process.threads >= 1 && process.started_at > 1.7e9, "{process:?}");
    }
}
