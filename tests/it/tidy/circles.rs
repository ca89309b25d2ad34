//! Circles: a file is understood after those that it names, so there must be a first one.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::{self, Source};
use super::{assert_none, names};

/// The folders in which no file names another that names it back, on whatever way.
const FOLDERS: &[&str] = &["api", "cli/demo"];

#[test]
fn no_files_name_each_other_in_a_circle() {
    let sources = tree::sources();
    for folder in FOLDERS {
        let of_folder: Vec<&Source> = sources.iter().filter(|source| source.is_in(folder)).collect();
        assert!(of_folder.len() > 4, "{folder}");
        let files: BTreeMap<&[String], &str> =
            of_folder.iter().map(|source| (source.modules.as_slice(), source.path.as_str())).collect();
        assert_none(&circles(&of_folder, &files));
    }
}

/// The files that are left when those that name none and those that none names are taken away, again and again.
fn circles(sources: &[&Source], files: &BTreeMap<&[String], &str>) -> Vec<String> {
    let mut named: BTreeMap<&str, BTreeSet<&str>> =
        sources.iter().map(|source| (source.path.as_str(), named_by(source, files))).collect();
    loop {
        let ends: BTreeSet<&str> = named
            .iter()
            .filter(|(file, names)| names.is_empty() || !named.values().any(|names| names.contains(*file)))
            .map(|(file, _)| *file)
            .collect();
        if ends.is_empty() {
            break;
        }
        named.retain(|file, _| !ends.contains(file));
        for names in named.values_mut() {
            names.retain(|name| !ends.contains(name));
        }
    }
    named.iter().map(|(file, names)| format!("{file} names {names:?}, and is named from there")).collect()
}

/// The other files that a file names, unit tests aside. To have a child (`mod child;`) is not to name it.
fn named_by<'a>(source: &Source, files: &BTreeMap<&[String], &'a str>) -> BTreeSet<&'a str> {
    let found = names::outside_tests(source).into_iter().filter_map(|naming| {
        let mut path = naming.path.as_slice();
        let mut module = source.modules.clone();
        match path.first().map(String::as_str) {
            Some("crate") => (module, path) = (Vec::new(), &path[1..]),
            Some("self") => path = &path[1..],
            Some("super") => {
                while path.first().is_some_and(|part| part == "super") {
                    module.pop();
                    path = &path[1..];
                }
            }
            // A child, or something of its own or of another crate.
            _ if path.len() > 1 => {}
            _ => return None,
        }
        // The longest beginning that is a module.
        let mut file = files.get(module.as_slice()).copied();
        for part in path {
            module.push(part.clone());
            let Some(deeper) = files.get(module.as_slice()) else {
                // A folder above those that are looked at has no file here, but perhaps one below it has.
                if file.is_some() {
                    break;
                }
                continue;
            };
            file = Some(deeper);
        }
        file
    });
    found.filter(|file| *file != source.path).collect()
}

#[test]
fn circles_are_seen_however_long_and_nothing_else_is() {
    let circle = |texts: &[(&str, &str)]| {
        let sources: Vec<Source> = texts.iter().map(|(path, text)| Source::sample(path, text)).collect();
        let sources: Vec<&Source> = sources.iter().collect();
        let files: BTreeMap<&[String], &str> =
            sources.iter().map(|source| (source.modules.as_slice(), source.path.as_str())).collect();
        circles(&sources, &files).len()
    };
    let (top, a, b, c) = ("src/api/mod.rs", "src/api/a.rs", "src/api/b.rs", "src/api/b/c.rs");
    assert_eq!(circle(&[(a, "use super::b::B;"), (b, "fn f() { crate::api::a::g() }")]), 2);
    assert_eq!(circle(&[(a, "use super::b::c::C;"), (b, "use super::a;"), (c, "use super::B;")]), 3);
    assert_eq!(circle(&[(top, "mod a; pub use a::A;"), (a, "use super::State;")]), 2);
    assert_eq!(circle(&[(b, "mod c; use c::C;"), (c, "use super::B;")]), 2);
    let fine = [
        (top, "mod a; mod b; pub use a::A;"),
        (a, "use super::b::{B, c::C}; pub(in crate::api) fn f() {}"),
        (b, "mod c; use self::c::C; #[cfg(test)] mod tests { use super::super::a::A; }"),
        (c, "use crate::store::Store; use serde::Serialize; fn f() { a::b(); }"),
    ];
    assert_eq!(circle(&fine), 0);
}
