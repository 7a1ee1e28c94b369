//! The files in `conf/` and the schema agree with the code.

use std::path::{Path, PathBuf};

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;

use crate::config::file::File;
use crate::config::{Source, load};

fn conf() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conf")
}

fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(allow_null));
    settings.into_generator().into_root_schema_for::<File>().to_value()
}

/// Accepts `null` where it is the default of a single value.
fn allow_null(schema: &mut Schema) {
    if schema.get("default").is_some_and(Value::is_null)
        && let Some(kind @ Value::String(_)) = schema.get("type").cloned()
        && kind != "array"
    {
        schema.insert("type".to_owned(), serde_json::json!([kind, "null"]));
    }
}

/// The starting point with every `#key` uncommented.
fn uncommented() -> String {
    let text = std::fs::read_to_string(conf().join("sallyport.yaml")).unwrap();
    let line = |line: &str| match line.trim_start().strip_prefix('#') {
        Some(key) if key.starts_with(|first: char| first.is_ascii_alphabetic()) => line.replacen('#', "", 1) + "\n",
        _ => line.to_owned() + "\n",
    };
    text.lines().map(line).collect()
}

/// `UPDATE_SCHEMA=1 cargo test config::` rewrites the file.
#[test]
fn the_schema_file_is_the_one_of_the_types() {
    let path = conf().join("sallyport.schema.json");
    let expected = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    assert!(std::fs::read_to_string(path).unwrap_or_default() == expected, "run the tests with UPDATE_SCHEMA=1");
}

#[test]
fn the_starting_point_runs_as_it_is() {
    let config = load(Source::Path(conf().join("sallyport.yaml")), &|_| None).unwrap();
    assert_eq!(config.warnings, []);
}

#[test]
fn the_examples_are_valid_and_without_warnings() {
    let mut count = 0;
    for entry in std::fs::read_dir(conf().join("examples")).unwrap() {
        let config = load(Source::Path(entry.unwrap().path()), &|_| Some(KEY.to_owned()))
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.warnings, [], "{}", config.name);
        count += 1;
    }
    assert!(count >= 4);
}

#[test]
fn uncommenting_every_default_changes_nothing() {
    let as_is = load(Source::Path(conf().join("sallyport.yaml")), &|_| None).unwrap();
    let name = as_is.name.clone();
    let all = load(Source::Text { name, text: uncommented() }, &|_| None).unwrap();
    assert_eq!(all, as_is);
}

#[test]
fn every_key_of_the_schema_is_in_the_starting_point() {
    let text = std::fs::read_to_string(conf().join("sallyport.yaml")).unwrap();
    let mut names = Vec::new();
    collect_properties(&schema(), &mut names);
    assert!(names.len() > 90, "{}", names.len());
    for name in names {
        let key = format!("{name}:");
        let found =
            text.match_indices(&key).any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
        assert!(found, "{name} is not in conf/sallyport.yaml");
    }
}

/// The defaults in the schema, in the commented file and in the code are one.
#[test]
fn defaults_of_the_schema_are_those_of_the_starting_point() {
    let schema = schema();
    let file: Value = serde_saphyr::from_str(&uncommented()).unwrap();
    let mut compared = 0;
    compare_defaults(&schema, &schema, &file, "", &mut compared);
    assert!(compared >= 24, "{compared}");
}

fn compare_defaults(root: &Value, schema: &Value, value: &Value, path: &str, compared: &mut u32) {
    let schema = resolve(root, schema);
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        for value in values {
            compare_defaults(root, items, value, path, compared);
        }
    }
    let (Some(properties), Some(values)) = (schema.get("properties").and_then(Value::as_object), value.as_object())
    else {
        return;
    };
    for (name, value) in values {
        let path = format!("{path}.{name}");
        let property = &properties[name];
        match property.get("default") {
            Some(default) if !default.is_null() && !CHOSEN.contains(&path.as_str()) => {
                assert_eq!(value, default, "{path}");
                *compared += 1;
            }
            _ => compare_defaults(root, property, value, &path, compared),
        }
    }
}

fn resolve<'v>(root: &'v Value, schema: &'v Value) -> &'v Value {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

fn collect_properties(schema: &Value, names: &mut Vec<String>) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Object(properties)) = object.get("properties") {
                names.extend(properties.keys().cloned());
            }
            object.values().for_each(|value| collect_properties(value, names));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_properties(item, names)),
        _ => {}
    }
}

/// Fits wherever an example has a reference.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Keys that the starting point sets to something else than the default.
const CHOSEN: [&str; 2] = [".identity.users", ".routes.upstream.authMode"];
