//! A strict JSON scanner: one pass over the text, no tree, no copy.
//!
//! It accepts what RFC 8259 defines and nothing else, to a bounded depth, and hands out what it finds as slices of the
//! text. What is skipped is checked as strictly as what is looked at.

use std::{borrow::Cow, ops::Range};

use thiserror::Error;

/// The text is not JSON, is nested too deeply, or could be read in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the text is not JSON that everybody reads alike")]
pub struct Malformed;

/// A place in a JSON text.
#[derive(Debug, Clone)]
pub struct Scanner<'t> {
    text: &'t str,
    at: usize,
}

/// A JSON string as it was written, between its quotes.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'t> {
    text: &'t str,
    escaped: bool,
    at: usize,
}

/// Names that are looked for in one object, and which of them came.
#[derive(Debug)]
pub struct Names<const N: usize> {
    known: [&'static str; N],
    seen: [bool; N],
}

impl<'t> Scanner<'t> {
    /// At the beginning of a text.
    pub const fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// At the beginning of a part of a text; places stay those of the whole text.
    pub fn within(text: &'t str, part: Range<usize>) -> Self {
        Self { text: text.get(..part.end).unwrap_or_default(), at: part.start }
    }

    /// A part of the same text.
    pub fn part(&self, part: Range<usize>) -> Self {
        Self::within(self.text, part)
    }

    /// The first byte of the next value; zero at the end.
    pub fn peek(&mut self) -> u8 {
        self.space();
        self.byte()
    }

    /// Where the next value begins.
    pub fn position(&mut self) -> usize {
        self.space();
        self.at
    }

    /// Where the value that was taken last ends.
    pub const fn position_behind(&self) -> usize {
        self.at
    }

    /// The text from the next value on.
    pub fn rest(&mut self) -> &'t str {
        self.space();
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Takes the next value, which is known to be this long.
    pub fn take(&mut self, length: usize) -> Range<usize> {
        let start = self.position();
        self.at += length;
        start..self.at
    }

    /// The text between two places.
    pub fn slice(&self, range: Range<usize>) -> &'t str {
        self.text.get(range).unwrap_or_default()
    }

