//! The documents: files that they name exist, and every code is explained.

use std::fs;

use super::tree;

/// The documents that must keep up with the code.
const DOCUMENTS: &[&str] = &["README.md", "docs"];

#[test]
fn every_file_that_a_document_names_is_there() {
    let mut missing = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let absent = named_paths(&text).into_iter().filter(|path| !tree::project().join(path).exists());
        missing.extend(absent.map(|path| format!("{} names {path}", document.display())));
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn no_example_keeps_data_where_everybody_may_write() {
    let lines = |text: &str| text.lines().filter(|line| keeps_data_in_reach_of_all(line)).count();
    assert_eq!(lines("serve --data-dir /tmp/x\n--data-dir=/var/tmp\n--data-dir ./try\n--data-dir /tmpfs"), 2);
    for document in documents() {
        assert_eq!(lines(&fs::read_to_string(&document).unwrap()), 0, "{}", document.display());
    }
}

fn keeps_data_in_reach_of_all(line: &str) -> bool {
    let named = line.split("--data-dir").skip(1).map(|rest| rest.trim_start_matches(['=', ' ', '"']));
    named.into_iter().any(|path| {
        let path = path.split_whitespace().next().unwrap_or_default();
        ["/tmp", "/var/tmp"].iter().any(|folder| std::path::Path::new(path).starts_with(folder))
    })
}

#[test]
fn every_code_of_a_decision_is_explained() {
    let document = fs::read_to_string(tree::project().join("docs/architecture.md")).unwrap();
    let source = fs::read_to_string(tree::project().join("src/domain/reason.rs")).unwrap();
    let codes = codes(&source);
    assert!(codes.len() > 15, "{codes:?}");
    for code in codes {
        assert!(
            document.contains(&format!("\n| `{code}` |")),
            "docs/architecture.md does not tell what {code} means"
        );
    }
}

/// Its first layer builds the dependencies alone, with a stub for each target that Cargo.toml names.
#[test]
fn the_image_has_a_stub_for_every_benchmark() {
    let read = |path: &str| fs::read_to_string(tree::project().join(path)).unwrap();
    let (manifest, image) = (read("Cargo.toml"), read("Dockerfile"));
    let benches = manifest.split("[[bench]]\nname = \"").skip(1).filter_map(|rest| rest.split('"').next());
    let missing: Vec<&str> = benches.filter(|name| !image.contains(&format!("benches/{name}.rs"))).collect();
    assert!(missing.is_empty(), "Dockerfile has no stub for {missing:?}");
}

#[test]
fn bad_samples_are_seen() {
    assert_eq!(
        named_paths("see `src/nowhere.rs`, `cargo test` and `docs/x/`."),
        ["src/nowhere.rs", "docs/x/"]
    );
    assert_eq!(codes("pub const A: Reason = Reason::code(\"a_b\");"), ["a_b"]);
}

/// What stands in backticks and begins with a folder of this project.
fn named_paths(text: &str) -> Vec<&str> {
    let folders = ["src/", "tests/", "docs/", "migrations/", "config/default.toml"];
    let quoted = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    quoted.filter(|piece| folders.iter().any(|folder| piece.starts_with(folder))).collect()
}

fn codes(source: &str) -> Vec<&str> {
    source.split("Reason::code(\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0)).collect()
}

fn documents() -> Vec<std::path::PathBuf> {
    let (mut found, mut open) =
        (Vec::new(), DOCUMENTS.iter().map(|path| tree::project().join(path)).collect::<Vec<_>>());
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    assert!(found.len() > 3, "{found:?}");
    found
}
