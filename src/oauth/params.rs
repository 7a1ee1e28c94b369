//! The parameters of a request, from a query or an `application/x-www-form-urlencoded` body.

use std::{fmt, string::FromUtf8Error};

use thiserror::Error;

/// The parameters of one request, decoded.
///
/// `Debug` shows how many there are and nothing else: among them are codes, verifiers and secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Params(Vec<(String, String)>);

/// Why a query or a body is not a list of parameters.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParamsError {
    /// More than [`MAX_PARAMS`].
    #[error("more than {MAX_PARAMS} parameters")]
    TooMany,
    /// A name or a value above [`MAX_VALUE_BYTES`].
    #[error("a parameter is longer than {MAX_VALUE_BYTES} bytes")]
    TooLong,
    /// A `%` that is not followed by two hexadecimal digits.
    #[error("a percent sign is not followed by two hexadecimal digits")]
    PercentEncoding,
    /// Bytes that are not UTF-8 once decoded (RFC 6749 appendix B).
    #[error("a parameter is not UTF-8")]
    Utf8(#[from] FromUtf8Error),
    /// A control character, which no parameter of the standards may hold (RFC 6749 appendix A) and not every store keeps.
    #[error("a parameter has a control character")]
    Control,
}

/// A parameter was sent more than once (RFC 6749 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the parameter `{0}` was sent more than once")]
pub struct Duplicate(pub &'static str);

impl Params {
    /// Reads `text`, a query without its `?` or a form body.
    ///
    /// Parameters without a value count as omitted (RFC 6749 section 3.1) and are left out.
    pub fn parse(text: &[u8]) -> Result<Self, ParamsError> {
        let mut params = Vec::new();
        for pair in text.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
            if params.len() == MAX_PARAMS {
                return Err(ParamsError::TooMany);
            }
            let mut halves = pair.splitn(2, |&byte| byte == b'=');
            let name = decode(halves.next().unwrap_or_default())?;
            let value = decode(halves.next().unwrap_or_default())?;
            params.push((name, value));
        }
        params.retain(|(_, value)| !value.is_empty());
        Ok(Self(params))
    }

    /// The value of a parameter that may be sent once.
    ///
    /// `resource` may be repeated with the same value, as some clients do; RFC 8707 section 2 lets it be repeated.
    pub fn get(&self, name: &'static str) -> Result<Option<&str>, Duplicate> {
        let mut values = self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let Some(first) = values.next() else { return Ok(None) };
        let may_repeat = name == "resource";
        if values.all(|other| may_repeat && other == first) { Ok(Some(first)) } else { Err(Duplicate(name)) }
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Params({} of them)", self.0.len())
    }
}

/// Decodes one name or value of a form; what browsers would repair is an error here.
pub(super) fn decode(encoded: &[u8]) -> Result<String, ParamsError> {
    let mut decoded = Vec::with_capacity(encoded.len().min(MAX_VALUE_BYTES));
    let mut rest = encoded;
    while let [first, tail @ ..] = rest {
        (decoded, rest) = match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let (Some(high), Some(low)) = (hex(*high), hex(*low)) else {
                    return Err(ParamsError::PercentEncoding);
                };
                (push(decoded, high << 4 | low)?, tail)
            }
            (b'%', _) => return Err(ParamsError::PercentEncoding),
            (b'+', tail) => (push(decoded, b' ')?, tail),
            (other, tail) => (push(decoded, *other)?, tail),
        };
    }
    Ok(String::from_utf8(decoded)?)
}

