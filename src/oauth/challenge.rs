//! `WWW-Authenticate`: the challenges that we send (RFC 6750 section 3), and those of upstreams (RFC 9110 section 11.6.1).

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{bearer::is_token68, scope};

/// Why the resource server refuses a token (RFC 6750 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BearerError {
    /// The `Authorization` header is malformed, or a token stands where none may stand.
    InvalidRequest,
    /// The token is unknown, expired, revoked, or another resource's.
    InvalidToken,
    /// The token lacks the scope.
    InsufficientScope,
}

impl BearerError {
    /// The code on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
        }
    }

    /// The fixed sentence.
    pub const fn description(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The authorization of the request is malformed.",
            Self::InvalidToken => "The access token is invalid, expired, revoked, or not for this resource.",
            Self::InsufficientScope => "The access token lacks a scope that this request needs.",
        }
    }

    /// The HTTP status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::InvalidToken => StatusCode::UNAUTHORIZED,
            Self::InsufficientScope => StatusCode::FORBIDDEN,
        }
    }
}

/// The challenge of the token endpoint to a client whose Basic credentials failed (RFC 6749 section 5.2).
pub const BASIC: &str = "Basic realm=\"OAuth\"";

/// The challenge of a route (RFC 6750 section 3, RFC 9728 section 5.1).
///
/// `error` only if the request carried a token: without one it needs no reason (RFC 6750 section 3.1).
pub fn bearer_challenge(resource_metadata: &str, error: Option<BearerError>) -> String {
    let mut challenge = String::from("Bearer ");
    push_parameter(&mut challenge, "realm", "OAuth");
    push_parameter(&mut challenge, "resource_metadata", resource_metadata);
    push_parameter(&mut challenge, "scope", scope::TOOLS);
    if let Some(error) = error {
        push_parameter(&mut challenge, "error", error.as_str());
        push_parameter(&mut challenge, "error_description", error.description());
    }
    challenge
}

/// A challenge of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// Reads all challenges of all `WWW-Authenticate` lines of an answer.
    ///
    /// What cannot be understood is skipped, because servers are careless here and a usable `Bearer` challenge often
    /// stands beside the odd part. At most [`MAX_CHALLENGES`] come back, from at most [`MAX_LINE_BYTES`] of each line.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Vec<Self> {
        let mut challenges = Vec::new();
        for line in lines.into_iter().take(MAX_CHALLENGES) {
            let line = String::from_utf8_lossy(&line[..line.len().min(MAX_LINE_BYTES)]);
            Reader { rest: &line }.read(&mut challenges);
        }
        challenges
    }

    /// Whether it is of `scheme`; schemes are case-insensitive.
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The first `Bearer` challenge of an answer, whatever schemes stand around it.
    pub fn bearer(headers: &HeaderMap) -> Option<Self> {
        let lines = headers.get_all(header::WWW_AUTHENTICATE).iter().map(HeaderValue::as_bytes);
        Self::parse(lines).into_iter().find(|challenge| challenge.is("Bearer"))
    }

    /// The value of a parameter, by its lower-case name; the first if a server sent several.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn read(mut self, challenges: &mut Vec<Challenge>) {
        let first = challenges.len();
        loop {
            self.skip(|character| matches!(character, ' ' | '\t' | ','));
            if self.rest.is_empty() {
                return;
            }
            let token = self.take(is_token_character);
            if token.is_empty() {
                self.skip_broken();
            } else if self.peek_equals() {
                // A parameter before any scheme of its line belongs to nothing.
                let value = self.value();
                let challenge = challenges.get_mut(first..).and_then(<[Challenge]>::last_mut);
                if let (Some(challenge), Some(value)) = (challenge, value)
                    && challenge.parameters.len() < MAX_PARAMETERS
                {
                    challenge.parameters.push((token.to_ascii_lowercase(), value));
                }
            } else if challenges.len() == MAX_CHALLENGES {
                return;
            } else {
                challenges.push(Challenge { scheme: token.to_owned(), parameters: Vec::new() });
                self.skip_token68();
            }
        }
    }

    /// `BWS "="` after a name.
    fn peek_equals(&self) -> bool {
        self.rest.trim_start_matches([' ', '\t']).starts_with('=')
    }

    /// Passes over the `token68` form of a challenge, which fills all that is left before a comma.
    fn skip_token68(&mut self) {
        let (candidate, after) = self.rest.split_at(self.rest.find(',').unwrap_or(self.rest.len()));
        if is_token68(candidate.trim_matches([' ', '\t'])) {
            self.rest = after;
        }
    }

    /// Passes over what is neither name nor scheme, a quoted string as a whole.
    fn skip_broken(&mut self) {
        match self.rest.strip_prefix('"') {
            Some(quoted) => {
                self.quoted(quoted);
            }
            None => self.skip(|character| !matches!(character, ',' | '"')),
        }
    }

    /// `BWS "=" BWS ( token / quoted-string )`; none if the string never ends, and then nothing follows.
    fn value(&mut self) -> Option<String> {
        self.skip(|character| matches!(character, ' ' | '\t'));
        self.rest = self.rest.strip_prefix('=')?;
        self.skip(|character| matches!(character, ' ' | '\t'));
        match self.rest.strip_prefix('"') {
            Some(quoted) => self.quoted(quoted),
            None => Some(self.take(|character| !matches!(character, ' ' | '\t' | ',' | '"')).to_owned()),
        }
    }

    fn quoted(&mut self, text: &'a str) -> Option<String> {
        self.rest = "";
        let mut value = String::new();
        let mut characters = text.char_indices();
        while let Some((index, character)) = characters.next() {
            match character {
                '"' => {
                    self.rest = &text[index + 1..];
                    return Some(value);
                }
                '\\' => value.push(characters.next()?.1),
                other => value.push(other),
            }
        }
        None
    }

    fn skip(&mut self, matches: impl Fn(char) -> bool) {
        self.rest = self.rest.trim_start_matches(matches);
    }

    fn take(&mut self, matches: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|character| !matches(character)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }
}

