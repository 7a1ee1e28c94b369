//! The challenge of a 401 answer (RFC 9110 section 11.6.1, RFC 6750 section 3).

use http::{HeaderMap, header};

/// The parameters of a `Bearer` challenge, names in lower case.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// The first `Bearer` challenge among all `WWW-Authenticate` headers; other schemes may stand around it.
    pub(super) fn find(headers: &HeaderMap) -> Option<Self> {
        headers.get_all(header::WWW_AUTHENTICATE).iter().find_map(|value| Self::parse(value.to_str().ok()?))
    }

    /// A parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A part `word name=value` opens the challenge of the scheme `word`; `name=value` adds to the one that is open.
    fn parse(header: &str) -> Option<Self> {
        let mut found: Option<Self> = None;
        for part in split_outside_quotes(header) {
            let (scheme, parameter) = match part.split_once(|c: char| c.is_ascii_whitespace()) {
                Some((word, rest)) if !word.contains('=') => (Some(word), rest.trim()),
                None if !part.contains('=') => (Some(part), ""),
                _ => (None, part),
            };
            match (scheme, &found) {
                (Some(_), Some(_)) => break,
                (Some(scheme), None) if scheme.eq_ignore_ascii_case("bearer") => {
                    found = Some(Self { parameters: Vec::new() });
                }
                _ => {}
            }
            if let (Some(challenge), Some((name, value))) = (&mut found, parameter.split_once('=')) {
                challenge.parameters.push((name.trim().to_ascii_lowercase(), unquote(value.trim())));
            }
        }
        found
    }
}

fn split_outside_quotes(header: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in header.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                parts.push(header[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(header[start..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

/// The text of a quoted string, or the token itself.
fn unquote(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        text.extend(if c == '\\' { characters.next() } else { Some(c) });
    }
    text
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn parse(lines: &[&'static str]) -> Option<Challenge> {
        let lines = lines.iter().map(|line| (header::WWW_AUTHENTICATE, HeaderValue::from_static(line)));
        let mut headers = HeaderMap::new();
        headers.extend(lines);
        Challenge::find(&headers)
    }

    #[test]
    fn the_bearer_challenge_is_found_among_others() {
        let challenge = parse(&[
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
        assert_eq!(parse(&["Bearer"]).unwrap().parameter("scope"), None);
        assert!(parse(&["Basic realm=\"Bearer\""]).is_none());
        assert!(parse(&[]).is_none());
    }
}
