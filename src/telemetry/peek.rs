//! A glance at a JSON-RPC message: its method and what it is about, or whether it reports an error.
//!
//! No decision hangs on it, only what is counted and logged. So it reads as little as it can of what is in memory
//! anyway, forgives everything, and says nothing where it cannot tell. Whatever decides reads strictly, elsewhere.

use std::{borrow::Cow, sync::LazyLock};

use memchr::{memchr2, memmem::Finder};

use super::{Call, Method, trace::TraceContext};

/// What a glance at a request found.
#[derive(Debug, PartialEq, Eq)]
pub struct Glance {
    /// The message.
    pub call: Call,
    /// The trace that its `_meta` belongs to (SEP-414).
    pub trace: Option<TraceContext>,
}

/// Looks at the beginning of a request's body; `with_trace` looks for `_meta` too.
pub fn request(body: &[u8], with_trace: bool) -> Option<Glance> {
    let mut scan = Scan { bytes: &body[..body.len().min(REQUEST)], at: 0 };
    match scan.next()? {
        b'[' => return Some(Glance { call: Call::new(Method::BATCH, None), trace: None }),
        b'{' => {}
        _ => return None,
    }
    let mut found = Found { method: None, name: None, uri: None, trace: None, answers: false };
    // A body that ends in the middle still says what it has said so far.
    let _whole_or_not = scan.members(|scan, key| {
        match key {
            b"method" => found.method = Some(Method::named(scan.string()?.raw)),
            b"result" | b"error" => {
                found.answers = true;
                return None;
            }
            b"params" if scan.peek()? == b'{' => {
                scan.next()?;
                let params = scan.members(|scan, key| {
                    match key {
                        b"name" if scan.peek()? == b'"' => found.name = Some(scan.string()?),
                        b"uri" if scan.peek()? == b'"' => found.uri = Some(scan.string()?),
                        b"_meta" if with_trace && scan.peek()? == b'{' => {
                            scan.next()?;
                            scan.members(|scan, key| {
                                if key == b"traceparent" && scan.peek()? == b'"' {
                                    found.trace = TraceContext::parse(scan.string()?.raw);
                                    Some(())
                                } else {
                                    scan.skip()
                                }
                            })?;
                        }
                        _ => scan.skip()?,
                    }
                    if found.is_enough(with_trace) { None } else { Some(()) }
                });
                params?;
            }
            _ => scan.skip()?,
        }
        if found.is_enough(with_trace) { None } else { Some(()) }
    });
    let method = match found.method {
        Some(method) => method,
        None if found.answers => Method::RESPONSE,
        None => return None,
    };
    let name = if !method.uses_capability() {
        None
    } else if method.names_resource() {
        found.uri
    } else {
        found.name
    };
    let name = name.map(Text::decoded);
    Some(Glance { call: Call::new(method, name.as_deref()), trace: found.trace })
}

/// Whether a piece of an answer reports an error: the first member that tells is `error`, or a tool's result says
/// `isError`.
///
/// The piece may be JSON or an event stream. What is within a string has its quotes escaped, so that it is not mistaken
/// for a member. An error that is split over two pieces is missed.
pub fn reports_error(piece: &[u8], event_stream: bool) -> bool {
    let message = if event_stream {
        let Some(data) = DATA.find(piece) else { return false };
        &piece[data + DATA.needle().len()..]
    } else {
        piece
    };
    is_error_response(message) || is_error_result(message)
}

fn is_error_response(message: &[u8]) -> bool {
    let mut scan = Scan { bytes: &message[..message.len().min(ANSWER)], at: 0 };
    if scan.next() != Some(b'{') {
        return false;
    }
    let mut error = false;
    let _told_or_not = scan.members(|scan, key| match key {
        b"error" => {
            error = true;
            None
        }
        b"result" | b"method" => None,
        _ => scan.skip(),
    });
    error
}

