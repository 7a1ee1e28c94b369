//! The names of MCP revisions, and the two eras they fall into.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// The name of an MCP revision, a date; revisions compare as their dates do.
///
/// Any date is accepted, since whether a revision is supported is for the server behind a route to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    year: u16,
    month: u8,
    day: u8,
}

/// How a revision speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Era {
    /// Up to 2025-11-25: a handshake, sessions, streams that clients open by GET.
    Legacy,
    /// From 2026-07-28: every request stands for itself.
    Modern,
}

/// Not `YYYY-MM-DD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the protocol version is not of the form YYYY-MM-DD")]
pub struct MalformedVersion;

impl Version {
    /// HTTP with SSE; the first revision.
    pub const V2024_11_05: Self = Self::new(2024, 11, 5);
    /// The first with Streamable HTTP, and what a legacy request without a version means.
    pub const V2025_03_26: Self = Self::new(2025, 3, 26);
    /// The first with the version header.
    pub const V2025_06_18: Self = Self::new(2025, 6, 18);
    /// The last legacy revision.
    pub const V2025_11_25: Self = Self::new(2025, 11, 25);
    /// The first modern revision.
    pub const V2026_07_28: Self = Self::new(2026, 7, 28);
    /// The newest revision that we know.
    pub const LATEST: Self = Self::V2026_07_28;
    /// The revisions that we know, oldest first.
    pub const KNOWN: [Self; 5] =
        [Self::V2024_11_05, Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25, Self::V2026_07_28];

    const fn new(year: u16, month: u8, day: u8) -> Self {
        Self { year, month, day }
    }

    /// The era of the revision.
    pub fn era(self) -> Era {
        if self < Self::V2026_07_28 { Era::Legacy } else { Era::Modern }
    }

    /// Whether it is one of [`Version::KNOWN`].
    pub fn is_known(self) -> bool {
        Self::KNOWN.contains(&self)
    }
}

impl FromStr for Version {
    type Err = MalformedVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text.as_bytes() else { return Err(MalformedVersion) };
        let number = |digits: &[&u8]| {
            digits.iter().try_fold(0_u16, |number, digit| {
                digit.is_ascii_digit().then(|| number * 10 + u16::from(**digit - b'0'))
            })
        };
        let two = |tens, ones| number(&[tens, ones]).and_then(|number| u8::try_from(number).ok());
        match (number(&[y1, y2, y3, y4]), two(m1, m2), two(d1, d2)) {
            (Some(year), Some(month @ 1..=12), Some(day @ 1..=31)) => Ok(Self::new(year, month, day)),
            _ => Err(MalformedVersion),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_known_revisions_fall_into_their_eras() {
        for (text, era) in [
            ("2024-11-05", Era::Legacy),
            ("2025-03-26", Era::Legacy),
            ("2025-06-18", Era::Legacy),
            ("2025-11-25", Era::Legacy),
            ("2026-07-28", Era::Modern),
        ] {
            let version: Version = text.parse().unwrap();
            assert_eq!(version.era(), era);
            assert!(version.is_known());
            assert_eq!(version.to_string(), text);
        }
        assert!(Version::KNOWN.is_sorted());
        assert_eq!(Version::KNOWN.last(), Some(&Version::LATEST));
    }

    #[test]
    fn an_unknown_revision_has_the_era_of_its_date() {
        for (text, era) in [
            ("1900-01-01", Era::Legacy),
            ("2026-07-27", Era::Legacy),
            ("2026-07-29", Era::Modern),
            ("9999-12-31", Era::Modern),
        ] {
            let version: Version = text.parse().unwrap();
            assert_eq!(version.era(), era, "{text}");
            assert!(!version.is_known(), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_malformed() {
        for text in [
            "",
            "latest",
            "2025-11",
            "2025-11-5",
            "2025-13-01",
            "2025-00-01",
            "2025-01-00",
            "2025-01-32",
            " 2025-11-25",
            "2025-11-25 ",
            "2025/11/25",
            "+025-11-25",
            "2025-11-25-x",
            "\u{662}025-11-2",
        ] {
            assert_eq!(text.parse::<Version>(), Err(MalformedVersion), "{text}");
        }
    }

    proptest! {
        #[test]
        fn versions_order_as_their_texts_do(
            one in "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9])", two in "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9])",
        ) {
            let (first, second): (Version, Version) = (one.parse().unwrap(), two.parse().unwrap());
            prop_assert_eq!(first.cmp(&second), one.cmp(&two));
            prop_assert_eq!(first.to_string(), one);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,12}") {
            let _ = text.parse::<Version>();
        }
    }
}
