//! What can be wrong in a configuration file, and where.

use std::fmt;
use std::io;

use thiserror::Error;

/// A line and a column, both counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

/// A key or value of the file: where it stands and the path that leads to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Where it stands; where it is missing, the mapping that lacks it.
    pub position: Position,
    /// Keys and list indices from the root, such as `routes[0].upstream.url`.
    pub path: String,
}

/// One thing that is wrong, or worth a warning, at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The place that has to change.
    pub place: Place,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong. The sentences name the value and the fix, and never hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// A key that this mapping does not have.
    #[error("unknown key; {hint}")]
    UnknownKey {
        /// What was probably meant, or what is allowed.
        hint: Hint,
    },
    /// A key that stands twice in one mapping.
    #[error("this key was already set on line {first}; keep one of the two")]
    DuplicateKey {
        /// The line of the first one.
        first: u32,
    },
    /// A key that only means something beside another value.
    #[error("this key belongs to {belongs_to}, not to {given}; remove it")]
    Misplaced {
        /// Where the key would belong.
        belongs_to: String,
        /// What the file has instead.
        given: String,
    },
    /// Two keys of which only one may be set.
    #[error("this cannot be set together with `{other}`; keep one of the two")]
    Conflict {
        /// The path of the other key.
        other: String,
    },
    /// A required key that is not there.
    #[error("missing: {needs}")]
    Missing {
        /// What to write there.
        needs: &'static str,
    },
    /// Another type of value than the key takes.
    #[error("expected {expected}, found {found}{}", wrong_type_advice(expected, found))]
    WrongType {
        /// The type that belongs here.
        expected: &'static str,
        /// The type that is there.
        found: &'static str,
    },
    /// A word that is not one of a fixed set.
    #[error("{given} is not allowed here; {hint}")]
    NotOneOf {
        /// What the file says.
        given: String,
        /// What was probably meant, or what is allowed.
        hint: Hint,
    },
    /// A value of the right type that breaks a rule.
    #[error("{given} does not fit: expected {expected}")]
    Invalid {
        /// What the file says.
        given: String,
        /// The rule.
        expected: &'static str,
    },
    /// A secret that breaks a rule; it is not shown.
    #[error("the value does not fit: expected {expected}")]
    InvalidSecret {
        /// The rule.
        expected: &'static str,
    },
    /// A number outside its range.
    #[error("{given} is out of range: expected {least} to {most}")]
    OutOfRange {
        /// What the file says.
        given: String,
        /// The smallest allowed number.
        least: u64,
        /// The largest allowed number.
        most: u64,
    },
    /// A value that another entry already has.
    #[error("{given} is already used by `{other}` on line {line}; it must be unique")]
    Taken {
        /// What the file says.
        given: String,
        /// The path of the other entry.
        other: String,
        /// The line of the other entry.
        line: u32,
    },
    /// A route path that would hide one of the gateway's own endpoints.
    #[error("{given} would hide the gateway's own endpoints below `{reserved}`; choose another path")]
    Reserved {
        /// What the file says.
        given: String,
        /// What the gateway keeps for itself.
        reserved: String,
    },
    /// `$env(NAME)` where the environment has no such variable.
    #[error("the environment variable `{name}` is not set (or not valid UTF-8)")]
    UnsetVariable {
        /// The variable's name.
        name: String,
    },
    /// `$file(path)` where the file cannot be read.
    #[error("the file `{path}` cannot be read: {kind}")]
    UnreadableFile {
        /// The path as the file gives it.
        path: String,
        /// Why.
        kind: io::ErrorKind,
    },
    /// `$env(` or `$file(` that is not a complete reference.
    #[error("the reference is not complete: write $env(NAME) or $file(path)")]
    BrokenReference,
    /// `identity.provider: dev` where others than this machine could reach it.
    #[error(
        "`dev` signs anybody in without a password, so every listener must be a loopback address, and {listener} is \
         not; listen on 127.0.0.1 or choose a real provider"
    )]
    DevReachable {
        /// The listener that is not a loopback address.
        listener: std::net::SocketAddr,
    },
    /// Warning: a secret that stands in the file itself.
    #[error("a secret stands in the configuration file; use $env(NAME) or $file(path)")]
    LiteralSecret,
    /// Warning: a file with a secret that is not for its owner only.
    #[error("everybody on this machine can read {path} (mode {mode:o}), which holds a secret; run: chmod o-r {path}")]
    OpenFile {
        /// The file.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// Warning: a key that does nothing beside the other values.
    #[error("this has no effect with {given}")]
    NoEffect {
        /// The value that makes it useless.
        given: String,
    },
    /// Warning: `authMode: id-jag` without `offline_access`.
    #[error(
        "`identity.scope` has no offline_access: when the ID token ends, often after minutes, people have to sign in again"
    )]
    NoRefreshToken,
    /// Warning: an origin over plain http that is not this machine.
    #[error("{given} is not https: tokens travel unencrypted to it")]
    PlainHttp {
        /// What the file says.
        given: String,
    },
}

/// What to write instead of an unknown word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// One known word is so close that it was probably meant.
    DidYouMean(String, Vec<String>),
    /// No known word is close.
    Allowed(Vec<String>),
}

impl Hint {
    /// Compares `given` with the words that would be right.
    pub fn new<'a>(given: &str, allowed: impl IntoIterator<Item = &'a str>) -> Self {
        let allowed: Vec<String> = allowed.into_iter().map(str::to_owned).collect();
        let lower = given.to_lowercase();
        let limit = given.chars().count() / 3;
        let closest = allowed
            .iter()
            .map(|word| (strsim::damerau_levenshtein(&lower, &word.to_lowercase()), word))
            .min_by_key(|(distance, _)| *distance)
            .filter(|(distance, _)| *distance <= limit)
            .map(|(_, word)| word.clone());
        match closest {
            Some(word) => Self::DidYouMean(word, allowed),
            None => Self::Allowed(allowed),
        }
    }

    /// The word that was probably meant.
    pub fn suggestion(&self) -> Option<&str> {
        match self {
            Self::DidYouMean(word, _) => Some(word),
            Self::Allowed(_) => None,
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let allowed = match self {
            Self::DidYouMean(word, allowed) if allowed.len() > SHORT_LIST => {
                return write!(formatter, "did you mean `{word}`?");
            }
            Self::DidYouMean(word, allowed) => {
                write!(formatter, "did you mean `{word}`? ")?;
                allowed
            }
            Self::Allowed(allowed) => allowed,
        };
        formatter.write_str("allowed: ")?;
        for (index, word) in allowed.iter().enumerate() {
            formatter.write_str(if index == 0 { "" } else { ", " })?;
            formatter.write_str(word)?;
        }
        Ok(())
    }
}

impl Place {
    /// The place of `key` in this mapping, as long as nothing better is known.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Self { position: self.position, path }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.line, self.column)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { position, path } = &self.place;
        let path = if path.is_empty() { "(the whole file)" } else { path };
        write!(formatter, "{position}: {path}: {}", self.fault)
    }
}

fn wrong_type_advice(expected: &str, found: &str) -> &'static str {
    match (expected, found) {
        ("text", "a number" | "a fractional or huge number" | "true or false") => "; put it in quotes",
        ("a list", "nothing") => "; write [] for an empty list",
        ("a list", "text" | "a mapping") => "; write it as [..] or with a leading `-`",
        _ => "",
    }
}

const SHORT_LIST: usize = 8;
