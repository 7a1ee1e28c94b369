//! URI templates (RFC 6570), read backwards: whether a URI is what a template expands to.

/// A template whose expansions are recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UriTemplate(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Expression { first: Option<char>, reserved: bool, separators: &'static str, optional: bool },
}

impl UriTemplate {
    /// Reads a template; none if it is none.
    pub fn parse(template: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some((literal, behind)) = rest.split_once('{') {
            let (expression, next) = behind.split_once('}')?;
            if literal.contains('}') || expression.contains('{') {
                return None;
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            parts.push(Part::expression(expression)?);
            rest = next;
        }
        if rest.contains('}') {
            return None;
        }
        parts.push(Part::Literal(rest.to_owned()));
        Some(Self(parts))
    }

    /// Whether a URI is an expansion of the template.
    ///
    /// One with a dot segment or an encoded slash is none, encoded in whichever way: the upstream could take it for
    /// another place than the template speaks of.
    pub fn expands_to(&self, uri: &str) -> bool {
        if uri.len() > MAX_URI_BYTES || wanders(uri) {
            return false;
        }
        // Which places of the URI are reached by the parts so far.
        let mut reached = vec![false; uri.len() + 1];
        reached[0] = true;
        for part in &self.0 {
            reached = part.advance(uri, &reached);
        }
        reached[uri.len()]
    }
}

impl Part {
    fn expression(text: &str) -> Option<Self> {
        let (operator, variables) = match text.chars().next()? {
            operator @ ('+' | '#' | '.' | '/' | ';' | '?' | '&') => (Some(operator), &text[1..]),
            _ => (None, text),
        };
        let named = |variable: &str| {
            let name = variable.split([':', '*']).next().unwrap_or_default();
            !name.is_empty()
                && name
                    .chars()
                    .all(|character| character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '%'))
        };
        if !variables.split(',').all(named) {
            return None;
        }
        let reserved = matches!(operator, Some('+' | '#'));
        let separators = match operator {
            Some('/') => "/,=",
            Some('.') => ".,=",
            Some(';') => ";,=",
            Some('?' | '&') => "&,=",
            _ => ",=",
        };
        let first = operator.filter(|operator| *operator != '+');
        Some(Self::Expression { first, reserved, separators, optional: first.is_some() })
    }

    fn advance(&self, uri: &str, reached: &[bool]) -> Vec<bool> {
        let mut next = vec![false; reached.len()];
        let starts = || reached.iter().enumerate().filter(|(_, reached)| **reached).map(|(at, _)| at);
        match self {
            Self::Literal(literal) => {
                for at in starts() {
                    if uri.get(at..).is_some_and(|rest| rest.starts_with(literal.as_str())) {
                        next[at + literal.len()] = true;
                    }
                }
            }
            Self::Expression { first, reserved, separators, optional } => {
                if *optional {
                    next.copy_from_slice(reached);
                }
                let mut inside = vec![false; reached.len()];
                for (at, character) in uri.char_indices() {
                    let end = at + character.len_utf8();
                    let begins = reached[at] && first.is_none_or(|first| first == character);
                    let fits = fits(character, *reserved) || separators.contains(character);
                    inside[end] = (begins && (first.is_some() || fits)) || (inside[at] && fits);
                    next[end] |= inside[end];
                }
            }
        }
        next
    }
}

/// Whether an expansion may hold a character: unreserved ones, percent signs, what is not ASCII, and reserved ones where
/// the operator lets them stand.
fn fits(character: char, reserved: bool) -> bool {
    match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' | '_' | '~' | '%' => true,
        ':' | '/' | '?' | '#' | '[' | ']' | '@' | '!' | '$' | '&' | '\'' | '(' | ')' | '*' | '+' | ',' | ';' | '=' => {
            reserved
        }
        other => !other.is_ascii() && !other.is_control() && !other.is_whitespace(),
    }
}

