//! Lines on their way to somewhere slow: a bounded queue and a thread that writes.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
    thread,
    time::Duration,
};

use crossbeam_queue::ArrayQueue;

use super::counters::Counter;

/// Takes lines without ever waiting.
pub(super) struct Spool {
    sender: SyncSender<Message>,
    /// How many bytes wait.
    held: Arc<AtomicUsize>,
    /// Buffers whose lines are written, to be filled again.
    spare: Arc<ArrayQueue<Vec<u8>>>,
    dropped: &'static Counter,
}

enum Message {
    Lines(Vec<u8>),
    Flush(SyncSender<()>),
}

impl Spool {
    /// Starts the thread; it ends with the spool. Lines that it cannot take or write are counted in `dropped`.
    pub(super) fn start(
        name: &str,
        dropped: &'static Counter,
        write: impl FnMut(&[u8]) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, receiver) = mpsc::sync_channel(WAITING);
        let held = Arc::new(AtomicUsize::new(0));
        let spare = Arc::new(ArrayQueue::new(SPARE));
        let (writes, written) = (Arc::clone(&held), Arc::clone(&spare));
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work(&receiver, &writes, &written, dropped, write))?;
        Ok(Self { sender, held, spare, dropped })
    }

    /// Takes all of these lines, and leaves an empty buffer for the next ones: one with room, as soon as one was written.
    pub(super) fn take(&self, lines: &mut Vec<u8>) {
        if !lines.is_empty() {
            self.put(std::mem::replace(lines, self.spare.pop().unwrap_or_default()));
        }
    }

    /// Takes whole lines, one or many.
    pub(super) fn put(&self, lines: Vec<u8>) {
        let size = lines.len();
        let refused = if self.held.fetch_add(size, Ordering::Relaxed) + size > ROOM {
            Some(lines)
        } else {
            match self.sender.try_send(Message::Lines(lines)) {
                Err(TrySendError::Full(Message::Lines(lines)) | TrySendError::Disconnected(Message::Lines(lines))) => {
                    Some(lines)
                }
                _ => None,
            }
        };
        if let Some(lines) = refused {
            self.held.fetch_sub(size, Ordering::Relaxed);
            self.dropped.add(count(&lines));
        }
    }

    /// Waits until everything so far is written, but not for long.
    pub(super) fn flush(&self) {
        let (done, wait) = mpsc::sync_channel(1);
        if self.sender.try_send(Message::Flush(done)).is_ok() {
            // A reader that does not read keeps nobody from leaving.
            let _written_or_not = wait.recv_timeout(LAST_WORDS);
        }
    }
}

fn work(
    messages: &Receiver<Message>,
    held: &AtomicUsize,
    spare: &ArrayQueue<Vec<u8>>,
    dropped: &Counter,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
) {
    while let Ok(message) = messages.recv() {
        match message {
            Message::Lines(mut lines) => {
                if write(&lines).is_err() {
                    dropped.add(count(&lines));
                }
                held.fetch_sub(lines.len(), Ordering::Relaxed);
                if lines.capacity() <= SPARE_ROOM {
                    lines.clear();
                    let _one_too_many = spare.push(lines);
                }
            }
            Message::Flush(done) => drop(done.try_send(())),
        }
    }
}

fn count(lines: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', lines).count() as u64
}

/// Messages, each a line or a batch of them.
const WAITING: usize = 1024;
/// Bytes that wait at most.
const ROOM: usize = 16 * 1024 * 1024;
/// Buffers that are kept: while one is filled, another is written.
const SPARE: usize = 2;
/// How large a buffer may be to be kept.
const SPARE_ROOM: usize = 1024 * 1024;
const LAST_WORDS: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::telemetry::counters::{DROPPED_BY_FILE, DROPPED_BY_LOG};

    #[test]
    fn lines_arrive_in_order() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let writes = Arc::clone(&written);
        let spool = Spool::start("test", &DROPPED_BY_FILE, move |lines| {
            writes.lock().unwrap().extend_from_slice(lines);
            Ok(())
        });
        let spool = spool.unwrap();
        (0..10).for_each(|number| spool.put(format!("{number}\n").into_bytes()));
        spool.flush();
        assert_eq!(written.lock().unwrap().as_slice(), b"0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    }

    /// A page that is touched for the first time may cost more than all the lines on it.
    #[test]
    fn a_buffer_whose_lines_are_written_is_filled_again() {
        let spool = Spool::start("test", &DROPPED_BY_FILE, |_| Ok(())).unwrap();
        let mut lines = Vec::with_capacity(64 * 1024);
        let room = lines.as_ptr();
        lines.extend_from_slice(b"a\n");
        spool.take(&mut lines);
        assert!(lines.is_empty());
        spool.flush();
        lines.extend_from_slice(b"b\n");
        spool.take(&mut lines);
        assert_eq!((lines.as_ptr(), lines.len()), (room, 0));
    }

    /// A spool that writes its first lines until the other end of `blocked` is gone, which is when the test ends.
    fn standing_still(dropped: &'static Counter, blocked: Receiver<()>) -> Spool {
        let write = move |_: &[u8]| {
            let _never = blocked.recv();
            Ok(())
        };
        Spool::start("test", dropped, write).unwrap()
    }

    /// As many bytes as have room are kept, in however few pieces they come.
    #[test]
    fn what_has_no_room_is_lost_and_counted() {
        let (_held, blocked) = mpsc::channel();
        let spool = standing_still(&DROPPED_BY_FILE, blocked);
        let lines = || b"a\n".repeat(ROOM / 4);
        let before = DROPPED_BY_FILE.value();
        (0..2).for_each(|_| spool.put(lines()));
        assert_eq!(DROPPED_BY_FILE.value(), before);
        spool.put(lines());
        assert_eq!(DROPPED_BY_FILE.value() - before, ROOM as u64 / 4);
    }

    /// A pipe that nobody reads: whoever writes goes on, and what is lost is counted.
    #[test]
    fn a_sink_that_stands_still_stops_nobody_and_losses_are_counted() {
        let (_held, blocked) = mpsc::channel();
        let spool = standing_still(&DROPPED_BY_LOG, blocked);
        let before = DROPPED_BY_LOG.value();
        let extra = 10;
        (0..WAITING + 1 + extra).for_each(|_| spool.put(b"a\nb\n".to_vec()));
        let lost = DROPPED_BY_LOG.value() - before;
        // The thread may or may not have taken the first one by now.
        assert!((2 * extra as u64..=2 * (extra as u64 + 1)).contains(&lost), "{lost}");
    }
}
