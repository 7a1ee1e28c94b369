//! Which files others on this machine can read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The mode of a file that everybody on this machine can read, by its own mode and by those of the directories above it.
pub fn mode_if_open(path: &Path) -> Option<u32> {
    let path = fs::canonicalize(path).ok()?;
    let mode = |path: &Path| Some(fs::metadata(path).ok()?.permissions().mode() & 0o7777);
    let reachable = path.ancestors().skip(1).all(|directory| mode(directory).is_none_or(|mode| mode & 0o001 != 0));
    mode(&path).filter(|mode| reachable && mode & 0o004 != 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::DirBuilderExt;

    use super::*;

    #[test]
    fn a_file_is_open_if_it_and_every_directory_above_it_is() {
        let directory = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().unwrap();
        let inner = directory.path().join("inner");
        fs::DirBuilder::new().mode(0o755).create(&inner).unwrap();
        let file = inner.join("secret");
        fs::write(&file, "s").unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        for (of_directory, of_file, open) in
            [(0o755, 0o644, Some(0o644)), (0o755, 0o640, None), (0o700, 0o644, None), (0o711, 0o604, Some(0o604))]
        {
            set(&inner, of_directory);
            set(&file, of_file);
            assert_eq!(mode_if_open(&file), open, "{of_directory:o} {of_file:o}");
        }
        assert_eq!(mode_if_open(&inner.join("missing")), None);
    }
}
