//! The place of an exchange in a trace, as W3C Trace Context writes it.

use std::fmt;

/// The identifier of a trace; not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(pub [u8; 16]);

/// The identifier of a span; not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId(pub [u8; 8]);

/// A `traceparent`: where somebody else's span stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Whether the caller records the trace.
    pub sampled: bool,
}

/// The gateway's place in a trace: one span for the exchange, and one within it for the upstream's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The trace.
    pub trace_id: TraceId,
    /// The caller's span, if it named one.
    pub parent: Option<SpanId>,
    /// The span of the exchange, where the gateway records traces.
    pub own: Option<SpanId>,
    /// The span of the upstream's part, which the upstream sees as its parent.
    pub upstream: Option<SpanId>,
    /// The caller's span in another trace, which its `_meta` names.
    pub link: Option<TraceContext>,
    /// Whether it is exported.
    pub sampled: bool,
}

impl Span {
    /// A place that we only pass on.
    pub(super) const fn passed_on(caller: TraceContext) -> Self {
        Self {
            trace_id: caller.trace_id,
            parent: Some(caller.span_id),
            own: None,
            upstream: None,
            link: None,
            sampled: false,
        }
    }

    /// A span of ours. A trace that the caller began is recorded if the caller records it; of others, so many of a
    /// hundred.
    pub(super) fn begin(caller: Option<TraceContext>, percent: u64) -> Self {
        let span_id = || SpanId(fastrand::u64(1..).to_be_bytes());
        let trace_id = caller.map_or_else(|| TraceId(fastrand::u128(1..).to_be_bytes()), |caller| caller.trace_id);
        Self {
            trace_id,
            parent: caller.map(|caller| caller.span_id),
            own: Some(span_id()),
            upstream: Some(span_id()),
            link: None,
            sampled: caller.map_or_else(|| fastrand::u64(0..100) < percent, |caller| caller.sampled),
        }
    }

    /// Where the upstream finds itself: within our span.
    pub fn for_upstream(&self) -> Option<TraceContext> {
        let span_id = self.upstream?;
        Some(TraceContext { trace_id: self.trace_id, span_id, sampled: self.sampled })
    }
}

impl TraceContext {
    /// Reads a `traceparent`; a future version is read as far as this one goes (section 4.3 of the recommendation).
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (version, rest) = (hex::<1>(text.get(..2)?)?[0], text.get(2..)?);
        let [b'-', trace_id @ ..] = rest.get(..33)? else { return None };
        let [b'-', span_id @ ..] = rest.get(33..50)? else { return None };
        let [b'-', flags @ ..] = rest.get(50..53)? else { return None };
        let more = rest.get(53..)?;
        if version == 0xff || (version == 0 && !more.is_empty()) || !(more.is_empty() || more[0] == b'-') {
            return None;
        }
        let (trace_id, span_id, flags) = (hex::<16>(trace_id)?, hex::<8>(span_id)?, hex::<1>(flags)?[0]);
        (trace_id != [0; 16] && span_id != [0; 8]).then_some(Self {
            trace_id: TraceId(trace_id),
            span_id: SpanId(span_id),
            sampled: flags & 1 == 1,
        })
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-0{}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// Lower-case only, as the recommendation has it.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// W3C Trace Context, section 3.2.2.
    #[test]
    fn a_traceparent_is_read_and_written() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = TraceContext::parse(text.as_bytes()).unwrap();
        assert!(context.sampled);
        assert_eq!(context.to_string(), text);
        let later = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-what-comes";
        assert!(!TraceContext::parse(later.as_bytes()).unwrap().sampled);
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        for text in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333é-01",
        ] {
            assert_eq!(TraceContext::parse(text.as_bytes()), None, "{text}");
        }
    }
}
