//! A few threads that read, each with a connection of its own; in WAL mode they never wait for the writer.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::writer::Refused;
use crate::store::Result;

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// The queue to the reading threads.
pub(super) struct Readers {
    queue: SyncSender<Job>,
}

impl Readers {
    /// Starts a thread for each connection; they end when this is dropped.
    pub(super) fn start(connections: Vec<Connection>) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        for connection in connections {
            let jobs = Arc::clone(&jobs);
            thread::Builder::new().name("store-reader".to_owned()).spawn(move || serve(&connection, &jobs))?;
        }
        Ok(Self { queue })
    }

    /// Runs a query.
    pub(super) async fn run<T, F>(&self, query: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            if !reply.is_closed() {
                drop(reply.send(query(connection)));
            }
        });
        match self.queue.try_send(job) {
            Ok(()) => answer.await.unwrap_or_else(|_ended| Err(Refused::Ended.into())),
            Err(TrySendError::Full(_)) => Err(Refused::Overloaded.into()),
            Err(TrySendError::Disconnected(_)) => Err(Refused::Ended.into()),
        }
    }
}

fn serve(connection: &Connection, queue: &Mutex<Receiver<Job>>) {
    loop {
        // The guard is dropped at the end of this statement, before the job runs.
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(job) => job(connection),
            Err(_ended) => return,
        }
    }
}

/// Queries that may wait; beyond that callers are told to come later.
const QUEUE: usize = 1024;
