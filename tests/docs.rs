//! What the documentation names exists.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
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

/// Every reason that an error answer or a log line of a route can give, and every OAuth error, has its page.
#[test]
fn every_reason_of_a_failure_has_its_page() {
    let reasons = codes(&["src/proxy/failure.rs", "src/proxy/refusal.rs"]);
    assert!(reasons.len() > 30, "only {reasons:?}");
    let errors = codes(&["src/oauth/error.rs"]);
    assert!(errors.len() > 10, "only {errors:?}");
    let pages = failure_pages();
    let named = reasons.into_iter().map(|reason| (format!("{reason}.md"), reason));
    let named = named.chain(errors.into_iter().map(|error| (format!("oauth-{error}.md"), error)));
    let missing: Vec<_> = named.filter(|(page, title)| !is_about(&pages, page, title)).collect();
    assert!(missing.is_empty(), "docs/failures lacks {missing:?}");
}

/// Every page that tells people of a failure has its page in the documentation, under the title that they see.
#[test]
fn every_title_of_a_failure_page_has_its_page() {
    let titles = failure_titles();
    assert!(titles.len() > 20, "only {titles:?}");
    let pages = failure_pages();
    let named = titles.into_iter().map(|title| (format!("page-{}.md", slug(&title)), title));
    let missing: Vec<_> = named.filter(|(page, title)| !is_about(&pages, page, title)).collect();
    assert!(missing.is_empty(), "docs/failures lacks {missing:?}");
}

#[test]
fn every_failure_page_is_in_the_index_and_has_the_same_parts() {
    let mut pages = failure_pages();
    let index = pages.remove("README.md").expect("docs/failures/README.md");
    let unlinked: Vec<_> = pages.keys().filter(|page| !index.contains(&format!("]({page})"))).collect();
    assert!(unlinked.is_empty(), "docs/failures/README.md does not link {unlinked:?}");
    for (page, text) in &pages {
        let parts: Vec<_> = text.lines().filter(|line| line.starts_with("## ") && *line != "## See also").collect();
        assert_eq!(parts, ["## What is seen", "## In the log", "## Why", "## What to do"], "{page}");
    }
}

#[test]
fn every_link_of_the_documentation_leads_somewhere() {
    let mut pages = Vec::new();
    documents(root(), &mut pages, false);
    documents(&root().join("docs"), &mut pages, true);
    let (mut links, mut broken) = (0, Vec::new());
    for page in &pages {
        let text = prose(&fs::read_to_string(page).expect("a page"));
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in targets.filter(|link| !link.contains(':')) {
            links += 1;
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let file = if file.is_empty() { page.clone() } else { page.with_file_name("").join(file) };
            if !file.exists() || !(heading.is_empty() || headings(&file).iter().any(|found| found == heading)) {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(links > 200, "only {links} links");
    assert!(broken.is_empty(), "{broken:#?}");
}

/// The text of each page about failures, by its file name.
fn failure_pages() -> BTreeMap<String, String> {
    let mut files = Vec::new();
    documents(&root().join("docs/failures"), &mut files, false);
    let page = |file: PathBuf| {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        (name, fs::read_to_string(&file).expect("a page"))
    };
    files.into_iter().map(page).collect()
}

/// Whether there is this page, and its own title is this one.
fn is_about(pages: &BTreeMap<String, String>, page: &str, title: &str) -> bool {
    pages.get(page).and_then(|text| text.lines().next()).and_then(|line| line.strip_prefix("# ")) == Some(title)
}

/// What the arms of these files yield that looks like a code.
fn codes(files: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in files {
        let source = fs::read_to_string(root().join(file)).expect(file);
        let quoted = source.split("=> \"").skip(1).filter_map(|piece| piece.split('"').next());
        let codes =
            quoted.filter(|text| !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'_')));
        found.extend(codes.map(str::to_owned));
    }
    found
}

/// The titles of all `Trouble`, and of the templates for failures that have one of their own; `…` is what is filled in.
fn failure_titles() -> BTreeSet<String> {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let mut titles = BTreeSet::new();
    for source in files.iter().map(|file| fs::read_to_string(file).expect("a source")) {
        if source.contains("Trouble") {
            let quoted = source.split("title: \"").skip(1).filter_map(|piece| piece.split('"').next());
            titles.extend(quoted.map(str::to_owned));
        }
    }
    for entry in fs::read_dir(root().join("src/pages/templates")).expect("the templates") {
        let template = entry.expect("an entry").path();
        let name = template.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_page = template.extension().is_some_and(|extension| extension == "html");
        if !is_page || TELL_OF_NO_FAILURE.contains(&name) {
            continue;
        }
        let text = fs::read_to_string(&template).expect("a template");
        let block = text.split("{% block title %}").nth(1).and_then(|rest| rest.split("{% endblock %}").next());
        let mut title = String::new();
        for (index, piece) in block.expect("a title").split("{{").enumerate() {
            if index > 0 {
                title.push('…');
            }
            title.push_str(piece.split_once("}}").map_or(piece, |(_, after)| after));
        }
        titles.insert(title);
    }
    titles
}

/// The templates that ask or report, and the three that are given their titles. A new one stands here or gets its page.
const TELL_OF_NO_FAILURE: [&str; 14] = [
    "account.html",
    "admin.html",
    "base.html",
    "connect.html",
    "connect_key.html",
    "connected.html",
    "consent.html",
    "dev_chooser.html",
    "error.html",
    "landing.html",
    "message.html",
    "sign_out.html",
    "signed_out.html",
    "tools.html",
];

fn slug(title: &str) -> String {
    let words: Vec<_> = title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.join("-").to_lowercase()
}

fn documents(directory: &Path, found: &mut Vec<PathBuf>, deep: bool) {
    for entry in fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            if deep {
                documents(&entry, found, deep);
            }
        } else if entry.extension().is_some_and(|extension| extension == "md") {
            found.push(entry);
        }
    }
}

/// A page without its code.
fn prose(page: &str) -> String {
    let mut in_code = false;
    let mut text = String::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            text.extend(line.split('`').step_by(2));
        }
        text.push('\n');
    }
    text
}

/// The headings of a page, as links name them.
fn headings(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).expect("a page");
    let mut in_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        in_code ^= line.starts_with("```");
        if let (Some(heading), false) = (line.strip_prefix('#'), in_code) {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            found.push(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
        }
    }
    found
}
