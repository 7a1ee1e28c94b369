//! One text for all the ways to write down the same definition of a tool.

use std::collections::BTreeMap;

use super::scan::{Malformed, Scanner};

/// A definition with its members in order and without white space, so that two that say the same are the same text.
///
/// Numbers stay as they were written. `icons` are left out: they are pictures for people, their addresses are often
/// signed anew for every list, and no model reads them. What could be read in two ways, a name twice above all, has no
/// such text.
pub fn canonical(definition: &str) -> Result<String, Malformed> {
    let mut scanner = Scanner::new(definition);
    let mut text = String::with_capacity(definition.len());
    write(&mut scanner, &mut text, 0)?;
    scanner.end()?;
    Ok(text)
}

fn write(scanner: &mut Scanner<'_>, out: &mut String, depth: u32) -> Result<(), Malformed> {
    if depth > MAX_DEPTH {
        return Err(Malformed);
    }
    match scanner.peek() {
        b'{' => {
            let mut members = BTreeMap::new();
            scanner.object(|scanner, name| {
                let mut value = String::new();
                write(scanner, &mut value, depth + 1)?;
                match members.insert(name.decode()?.into_owned(), value) {
                    None => Ok(()),
                    Some(_twice) => Err(Malformed),
                }
            })?;
            if depth == 0 {
                members.remove("icons");
            }
            let members: Vec<_> = members.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
            out.push('{');
            out.push_str(&members.join(","));
            out.push('}');
        }
        b'[' => {
            let mut separator = '[';
            scanner.array(|scanner| {
                out.push(std::mem::replace(&mut separator, ','));
                write(scanner, out, depth + 1)
            })?;
            if separator == '[' {
                out.push('[');
            }
            out.push(']');
        }
        b'"' => out.push_str(&quoted(&scanner.string()?.decode()?)),
        _ => {
            let value = scanner.value()?;
            out.push_str(scanner.slice(value));
        }
    }
    Ok(())
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Far beyond what schemas need, and within what the stack bears.
const MAX_DEPTH: u32 = 100;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn order_spaces_escapes_and_icons_make_no_difference() {
        let one = canonical(r#"{"name":"a","description":"ä","inputSchema":{"b":[],"a":[1,{"x":null}]}}"#).unwrap();
        for same in [
            r#" { "inputSchema" : {"a":[ 1 , {"x":null}],"b":[ ]}, "description":"\u00e4","name":"\u0061" } "#,
            r#"{"icons":[{"src":"https://x?sig=1"}],"name":"a","description":"ä","inputSchema":{"b":[],"a":[1,{"x":null}]}}"#,
        ] {
            assert_eq!(canonical(same).unwrap(), one, "{same}");
        }
    }

    #[test]
    fn everything_else_makes_one() {
        let text = r#"{"name":"a","description":"d","title":"t","inputSchema":{"type":"object","icons":[1]},"annotations":{"readOnlyHint":true},"_meta":{"k":[1,2]}}"#;
        let one = canonical(text).unwrap();
        for (from, to) in [
            ("\"d\"", "\"d \""),
            ("\"t\"", "\"u\""),
            ("object", "string"),
            ("icons\":[1]", "icons\":[2]"),
            ("true", "false"),
            ("[1,2]", "[2,1]"),
            ("\"a\"", "\"\u{430}\""),
            ("}}", "},\"x\":1}"),
        ] {
            assert!(text.contains(from), "{from}");
            assert_ne!(canonical(&text.replacen(from, to, 1)).unwrap(), one, "{from} {to}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_has_no_canonical_text() {
        for text in [
            r#"{"name":"a","name":"b"}"#,
            r#"{"inputSchema":{"x":1,"\u0078":2}}"#,
            r#"{"description":"\ud800"}"#,
            "{",
            &format!("{}{}", "[".repeat(200), "]".repeat(200)),
        ] {
            assert_eq!(canonical(text), Err(Malformed), "{text}");
        }
    }

    proptest! {
        #[test]
        fn canonical_texts_say_the_same_and_stay(text in r#"\{("[a-c]":(1|"x"|\[\]|\[1,\{\}\]|\{"[a-c]":null\}),?){0,4}\}"#) {
            if let Ok(one) = canonical(&text) {
                let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
                prop_assert_eq!(read(&one), read(&text));
                prop_assert_eq!(canonical(&one).unwrap(), one);
            }
        }
    }
}