fn push(mut decoded: Vec<u8>, byte: u8) -> Result<Vec<u8>, ParamsError> {
    if byte.is_ascii_control() {
        return Err(ParamsError::Control);
    }
    if decoded.len() == MAX_VALUE_BYTES {
        return Err(ParamsError::TooLong);
    }
    decoded.push(byte);
    Ok(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// How many parameters a request may carry.
pub const MAX_PARAMS: usize = 64;
/// How long a decoded name or value may be.
pub const MAX_VALUE_BYTES: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Params {
        Params::parse(text.as_bytes()).unwrap()
    }

    /// RFC 6749 appendix B.
    #[test]
    fn values_are_form_decoded() {
        let params = parse("client_id=dcr%3Aabc&scope=mcp%3Atools+offline_access&name=%E2%82%AC&flag");
        assert_eq!(params.get("client_id"), Ok(Some("dcr:abc")));
        assert_eq!(params.get("scope"), Ok(Some("mcp:tools offline_access")));
        assert_eq!(params.get("name"), Ok(Some("\u{20ac}")));
        assert_eq!(params.get("flag"), Ok(None));
        assert_eq!(params.get("absent"), Ok(None));
    }

    /// RFC 6749 section 3.1: parameters must not be included more than once, whatever their order or encoding.
    #[test]
    fn a_repeated_parameter_is_an_error_even_with_equal_values() {
        for text in ["state=a&state=a", "state=a&x=1&state=b", "state=a&st%61te=b"] {
            assert_eq!(parse(text).get("state"), Err(Duplicate("state")), "{text}");
        }
    }

    #[test]
    fn unknown_parameters_may_repeat_because_they_are_ignored() {
        let params = parse("utm=1&utm=2&state=a");
        assert_eq!(params.get("state"), Ok(Some("a")));
    }

    /// RFC 6749 section 3.1: parameters sent without a value are treated as omitted.
    #[test]
    fn an_empty_value_counts_as_omitted() {
        assert_eq!(parse("scope=&scope=mcp%3Atools").get("scope"), Ok(Some("mcp:tools")));
        assert_eq!(parse("scope=").get("scope"), Ok(None));
    }

    /// RFC 8707 section 2 lets `resource` repeat; two different ones are refused, so a token never has two audiences.
    #[test]
    fn equal_resources_collapse_and_different_ones_do_not() {
        assert_eq!(parse("resource=https%3A%2F%2Fa%2Fb&resource=https://a/b").get("resource"), Ok(Some("https://a/b")));
        assert_eq!(parse("resource=https://a/b&resource=https://a/c").get("resource"), Err(Duplicate("resource")));
    }

    #[test]
    fn broken_encodings_are_refused() {
        for text in ["a=%", "a=%4", "a=%zz", "a=%+1", "%g0=1"] {
            assert_eq!(Params::parse(text.as_bytes()), Err(ParamsError::PercentEncoding), "{text}");
        }
        assert!(matches!(Params::parse(b"a=%ff"), Err(ParamsError::Utf8(_))));
        assert!(matches!(Params::parse(b"a=\xc3\x28"), Err(ParamsError::Utf8(_))));
        assert!(matches!(Params::parse(b"a=%c0%af"), Err(ParamsError::Utf8(_))));
    }

    /// RFC 6749 appendix A; PostgreSQL cannot keep U+0000 in a text at all.
    #[test]
    fn control_characters_are_refused() {
        for text in ["state=%00", "state=a%0ab", "st%0date=a", "state=%7f", "state=\u{1}"] {
            assert_eq!(Params::parse(text.as_bytes()), Err(ParamsError::Control), "{text:?}");
        }
    }

    #[test]
    fn number_and_length_are_bounded() {
        let many = |count: usize| vec!["a=1"; count].join("&");
        assert!(Params::parse(many(MAX_PARAMS).as_bytes()).is_ok());
        assert_eq!(Params::parse(many(MAX_PARAMS + 1).as_bytes()), Err(ParamsError::TooMany));
        let long = |count: usize| format!("a={}", "%41".repeat(count));
        assert!(Params::parse(long(MAX_VALUE_BYTES).as_bytes()).is_ok());
        assert_eq!(Params::parse(long(MAX_VALUE_BYTES + 1).as_bytes()), Err(ParamsError::TooLong));
    }

    #[test]
    fn debug_output_holds_no_values() {
        assert!(!format!("{:?}", parse("code=hunter2")).contains("hunter2"));
    }

    proptest! {
        #[test]
        fn whatever_a_client_encodes_is_read_back(value in "\\PC{1,40}") {
            let text: String = form_urlencoded::Serializer::new(String::new()).append_pair("state", &value).finish();
            let params = parse(&text);
            prop_assert_eq!(params.get("state"), Ok(Some(value.as_str())));
        }

        #[test]
        fn no_input_panics(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Params::parse(&text);
        }
    }
}
