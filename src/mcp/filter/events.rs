//! A stream of server-sent events, cut into messages and narrowed one by one.
//!
//! Events go on as soon as they are complete and never in parts, so that how the stream was cut on its way makes no
//! difference. Lines end as the HTML standard says (section 9.2.5): with CR, LF or both. What goes on ends its lines with LF
//! or both, since there are clients that know no other end and would find other messages between those of the standard.

use memchr::{memchr_iter, memchr2};
use thiserror::Error;

use super::{
    narrow::{Narrowed, narrow},
    scan::Malformed,
    view::View,
};

/// A stream of events under way.
#[derive(Debug, Default)]
pub struct EventFilter {
    /// The event that is not complete yet.
    carry: Vec<u8>,
    /// Where in it the line begins that is not complete yet.
    line: usize,
    /// How far that line was searched for its end.
    searched: usize,
    /// Whether an event was complete already; before that a byte order mark may stand.
    begun: bool,
    /// An event ended with CR; says whether an LF that follows goes on.
    after_cr: Option<bool>,
    /// Sent once in place of a message that cannot be read.
    apology: Option<String>,
}

/// An event is larger than what is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an event of the stream is too large")]
pub struct TooLarge;

/// The fields of one event.
struct Event<'e> {
    lines: Vec<Line<'e>>,
    is_message: bool,
}

struct Line<'e> {
    whole: &'e [u8],
    field: &'e [u8],
    value: &'e [u8],
}

impl EventFilter {
    /// A stream that has not begun; `apology` is the message to send in place of one that cannot be read.
    pub fn new(apology: Option<String>) -> Self {
        Self { apology, ..Self::default() }
    }

    /// Takes the next part of the stream and gives what of it goes on.
    ///
    /// What is no message goes on if clients make nothing of it (comments, ids, retry times). A last event without its
    /// blank line stays behind, as clients ignore it too.
    pub fn push<V: View>(&mut self, part: &[u8], view: &V) -> Result<Vec<u8>, TooLarge> {
        let mut out = Vec::with_capacity(part.len());
        let mut part = part;
        if let (Some(goes_on), Some(first)) = (self.after_cr, part.first()) {
            self.after_cr = None;
            if *first == b'\n' {
                part = &part[1..];
                if goes_on {
                    out.push(b'\n');
                }
            }
        }
        let mut carry = std::mem::take(&mut self.carry);
        if carry.is_empty() {
            let done = self.events(part, view, &mut out);
            carry.extend_from_slice(&part[done..]);
        } else {
            carry.extend_from_slice(part);
            let done = self.events(&carry, view, &mut out);
            carry.drain(..done);
        }
        self.carry = carry;
        if self.carry.len() > MAX_EVENT_BYTES { Err(TooLarge) } else { Ok(out) }
    }

    /// Takes all complete events from the front of `text` and says how long they are.
    fn events<V: View>(&mut self, text: &[u8], view: &V, out: &mut Vec<u8>) -> usize {
        let mut start = 0;
        loop {
            // Between CR and LF no line begins.
            if self.line > start && text.get(self.line - 1..=self.line) == Some(b"\r\n") {
                self.line += 1;
                self.searched = self.searched.max(self.line);
            }
            let Some(found) = memchr2(b'\r', b'\n', &text[self.searched.min(text.len())..]) else {
                (self.line, self.searched) = (self.line - start, text.len() - start);
                return start;
            };
            let end = self.searched + found;
            let is_blank = end == self.line;
            (self.line, self.searched) = (end + 1, end + 1);
            if !is_blank {
                continue;
            }
            let mut next = end + 1;
            let ends_with_cr = text[end] == b'\r';
            if ends_with_cr && text.get(next) == Some(&b'\n') {
                next += 1;
            }
            let passed = self.event(&text[start..next], view, out);
            if ends_with_cr && next == text.len() && next == end + 1 {
                self.after_cr = Some(passed);
            }
            start = next;
            (self.line, self.searched) = (next, next);
        }
    }

