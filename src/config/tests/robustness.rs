//! No text makes loading panic.

use std::fmt::Write;

use proptest::prelude::*;

use super::load_text;
use crate::config::{Error, describe};

/// Pieces that reach deeper than random characters do.
const PIECES: &[&str] = &[
    "server:",
    "listen:",
    "routes:",
    "- path: /mcp",
    "operationId: a",
    "upstream:",
    "url: https://a",
    "identity:",
    "provider: dev",
    "provider: oidc",
    "authMode: header",
    "headers:",
    "$env(SECRET)",
    "$file(x)",
    "$env(",
    "[",
    "]",
    "{",
    "}",
    ",",
    ": ",
    "\n",
    "\n  ",
    "\n    ",
    "\"",
    "'",
    "&a ",
    "*a",
    "<<: *a",
    "!!int x",
    "!t ",
    "- ",
    "~",
    "null",
    "1e999",
    "-1",
    "0x",
    "99999999999999999999999999999999999999999999",
    "é\u{301}",
    "\u{0}",
    "\u{feff}",
    "---\n",
    "...\n",
    "# ",
    "|\n",
    ">-\n",
    "? ",
    "http: 2",
    "prompt: false",
    "capabilities:",
    "tools:",
    "_meta: {}",
];

fn check(text: &str) -> Result<(), TestCaseError> {
    match load_text(text) {
        Ok(config) => {
            describe(&config);
        }
        Err(Error::Invalid { problems, name }) => {
            prop_assert!(!problems.is_empty(), "{name}: refused without a reason: {text:?}");
        }
        Err(error) => prop_assert!(!error.to_string().is_empty()),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        check(&text)?;
    }

    #[test]
    fn arbitrary_arrangements_of_yaml_never_panic(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        check(&pieces.concat())?;
    }

    #[test]
    fn a_damaged_configuration_never_panics(cut in 0usize..4000, skip in 0usize..40, piece in prop::sample::select(PIECES)) {
        let whole = include_str!("../../../conf/examples/postgres.yaml");
        let at = |index: usize| whole.char_indices().map(|(at, _)| at).nth(index).unwrap_or(whole.len());
        let cut = cut % whole.chars().count();
        check(&format!("{}{piece}{}", &whole[..at(cut)], &whole[at(cut + skip)..]))?;
    }
}

#[test]
fn deep_and_explosive_texts_are_refused() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{aliases}]").unwrap();
    }
    for text in [deep, bomb] {
        assert!(matches!(load_text(&text), Err(Error::Syntax { .. })));
    }
}