fn is_error_result(message: &[u8]) -> bool {
    IS_ERROR.find_iter(message).any(|at| {
        let mut scan = Scan { bytes: message, at: at + IS_ERROR.needle().len() };
        scan.next() == Some(b':') && scan.next() == Some(b't')
    })
}

struct Found<'b> {
    method: Option<Method>,
    name: Option<Text<'b>>,
    uri: Option<Text<'b>>,
    trace: Option<TraceContext>,
    answers: bool,
}

impl Found<'_> {
    fn is_enough(&self, with_trace: bool) -> bool {
        let named = |method: Method| {
            !method.uses_capability() || if method.names_resource() { self.uri.is_some() } else { self.name.is_some() }
        };
        self.method.is_some_and(named) && (!with_trace || self.trace.is_some())
    }
}

/// A place in some JSON.
struct Scan<'b> {
    bytes: &'b [u8],
    at: usize,
}

/// A string as it was written.
#[derive(Clone, Copy)]
struct Text<'b> {
    raw: &'b [u8],
    quoted: &'b [u8],
    escaped: bool,
}

impl<'b> Text<'b> {
    fn decoded(self) -> Cow<'b, str> {
        if self.escaped {
            serde_json::from_slice::<String>(self.quoted).map_or(Cow::Borrowed(""), Cow::Owned)
        } else {
            String::from_utf8_lossy(self.raw)
        }
    }
}

