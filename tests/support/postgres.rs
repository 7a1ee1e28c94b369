//! A PostgreSQL server for tests: the one that `TEST_DATABASE_URL` names, or a throwaway cluster of this process.

use std::{
    env, fs,
    io::Write,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// A schema of its own in the test server; it goes away with this.
pub struct TestDatabase {
    server: String,
    schema: String,
}

impl TestDatabase {
    /// Makes an empty schema.
    ///
    /// # Panics
    /// If there is no PostgreSQL: a suite that skips half of its tests in silence proves nothing.
    pub async fn create() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let server = server_url();
        let schema = format!("sallyport_test_{}_{number}", std::process::id());
        run(&server, &format!("CREATE SCHEMA {schema}")).await;
        Self { server, schema }
    }

    /// The URL that connects to it.
    pub fn url(&self) -> String {
        let separator = if self.server.contains('?') { '&' } else { '?' };
        format!("{}{separator}options=-csearch_path%3D{}", self.server, self.schema)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // A test that has failed may still hold a lock.
        let drop = format!("SET lock_timeout = '5s'; DROP SCHEMA {} CASCADE", self.schema);
        let server = self.server.clone();
        let dropped = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime starts").block_on(run(&server, &drop));
        })
        .join();
        assert!(dropped.is_ok() || thread::panicking(), "the schema of the test is dropped");
    }
}

async fn run(url: &str, sql: &str) {
    let (client, connection) =
        tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("the test server takes connections");
    let connection = tokio::spawn(connection);
    client.batch_execute(sql).await.expect("the statement runs");
    drop(client);
    connection.await.expect("the connection does not panic").expect("the connection ends in order");
}

fn server_url() -> String {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    match env::var("TEST_DATABASE_URL") {
        Ok(url) if !url.is_empty() => url,
        _ => CLUSTER.get_or_init(|| Cluster::start(None)).url(),
    }
}

/// A throwaway cluster. A shell stands beside the server and stops it, and removes its files, when this process ends,
/// however it ends.
pub struct Cluster {
    directory: PathBuf,
    programs: PathBuf,
    tcp_port: Option<u16>,
    watchdog: Option<Child>,
}

impl Cluster {
    /// Makes a cluster that listens on a socket in a folder of its own, and on TCP at 127.0.0.1 if a port is given.
    ///
    /// # Panics
    /// If PostgreSQL is not installed or does not start.
    pub fn start(tcp_port: Option<u16>) -> Self {
        let programs = programs().expect(
            "PostgreSQL was not found: install the server (initdb and postgres on the PATH or in \
             /usr/lib/postgresql/*/bin), or set TEST_DATABASE_URL",
        );
        let directory = folder();
        let made = command(&programs.join("initdb"))
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--pgdata"])
            .arg(directory.join("data"))
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        let mut cluster = Self { directory, programs, tcp_port, watchdog: None };
        cluster.serve();
        cluster
    }

    /// A standby of `primary`, which confirms from now on only what the standby has on its disk as well.
    pub async fn standby_of(primary: &mut Self) -> Self {
        let directory = folder();
        primary.stop();
        let copied = command(Path::new("/bin/sh"))
            .args(["-c", COPY, "copy"])
            .args([&primary.directory, &directory])
            .status()
            .expect("a shell runs");
        assert!(copied.success(), "the cluster was not copied");
        primary.serve();
        let mut standby = Self { directory, programs: primary.programs.clone(), tcp_port: None, watchdog: None };
        standby.serve();
        run(&primary.url(), "ALTER SYSTEM SET synchronous_standby_names = '*'").await;
        run(&primary.url(), "SELECT pg_reload_conf()").await;
        standby
    }

    /// Runs a statement as its administrator.
    pub async fn run(&self, sql: &str) {
        run(&self.url(), sql).await;
    }

    /// Where the cluster keeps its files; the server's user owns it.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The URL of its database, without parameters.
    pub fn url(&self) -> String {
        let host = self.directory.display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{host}:{}/postgres", self.port())
    }

    fn port(&self) -> u16 {
        self.tcp_port.unwrap_or(5432)
    }

    /// Starts the server that [`Cluster::stop`] stopped.
    pub fn serve(&mut self) {
        let log = fs::File::create(self.directory.join("log")).expect("a log file");
        let addresses = if self.tcp_port.is_some() { "127.0.0.1" } else { "" };
        let port = self.port();
        let mut watchdog = command(Path::new("/bin/sh"))
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(self.programs.join("postgres"))
            .arg(&self.directory)
            .args([
                "fsync=off",
                "max_connections=200",
                &format!("listen_addresses={addresses}"),
                &format!("port={port}"),
            ])
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("a shell starts");
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.is_ready() {
            let ended = watchdog.try_wait().expect("the shell is ours").is_some();
            if ended || Instant::now() > deadline {
                let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
                panic!("PostgreSQL did not start: {log}");
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.watchdog = Some(watchdog);
    }

    /// Stops the server and keeps its files.
    pub fn stop(&mut self) {
        self.end(b"stop\n");
    }

    fn end(&mut self, order: &[u8]) {
        let Some(mut watchdog) = self.watchdog.take() else { return };
        if let Some(mut orders) = watchdog.stdin.take() {
            orders.write_all(order).expect("the shell listens");
        }
        watchdog.wait().expect("the shell is ours");
    }

    fn is_ready(&self) -> bool {
        fs::read_to_string(self.directory.join("data/postmaster.pid"))
            .is_ok_and(|status| status.lines().nth(7).is_some_and(|line| line.starts_with("ready")))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.end(b"");
    }
}

/// Makes a standby out of a copy.
const COPY: &str = r#"
cp -a "$1/data" "$2/data" && touch "$2/data/standby.signal" &&
echo "primary_conninfo = 'host=$1 user=postgres'" >>"$2/data/postgresql.auto.conf"
"#;

/// Waits for an order on a pipe; without one the pipe was closed, since whoever held it is gone.
const WATCHDOG: &str = r#"
program=$1; directory=$2; shift 2
for setting do shift; set -- "$@" -c "$setting"; done
"$program" -D "$directory/data" -k "$directory" "$@" </dev/null &
read -r order
kill -INT $!
wait $!
[ -n "$order" ] || rm -rf "$directory"
"#;

/// A folder that belongs to the server's user.
fn folder() -> PathBuf {
    let directory = tempfile::Builder::new().prefix("sallyport-postgres-").tempdir().expect("a folder").keep();
    if let Some((user, group)) = other_user() {
        chown(&directory, Some(user), Some(group)).expect("the folder changes hands");
    }
    directory
}

/// A program run by a user that PostgreSQL accepts: it refuses to run as root.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = other_user() {
        command.uid(user).gid(group);
    }
    command.current_dir("/");
    command
}

fn other_user() -> Option<(u32, u32)> {
    (id(&["-u"]) == 0).then(|| (id(&["-u", "nobody"]), id(&["-g", "nobody"])))
}

fn id(arguments: &[&str]) -> u32 {
    let output = Command::new("id").args(arguments).output().expect("id runs");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("id gives a number")
}

fn programs() -> Option<PathBuf> {
    let on_the_path = env::var_os("PATH").into_iter().flat_map(|path| env::split_paths(&path).collect::<Vec<_>>());
    let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .collect();
    versions.sort();
    on_the_path
        .chain(versions.into_iter().rev())
        .find(|programs| ["initdb", "postgres"].iter().all(|program| programs.join(program).is_file()))
}