    /// Takes one event; whether it goes on as it was.
    fn event<V: View>(&mut self, raw: &[u8], view: &V, out: &mut Vec<u8>) -> bool {
        let raw = if self.begun { raw } else { raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(raw) };
        self.begun = true;
        let event = Event::parse(raw);
        let narrowed = match event.message() {
            None => Ok(Narrowed::Unchanged),
            Some(_) if !event.is_message => Ok(Narrowed::Dropped),
            Some(data) => std::str::from_utf8(&data).or(Err(Malformed)).and_then(|text| {
                if text.trim_ascii().is_empty() { Ok(Narrowed::Unchanged) } else { narrow(text, view) }
            }),
        };
        match narrowed {
            Ok(Narrowed::Unchanged) if has_lone_cr(raw) => event.write_whole(out),
            Ok(Narrowed::Unchanged) => {
                out.extend_from_slice(raw);
                return true;
            }
            Ok(Narrowed::Changed(text)) => event.write(Some(&text), out),
            Ok(Narrowed::Dropped) => event.write(None, out),
            Err(Malformed) => event.write(self.apology.take().as_deref(), out),
        }
        false
    }
}

impl<'e> Event<'e> {
    fn parse(raw: &'e [u8]) -> Self {
        let mut event = Self { lines: Vec::with_capacity(4), is_message: true };
        let mut rest = raw;
        while !rest.is_empty() {
            let end = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            let (whole, behind) = rest.split_at(end);
            rest = behind.strip_prefix(b"\r\n").or_else(|| behind.get(1..)).unwrap_or_default();
            if whole.is_empty() {
                continue;
            }
            let (field, value) = match memchr::memchr(b':', whole) {
                Some(colon) => (&whole[..colon], &whole[colon + 1..]),
                None => (whole, &b""[..]),
            };
            let value = value.strip_prefix(b" ").unwrap_or(value);
            if field == b"event" {
                event.is_message = matches!(value, b"" | b"message");
            }
            event.lines.push(Line { whole, field, value });
        }
        event
    }

    /// The data as a client puts it together; none if the event has none.
    fn message(&self) -> Option<std::borrow::Cow<'e, [u8]>> {
        let mut data = self.lines.iter().filter(|line| line.field == b"data").map(|line| line.value);
        let first = data.next()?;
        let mut whole = std::borrow::Cow::Borrowed(first);
        for more in data {
            let joined = whole.to_mut();
            joined.push(b'\n');
            joined.extend_from_slice(more);
        }
        Some(whole)
    }

    /// Writes the event as it is, each line with LF.
    fn write_whole(&self, out: &mut Vec<u8>) {
        for line in &self.lines {
            out.extend_from_slice(line.whole);
            out.push(b'\n');
        }
        if !self.lines.is_empty() {
            out.push(b'\n');
        }
    }

    /// Writes the event with other data; without data only what clients keep for later: the id and the retry time.
    fn write(&self, data: Option<&str>, out: &mut Vec<u8>) {
        let mut written = false;
        for line in &self.lines {
            let stays = match line.field {
                b"data" => false,
                b"id" | b"retry" | b"" => true,
                _ => data.is_some(),
            };
            if stays {
                out.extend_from_slice(line.whole);
                out.push(b'\n');
                written = true;
            }
        }
        for line in data.into_iter().flat_map(|data| data.split('\n')) {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(line.as_bytes());
            out.push(b'\n');
            written = true;
        }
        if written {
            out.push(b'\n');
        }
    }
}

/// Whether a CR alone ends a line of an event; its last one may yet be followed by LF.
fn has_lone_cr(raw: &[u8]) -> bool {
    let inner = &raw[..raw.len().saturating_sub(1)];
    memchr_iter(b'\r', inner).any(|cr| raw[cr + 1] != b'\n')
}

/// How much of an event is held until it is complete.
pub const MAX_EVENT_BYTES: usize = 8 * 1024 * 1024;
