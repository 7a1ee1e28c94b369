//! As much HTML as it takes to press a button of the gateway's own pages.

/// A start tag with its attributes, names in lower case.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

/// A form that can be posted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// Where it goes, relative to the page.
    pub(super) action: String,
    /// The hidden inputs.
    pub(super) hidden: Vec<(String, String)>,
    /// The buttons: name, value, and whether they can be pressed.
    pub(super) buttons: Vec<Button>,
}

/// A button of a form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Button {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) enabled: bool,
}

/// All forms of a page.
pub(super) fn forms(page: &str) -> Vec<Form> {
    let mut forms: Vec<Form> = Vec::new();
    for tag in tags(page) {
        match (tag.name.as_str(), forms.last_mut()) {
            ("form", _) => {
                forms.push(Form { action: tag.text("action"), hidden: Vec::new(), buttons: Vec::new() });
            }
            ("input", Some(form)) if tag.text("type").eq_ignore_ascii_case("hidden") => {
                form.hidden.push((tag.text("name"), tag.text("value")));
            }
            ("button", Some(form)) => form.buttons.push(Button {
                name: tag.text("name"),
                value: tag.text("value"),
                enabled: tag.attribute("disabled").is_none(),
            }),
            _ => {}
        }
    }
    forms
}

/// The targets of all links of a page.
pub(super) fn links(page: &str) -> Vec<String> {
    tags(page).filter(|tag| tag.name == "a").filter_map(|tag| tag.attribute("href").map(str::to_owned)).collect()
}

/// The title of a page.
pub(super) fn title(page: &str) -> Option<String> {
    let (_, rest) = page.split_once("<title>")?;
    let (title, _) = rest.split_once("</title>")?;
    Some(decode(title.trim()))
}

impl Tag {
    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn text(&self, name: &str) -> String {
        self.attribute(name).unwrap_or_default().to_owned()
    }
}

/// The start tags of a page; comments and the contents of `style` and `script` are passed over.
fn tags(page: &str) -> impl Iterator<Item = Tag> {
    let mut rest = page;
    std::iter::from_fn(move || {
        loop {
            let (_, after) = rest.split_once('<')?;
            if let Some(comment) = after.strip_prefix("!--") {
                rest = comment.split_once("-->")?.1;
            } else if after.starts_with(|first: char| first.is_ascii_alphabetic()) {
                let (tag, behind) = tag(after);
                rest = match tag.name.as_str() {
                    "style" => behind.split_once("</style")?.1,
                    "script" => behind.split_once("</script")?.1,
                    _ => behind,
                };
                return Some(tag);
            } else {
                rest = after;
            }
        }
    })
}

/// Reads the tag behind a `<`, and returns what follows it.
fn tag(text: &str) -> (Tag, &str) {
    let (name, mut rest) = split_at(text, |c: char| c.is_ascii_whitespace() || c == '>' || c == '/');
    let mut tag = Tag { name: name.to_ascii_lowercase(), attributes: Vec::new() };
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if rest.is_empty() {
            return (tag, rest);
        }
        if let Some(behind) = rest.strip_prefix('>') {
            return (tag, behind);
        }
        let (key, after) = split_at(rest, |c: char| c.is_ascii_whitespace() || matches!(c, '=' | '>' | '/'));
        // An `=` without a name before it is not worth reading; step over it.
        if key.is_empty() {
            rest = &rest[1..];
            continue;
        }
        let (value, after) = match after.trim_start().strip_prefix('=') {
            Some(value) => attribute_value(value.trim_start()),
            None => ("", after),
        };
        tag.attributes.push((key.to_ascii_lowercase(), decode(value)));
        rest = after;
    }
}

fn attribute_value(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(quoted) = text.strip_prefix(quote) {
            return quoted.split_once(quote).unwrap_or((quoted, ""));
        }
    }
    split_at(text, |c: char| c.is_ascii_whitespace() || c == '>')
}

fn split_at(text: &str, end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(end).unwrap_or(text.len()))
}

/// Character references: numbers, and the five names that escaping uses.
fn decode(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        decoded.push_str(before);
        let named = after.split_once(';').and_then(|(name, behind)| Some((reference(name)?, behind)));
        let (character, behind) = named.unwrap_or(('&', after));
        decoded.push(character);
        rest = behind;
    }
    decoded.push_str(rest);
    decoded
}

fn reference(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            code.ok().and_then(char::from_u32)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_consent_form_is_read_with_its_hidden_fields_and_buttons() {
        let page = r#"<!doctype html><title>Allow a &#38; b?</title><style>a > b { content: "<form>" }</style>
            <!-- <form action="/no"> --><main><form method="post" action="/oauth/setup?x=1&amp;y=2">
            <input type="hidden" name="interaction" value="i&#34;1">
            <INPUT TYPE=hidden NAME=csrf VALUE='c=='/>
            <input type="text" name="ignored" value="x">
            <button name="decision" value="continue">Again</button>
            <button class="primary" name="decision" value="approve" disabled aria-describedby="why">Approve</button>
            </form></main>"#;
        let button = |value: &str, enabled| Button { name: "decision".into(), value: value.into(), enabled };
        assert_eq!(
            forms(page),
            [Form {
                action: "/oauth/setup?x=1&y=2".into(),
                hidden: vec![("interaction".into(), "i\"1".into()), ("csrf".into(), "c==".into())],
                buttons: vec![button("continue", true), button("approve", false)],
            }]
        );
        assert_eq!(title(page).as_deref(), Some("Allow a & b?"));
    }

    #[test]
    fn links_are_read_with_their_references_decoded() {
        let page = r#"<a href="/oauth/dev-login?state=s&#38;user=ada">ada</a><a>none</a><abbr href="/no">"#;
        assert_eq!(links(page), ["/oauth/dev-login?state=s&user=ada"]);
    }

    #[test]
    fn what_is_no_reference_stays_as_it_is() {
        assert_eq!(decode("a&b &nope; &#xD800; &#120;&#x79;&"), "a&b &nope; &#xD800; xy&");
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(page in "[<>a-c=\"'/!& ;#-]{0,60}") {
            let _ = (forms(&page), links(&page), title(&page));
        }
    }
}
