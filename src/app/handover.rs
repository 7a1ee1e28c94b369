//! How a new process tells the old one that it is ready to take the listeners over.
//!
//! Pingora's old process leaves once it is asked to, whether or not anybody took its listeners. So the new process, after
//! all that can fail, leaves a note beside the socket of the handover, and an old one without such a note stays.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
};

use thiserror::Error;

/// Why nothing is handed over.
#[derive(Debug, Error)]
pub(super) enum NoSuccessor {
    /// Nobody waits.
    #[error("no new process waits at the upgrade socket")]
    Nobody(#[source] io::Error),
    /// The note is none.
    #[error("the note beside the upgrade socket is no process id")]
    Unreadable,
    /// Who waited is gone.
    #[error("the new process {0} that waited at the upgrade socket has ended")]
    Ended(u32),
}

/// The note of a process that waits; taken away when it waits no longer.
pub(super) struct Waiting(PathBuf);

impl Waiting {
    /// Leaves the note.
    pub(super) fn at(socket: &Path) -> io::Result<Self> {
        let note = note(socket);
        fs::write(&note, format!("{}\n", process::id()))?;
        Ok(Self(note))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::debug!(%error, "the note beside the upgrade socket stays");
        }
    }
}

/// The process that waits for our listeners.
pub(super) fn successor(socket: &Path) -> Result<u32, NoSuccessor> {
    let text = fs::read_to_string(note(socket)).map_err(NoSuccessor::Nobody)?;
    let pid: u32 = text.trim().parse().or(Err(NoSuccessor::Unreadable))?;
    if pid != process::id() && Path::new("/proc").join(pid.to_string()).exists() {
        Ok(pid)
    } else {
        Err(NoSuccessor::Ended(pid))
    }
}

fn note(socket: &Path) -> PathBuf {
    let mut note = socket.as_os_str().to_owned();
    note.push(".next");
    note.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_living_process_that_left_its_note_is_a_successor() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("upgrade.sock");
        assert!(matches!(successor(&socket), Err(NoSuccessor::Nobody(_))));
        {
            let _ours = Waiting::at(&socket).unwrap();
            assert!(matches!(successor(&socket), Err(NoSuccessor::Ended(_))), "not ourselves");
        }
        assert!(matches!(successor(&socket), Err(NoSuccessor::Nobody(_))), "the note is taken away");
        fs::write(note(&socket), "x").unwrap();
        assert!(matches!(successor(&socket), Err(NoSuccessor::Unreadable)));
        let mut other = process::Command::new("cat").stdin(process::Stdio::piped()).spawn().unwrap();
        fs::write(note(&socket), other.id().to_string()).unwrap();
        assert_eq!(successor(&socket).unwrap(), other.id());
        drop(other.stdin.take());
        other.wait().unwrap();
        assert!(matches!(successor(&socket), Err(NoSuccessor::Ended(_))));
    }
}
