//! A file of events, one JSON object a line, that is put aside when it is full.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Where the file is, and how much may be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsFile {
    /// The file that is written; older ones have `.1`, `.2` and so on behind its name.
    pub path: PathBuf,
    /// How large a file may become.
    pub max_bytes: u64,
    /// How many files there may be, with the one that is written.
    pub max_files: usize,
}

/// The file while it is open.
pub(super) struct Rotating {
    settings: EventsFile,
    open: Option<(File, u64)>,
}

impl Rotating {
    /// Opens the file, so that a bad path stops the start.
    pub(super) fn open(settings: EventsFile) -> io::Result<Self> {
        let open = append(&settings.path)?;
        Ok(Self { settings, open: Some(open) })
    }

    /// Appends whole lines; after a failure the next call tries anew.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let length = lines.len() as u64;
        let (mut file, size) = match self.open.take() {
            Some((file, size)) if size > 0 && size + length > self.settings.max_bytes => {
                drop(file);
                self.rotate()?;
                append(&self.settings.path)?
            }
            Some(open) => open,
            None => append(&self.settings.path)?,
        };
        file.write_all(lines)?;
        self.open = Some((file, size + length));
        Ok(())
    }

    /// Every file gets the next number; the oldest one goes.
    fn rotate(&self) -> io::Result<()> {
        let path = |number: usize| match number {
            0 => self.settings.path.clone(),
            number => {
                let mut name = self.settings.path.clone().into_os_string();
                name.push(format!(".{number}"));
                name.into()
            }
        };
        let last = self.settings.max_files.max(1) - 1;
        ignore_missing(fs::remove_file(path(last)))?;
        (0..last).rev().try_for_each(|number| ignore_missing(fs::rename(path(number), path(number + 1))))
    }
}

fn append(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(directory: &Path) -> Vec<(String, String)> {
        let mut files: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    fn texts(files: &[(&str, &str)]) -> Vec<(String, String)> {
        files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn size_and_count_are_bounded_and_the_newest_lines_stay() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let mut file = Rotating::open(EventsFile { path, max_bytes: 8, max_files: 3 }).unwrap();
        for number in 0..9 {
            file.write(format!("{{\"{number}\"}}\n").as_bytes()).unwrap();
        }
        assert_eq!(
            files(directory.path()),
            texts(&[("events.jsonl", "{\"8\"}\n"), ("events.jsonl.1", "{\"7\"}\n"), ("events.jsonl.2", "{\"6\"}\n")])
        );
    }

    #[test]
    fn a_file_that_is_there_goes_on_and_one_that_was_taken_away_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        fs::write(&path, "old\n").unwrap();
        let settings = EventsFile { path: path.clone(), max_bytes: 10, max_files: 1 };
        let mut file = Rotating::open(settings).unwrap();
        file.write(b"new\n").unwrap();
        assert_eq!(files(directory.path()), texts(&[("events.jsonl", "old\nnew\n")]));
        file.write(b"last\n").unwrap();
        assert_eq!(files(directory.path()), texts(&[("events.jsonl", "last\n")]));
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions()) & 0o777, 0o600);
    }

    #[test]
    fn a_failure_is_told_and_the_next_line_is_tried() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gone").join("events.jsonl");
        let settings = EventsFile { path: path.clone(), max_bytes: 4, max_files: 2 };
        assert!(Rotating::open(settings.clone()).is_err());
        fs::create_dir(path.parent().unwrap()).unwrap();
        let mut file = Rotating::open(settings).unwrap();
        file.write(b"one\n").unwrap();
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
        assert!(file.write(b"two\n").is_err());
        fs::create_dir(path.parent().unwrap()).unwrap();
        file.write(b"three\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
    }
}