/// Whether a URI has a dot segment, a backslash or an encoded slash, or could have one when it is decoded once or twice.
fn wanders(uri: &str) -> bool {
    let once: Vec<u8> = percent_encoding::percent_decode_str(uri).collect();
    let twice: Vec<u8> = percent_encoding::percent_decode(&once).collect();
    let slashes = |text: &[u8]| memchr::memchr_iter(b'/', text).count();
    let dots = |segment: &[u8]| matches!(segment, b"." | b"..");
    let segments = twice.split(|byte| matches!(byte, b'/' | b'?' | b'#' | b'=' | b'&' | b';' | b',' | b':'));
    slashes(&twice) != slashes(uri.as_bytes()) || twice.contains(&b'\\') || segments.into_iter().any(dots)
}

/// Longer URIs are no expansions.
const MAX_URI_BYTES: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn expands(template: &str, uri: &str) -> bool {
        UriTemplate::parse(template).expect(template).expands_to(uri)
    }

    #[test]
    fn expansions_of_each_operator_are_recognised() {
        for (template, uri) in [
            ("a://b", "a://b"),
            ("test://{id}/data", "test://42/data"),
            ("test://{id}/data", "test://%C3%A4.b~c_d-e/data"),
            ("test://{a,b}", "test://1,2"),
            ("file:///{+path}", "file:///a/b/c.txt"),
            ("file://{/dirs*}/x", "file:///a/b/x"),
            ("a://b{?q,n}", "a://b?q=1&n=2"),
            ("a://b{?q,n}", "a://b"),
            ("a://b?x=1{&q}", "a://b?x=1&q=%20"),
            ("a://b{#f}", "a://b#x/y"),
            ("a://b{.ext}", "a://b.txt"),
            ("a://b{;p}", "a://b;p=1"),
            ("a://{x}{y}", "a://12"),
            ("a://{name:3}", "a://abc"),
            ("日本://{x}", "日本://語"),
        ] {
            assert!(expands(template, uri), "{template} {uri}");
        }
        for (template, uri) in [
            ("a://b", "a://c"),
            ("a://b", "a://bb"),
            ("test://{id}/data", "test:///data"),
            ("test://{id}/data", "test://a/b/data"),
            ("test://{id}/data", "test://1/DATA"),
            ("test://{id}", "test://1?x=2"),
            ("test://{id}", "test://1#x"),
            ("a://{x}{y}", "a://1"),
            ("a://b{?q}", "a://bq=1"),
            ("a://{x}", "a://a b"),
        ] {
            assert!(!expands(template, uri), "{template} {uri}");
        }
    }

    /// A template of one place leads to no other place.
    #[test]
    fn what_wanders_is_no_expansion() {
        for uri in [
            "file:///pub/../secret",
            "file:///pub/..",
            "file:///pub/./x",
            "file:///pub/%2e%2e/secret",
            "file:///pub/%2E./secret",
            "file:///pub/..%2fsecret",
            "file:///pub/a%2Fb",
            "file:///pub/a%252Fb",
            "file:///pub/%252e%252e/secret",
            "file:///pub/..\\secret",
            "file:///pub/a%5cb",
        ] {
            assert!(!expands("file:///pub/{+path}", uri), "{uri}");
        }
        assert!(expands("file:///pub/{+path}", "file:///pub/a..b/c.d"));
    }

    #[test]
    fn what_is_no_template_is_not_read() {
        for template in ["a://{", "a://}", "a://{}", "a://{x", "a://{{x}}", "a://{?}", "a://{x y}", "a://x}{y}"] {
            assert_eq!(UriTemplate::parse(template), None, "{template}");
        }
    }

    #[test]
    fn many_expressions_take_no_longer_than_their_number() {
        let template = "a://".to_owned() + &"{+x}".repeat(50);
        assert!(expands(&template, &format!("a://{}", "a".repeat(4000))));
        assert!(!expands(&format!("{template}!"), &format!("a://{}", "a".repeat(4000))));
    }
}
