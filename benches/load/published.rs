//! The relay of Pingora as published. It is a package of its own, `benches/relay`: the patches of this one would hold for it.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The program, built where this one was.
pub fn relay() -> &'static Path {
    static RELAY: OnceLock<PathBuf> = OnceLock::new();
    RELAY.get_or_init(|| {
        let this = std::env::current_exe().unwrap();
        let target = this.ancestors().nth(3).unwrap().join("relay");
        eprintln!("building the relay of Pingora as published, in {}", target.display());
        let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--release", "--locked", "--quiet", "--manifest-path", MANIFEST, "--target-dir"])
            .arg(&target)
            .status()
            .unwrap();
        assert!(built.success(), "the relay cannot be built");
        target.join("release/relay")
    })
}

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/relay/Cargo.toml");
