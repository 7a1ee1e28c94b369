//! Where the configuration comes from.

use std::path::{Path, PathBuf};

use crate::config::error::Error;

/// A configuration file, or a text that stands for one.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file.
    Path(PathBuf),
    /// A text. Relative paths in `$file(..)` start from the working directory.
    Text {
        /// What messages call it.
        name: String,
        /// YAML or JSON.
        text: String,
    },
}

impl Source {
    /// What messages call it.
    pub fn name(&self) -> String {
        match self {
            Self::Path(path) => path.display().to_string(),
            Self::Text { name, .. } => name.clone(),
        }
    }

    /// The directory from which relative paths in `$file(..)` start.
    pub fn directory(&self) -> &Path {
        match self {
            Self::Path(path) => path.parent().unwrap_or(Path::new("")),
            Self::Text { .. } => Path::new(""),
        }
    }

    /// The text.
    pub fn read(&self) -> Result<String, Error> {
        match self {
            Self::Path(path) => {
                std::fs::read_to_string(path).map_err(|source| Error::Unreadable { name: self.name(), source })
            }
            Self::Text { text, .. } => Ok(text.clone()),
        }
    }
}

/// The configuration file to use: the one that `--config` names, else `SALLYPORT_CONFIG`, else `conf/sallyport.yaml`.
pub fn find(cli_path: Option<PathBuf>, env: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    let from_env = || env("SALLYPORT_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    cli_path.or_else(from_env).unwrap_or_else(|| PathBuf::from("conf/sallyport.yaml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_wins_over_the_environment_over_the_default() {
        let set = |name: &str| (name == "SALLYPORT_CONFIG").then(|| "from-env.yaml".to_owned());
        let empty = |name: &str| (name == "SALLYPORT_CONFIG").then(String::new);
        assert_eq!(find(Some("given.yaml".into()), &set), Path::new("given.yaml"));
        assert_eq!(find(None, &set), Path::new("from-env.yaml"));
        assert_eq!(find(None, &empty), Path::new("conf/sallyport.yaml"));
        assert_eq!(find(None, &|_| None), Path::new("conf/sallyport.yaml"));
    }
}
