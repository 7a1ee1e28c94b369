//! An event as a line: JSON in the form of the log's other lines, or for people.

use std::io::Write;

use time::OffsetDateTime;

use super::{
    Format,
    event::{Event, Fields},
};
use crate::{clock::Timestamp, octets};

/// Appends the line of an event.
pub(super) fn write(event: &Event<'_>, at: Timestamp, format: Format, line: &mut Vec<u8>) {
    match format {
        Format::Json => {
            line.extend_from_slice(b"{\"timestamp\":\"");
            timestamp(at, line);
            line.extend_from_slice(b"\",\"level\":\"");
            line.extend_from_slice(event.level().as_bytes());
            line.extend_from_slice(b"\",\"message\":");
            quoted(event.message(), line);
            line.extend_from_slice(b",\"event\":");
            quoted(event.name(), line);
            event.describe(&mut Json(line));
            line.extend_from_slice(b",\"target\":\"");
            line.extend_from_slice(event.target().as_bytes());
            line.extend_from_slice(b"\"}\n");
        }
        Format::Pretty => {
            timestamp(at, line);
            // Nothing fails that is written to memory.
            let _written = write!(line, " {:>5} {} event=\"{}\"", event.level(), event.message(), event.name());
            event.describe(&mut Pretty(line));
            line.push(b'\n');
        }
    }
}

struct Json<'l>(&'l mut Vec<u8>);
struct Pretty<'l>(&'l mut Vec<u8>);

impl Fields for Json<'_> {
    fn text(&mut self, name: &'static str, value: &str) {
        self.name(name);
        quoted(value, self.0);
    }

    fn number(&mut self, name: &'static str, value: u64) {
        self.name(name);
        decimal(value, self.0);
    }
}

impl Json<'_> {
    /// Names are ours and need no escaping.
    fn name(&mut self, name: &'static str) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }
}

impl Fields for Pretty<'_> {
    fn text(&mut self, name: &'static str, value: &str) {
        let _written = write!(self.0, " {name}={value:?}");
    }

    fn number(&mut self, name: &'static str, value: u64) {
        let _written = write!(self.0, " {name}={value}");
    }
}

/// A JSON string.
fn quoted(text: &str, line: &mut Vec<u8>) {
    let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if octets::are_all(text.as_bytes(), plain) {
        line.push(b'"');
        line.extend_from_slice(text.as_bytes());
        line.push(b'"');
    } else {
        // A string is always JSON.
        let _written = serde_json::to_writer(line, text);
    }
}

fn decimal(mut number: u64, line: &mut Vec<u8>) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = digit(number % 10);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    line.extend_from_slice(&digits[at..]);
}

const fn digit(number: u64) -> u8 {
    b'0' + (number % 10) as u8
}

/// RFC 3339 in UTC with milliseconds.
fn timestamp(at: Timestamp, line: &mut Vec<u8>) {
    let time = OffsetDateTime::from_unix_timestamp(at.as_seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let pair = |number: u8| [b'0' + number / 10, b'0' + number % 10];
    let year = time.year().unsigned_abs();
    decimal(u64::from(year), line);
    for (separator, number) in [
        (b'-', u8::from(time.month())),
        (b'-', time.day()),
        (b'T', time.hour()),
        (b':', time.minute()),
        (b':', time.second()),
    ] {
        line.push(separator);
        line.extend_from_slice(&pair(number));
    }
    let millis = at.as_millis().rem_euclid(1000).unsigned_abs();
    line.push(b'.');
    line.push(digit(millis / 100));
    line.push(digit(millis / 10 % 10));
    line.push(digit(millis % 10));
    line.push(b'Z');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(at: Timestamp) -> String {
        let mut line = Vec::new();
        timestamp(at, &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn times_are_rfc_3339_in_utc() {
        assert_eq!(written(Timestamp::from_millis(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(written(Timestamp::from_millis(951_782_399_999)), "2000-02-28T23:59:59.999Z");
        assert_eq!(written(Timestamp::from_millis(1_795_392_045_007)), "2026-11-23T00:00:45.007Z");
    }

    #[test]
    fn texts_are_json_strings_whatever_they_hold() {
        for text in ["", "plain", "é東", "quote\" back\\ line\n tab\t nul\0 del\u{7f}", "\u{2028}"] {
            let mut line = Vec::new();
            quoted(text, &mut line);
            assert_eq!(serde_json::from_slice::<String>(&line).unwrap(), text);
        }
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 7, 10, 99_999, u64::MAX] {
            let mut line = Vec::new();
            decimal(number, &mut line);
            assert_eq!(String::from_utf8(line).unwrap(), number.to_string());
        }
    }
}