impl<'b> Scan<'b> {
    /// The next byte that is no white space, without taking it.
    fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.bytes.get(self.at) {
            if !byte.is_ascii_whitespace() {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// The string that begins here.
    fn string(&mut self) -> Option<Text<'b>> {
        if self.next()? != b'"' {
            return None;
        }
        let start = self.at;
        let mut escaped = false;
        loop {
            let rest = self.bytes.get(self.at..)?;
            let found = self.at + memchr2(b'"', b'\\', rest)?;
            if self.bytes[found] == b'"' {
                self.at = found + 1;
                return Some(Text { raw: &self.bytes[start..found], quoted: &self.bytes[start - 1..=found], escaped });
            }
            escaped = true;
            self.at = found + 2;
        }
    }

    /// Calls `member` behind the colon of every member of the object whose brace was just taken, until it wants no more.
    fn members(&mut self, mut member: impl FnMut(&mut Self, &[u8]) -> Option<()>) -> Option<()> {
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            let key = self.string()?;
            if self.next()? != b':' {
                return None;
            }
            member(self, key.raw)?;
            match self.next()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Skips one value.
    fn skip(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => drop(self.string()?),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                    continue;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' => {
                    self.at += 1;
                    continue;
                }
                _ => {
                    let rest = &self.bytes[self.at..];
                    let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
                    self.at += rest.iter().position(ends)?;
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }
}

static DATA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("data:"));
static IS_ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"isError\""));
/// How much of a request is looked at.
const REQUEST: usize = 16 * 1024;
/// How much of a piece of an answer is looked at for the member that tells.
const ANSWER: usize = 512;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn call(body: &str) -> Option<(&'static str, Option<String>)> {
        request(body.as_bytes(), false)
            .map(|glance| (glance.call.method.as_str(), glance.call.name.map(|name| name.to_string())))
    }

    #[test]
    fn method_and_name_are_found_wherever_they_stand() {
        for (body, method, name) in [
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{}}}"#,
                "tools/call",
                "a",
            ),
            (
                r#"{"params":{"arguments":{"name":"x","q":["]",{"}":"\""}]},"name":"a"},"id":"\"","method":"tools/call"}"#,
                "tools/call",
                "a",
            ),
            (" {\n \"method\" : \"prompts/get\" ,\"params\" : { \"name\" : \"a\\u0062\" } } ", "prompts/get", "ab"),
            (r#"{"method":"resources/read","params":{"uri":"file:///a?token=1#x"}}"#, "resources/read", "file:///a"),
        ] {
            assert_eq!(call(body), Some((method, Some(name.to_owned()))), "{body}");
        }
        for (body, method) in [
            (r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, "notifications/initialized"),
            (r#"{"method":"tools/list","params":{"name":"a"}}"#, "tools/list"),
            (r#"{"method":"tools/call","params":[1,"name"]}"#, "tools/call"),
            (r#"{"method":"tools/call","params":{"arguments":{"a":"cut off"#, "tools/call"),
            (r#"{"method":"my/own"}"#, "other"),
            (r#"{"id":1,"result":{}}"#, "response"),
            (r#"[{"method":"ping"}]"#, "batch"),
        ] {
            assert_eq!(call(body), Some((method, None)), "{body}");
        }
        for body in ["", "x", "{", "{}", "\"", r#"{"id":1}"#, r#"{"id":1 "method":"ping"}"#, "\u{feff}{}"] {
            assert_eq!(call(body), None, "{body}");
        }
    }

    #[test]
    fn a_name_is_cut_and_a_trace_is_found_in_the_meta() {
        let long = "é".repeat(200);
        let body = format!(r#"{{"method":"tools/call","params":{{"name":"{long}"}}}}"#);
        assert_eq!(call(&body).unwrap().1.unwrap().len(), Call::NAME);
        let body = r#"{"method":"tools/call","params":{"name":"a","_meta":{"p":1,
            "traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}}"#;
        let glance = request(body.as_bytes(), true).unwrap();
        assert_eq!(glance.call.name.as_deref(), Some("a"));
        assert_eq!(glance.trace.unwrap().trace_id.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert!(request(body.as_bytes(), false).unwrap().trace.is_none());
    }

    #[test]
    fn errors_of_the_server_and_of_a_tool_are_seen_and_texts_about_errors_are_not() {
        for (piece, stream, error) in [
            (r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}"#, false, true),
            (r#"{"error":{"code":1},"id":1}"#, false, true),
            (r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError":true}}"#, false, true),
            (r#"{"id":1,"result":{"isError" : true}}"#, false, true),
            ("event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{}}\n\n", true, true),
            ("data: {\"id\":1,\"result\":{\"isError\":true}}\n\n", true, true),
            (r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError":false}}"#, false, false),
            (r#"{"id":1,"result":{"content":[{"text":"{\"isError\":true,\"error\":1}"}]}}"#, false, false),
            (r#"{"id":1,"result":{"error":"is a word"}}"#, false, false),
            ("data: {\"method\":\"notifications/message\",\"params\":{\"error\":1}}\n\n", true, false),
            (": comment\n\n", true, false),
            ("", false, false),
            ("[1]", false, false),
        ] {
            assert_eq!(reports_error(piece.as_bytes(), stream), error, "{piece}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80), cut in 0_usize..120) {
            let _ = request(&bytes, true);
            let _ = reports_error(&bytes, true);
            let body = br#"{"a":[{"b":"\"}"}],"params":{"_meta":{"traceparent":"00-"},"name":"\u00e9"},"method":"tools/call"}"#;
            let _ = request(&body[..cut.min(body.len())], true);
            let _ = reports_error(&body[cut.min(body.len())..], false);
        }

        /// Whatever a body is, what is found agrees with a real parser.
        #[test]
        fn what_is_found_is_there(name in "\\PC{0,40}", key in "[a-z]{1,6}", value in "\\PC{0,20}") {
            let body = serde_json::json!({
                "jsonrpc": "2.0", "id": value, "params": {"name": name, "arguments": {key: [value, {"name": 1}]}},
                "method": "tools/call",
            });
            let glance = request(body.to_string().as_bytes(), false).unwrap();
            let cut = &name[..name.floor_char_boundary(Call::NAME)];
            prop_assert_eq!(glance.call, Call::new(Method::named(b"tools/call"), Some(cut)));
        }
    }
}
