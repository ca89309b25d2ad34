//! Statements: each begins with `-- its_name`, so that Postgres' own logs tell them apart.

use proc_macro2::{TokenStream, TokenTree};

use super::tree::{Source, is_for_tests};

/// What SQL begins with, in the way that this project writes it.
const STARTS: &[&str] = &[
    "select ",
    "insert into ",
    "update ",
    "delete from ",
    "with ",
    "copy ",
    "create ",
    "alter ",
    "drop ",
    "lock ",
    "notify ",
    "listen ",
    "truncate ",
    "set ",
];

/// The statements of a file that don't name themselves.
pub fn breaches(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (line, text) in strings(source) {
        let start = text.trim_start().to_lowercase();
        if STARTS.iter().any(|word| start.starts_with(word))
            || start.starts_with("--") && name(&text).is_none()
        {
            let begin: String = start.chars().take(40).collect();
            found.push(format!("{}:{line}: a statement without `-- its_name`: {begin}", source.path));
        }
    }
    found
}

/// The names of the statements of a file.
pub fn names(source: &Source) -> Vec<String> {
    strings(source).iter().filter_map(|(_, text)| name(text)).collect()
}

fn name(text: &str) -> Option<String> {
    let (first, rest) = text.split_once('\n')?;
    let name = first.strip_prefix("-- ")?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    (is_name && !rest.trim().is_empty()).then(|| name.to_owned())
}

/// The string literals of a file, also those within macros, documentation and unit tests aside.
fn strings(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let outside_tests = source.syntax.items.iter().filter(|item| match item {
        syn::Item::Mod(item) => !is_for_tests(&item.attrs),
        _ => true,
    });
    let ranges: Vec<(usize, usize)> = outside_tests.map(super::tree::lines_of).collect();
    collect(source.text.parse().unwrap(), &mut found);
    found.retain(|(line, _)| ranges.iter().any(|(first, last)| (first..=last).contains(&line)));
    found
}

fn collect(tokens: TokenStream, found: &mut Vec<(usize, String)>) {
    let mut is_after_hash = false;
    for token in tokens {
        match token {
            // Attributes, documentation among them.
            TokenTree::Group(_) if is_after_hash => {}
            TokenTree::Group(group) => collect(group.stream(), found),
            TokenTree::Literal(literal) => {
                if let syn::Lit::Str(text) = syn::Lit::new(literal.clone()) {
                    found.push((literal.span().start().line, text.value()));
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {
                is_after_hash = token.to_string() == "#";
                continue;
            }
        }
        is_after_hash = false;
    }
}

#[test]
fn nameless_statements_are_found_wherever_they_stand() {
    let bad = [
        "fn f() { sqlx::query!(\"select 1\"); }",
        "fn f() { sqlx::query!(r#\"\n   update jobs set state = 1\"#); }",
        "const A: &str = \"insert into jobs values (1)\";",
        "fn f() { copy_in_raw(\"copy jobs from stdin\"); }",
        "fn f() { let a = format!(\"create database {name}\"); }",
        "fn f() { sqlx::query!(\"-- Not A Name\nselect 1\"); }",
        "fn f() { sqlx::query!(\"-- a_name without a line of its own select 1\"); }",
    ];
    for text in bad {
        assert_eq!(breaches(&Source::sample("src/store/a.rs", text)).len(), 1, "{text}");
    }
    let good = "/// select the best\nfn f() { sqlx::query!(\"-- f\nselect 1\"); say!(\"selected\"); }
        #[cfg(test)] mod tests { const A: &str = \"select 1\"; }";
    let good = Source::sample("src/store/a.rs", good);
    assert_eq!(breaches(&good), Vec::<String>::new());
    assert_eq!(names(&good), ["f"]);
}
