//! What the documentation names exists.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path()) {
        match entry.file_name().and_then(|name| name.to_str()) {
            Some("node_modules" | ".venv") | None => {}
            Some(_) if entry.is_dir() => sources(&entry, found),
            Some(_) if entry.extension().is_some_and(|extension| extension == "rs") => found.push(entry),
            Some(_) => {}
        }
    }
}

/// Function name → the files that have it.
fn functions() -> HashMap<String, Vec<String>> {
    let mut files = Vec::new();
    for directory in ["src", "tests"] {
        sources(&root().join(directory), &mut files);
    }
    let mut found: HashMap<String, Vec<String>> = HashMap::new();
    for file in files {
        let name = file.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
        for piece in fs::read_to_string(&file).expect("a source").split("fn ").skip(1) {
            let function = piece.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
            found.entry(function.to_owned()).or_default().push(name.clone());
        }
    }
    found
}

/// The third column of the tables of `SECURITY.md` names tests as `` `file: name` ``; a name without a file follows one.
#[test]
fn every_test_that_the_security_page_names_exists() {
    let functions = functions();
    let page = fs::read_to_string(root().join("SECURITY.md")).expect("SECURITY.md");
    let (mut named, mut missing) = (0, Vec::new());
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let column = row.trim_end_matches([' ', '|']).rsplit(" | ").next().unwrap_or_default();
        for quoted in column.split('`').skip(1).step_by(2) {
            let (file, name) = match quoted.rsplit_once(": ") {
                Some((file, name)) => (Some(file.replace("::", "/")), name),
                None => (None, quoted),
            };
            if name.contains(['/', ':', ' ']) || !name.contains('_') {
                continue; // a file, a crate, a path
            }
            named += 1;
            let files = functions.get(name).map(Vec::as_slice).unwrap_or_default();
            if !files
                .iter()
                .any(|found| file.as_deref().is_none_or(|file| found.contains(file.trim_start_matches("tests/"))))
            {
                missing.push(quoted.to_owned());
            }
        }
    }
    assert!(named > 80, "only {named} tests are named");
    assert_eq!(missing, Vec::<String>::new(), "named in SECURITY.md and not there");
}

/// Every reason that an error answer or a log line can give has its entry.
#[test]
fn every_reason_of_a_failure_is_explained() {
    let page = fs::read_to_string(root().join("docs/failures.md")).expect("docs/failures.md");
    let source = fs::read_to_string(root().join("src/proxy/failure.rs")).expect("the failures");
    let reasons = source.split("=> \"").skip(1).filter_map(|piece| piece.split('"').next());
    let reasons: Vec<_> = reasons
        .filter(|reason| !reason.is_empty() && reason.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
        .collect();
    assert!(reasons.len() > 15, "only {reasons:?}");
    let missing: Vec<_> = reasons.iter().filter(|reason| !page.contains(&format!("`{reason}`"))).collect();
    assert!(missing.is_empty(), "docs/failures.md does not explain {missing:?}");
}
