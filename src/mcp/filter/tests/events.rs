//! Streams of events.

use proptest::prelude::*;

use super::TestView;
use crate::mcp::filter::{EventFilter, MAX_EVENT_BYTES, TooLarge};

fn filtered(stream: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut filter = EventFilter::new(Some("{\"sorry\":1}".to_owned()));
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    let mut out = Vec::new();
    for part in cuts.windows(2) {
        out.extend(filter.push(&stream[part[0]..part[1]], &TestView::new()).unwrap());
    }
    out
}

#[track_caller]
fn becomes(stream: &str, expected: &str) {
    let out = filtered(stream.as_bytes(), &[]);
    assert_eq!(String::from_utf8(out).unwrap(), expected, "{stream:?}");
}

const SHOWN: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"shown"}]}}"#;
const MIXED: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"shown"},{"name":"hidden"}]}}"#;
const HIDDEN: &str = r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"hidden://a"}}"#;

#[test]
fn events_pass_change_or_vanish() {
    let all = format!("event: message\nid: 1\ndata: {SHOWN}\n\n");
    becomes(&all, &all);
    becomes(&format!("event: message\nid: 2\ndata: {MIXED}\n\n"), &format!("event: message\nid: 2\ndata: {SHOWN}\n\n"));
    becomes(&format!("data: {HIDDEN}\n\n{all}"), &all);
    // The id of an event that vanishes is where a client resumes.
    becomes(&format!("event: message\nid: 3\ndata: {HIDDEN}\n\n"), "id: 3\n\n");
    becomes("id: 4\nretry: 10\ndata:\n\n: ping\n\n", "id: 4\nretry: 10\ndata:\n\n: ping\n\n");
}

/// HTML standard, section 9.2.6: what else is an event, and what is none.
#[test]
fn events_are_read_as_clients_read_them() {
    becomes(&format!("\u{feff}data:{MIXED}\n\n"), &format!("data: {SHOWN}\n\n"));
    let (front, back) = MIXED.split_at(30);
    let split = format!("data: {front}\ndata: {back}\n\n");
    assert!(!String::from_utf8(filtered(split.as_bytes(), &[])).unwrap().contains("hidden"));
    let whole = MIXED.replace(",{", ",\n{");
    let lines = whole.replace('\n', "\ndata: ");
    becomes(&format!("data: {lines}\n\n"), &format!("data: {SHOWN}\n\n"));
    for end in ["\n", "\r\n", "\r"] {
        becomes(&format!("data: {MIXED}{end}{end}"), &format!("data: {SHOWN}\n\n"));
    }
    becomes(&format!("event: other\ndata: {MIXED}\n\n"), "");
    becomes(&format!("data: {MIXED}\n"), "");
    becomes(&format!("Data: {SHOWN}\n\n"), &format!("Data: {SHOWN}\n\n"));
}

/// There are clients that know LF only: what the standard takes for a line must be none that they take for data.
#[test]
fn no_message_hides_behind_an_end_of_line_that_some_clients_do_not_know() {
    for (sent, seen) in [
        (format!("data: \r{HIDDEN}\n\n"), format!("data: \n{HIDDEN}\n\n")),
        (format!("data: \r\r{HIDDEN}\n\n"), format!("data: \n\n{HIDDEN}\n\n")),
        (format!("id: 1\rdata: \r{HIDDEN}\r\n\r\n"), format!("id: 1\ndata: \n{HIDDEN}\n\n")),
    ] {
        becomes(&sent, &seen);
        for line in seen.split('\n') {
            assert!(!(line.starts_with("data") && line.contains("hidden")), "{line}");
        }
    }
    becomes(&format!("data: {SHOWN}\r\n\r\n"), &format!("data: {SHOWN}\r\n\r\n"));
}

#[test]
fn what_cannot_be_read_is_apologised_for_once() {
    becomes("data: {\n\nid: 1\ndata: nonsense\n\n", "data: {\"sorry\":1}\n\nid: 1\n\n");
    let out = filtered(b"data: \"\xff\"\n\n", &[]);
    assert_eq!(out, b"data: {\"sorry\":1}\n\n");
}

#[test]
fn an_event_without_end_is_not_held_for_ever() {
    let mut filter = EventFilter::new(None);
    let part = vec![b'x'; 1024 * 1024];
    let mut taken = 0;
    let end = loop {
        match filter.push(&part, &TestView::new()) {
            Ok(out) => assert!(out.is_empty()),
            Err(error) => break error,
        }
        taken += part.len();
    };
    assert_eq!((end, taken), (TooLarge, MAX_EVENT_BYTES));
}

/// One byte at a time must not cost the square of the length.
#[test]
fn a_long_line_in_small_parts_is_searched_once() {
    let mut filter = EventFilter::new(None);
    let event = format!("data: {}\n\n", SHOWN.replace("shown", &("shown".to_owned() + &"x".repeat(1024 * 1024))));
    let mut out = Vec::new();
    for byte in event.as_bytes().chunks(3) {
        out.extend(filter.push(byte, &TestView::new()).unwrap());
    }
    assert_eq!(out, event.as_bytes());
}

proptest! {
    /// Any cutting of any stream gives the same filtered stream.
    #[test]
    fn cuts_make_no_difference(
        lines in proptest::collection::vec(0..14_usize, 0..30),
        ends in proptest::collection::vec(0..3_usize, 1..6),
        bom in any::<bool>(),
        cuts in proptest::collection::vec(any::<usize>(), 0..40),
    ) {
        let mut stream = if bom { "\u{feff}".to_owned() } else { String::new() };
        for (at, line) in lines.iter().enumerate() {
            let whole = [
                "", "", "", "data: ", "data", ": comment", "id: 7", "event: message", "event: x", "retry: 1",
                &format!("data: {SHOWN}"), &format!("data:{MIXED}"), &format!("data: {HIDDEN}"), "data: {\"a\":",
            ][*line].to_owned();
            stream.push_str(&whole);
            stream.push_str(["\n", "\r\n", "\r"][ends[at % ends.len()]]);
        }
        let whole = filtered(stream.as_bytes(), &[]);
        prop_assert!(!String::from_utf8_lossy(&whole).contains("hidden"), "{:?}", stream);
        prop_assert_eq!(&filtered(stream.as_bytes(), &cuts), &whole, "{:?}", stream);
        let every: Vec<_> = (0..stream.len()).collect();
        prop_assert_eq!(&filtered(stream.as_bytes(), &every), &whole, "{:?}", stream);
    }
}
