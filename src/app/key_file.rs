//! The key file of the embedded store: made on first start, readable by its owner only.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use anyhow::{Context, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::crypto::{Key, random_bytes};

/// The key in the file at `path`, made if there is none.
///
/// The file is written under another name and then put into place, so that of two processes that start at once both use
/// the same key, and a crash leaves no half-written one.
pub(super) fn load_or_create(path: &Path) -> anyhow::Result<Key> {
    if !path.try_exists().with_context(|| format!("cannot look for the key file {}", path.display()))? {
        create(path).with_context(|| format!("cannot make the key file {}", path.display()))?;
    }
    load(path)
}

fn create(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    // Made for its owner only.
    let mut file = NamedTempFile::new_in(directory)?;
    let text = Zeroizing::new(STANDARD.encode(*Zeroizing::new(random_bytes::<32>())));
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(kept) if kept.error.kind() != io::ErrorKind::AlreadyExists => Err(kept.error),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn load(path: &Path) -> anyhow::Result<Key> {
    let mut file = fs::File::open(path).with_context(|| format!("cannot open the key file {}", path.display()))?;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!("the key file {0} can be read by others (mode {1:o}); run: chmod 600 {0}", path.display(), mode & 0o777);
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text).with_context(|| format!("cannot read the key file {}", path.display()))?;
    let bytes = Zeroizing::new(STANDARD.decode(text.trim()).unwrap_or_default());
    let Ok(bytes) = <[u8; 32]>::try_from(bytes.as_slice()) else {
        bail!(
            "the key file {} does not hold 32 bytes in base64; restore it from a backup: what it sealed opens with no \
             other key",
            path.display()
        );
    };
    Ok(Key { id: "embedded".to_owned(), bytes: Zeroizing::new(bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_made_once_and_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data/sallyport.key");
        let first = load_or_create(&path).unwrap();
        assert_eq!(*load_or_create(&path).unwrap().bytes, *first.bytes);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sallyport.key");
        load_or_create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = load_or_create(&path).err().unwrap().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_damaged_key_file_is_refused_and_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sallyport.key");
        load_or_create(&path).unwrap();
        fs::write(&path, "short\n").unwrap();
        assert!(load_or_create(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "short\n");
    }
}