/// RFC 9110 section 5.6.2.
fn is_token_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character)
}

/// Appends a parameter as a quoted string (RFC 9110 section 5.6.4), without characters that a header may not have.
fn push_parameter(challenge: &mut String, name: &str, value: &str) {
    if challenge.ends_with('"') {
        challenge.push_str(", ");
    }
    challenge.push_str(name);
    challenge.push_str("=\"");
    for character in value.chars().filter(|character| matches!(character, ' '..='~')) {
        if matches!(character, '"' | '\\') {
            challenge.push('\\');
        }
        challenge.push(character);
    }
    challenge.push('"');
}

/// How many challenges, and how many lines of them, are read.
pub const MAX_CHALLENGES: usize = 16;
/// How much of each line is read.
pub const MAX_LINE_BYTES: usize = 8 * 1024;
const MAX_PARAMETERS: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const METADATA: &str = "https://gw.example/.well-known/oauth-protected-resource/mcp/a";

    fn parse(lines: &[&str]) -> Vec<Challenge> {
        Challenge::parse(lines.iter().map(|line| line.as_bytes()))
    }

    fn challenge(scheme: &str, parameters: &[(&str, &str)]) -> Challenge {
        let parameters = parameters.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Challenge { scheme: scheme.to_owned(), parameters }
    }

    fn bearer(lines: &[&'static str]) -> Option<Challenge> {
        let lines = lines.iter().map(|line| (header::WWW_AUTHENTICATE, HeaderValue::from_static(line)));
        let mut headers = HeaderMap::new();
        headers.extend(lines);
        Challenge::bearer(&headers)
    }

    #[test]
    fn the_bearer_challenge_is_found_among_others() {
        let challenge = bearer(&[
            "Negotiate",
            r#"Basic realm="x, Bearer resource_metadata=no", bearer Realm="OAuth", resource_metadata="http://h/a,b", scope=mcp:tools, error_description="say \"no\"", DPoP algs="ES256""#,
        ])
        .unwrap();
        assert_eq!(challenge.parameter("realm"), Some("OAuth"));
        assert_eq!(challenge.parameter("resource_metadata"), Some("http://h/a,b"));
        assert_eq!(challenge.parameter("scope"), Some("mcp:tools"));
        assert_eq!(challenge.parameter("error_description"), Some("say \"no\""));
        assert_eq!(challenge.parameter("algs"), None);
    }

    #[test]
    fn a_challenge_without_parameters_is_one_and_other_schemes_are_none() {
        assert_eq!(bearer(&["Bearer"]).unwrap().parameter("scope"), None);
        assert!(bearer(&["Basic realm=\"Bearer\""]).is_none());
        assert!(bearer(&[]).is_none());
    }

    /// RFC 6750 section 3.1: no error code for a request without authentication information.
    #[test]
    fn a_request_without_a_token_learns_where_to_begin_and_no_error() {
        assert_eq!(
            bearer_challenge(METADATA, None),
            "Bearer realm=\"OAuth\", \
             resource_metadata=\"https://gw.example/.well-known/oauth-protected-resource/mcp/a\", scope=\"mcp:tools\""
        );
    }

    /// RFC 6750 section 3.
    #[test]
    fn a_refused_token_is_told_why() {
        for (error, status) in [
            (BearerError::InvalidRequest, 400),
            (BearerError::InvalidToken, 401),
            (BearerError::InsufficientScope, 403),
        ] {
            let sent = bearer_challenge(METADATA, Some(error));
            let expected = challenge(
                "Bearer",
                &[
                    ("realm", "OAuth"),
                    ("resource_metadata", METADATA),
                    ("scope", "mcp:tools"),
                    ("error", error.as_str()),
                    ("error_description", error.description()),
                ],
            );
            assert_eq!(parse(&[&sent]), [expected]);
            assert_eq!(error.status(), status);
        }
    }

    #[test]
    fn nothing_breaks_out_of_a_quoted_string_or_a_header() {
        let sent = bearer_challenge("https://a\", error=\"x\\\r\nSet-Cookie: a=b\u{e4}", None);
        assert!(sent.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{sent}");
        let received = parse(&[&sent]);
        assert_eq!(received[0].parameter("error"), None);
        assert_eq!(received[0].parameter("resource_metadata"), Some("https://a\", error=\"x\\Set-Cookie: a=b"));
    }

    /// RFC 9110 section 11.6.1.
    #[test]
    fn challenges_of_servers_are_read() {
        let bearer = |value: &str| vec![challenge("Bearer", &[("resource_metadata", value)])];
        for (line, expected) in [
            ("Bearer", vec![challenge("Bearer", &[])]),
            ("Bearer resource_metadata=\"https://a/b\"", bearer("https://a/b")),
            ("Bearer resource_metadata=https://a/b", bearer("https://a/b")),
            ("Bearer  Resource_Metadata = \"https://a/b\" ", bearer("https://a/b")),
            ("Bearer ,,resource_metadata=\"a\\\"b,c\",", bearer("a\"b,c")),
            (
                "Bearer realm=\"x\" error=\"invalid_token\"",
                vec![challenge("Bearer", &[("realm", "x"), ("error", "invalid_token")])],
            ),
            (
                "Negotiate, Basic realm=\"a, Bearer realm=\\\"b\\\"\", Bearer scope=\"c d\"",
                vec![
                    challenge("Negotiate", &[]),
                    challenge("Basic", &[("realm", "a, Bearer realm=\"b\"")]),
                    challenge("Bearer", &[("scope", "c d")]),
                ],
            ),
            (
                "Negotiate YTpi+/==, Bearer scope=a",
                vec![challenge("Negotiate", &[]), challenge("Bearer", &[("scope", "a")])],
            ),
            ("bearer scope=a, scope=b", vec![challenge("bearer", &[("scope", "a"), ("scope", "b")])]),
        ] {
            assert_eq!(parse(&[line]), expected, "{line}");
        }
    }

    #[test]
    fn several_lines_are_several_lists() {
        let received = parse(&["Basic realm=\"a\"", "Bearer scope=\"b\"", "error=\"nobody's\""]);
        assert_eq!(received, [challenge("Basic", &[("realm", "a")]), challenge("Bearer", &[("scope", "b")])]);
        assert!(received[1].is("BEARER"));
        assert_eq!(received[1].parameter("scope"), Some("b"));
    }

    #[test]
    fn what_cannot_be_understood_is_skipped() {
        for (line, expected) in [
            ("", vec![]),
            (", ,", vec![]),
            ("realm=\"x\"", vec![]),
            ("@@@, Bearer scope=a", vec![challenge("Bearer", &[("scope", "a")])]),
            ("\"Basic, realm=x\", Bearer scope=a", vec![challenge("Bearer", &[("scope", "a")])]),
            ("Bearer realm=\"never ends, scope=a", vec![challenge("Bearer", &[])]),
            ("Bearer realm=\"ends in \\", vec![challenge("Bearer", &[])]),
            ("Bearer \u{e4}=1, scope=a", vec![challenge("Bearer", &[("scope", "a")])]),
        ] {
            assert_eq!(parse(&[line]), expected, "{line}");
        }
        assert_eq!(Challenge::parse([&b"Bearer scope=\"\xff\""[..]])[0].parameter("scope"), Some("\u{fffd}"));
    }

    #[test]
    fn a_hostile_server_cannot_make_us_keep_much() {
        assert_eq!(parse(&["a,".repeat(1000).as_str()]).len(), MAX_CHALLENGES);
        assert_eq!(parse(&["a"; 1000]).len(), MAX_CHALLENGES);
        assert_eq!(parse(&[&format!("Bearer {}", "a=b,".repeat(1000))])[0].parameters.len(), MAX_PARAMETERS);
        let long = format!("Bearer realm=\"{}\", scope=\"a\"", "x".repeat(MAX_LINE_BYTES));
        assert_eq!(parse(&[&long])[0].parameter("scope"), None);
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_read_back(values in proptest::collection::vec(("[a-z_]{1,10}", "[ -~]{0,20}"), 1..8)) {
            let mut sent = String::from("Bearer ");
            for (name, value) in &values {
                push_parameter(&mut sent, name, value);
            }
            let parameters: Vec<_> = values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            prop_assert_eq!(parse(&[&sent]), [challenge("Bearer", &parameters)]);
        }

        #[test]
        fn no_line_panics(line in proptest::collection::vec(any::<u8>(), 0..80), text in "[Ba=\", \\\\x]{0,40}") {
            let _ = Challenge::parse([line.as_slice(), text.as_bytes()]);
        }
    }
}
