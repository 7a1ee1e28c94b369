//! The layers of the source: imports go down only, and what is foreign stays where it belongs.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Every module with those that it may import.
const LAYERS: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("octets", &[]),
    ("crypto", &[]),
    ("mcp", &[]),
    ("routes", &[]),
    ("telemetry", &["clock", "octets", "routes", "store"]),
    ("oauth", &["crypto", "octets"]),
    ("web", &["crypto"]),
    ("pages", &["oauth"]),
    ("outbound", &["clock"]),
    ("config", &["crypto"]),
    ("store", &["oauth", "crypto", "clock"]),
    ("interaction", &["routes", "store", "web", "oauth"]),
    ("identity", &["telemetry", "store", "outbound", "pages", "web", "oauth", "crypto", "clock"]),
    ("throttle", &["identity", "store", "web", "oauth", "clock"]),
    (
        "authorization_server",
        &[
            "interaction",
            "identity",
            "routes",
            "store",
            "outbound",
            "pages",
            "telemetry",
            "throttle",
            "web",
            "oauth",
            "crypto",
            "clock",
        ],
    ),
    ("resource_server", &["routes", "store", "telemetry", "web", "oauth", "crypto", "clock", "octets"]),
    ("registry", &["routes", "web", "oauth", "clock"]),
    ("pins", &["store", "mcp", "crypto"]),
    ("policy", &["pins", "resource_server", "routes", "mcp", "oauth"]),
    (
        "upstream",
        &[
            "policy",
            "interaction",
            "identity",
            "outbound",
            "pages",
            "routes",
            "store",
            "telemetry",
            "web",
            "oauth",
            "crypto",
            "clock",
        ],
    ),
    ("broker", &["upstream", "policy", "mcp", "outbound", "store"]),
    (
        "proxy",
        &[
            "broker",
            "upstream",
            "policy",
            "resource_server",
            "routes",
            "store",
            "telemetry",
            "web",
            "mcp",
            "oauth",
            "crypto",
            "clock",
            "octets",
        ],
    ),
];

/// Modules that build everything, and so may name everything.
const TOP: [&str; 4] = ["app", "cli", "main", "lib"];

/// Crates that only these paths may name.
const FOREIGN: &[(&[&str], &[&str])] = &[
    (&["pingora", "pingora_core", "pingora_proxy", "pingora_http"], &["proxy/", "app/"]),
    (&["rusqlite"], &["store/sqlite/", "store/contract/"]),
    (&["tokio_postgres", "deadpool_postgres", "tokio_postgres_rustls"], &["store/postgres/", "store/contract/"]),
    (&["reqwest"], &["outbound/"]),
];

#[test]
fn modules_import_downwards_only() {
    let mut wrong = Vec::new();
    for (file, source) in sources() {
        let module = file.split(['/', '.']).next().unwrap_or_default();
        if TOP.contains(&module) {
            continue;
        }
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{file}: the module `{module}` has no layer"));
            continue;
        };
        let imports = imported(&source).into_iter();
        wrong.extend(
            imports
                .filter(|name| name != module && !allowed.contains(&name.as_str()))
                .map(|name| format!("{file}: `{module}` must not import `{name}`")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn foreign_crates_stay_where_they_belong() {
    let mut wrong = Vec::new();
    for (file, source) in sources() {
        for (crates, homes) in FOREIGN {
            let at_home = homes.iter().any(|home| file.starts_with(home));
            wrong.extend(
                crates
                    .iter()
                    .filter(|name| !at_home && names(&source, name))
                    .map(|name| format!("{file}: `{name}` belongs to {homes:?}")),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The two tests above would be empty words if they read nothing.
#[test]
fn imports_are_found_however_they_are_written() {
    let source =
        "use crate::{\n    clock::{Clock, Timestamp},\n    oauth, web::Origin,\n};\nfn f() { crate::store::x() }";
    let expected = ["clock", "oauth", "store", "web"].map(str::to_owned);
    assert_eq!(imported(source), expected.into());
    assert!(names("use pingora::proxy;", "pingora") && names("fn f(e: reqwest::Error)", "reqwest"));
    assert!(!names("use pingora_core::x;", "pingora") && !names("// what pingora::does\n", "pingora"));
    assert!(sources().len() > 100);
}

/// The first names behind `crate::`, of lists too.
fn imported(source: &str) -> BTreeSet<String> {
    let code = code(source);
    let mut found = BTreeSet::new();
    for (start, _) in code.match_indices("crate::") {
        let rest = &code[start + "crate::".len()..];
        let Some(list) = rest.strip_prefix('{') else {
            found.insert(word(rest));
            continue;
        };
        let (mut depth, mut at_name) = (1, true);
        for (index, character) in list.char_indices() {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => at_name = true,
                _ if at_name && depth == 1 && character.is_ascii_lowercase() => {
                    found.insert(word(&list[index..]));
                    at_name = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

/// Whether the code names the crate in a path.
fn names(source: &str, name: &str) -> bool {
    let code = code(source);
    code.match_indices(&format!("{name}::")).any(|(start, _)| {
        !code[..start].ends_with(|before: char| before.is_ascii_alphanumeric() || before == '_' || before == ':')
    })
}

fn word(text: &str) -> String {
    text.chars().take_while(|character| character.is_ascii_alphanumeric() || *character == '_').collect()
}

/// The source without comments.
fn code(source: &str) -> String {
    source.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Every source file by its path below `src`.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut directories: Vec<PathBuf> = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files
}
