//! `$env(NAME)` and `$file(path)` in text values, and the check for keys that stand twice.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::config::problem::{Fault, Place, Problem};
use crate::config::tree::{Entry, Node, Text, Value};

/// Where references are looked up.
pub struct Lookup<'a> {
    /// The directory that relative paths in `$file(..)` start from.
    pub directory: &'a Path,
    /// The environment.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// The files that were read, and where they are named.
    pub files: RefCell<Vec<(Place, PathBuf)>>,
}

impl Lookup<'_> {
    /// Replaces every reference in the tree, drops repeated keys, and reports what cannot be resolved.
    pub fn resolve(&self, node: &mut Node, path: &str, problems: &mut Vec<Problem>) {
        let place = Place { position: node.position, path: path.to_owned() };
        match &mut node.value {
            Value::Text(text) => match self.replace(&text.value, &place) {
                Ok(None) => {}
                Ok(Some(value)) => {
                    let reference = Some(text.value.to_string());
                    node.value = Value::Text(Text { value, reference });
                }
                Err(fault) => {
                    problems.push(Problem { place, fault });
                    node.value = Value::Broken;
                }
            },
            Value::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.resolve(item, &format!("{path}[{index}]"), problems);
                }
            }
            Value::Map(entries) => {
                drop_repeated(entries, &place, problems);
                for entry in entries {
                    self.resolve(&mut entry.node, &place.key(&entry.key).path, problems);
                }
            }
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Broken => {}
        }
    }

    /// The text with its references replaced, or nothing if it has none.
    fn replace(&self, text: &str, place: &Place) -> Result<Option<Zeroizing<String>>, Fault> {
        let Some(mut start) = next_reference(text) else { return Ok(None) };
        let mut rest = text;
        let mut replaced = Zeroizing::new(String::new());
        loop {
            replaced.push_str(&rest[..start]);
            let (value, after) = self.look_up(&rest[start..], place)?;
            replaced.push_str(&value);
            rest = after;
            let Some(next) = next_reference(rest) else { break };
            start = next;
        }
        replaced.push_str(rest);
        Ok(Some(replaced))
    }

    /// The value of the reference that `text` starts with, and the text after it.
    fn look_up<'t>(&self, text: &'t str, place: &Place) -> Result<(Zeroizing<String>, &'t str), Fault> {
        let (reference, after) = text.split_once(')').ok_or(Fault::BrokenReference)?;
        let value = if let Some(name) = reference.strip_prefix(ENV) {
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Err(Fault::BrokenReference);
            }
            (self.env)(name).ok_or_else(|| Fault::UnsetVariable { name: name.to_owned() })?
        } else {
            let path = reference.strip_prefix(FILE).filter(|path| !path.is_empty()).ok_or(Fault::BrokenReference)?;
            let unreadable =
                |error: std::io::Error| Fault::UnreadableFile { path: path.to_owned(), kind: error.kind() };
            let file = self.directory.join(path);
            let mut content = std::fs::read_to_string(&file).map_err(unreadable)?;
            self.files.borrow_mut().push((place.clone(), file));
            content.truncate(content.trim_end_matches(['\r', '\n']).len());
            content
        };
        Ok((Zeroizing::new(value), after))
    }
}

fn next_reference(text: &str) -> Option<usize> {
    [ENV, FILE].into_iter().filter_map(|prefix| text.find(prefix)).min()
}

fn drop_repeated(entries: &mut Vec<Entry>, parent: &Place, problems: &mut Vec<Problem>) {
    let mut kept: Vec<Entry> = Vec::with_capacity(entries.len());
    for entry in entries.drain(..) {
        match kept.iter().find(|earlier| earlier.key == entry.key) {
            Some(first) => problems.push(Problem {
                place: Place { position: entry.position, ..parent.key(&entry.key) },
                fault: Fault::DuplicateKey { first: first.position.line },
            }),
            None => kept.push(entry),
        }
    }
    *entries = kept;
}

const ENV: &str = "$env(";
const FILE: &str = "$file(";

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::Lookup;
    use crate::config::problem::{Fault, Place};

    fn replace(text: &str) -> Result<Option<String>, Fault> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("key"), "s3cret\r\n").unwrap();
        let env = |name: &str| (name == "NAME").then(|| "ada".to_owned());
        let lookup = Lookup { directory: directory.path(), env: &env, files: RefCell::default() };
        lookup.replace(text, &Place::default()).map(|value| value.map(|value| value.to_string()))
    }

    #[test]
    fn references_are_replaced_wherever_they_stand() {
        assert_eq!(replace("$env(NAME)"), Ok(Some("ada".to_owned())));
        assert_eq!(replace("Bearer $file(key)!"), Ok(Some("Bearer s3cret!".to_owned())));
        assert_eq!(replace("$env(NAME):$file(key)@x"), Ok(Some("ada:s3cret@x".to_owned())));
    }

    #[test]
    fn other_text_is_left_alone() {
        for text in ["", "plain", "$", "${NAME}", "$NAME", "env(NAME)", "$env"] {
            assert_eq!(replace(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn what_a_reference_yields_is_not_read_again() {
        let env = |_: &str| Some("$env(OTHER)".to_owned());
        let lookup = Lookup { directory: std::path::Path::new("."), env: &env, files: RefCell::default() };
        assert_eq!(lookup.replace("$env(A)", &Place::default()).unwrap().unwrap().as_str(), "$env(OTHER)");
    }

    #[test]
    fn broken_and_unresolved_references_say_so() {
        for text in ["$env(", "$env()", "$env(A B)", "$file()", "x$file(key"] {
            assert!(matches!(replace(text), Err(Fault::BrokenReference)), "{text}");
        }
        assert_eq!(replace("$env(OTHER)"), Err(Fault::UnsetVariable { name: "OTHER".to_owned() }));
        let kind = std::io::ErrorKind::NotFound;
        assert_eq!(replace("$file(no/such)"), Err(Fault::UnreadableFile { path: "no/such".to_owned(), kind }));
    }
}
