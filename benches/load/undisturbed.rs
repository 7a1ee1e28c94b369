//! Keeps the rest of the machine out of what is timed.

use std::process::{Command, Stdio};

use super::{plan::Plan, process::Process, published};

/// While it lives, this process and the children it starts go before all others (`SCHED_FIFO`), and no core falls asleep:
/// a task of no importance (`SCHED_IDLE`) keeps each of them busy.
///
/// What a program takes from a core for some milliseconds, or a virtual machine to wake one, is told from what a proxy takes
/// in this way only. It wants `chrt` and its permission; without them nothing changes.
pub struct Undisturbed {
    awake: Vec<Process>,
}

impl Undisturbed {
    /// From now on.
    pub fn begin(plan: &Plan) -> Self {
        if !plan.quick {
            // It may have to be built, which is nothing to be first in line for.
            published::relay();
        }
        if !chrt(&["--fifo", "--pid", "5", &std::process::id().to_string()]) {
            return Self { awake: Vec::new() };
        }
        let this = std::env::current_exe().unwrap();
        let command = ["chrt", "--idle", "0", this.to_str().unwrap(), "role:awake"];
        let on_this_core = Process::spawn(Command::new(command[0]).args(&command[1..]));
        Self { awake: vec![Process::program(&command, &[]), on_this_core] }
    }

    /// How it is, for the title of a table.
    pub fn describe(&self) -> &'static str {
        if self.awake.is_empty() { "as the machine is" } else { "undisturbed, no core asleep" }
    }
}

impl Drop for Undisturbed {
    fn drop(&mut self) {
        if !self.awake.is_empty() {
            let _was_allowed_before = chrt(&["--other", "--pid", "0", &std::process::id().to_string()]);
        }
    }
}

/// Keeps its core busy until killed.
pub fn stay_awake() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

fn chrt(arguments: &[&str]) -> bool {
    let chrt = Command::new("chrt").args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    chrt.is_ok_and(|status| status.success())
}
