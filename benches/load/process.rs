//! Child processes: where they run, what they cost, and that they end.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::resource::{Resource, getrlimit, setrlimit},
    unistd::Pid,
};

/// Which core something runs on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Core {
    /// The proxy under load, alone.
    Proxy,
    /// Upstream and load.
    Load,
}

/// A child that ends with this value.
pub struct Process {
    child: Child,
}

/// Keeps this process, and the children it will have, on one core; on a machine with a single one nothing changes.
pub fn pin(core: Core) {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut set = CpuSet::new();
    let index = match core {
        Core::Proxy => 0,
        Core::Load => 1,
    };
    if cores > index && set.set(index).is_ok() {
        let _pinned_or_not_allowed = sched_setaffinity(Pid::from_raw(0), &set);
    }
}

/// Lifts the limit of open files as far as we may.
pub fn allow_many_files() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if setrlimit(Resource::RLIMIT_NOFILE, WANTED_FILES, WANTED_FILES).is_err() {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    }
}

/// How many streams a proxy can hold here, two files each: as many as wanted or as the limit allows.
pub fn streams_within(wanted: usize) -> usize {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    wanted.min(usize::try_from(soft).unwrap().saturating_sub(500) / 2)
}

/// Becomes the program of the arguments, on the core of the proxy.
pub fn run_pinned(mut arguments: impl Iterator<Item = String>) {
    pin(Core::Proxy);
    let program = arguments.next().unwrap();
    panic!("{program} does not start: {}", Command::new(&program).args(arguments).exec());
}

impl Process {
    /// Starts this very program in another role.
    pub fn role(core: Core, arguments: &[&str]) -> Self {
        let this = std::env::current_exe().unwrap();
        match core {
            Core::Load => Self::spawn(Command::new(this).args(arguments)),
            Core::Proxy => Self::program(&[&[this.to_str().unwrap()], arguments].concat(), &[]),
        }
    }

    /// Starts a program on the core of the proxy.
    pub fn program(command: &[&str], environment: &[(&str, &str)]) -> Self {
        let this = std::env::current_exe().unwrap();
        Self::spawn(Command::new(this).arg("role:pinned").args(command).envs(environment.iter().copied()))
    }

    /// Starts what a command says, on the core that this process is on.
    pub fn spawn(command: &mut Command) -> Self {
        let log = std::env::var_os("SALLYPORT_BENCH_LOG").is_some();
        let sink = || if log { Stdio::inherit() } else { Stdio::null() };
        Self { child: command.stdin(Stdio::null()).stdout(sink()).stderr(sink()).spawn().unwrap() }
    }

    /// The processor time of the process and its children so far.
    pub fn cpu(&self) -> Duration {
        family(self.child.id()).into_iter().map(cpu_of).sum()
    }

    /// Its resident memory in bytes, and that of its children.
    pub fn resident(&self) -> u64 {
        family(self.child.id()).into_iter().map(resident_of).sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        for pid in family(self.child.id()) {
            let _gone = nix::sys::signal::kill(Pid::from_raw(pid.cast_signed()), nix::sys::signal::Signal::SIGKILL);
        }
        let _ended = self.child.wait();
    }
}

/// A process and its direct children.
fn family(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let mut family: Vec<u32> = children.split_whitespace().filter_map(|child| child.parse().ok()).collect();
    family.push(pid);
    family
}

/// User and system time, from `/proc/<pid>/stat` in hundredths of a second.
fn cpu_of(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or_default();
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

fn resident_of(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() * 1024
}

/// Waits until somebody listens.
pub fn wait_for(address: SocketAddr) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "nobody listens at {address}");
        thread::sleep(Duration::from_millis(2));
    }
}

const WANTED_FILES: u64 = 65_536;
