//! Why a configuration could not be loaded.

use std::fmt;
use std::io;

use thiserror::Error;

use crate::config::problem::{Position, Problem};

/// Why a configuration could not be loaded. The text is meant for the operator, one problem per line.
#[derive(Debug, Error)]
pub enum Error {
    /// The file itself cannot be read.
    #[error("{name}: cannot be read: {source}")]
    Unreadable {
        /// The path.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// The text is not YAML.
    #[error("{name}:{position}: not valid YAML: {}", source.without_snippet())]
    Syntax {
        /// The name of the source.
        name: String,
        /// Where the parser gave up.
        position: Position,
        /// The parser's error.
        source: Box<serde_saphyr::Error>,
    },
    /// The text is YAML and its content is wrong.
    #[error("{}", Lines { name, problems })]
    Invalid {
        /// The name of the source.
        name: String,
        /// What is wrong, in the order of the file. Never empty.
        problems: Vec<Problem>,
    },
}

impl Error {
    /// The parser's error, at the place where it gave up.
    pub(crate) fn syntax(name: String, source: serde_saphyr::Error) -> Self {
        let position = source.location().map_or(Position { line: 1, column: 1 }, Position::from);
        Self::Syntax { name, position, source: Box::new(source) }
    }

    /// The problems, in the order of the file.
    pub(crate) fn invalid(name: String, mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        Self::Invalid { name, problems }
    }

    /// The problems in the file's content, if it could be read at all.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Invalid { problems, .. } => problems,
            Self::Unreadable { .. } | Self::Syntax { .. } => &[],
        }
    }
}

struct Lines<'a> {
    name: &'a str,
    problems: &'a [Problem],
}

impl fmt::Display for Lines<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            formatter.write_str(if index == 0 { "" } else { "\n" })?;
            write!(formatter, "{}:{problem}", self.name)?;
        }
        Ok(())
    }
}
