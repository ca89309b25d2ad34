//! What a file names: every path in it, also in macros and attributes, so it is read as tokens.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::tree::Source;

/// A path that is written in a file, with groups of `use` written out.
pub struct Naming {
    pub path: Vec<String>,
    pub line: usize,
}

/// The top folders that a file names, its own among them.
pub fn of_folders(source: &Source) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut reader = Reader { with_tests: true, ..Reader::of(source) };
    reader.read(tokens(source));
    for (modules, naming) in reader.found {
        let path = &naming.path;
        let up = path.iter().take_while(|part| *part == "super").count();
        let folder = match path.first().map(String::as_str) {
            Some("crate" | "genesys_purge") => path.get(1),
            Some("super") if up == modules => path.get(up),
            _ => None,
        };
        // A path of one part names the crate as a whole, which is every folder.
        let is_whole = path.len() == 1 && path[0] == "crate";
        found.extend(folder.cloned());
        found.extend(is_whole.then(|| "*".to_owned()));
    }
    found
}

/// Every path outside of unit tests.
pub fn outside_tests(source: &Source) -> Vec<Naming> {
    let mut reader = Reader::of(source);
    reader.read(tokens(source));
    reader.found.into_iter().map(|(_, naming)| naming).collect()
}

/// What a pure function can't have: waiting, and what is listed.
pub fn effects(source: &Source, banned: &[&str]) -> Vec<String> {
    let namings = outside_tests(source);
    let named = namings.iter().filter_map(|naming| {
        let path = naming.path.join("::");
        let is_banned = path == "async"
            || path == "await"
            || banned.iter().any(|banned| path == *banned || path.starts_with(&format!("{banned}::")));
        is_banned.then(|| format!("{}:{}: {path} has no place in a decision", source.path, naming.line))
    });
    named.collect()
}

fn tokens(source: &Source) -> TokenStream {
    source.text.parse().unwrap()
}

struct Reader {
    /// How deep in its crate the code at hand is.
    modules: usize,
    with_tests: bool,
    found: Vec<(usize, Naming)>,
}

impl Reader {
    fn of(source: &Source) -> Self {
        Self { modules: source.modules.len(), with_tests: false, found: Vec::new() }
    }

    fn read(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            if !self.with_tests && is_cfg_test(&tokens[at..]) {
                at = after_item(&tokens, at);
                continue;
            }
            match &tokens[at] {
                // `pub(crate)` names nobody.
                TokenTree::Group(_) if at > 0 && is_ident(&tokens[at - 1], "pub") => at += 1,
                TokenTree::Group(group) => {
                    let is_module =
                        group.delimiter() == Delimiter::Brace && at >= 2 && is_ident(&tokens[at - 2], "mod");
                    self.modules += usize::from(is_module);
                    self.read(group.stream());
                    self.modules -= usize::from(is_module);
                    at += 1;
                }
                TokenTree::Ident(_) => at = self.read_path(&tokens, at, &[]),
                _ => at += 1,
            }
        }
    }

    /// Reads the path that begins here, and the paths of the group that may end it; tells where it ends.
    fn read_path(&mut self, tokens: &[TokenTree], mut at: usize, prefix: &[String]) -> usize {
        let mut path = prefix.to_vec();
        let line = tokens[at].span().start().line;
        while let Some(TokenTree::Ident(ident)) = tokens.get(at) {
            path.push(ident.to_string());
            at += 1;
            if !is_colons(tokens.get(at..)) {
                break;
            }
            at += 2;
            if let Some(TokenTree::Group(group)) = tokens.get(at)
                && group.delimiter() == Delimiter::Brace
            {
                self.read_group(group.stream(), &path);
                return at + 1;
            }
        }
        self.found.push((self.modules, Naming { path, line }));
        at
    }

    fn read_group(&mut self, tokens: TokenStream, prefix: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            at = if matches!(tokens[at], TokenTree::Ident(_)) {
                self.read_path(&tokens, at, prefix)
            } else {
                at + 1
            };
        }
    }
}

