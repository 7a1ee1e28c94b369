//! What the SQLite store does when its file or its disk does not play along.

use std::{
    error::Error as _,
    fs,
    future::Future,
    os::unix::fs::PermissionsExt,
    path::Path,
    pin::Pin,
    sync::{Arc, mpsc},
    task::Poll,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use super::{
    FileError, SqliteStore, file,
    statement::execute,
    writer::{Refused, Writer},
};
use crate::store::{Error, Result, Store};

fn insert(number: i64) -> impl FnOnce(&Connection) -> Result<usize> + Send + 'static {
    move |connection| execute(connection, "INSERT INTO numbers VALUES (?1)", [number])
}

fn numbers(path: &Path) -> Vec<i64> {
    let connection = Connection::open(path).unwrap();
    let mut statement = connection.prepare("SELECT number FROM numbers ORDER BY number").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<std::result::Result<_, _>>().unwrap()
}

/// A writing connection to a new file with a table of numbers.
fn connection(path: &Path) -> Connection {
    file::create(path).unwrap();
    let connection = file::writing(path).unwrap();
    connection.execute_batch("CREATE TABLE numbers (number INTEGER PRIMARY KEY)").unwrap();
    connection
}

/// Keeps the writer busy until the returned sender is dropped, so that what comes meanwhile forms one batch.
async fn hold(writer: &Arc<Writer>) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel::<()>();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let writer = Arc::clone(writer);
    tokio::spawn(async move {
        writer
            .run(move |_| {
                begun.send(()).unwrap();
                held.recv().unwrap_err();
                Ok(())
            })
            .await
            .unwrap();
    });
    has_begun.await.unwrap();
    release
}

fn refused(error: &Error) -> &Refused {
    error.source().unwrap().downcast_ref().unwrap()
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

#[tokio::test]
async fn the_files_are_for_their_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data/deep/sallyport.db");
    let store = SqliteStore::open(&path).unwrap();
    store.migrate().await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory.path().join("data")), 0o700);
    assert_eq!(mode(&directory.path().join("data/deep")), 0o700);
    for suffix in ["", "-wal", "-shm"] {
        assert_eq!(mode(Path::new(&format!("{}{suffix}", path.display()))), 0o600, "{suffix}");
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), "").unwrap();
    let Err(Error::Unavailable(cause)) = SqliteStore::open(&directory.path().join("file/below/sallyport.db")) else {
        panic!("a file is no directory");
    };
    assert!(matches!(cause.downcast_ref(), Some(FileError::Directory { .. })));
    assert!(cause.to_string().ends_with("file/below"), "{cause}");
}

#[test]
fn a_path_that_is_no_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let Err(Error::Unavailable(cause)) = SqliteStore::open(directory.path()) else {
        panic!("a directory is no database");
    };
    assert!(matches!(cause.downcast_ref(), Some(FileError::Open { .. })));
    assert!(cause.to_string().contains(&directory.path().display().to_string()), "{cause}");
}

#[test]
fn a_file_that_is_no_database_is_corrupt_and_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sallyport.db");
    let junk = "this is not a database\n".repeat(1000);
    fs::write(&path, &junk).unwrap();
    assert!(matches!(SqliteStore::open(&path), Err(Error::Corrupt { what: "the database file", .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), junk);
}

#[tokio::test]
async fn a_damaged_page_is_corrupt() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sallyport.db");
    SqliteStore::open(&path).unwrap().migrate().await.unwrap();
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(connection);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100..].fill(0xA5);
    fs::write(&path, bytes).unwrap();
    let opened = SqliteStore::open(&path);
    let outcome = match opened {
        Ok(store) => store.ping().await,
        Err(error) => Err(error),
    };
    assert!(matches!(outcome, Err(Error::Corrupt { what: "the database file", .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_read_only_database_is_unavailable() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sallyport.db");
    drop(connection(&path));
    let read_only = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let writer = Writer::start(read_only).unwrap();
    assert!(matches!(writer.run(insert(1)).await, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_the_next_operation_works() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sallyport.db");
    let connection = connection(&path);
    connection.execute_batch("CREATE TABLE large (bytes BLOB); PRAGMA max_page_count = 10;").unwrap();
    let writer = Arc::new(Writer::start(connection).unwrap());
    let release = hold(&writer).await;
    let fill = |connection: &Connection| execute(connection, "INSERT INTO large VALUES (zeroblob(100000))", []);
    let (before, full, after, ()) =
        tokio::join!(writer.run(insert(1)), writer.run(fill), writer.run(insert(2)), async { drop(release) });
    assert!(matches!(full, Err(Error::Unavailable(_))));
    let kept: Vec<i64> = [(before, 1), (after, 2)].into_iter().filter(|(o, _)| o.is_ok()).map(|(_, n)| n).collect();
    assert_eq!(numbers(&path), kept, "who was told of success finds it on disk, and nobody else");
    writer.run(insert(3)).await.unwrap();
    assert!(numbers(&path).contains(&3));
}

#[tokio::test]
async fn an_operation_that_fails_does_not_undo_its_neighbours() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sallyport.db");
    let writer = Arc::new(Writer::start(connection(&path)).unwrap());
    let release = hold(&writer).await;
    let half = |connection: &Connection| {
        insert(7)(connection)?;
        insert(1)(connection)
    };
    let (one, half, two, ()) =
        tokio::join!(writer.run(insert(1)), writer.run(half), writer.run(insert(2)), async { drop(release) });
    one.unwrap();
    assert!(matches!(half, Err(Error::Failed(_))));
    two.unwrap();
    assert_eq!(numbers(&path), [1, 2]);
}

#[tokio::test]
async fn a_caller_that_went_away_before_its_turn_changed_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sallyport.db");
    let writer = Arc::new(Writer::start(connection(&path)).unwrap());
    let release = hold(&writer).await;
    let mut gone = Box::pin(writer.run(insert(1)));
    assert!(poll_once(gone.as_mut()).await.is_pending());
    drop(gone);
    drop(release);
    writer.run(insert(2)).await.unwrap();
    assert_eq!(numbers(&path), [2]);
}

#[tokio::test]
async fn more_than_the_queue_holds_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sallyport.db");
    let writer = Arc::new(Writer::start(connection(&path)).unwrap());
    let release = hold(&writer).await;
    let mut waiting = Vec::new();
    let mut refusals = 0;
    for number in 0..2000 {
        let mut caller = Box::pin(writer.run(insert(number)));
        match poll_once(caller.as_mut()).await {
            Poll::Pending => waiting.push(caller),
            Poll::Ready(outcome) => {
                assert!(matches!(refused(&outcome.unwrap_err()), Refused::Overloaded));
                refusals += 1;
            }
        }
    }
    assert!(refusals > 0);
    drop(release);
    let accepted = waiting.len();
    for caller in waiting {
        caller.await.unwrap();
    }
    assert_eq!(numbers(&path).len(), accepted);
    writer.run(insert(9999)).await.unwrap();
}

#[tokio::test]
async fn another_process_that_keeps_the_lock_makes_it_unavailable_until_it_lets_go() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sallyport.db");
    let ours = connection(&path);
    ours.busy_timeout(Duration::from_millis(1)).unwrap();
    let writer = Writer::start(ours).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(writer.run(insert(1)).await, Err(Error::Unavailable(_))));
    other.execute_batch("COMMIT").unwrap();
    writer.run(insert(2)).await.unwrap();
    assert_eq!(numbers(&path), [2]);
}
