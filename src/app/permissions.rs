//! What others on this machine could do with our files.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use anyhow::{Context, bail};
use rustix::process::geteuid;

use crate::config::{self, Config};

/// Refuses a place for the handover where somebody else could wait for our listeners.
pub(super) fn check_handover(socket: &Path) -> anyhow::Result<()> {
    let directory = socket.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let found = fs::metadata(directory)
        .with_context(|| format!("`server.upgradeSocket`: the directory {} cannot be used", directory.display()))?;
    let ours = [0, geteuid().as_raw()].contains(&found.uid());
    let mode = found.permissions().mode() & 0o7777;
    if !ours || mode & 0o022 != 0 {
        bail!(
            "`server.upgradeSocket`: others can write to {0} (mode {mode:o}, owner {1}) and could take the listeners over; \
             use a directory of the gateway's own, or run: chmod go-w {0}",
            directory.display(),
            found.uid()
        );
    }
    Ok(())
}

/// Warns of a database that others can read; one that we make is for its owner only.
pub(super) fn warn_of_database(config: &Config) {
    let config::Store::Sqlite { path } = &config.store else { return };
    if let Some(mode) = config::mode_if_open(path) {
        tracing::warn!(
            event = "mcp_config_warning",
            "everybody on this machine can read the database {0} (mode {mode:o}); run: chmod o-r {0}*",
            path.display()
        );
    }
}