fn is_ident(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == name)
}

fn is_punct(token: Option<&TokenTree>, sign: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

fn is_colons(tokens: Option<&[TokenTree]>) -> bool {
    tokens.is_some_and(|tokens| is_punct(tokens.first(), ':') && is_punct(tokens.get(1), ':'))
}

fn is_cfg_test(tokens: &[TokenTree]) -> bool {
    let Some(TokenTree::Group(group)) = tokens.get(1) else { return false };
    is_punct(tokens.first(), '#') && group.stream().to_string().replace(' ', "") == "cfg(test)"
}

/// Where the item that begins here ends: behind its braces or its semicolon.
fn after_item(tokens: &[TokenTree], begin: usize) -> usize {
    let is_end = |token: &TokenTree| {
        is_punct(Some(token), ';')
            || matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
    };
    tokens[begin..].iter().position(is_end).map_or(tokens.len(), |end| begin + end + 1)
}

#[test]
fn folders_are_found_however_they_are_named() {
    let table = [
        ("src/domain/a.rs", "use crate::store::Store;", "store"),
        ("src/domain/a.rs", "use super::super::store::Store;", "store"),
        ("src/domain/mod.rs", "use super::store::Store;", "store"),
        ("src/domain/a.rs", "mod tests { use super::super::super::store; }", "store"),
        ("src/domain/a.rs", "use crate::{domain::b, genesys::{Call, Permit as P}};", "genesys"),
        ("src/domain/a.rs", "fn f() { let x: Vec<crate::engine::Wakes> = vec![]; }", "engine"),
        ("src/domain/a.rs", "fn f() { say!(\"{}\", crate::engine::NAME); }", "engine"),
        ("src/domain/a.rs", "#[doc(alias = x, with(crate::api::words))] struct A;", "api"),
        ("src/domain/a.rs", "#[cfg(test)] mod tests { use crate::config::Settings; }", "config"),
        ("src/main.rs", "fn main() { genesys_purge::cli::run() }", "cli"),
        ("src/domain/a.rs", "use crate as everything;", "*"),
    ];
    for (path, text, expected) in table {
        let found = of_folders(&Source::sample(path, text));
        assert!(found.contains(expected), "{text}: {found:?}");
    }
    let near = [
        (
            "src/store/jobs/a.rs",
            "use super::super::tx::Tx; use super::engine; use self::api::b; pub(crate) use c; // crate::cli::x",
        ),
        ("src/store/jobs/a.rs", "mod inner { use super::super::super::tx::Tx; }"),
    ];
    for (path, text) in near {
        assert_eq!(of_folders(&Source::sample(path, text)), BTreeSet::new(), "{text}");
    }
}

#[test]
fn crates_and_effects_are_found_outside_of_tests_only() {
    let text = "use sqlx::{query, postgres::PgPool}; fn f() { axum::serve(x.sqlx); }
        #[cfg(test)] mod tests { use reqwest::Client; } #[cfg(test)] use nix::sys; use anyhow::bail;";
    let found = outside_tests(&Source::sample("src/api/a.rs", text));
    let crates: Vec<String> = found.iter().map(|naming| naming.path.join("::")).collect();
    for named in ["sqlx::query", "sqlx::postgres::PgPool", "axum::serve", "anyhow::bail"] {
        assert!(crates.iter().any(|path| path == named), "{named}: {crates:?}");
    }
    assert!(!crates.iter().any(|path| path.starts_with("reqwest") || path.starts_with("nix")), "{crates:?}");

    let waits = Source::sample("src/domain/a.rs", "async fn f() { std::fs::read(\"x\"); g().await }");
    assert_eq!(effects(&waits, &["std::fs"]).len(), 3);
    let decides = Source::sample("src/domain/a.rs", "fn f(fs: u8) -> u8 { std::fsx::g(fs) }");
    assert_eq!(effects(&decides, &["std::fs"]), Vec::<String>::new());
}
