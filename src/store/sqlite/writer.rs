//! The one thread that writes: it commits what waits together, so that one disk flush serves many callers.

use std::{
    io, iter,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
};

use rusqlite::Connection;
use thiserror::Error;
use tokio::sync::oneshot;

use super::statement::{execute, shared_failure};
use crate::store::{self, Result};

/// Why an operation was not taken, or not answered.
#[derive(Debug, Error)]
pub(super) enum Refused {
    /// The queue is full: more is asked than the disk can take.
    #[error("too many operations wait for the database")]
    Overloaded,
    /// The thread is gone.
    #[error("the database thread has ended")]
    Ended,
}

impl From<Refused> for store::Error {
    fn from(refused: Refused) -> Self {
        Self::Unavailable(Box::new(refused))
    }
}

/// The queue to the writing thread.
pub(super) struct Writer {
    queue: SyncSender<Box<dyn Job>>,
}

impl Writer {
    /// Starts the thread; it ends when the writer is dropped.
    pub(super) fn start(connection: Connection) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE);
        thread::Builder::new().name("store-writer".to_owned()).spawn(move || serve(&connection, &jobs))?;
        Ok(Self { queue })
    }

    /// Runs `operation` whole or not at all, and answers when it is on disk.
    ///
    /// A caller that goes away before its turn has changed nothing.
    pub(super) async fn run<T, F>(&self, operation: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        match self.queue.try_send(Box::new(Operation { act: Some(operation), outcome: None, reply })) {
            Ok(()) => answer.await.unwrap_or_else(|_ended| Err(Refused::Ended.into())),
            Err(TrySendError::Full(_)) => Err(Refused::Overloaded.into()),
            Err(TrySendError::Disconnected(_)) => Err(Refused::Ended.into()),
        }
    }
}

trait Job: Send {
    /// Runs in a savepoint of its own, so that its failure undoes nothing else.
    fn run(&mut self, connection: &Connection);
    /// Answers the caller once the fate of the transaction is known.
    fn finish(self: Box<Self>, committed: std::result::Result<(), Arc<rusqlite::Error>>);
}

struct Operation<T, F> {
    act: Option<F>,
    outcome: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Job for Operation<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T> + Send,
{
    fn run(&mut self, connection: &Connection) {
        if let Some(act) = self.act.take().filter(|_| !self.reply.is_closed()) {
            self.outcome = Some(in_savepoint(connection, act));
        }
    }

    fn finish(self: Box<Self>, committed: std::result::Result<(), Arc<rusqlite::Error>>) {
        let answer = match (self.outcome, committed) {
            (Some(Err(own)), _) => Err(own),
            (_, Err(shared)) => Err(shared_failure(&shared)),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => return,
        };
        // The caller may have gone away meanwhile; what it asked for is done all the same.
        drop(self.reply.send(answer));
    }
}

fn serve(connection: &Connection, queue: &Receiver<Box<dyn Job>>) {
    while let Ok(first) = queue.recv() {
        let mut done = Vec::new();
        let batch = iter::once(first).chain(queue.try_iter().take(BATCH - 1));
        let committed = commit_together(connection, batch, &mut done).map_err(Arc::new);
        for job in done {
            job.finish(committed.clone());
        }
    }
}

fn commit_together(
    connection: &Connection,
    batch: impl Iterator<Item = Box<dyn Job>>,
    done: &mut Vec<Box<dyn Job>>,
) -> rusqlite::Result<()> {
    let begun = connection.prepare_cached("BEGIN IMMEDIATE").and_then(|mut begin| begin.execute([]));
    for mut job in batch {
        // A full disk or a failing one ends the transaction by itself; nothing may run outside of it.
        if begun.is_ok() && !connection.is_autocommit() {
            job.run(connection);
        }
        done.push(job);
    }
    begun?;
    let committed = connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])).map(|_| ());
    if !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    committed
}

fn in_savepoint<T>(connection: &Connection, operation: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    execute(connection, "SAVEPOINT operation", [])?;
    let outcome = operation(connection);
    if outcome.is_err() && !connection.is_autocommit() {
        execute(connection, "ROLLBACK TO operation", [])?;
    }
    if !connection.is_autocommit() {
        execute(connection, "RELEASE operation", [])?;
    }
    outcome
}

/// Operations that may wait; beyond that callers are told to come later.
const QUEUE: usize = 1024;
/// Operations of one transaction, so that no caller waits for an endless one.
const BATCH: usize = 128;
