//! `docs/events.md` names every event and every field of the code, and nothing that is not there.

use std::{collections::BTreeSet, fs, path::Path};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(directory: &Path, text: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("schema_test.rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

/// The quoted texts behind `before`.
fn quoted<'t>(text: &'t str, before: &str) -> BTreeSet<&'t str> {
    text.split(before).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// The names in the first column of the tables.
fn documented() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("docs/events.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next().map(str::to_owned));
    rows.flat_map(|names| names.split(", ").map(|name| name.trim_matches('`').to_owned()).collect::<Vec<_>>()).collect()
}

#[test]
fn every_event_is_documented_and_every_documented_event_exists() {
    let mut text = String::new();
    sources(&root().join("src"), &mut text);
    let mut events: BTreeSet<&str> = quoted(&text, "event = \"");
    events.extend(["mcp_request_accepted", "mcp_request_rejected", "mcp_endpoint_answered"]);
    events.extend(["mcp_capability_invoked", "mcp_capability_completed"]);
    let documented = documented();
    let known: BTreeSet<&str> = documented.iter().map(String::as_str).filter(|name| name.starts_with("mcp_")).collect();
    assert_eq!(known.symmetric_difference(&events).collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[test]
fn every_field_of_an_exchange_is_documented() {
    let source = fs::read_to_string(root().join("src/telemetry/event.rs")).unwrap();
    let mut fields = quoted(&source, "fields.text(\"");
    fields.extend(quoted(&source, "fields.number(\""));
    assert!(fields.len() > 15, "{fields:?}");
    let documented = documented();
    let missing: Vec<_> = fields.iter().filter(|field| !documented.contains(**field)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_outcome_is_documented() {
    let documented = documented();
    for outcome in super::Outcome::ALL {
        assert!(documented.contains(outcome.as_str()), "{}", outcome.as_str());
    }
}
