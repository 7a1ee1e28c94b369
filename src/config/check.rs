//! What the checks of all sections share: the list of problems and the common kinds of values.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use crate::config::at::{At, AtSecret, State};
use crate::config::open_files::mode_if_open;
use crate::config::parse;
use crate::config::problem::{Fault, Place, Problem};
use crate::crypto::Secret;

/// Collects what the checks find.
///
/// A check of a single value gives nothing where the file has no usable one; what is wrong with it is in the list then,
/// so that a default put in its place is never used.
#[derive(Default)]
pub struct Check {
    /// What stops the start.
    pub problems: Vec<Problem>,
    /// What does not.
    pub warnings: Vec<Problem>,
    /// Where `authMode: id-jag` is asked for, which not every identity provider can do.
    pub id_jag: Vec<Place>,
}

impl Check {
    /// Adds a problem.
    pub fn report(&mut self, place: &Place, fault: Fault) {
        self.problems.push(Problem { place: place.clone(), fault });
    }

    /// Adds a warning.
    pub fn warn(&mut self, place: &Place, fault: Fault) {
        self.warnings.push(Problem { place: place.clone(), fault });
    }

    /// Warns of a file with a secret that everybody on this machine can read.
    pub fn warn_if_open(&mut self, place: &Place, path: &Path) {
        if let Some(mode) = mode_if_open(path) {
            self.warn(place, Fault::OpenFile { path: path.display().to_string(), mode });
        }
    }

    /// Reports that the value breaks a rule.
    pub fn invalid<T>(&mut self, at: &At<T>, expected: &'static str) {
        self.report(&at.place, Fault::Invalid { given: at.shown.clone(), expected });
    }

    /// Reports the key as missing if it is; says whether it is there.
    pub fn require<T>(&mut self, at: &At<T>, needs: &'static str) -> bool {
        if at.is_unset() {
            self.report(&at.place, Fault::Missing { needs });
        }
        !at.is_unset()
    }

    /// The value as another type; `rule` gives the expectation that it breaks.
    pub fn parse<T, U>(&mut self, at: &At<T>, rule: impl FnOnce(&T) -> Result<U, &'static str>) -> Option<U> {
        match rule(at.get()?) {
            Ok(value) => Some(value),
            Err(expected) => {
                self.invalid(at, expected);
                None
            }
        }
    }

    /// Like [`Check::parse`], for a key without a default.
    pub fn parse_required<U>(
        &mut self,
        at: &At<String>,
        needs: &'static str,
        rule: impl FnOnce(&str) -> Result<U, &'static str>,
    ) -> Option<U> {
        self.require(at, needs);
        self.parse(at, |text| rule(text))
    }

    /// A text that says something.
    pub fn text(&mut self, at: &At<String>) -> Option<String> {
        self.parse(at, |text| parse::line(text))
    }

    /// A file name. Relative ones start from the working directory.
    pub fn path(&mut self, at: &At<String>) -> Option<PathBuf> {
        self.parse(at, |text| parse::line(text).map(PathBuf::from))
    }

    /// A secret that says something; one that stands in the file itself is worth a warning.
    pub fn secret(&mut self, at: &AtSecret) -> Option<Secret> {
        let secret = &at.0.get()?.0;
        if secret.expose().is_empty() {
            self.report(&at.0.place, Fault::InvalidSecret { expected: "a value that is not empty" });
            return None;
        }
        if at.0.literal {
            self.warn(&at.0.place, Fault::LiteralSecret);
        }
        Some(secret.clone())
    }

    /// The items of a list; none where the key is unset.
    pub fn list<'f, T>(&mut self, at: &'f At<Vec<T>>) -> &'f [T] {
        if let State::Null = at.state {
            self.report(&at.place, Fault::WrongType { expected: "a list", found: "nothing" });
        }
        at.get().map_or(&[], Vec::as_slice)
    }

    /// The valid items of a list of texts, parsed.
    pub fn parse_list<U>(
        &mut self,
        at: &At<Vec<At<String>>>,
        rule: impl Fn(&str) -> Result<U, &'static str>,
    ) -> Vec<U> {
        self.list(at).iter().filter_map(|item| self.parse(item, |text| rule(text))).collect()
    }

    /// Networks in CIDR notation.
    pub fn networks(&mut self, at: &At<Vec<At<String>>>) -> Vec<IpNet> {
        self.parse_list(at, parse::network)
    }

    /// A number within `range`.
    pub fn number(&mut self, at: &At<i64>, range: RangeInclusive<u64>) -> Option<u64> {
        let given = *at.get()?;
        let number = u64::try_from(given).ok().filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = range.into_inner();
            self.report(&at.place, Fault::OutOfRange { given: at.shown.clone(), least, most });
        }
        number
    }

    /// A number of seconds; `default` where the key is unset.
    pub fn seconds(&mut self, at: &At<i64>, default: i64, range: RangeInclusive<u64>) -> Duration {
        Duration::from_secs(self.number(at, range).unwrap_or(default.unsigned_abs()))
    }

    /// A number of milliseconds; `default` where the key is unset.
    pub fn millis(&mut self, at: &At<i64>, default: i64, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.number(at, range).unwrap_or(default.unsigned_abs()))
    }

    /// Reports a value that an earlier place already has; else remembers its place.
    pub fn unique<K: PartialEq>(&mut self, taken: &mut Vec<(K, Place)>, key: K, place: &Place, shown: &str) {
        match taken.iter().find(|(earlier, _)| *earlier == key) {
            Some((_, first)) => {
                let (other, line) = (first.path.clone(), first.position.line);
                self.report(place, Fault::Taken { given: shown.to_owned(), other, line });
            }
            None => taken.push((key, place.clone())),
        }
    }
}