    /// Checks that nothing follows.
    pub fn end(&mut self) -> Result<(), Malformed> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(Malformed) }
    }

    /// Goes through an object; `member` takes each value, by whichever of the functions here.
    pub fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, Raw<'t>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.expect(b'{')?;
        if self.peek() == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            let name = self.string()?;
            self.expect(b':')?;
            self.space();
            member(self, name)?;
            self.space();
            match self.next() {
                b',' => {}
                b'}' => return Ok(()),
                _ => return Err(Malformed),
            }
        }
    }

    /// Goes through an array; `element` takes each value.
    pub fn array(&mut self, mut element: impl FnMut(&mut Self) -> Result<(), Malformed>) -> Result<(), Malformed> {
        self.expect(b'[')?;
        if self.peek() == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.space();
            element(self)?;
            self.space();
            match self.next() {
                b',' => {}
                b']' => return Ok(()),
                _ => return Err(Malformed),
            }
        }
    }

    /// Takes a string.
    pub fn string(&mut self) -> Result<Raw<'t>, Malformed> {
        self.expect(b'"')?;
        let start = self.at;
        let escaped = self.rest_of_string()?;
        Ok(Raw { text: self.slice(start..self.at - 1), escaped, at: start - 1 })
    }

    /// Takes any value and says where it stands.
    pub fn value(&mut self) -> Result<Range<usize>, Malformed> {
        self.space();
        let start = self.at;
        self.skip()?;
        Ok(start..self.at)
    }

    /// Takes any value.
    pub fn skip(&mut self) -> Result<(), Malformed> {
        self.space();
        // One bit for each open structure, the innermost last: whether it is an object.
        let (mut open, mut depth) = (0_u128, 0_u32);
        'value: loop {
            match self.next() {
                b'"' => {
                    self.rest_of_string()?;
                }
                b'{' => {
                    self.space();
                    if self.byte() == b'}' {
                        self.at += 1;
                    } else {
                        (open, depth) = (open << 1 | 1, depth + 1);
                        if depth > MAX_DEPTH {
                            return Err(Malformed);
                        }
                        self.name()?;
                        continue 'value;
                    }
                }
                b'[' => {
                    self.space();
                    if self.byte() == b']' {
                        self.at += 1;
                    } else {
                        (open, depth) = (open << 1, depth + 1);
                        if depth > MAX_DEPTH {
                            return Err(Malformed);
                        }
                        continue 'value;
                    }
                }
                b'-' | b'0'..=b'9' => {
                    self.at -= 1;
                    self.number()?;
                }
                b't' => self.literal("rue")?,
                b'f' => self.literal("alse")?,
                b'n' => self.literal("ull")?,
                _ => return Err(Malformed),
            }
            loop {
                if depth == 0 {
                    return Ok(());
                }
                self.space();
                match (self.next(), open & 1 == 1) {
                    (b',', true) => {
                        self.space();
                        self.name()?;
                        continue 'value;
                    }
                    (b',', false) => {
                        self.space();
                        continue 'value;
                    }
                    (b'}', true) | (b']', false) => (open, depth) = (open >> 1, depth - 1),
                    _ => return Err(Malformed),
                }
            }
        }
    }

    /// A member's name with the colon behind it.
    fn name(&mut self) -> Result<(), Malformed> {
        if self.next() != b'"' {
            return Err(Malformed);
        }
        self.rest_of_string()?;
        if self.byte() == b':' {
            self.at += 1;
        } else {
            self.expect(b':')?;
        }
        self.space();
        Ok(())
    }

    /// The rest of a string behind its opening quote; whether it holds escapes.
    fn rest_of_string(&mut self) -> Result<bool, Malformed> {
        let bytes = self.text.as_bytes();
        let mut escaped = false;
        loop {
            while let Some(word) = bytes.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
                let special = special(u64::from_le_bytes(*word));
                if special != 0 {
                    self.at += special.trailing_zeros() as usize / 8;
                    break;
                }
                self.at += 8;
            }
            match self.next() {
                b'"' => return Ok(escaped),
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                0..=0x1f => return Err(Malformed),
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        match self.next() {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => {
                let digits = self.text.as_bytes().get(self.at..self.at + 4).ok_or(Malformed)?;
                self.at += 4;
                if digits.iter().all(u8::is_ascii_hexdigit) { Ok(()) } else { Err(Malformed) }
            }
            _ => Err(Malformed),
        }
    }

    fn number(&mut self) -> Result<(), Malformed> {
        if self.byte() == b'-' {
            self.at += 1;
        }
        match self.next() {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            _ => return Err(Malformed),
        }
        if self.byte() == b'.' {
            self.at += 1;
            self.some_digits()?;
        }
        if matches!(self.byte(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.byte(), b'+' | b'-') {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(())
    }

    fn some_digits(&mut self) -> Result<(), Malformed> {
        if !self.byte().is_ascii_digit() {
            return Err(Malformed);
        }
        self.digits();
        Ok(())
    }

    fn digits(&mut self) {
        while self.byte().is_ascii_digit() {
            self.at += 1;
        }
    }

    fn literal(&mut self, rest: &str) -> Result<(), Malformed> {
        let there = self.text.as_bytes().get(self.at..).is_some_and(|text| text.starts_with(rest.as_bytes()));
        self.at += rest.len();
        if there { Ok(()) } else { Err(Malformed) }
    }

    fn expect(&mut self, wanted: u8) -> Result<(), Malformed> {
        self.space();
        if self.next() == wanted { Ok(()) } else { Err(Malformed) }
    }

    fn space(&mut self) {
        while matches!(self.byte(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    /// The byte here; zero, which no JSON has outside of strings and no string may have, at the end.
    fn byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn next(&mut self) -> u8 {
        let byte = self.byte();
        self.at += 1;
        byte
    }
}

impl<'t> Raw<'t> {
    /// What the string says. Half of a surrogate pair says nothing that all readers agree on, and is refused.
    pub fn decode(self) -> Result<Cow<'t, str>, Malformed> {
        if !self.escaped {
            return Ok(Cow::Borrowed(self.text));
        }
        let mut text = String::with_capacity(self.text.len());
        let mut rest = self.text;
        while let Some(at) = rest.find('\\') {
            let (plain, escape) = rest.split_at(at);
            text.push_str(plain);
            let (character, length) = unescape(escape)?;
            text.push(character);
            rest = escape.get(length..).ok_or(Malformed)?;
        }
        text.push_str(rest);
        Ok(Cow::Owned(text))
    }

    /// Where its opening quote stands.
    pub const fn position(self) -> usize {
        self.at
    }

    /// Whether the string says exactly this.
    pub fn is(self, text: &str) -> bool {
        if self.escaped { self.decode().is_ok_and(|decoded| decoded == text) } else { self.text == text }
    }
}

impl<const N: usize> Names<N> {
    /// Looks for these names.
    pub const fn new(known: [&'static str; N]) -> Self {
        Self { known, seen: [false; N] }
    }

    /// Which of the names this is.
    ///
    /// A name that comes twice is refused, because readers choose differently. So is one that differs from a known one
    /// in case only: some readers (Go's `encoding/json`) take it for the known one.
    pub fn find(&mut self, name: Raw<'_>) -> Result<Option<&'static str>, Malformed> {
        let decoded = name.decode()?;
        for (known, seen) in self.known.iter().zip(&mut self.seen) {
            if *known == decoded {
                return if std::mem::replace(seen, true) { Err(Malformed) } else { Ok(Some(known)) };
            }
        }
        if self.known.iter().any(|known| folds_to(&decoded, known)) { Err(Malformed) } else { Ok(None) }
    }
}

/// One escape at the beginning of `text`: what it means and how long it is.
fn unescape(text: &str) -> Result<(char, usize), Malformed> {
    let character = match text.as_bytes().get(1).copied().unwrap_or(0) {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unescape_unicode(text),
        other => char::from(other),
    };
    Ok((character, 2))
}

fn unescape_unicode(text: &str) -> Result<(char, usize), Malformed> {
    let unit = |at: usize| {
        let digits = text.get(at..).and_then(|rest| rest.strip_prefix("\\u"))?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let first = unit(0).ok_or(Malformed)?;
    if let Some(character) = char::from_u32(u32::from(first)) {
        return Ok((character, 6));
    }
    match char::decode_utf16([first, unit(6).ok_or(Malformed)?]).next() {
        Some(Ok(character)) => Ok((character, 12)),
        _ => Err(Malformed),
    }
}

/// Whether a name becomes the ASCII text `known` under simple case folding.
fn folds_to(name: &str, known: &str) -> bool {
    if name.is_ascii() {
        return name.eq_ignore_ascii_case(known);
    }
    let folded = name.chars().map(|character| match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    });
    folded.eq(known.chars().map(|character| character.to_ascii_lowercase()))
}

/// A high bit in the lowest byte of `word` that is a quote, a backslash or a control character; none if there is none.
///
/// Bytes above the lowest one found may be marked wrongly, which nobody looks at.
const fn special(word: u64) -> u64 {
    const LOW: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    const QUOTES: u64 = u64::from_le_bytes([b'"'; 8]);
    const BACKSLASHES: u64 = u64::from_le_bytes([b'\\'; 8]);
    const SPACES: u64 = u64::from_le_bytes([b' '; 8]);
    let (quote, backslash) = (word ^ QUOTES, word ^ BACKSLASHES);
    let quote = quote.wrapping_sub(LOW) & !quote;
    let backslash = backslash.wrapping_sub(LOW) & !backslash;
    let control = word.wrapping_sub(SPACES) & !word;
    (quote | backslash | control) & HIGH
}

/// How deep a value may be nested below what is looked at.
pub const MAX_DEPTH: u32 = 120;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn skips(text: &str) -> bool {
        let mut scanner = Scanner::new(text);
        scanner.value().and_then(|_| scanner.end()).is_ok()
    }

    /// RFC 8259: what is no JSON is refused, wherever it stands.
    #[test]
    fn only_json_passes() {
        for text in [
            "0",
            "-0",
            "1.5e+3",
            "[]",
            "{}",
            " [ 1 , {\"a\" : [ ] } ] ",
            "\"\\u00e4\\n\\/\"",
            "true",
            "null",
            "[[[]]]",
            "{\"a\":{\"b\":[{}]},\"c\":false}",
            "\"12345678\\\"1234567\\\\\"",
            "\"é12345678日本語\"",
        ] {
            assert!(skips(text), "{text}");
            assert!(serde_json::from_str::<Value>(text).is_ok(), "{text}");
        }
        for text in [
            "",
            " ",
            "01",
            "-",
            "+1",
            ".5",
            "1.",
            "1e",
            "[1,]",
            "[,1]",
            "{,}",
            "{\"a\":1,}",
            "{a:1}",
            "{'a':1}",
            "[1 2]",
            "{\"a\" 1}",
            "[}",
            "{]",
            "[",
            "{",
            "\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u12\"",
            "\"\n\"",
            "\"\u{1}\"",
            "tru",
            "nul",
            "NaN",
            "1 2",
            "{}{}",
            "[]]",
            "\u{feff}{}",
            "//\n1",
            "\"1234567\t\"",
            "\u{a0}1",
            "\u{c}1",
            "\0",
        ] {
            assert!(!skips(text), "{text:?}");
            assert!(serde_json::from_str::<Value>(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(skips(&nested(MAX_DEPTH as usize + 1)));
        assert!(!skips(&nested(MAX_DEPTH as usize + 2)));
        assert!(!skips(&"{\"a\":".repeat(100_000)));
    }

    #[test]
    fn a_name_is_found_however_it_is_spelled_and_never_twice() {
        let find = |names: &mut Names<2>, text: &str| names.find(Scanner::new(text).string().unwrap());
        for spelled in ["\"name\"", "\"n\\u0061me\"", "\"\\u006E\\u0061\\u006d\\u0065\""] {
            let mut names = Names::new(["name", "task"]);
            assert_eq!(find(&mut names, spelled), Ok(Some("name")));
            assert_eq!(find(&mut names, "\"other\""), Ok(None));
            assert_eq!(find(&mut names, spelled), Err(Malformed));
        }
        for similar in ["\"Name\"", "\"NAME\"", "\"tas\\u212a\"", "\"ta\u{17f}k\"", "\"\\ud800\""] {
            assert_eq!(find(&mut Names::new(["name", "task"]), similar), Err(Malformed), "{similar}");
        }
    }

    proptest! {
        #[test]
        fn it_judges_as_serde_does(text in r#"[\[\]{}:,"\\u0-9a-f.eE+\- tnrl\x00-\x1f]{0,24}"#) {
            prop_assert_eq!(skips(&text), serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok());
        }

        #[test]
        fn strings_say_what_serde_says(text in "(\\PC|\\\\[\"\\\\/bfnrtu]|\\\\u[0-9a-fA-F]{4}|\\\\ud8[0-9]{2}\\\\udc[0-9]{2}){0,20}") {
            let quoted = format!("\"{text}\"");
            let ours = Scanner::new(&quoted).string().and_then(Raw::decode);
            match serde_json::from_str::<String>(&quoted) {
                Ok(expected) => prop_assert_eq!(ours.as_deref(), Ok(&*expected)),
                Err(_) => prop_assert!(ours.is_err() || !skips(&quoted), "{}", quoted),
            }
        }
    }
}
