//! What every file keeps to: heads, lengths, no shortcut that a reader would have to forgive.

use syn::visit::{self, Visit};

use super::tree::{Source, is_for_tests, line_of, lines_of};

const LONGEST_FILE: usize = 400;
const LONGEST_FUNCTION: usize = 70;

/// The `expect`s of src outside of tests: the file, the message, and why it can't fail.
pub const PROOFS: &[(&str, &str, &str)] = &[
    (
        "src/genesys/analytics_purge.rs",
        "strings, UUIDs and booleans are JSON",
        "no map with keys of other types",
    ),
    (
        "src/genesys/analytics_purge.rs",
        "http and https URLs have a path",
        "the scheme is checked when settings load",
    ),
    ("src/genesys/login.rs", "base64 is ASCII", "its alphabet has 65 characters, all fit for a header"),
    ("src/intake/spooled.rs", "a list of 2^32 ids passes every limit on a request's size", "64 GiB of ids"),
    (
        "src/meters/mod.rs",
        "every histogram of the table has bounds",
        "the one error, that there are none, is what a test of the table looks for",
    ),
    ("src/webhooks/sign.rs", "any 32 bytes are a seed", "RFC 8032, 5.1.5: it is hashed before it is used"),
    (
        "src/webhooks/sign.rs",
        "any bytes are a key, and a `str` is the UTF-8 that is asked for",
        "the two errors that the crate has",
    ),
];

/// Everything that is wrong with a file.
pub fn breaches(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let mut tell = |line: usize, what: String| found.push(format!("{}:{line}: {what}", source.path));
    if !source.text.starts_with("//!") {
        tell(1, "it does not begin by telling what lives there (`//!`)".to_owned());
    }
    let lines = source.text.lines().count();
    if lines > LONGEST_FILE {
        tell(lines, format!("more than {LONGEST_FILE} lines are two ideas"));
    }
    for (line, text) in (1..).zip(source.text.lines()) {
        if let Some(comment) = plain_comment(text) {
            if looks_like_code(comment) {
                tell(line, "code that is commented out".to_owned());
            }
            if ["TODO", "FIXME", "XXX", "HACK"].iter().any(|word| comment.contains(word)) {
                tell(line, "do it, or say why not".to_owned());
            }
        }
    }
    let mut inspector = Inspector {
        is_of_src: source.path.starts_with("src/"),
        is_test: source.is_test,
        ..Inspector::default()
    };
    inspector.visit_file(&source.syntax);
    for (line, what) in inspector.found {
        tell(line, what);
    }
    for (line, message) in inspector.expects {
        if !PROOFS.iter().any(|(file, proof, _)| source.path == *file && message == *proof) {
            tell(line, format!("no proof in the table for expect({message:?})"));
        }
    }
    found
}

/// The proofs that a file leans on.
pub fn proofs_used(source: &Source) -> Vec<(&'static str, &'static str)> {
    let mut inspector = Inspector { is_of_src: true, is_test: source.is_test, ..Inspector::default() };
    inspector.visit_file(&source.syntax);
    let is_used = |file: &str, proof: &str| {
        source.path == file && inspector.expects.iter().any(|(_, message)| message == proof)
    };
    PROOFS
        .iter()
        .filter(|(file, proof, _)| is_used(file, proof))
        .map(|&(file, proof, _)| (file, proof))
        .collect()
}

/// The text of a `//` comment that has its line for itself and is no documentation.
fn plain_comment(line: &str) -> Option<&str> {
    let comment = line.trim_start().strip_prefix("//")?;
    (!comment.starts_with(['/', '!'])).then(|| comment.trim())
}

fn looks_like_code(comment: &str) -> bool {
    let begins = ["let ", "fn ", "pub ", "use ", "impl ", "return ", "if let ", "#[", "}", "assert"];
    comment.ends_with(';')
        || comment.ends_with('{')
        || comment.ends_with("=> {}")
        || begins
            .iter()
            .any(|begin| comment.starts_with(begin) && comment.contains(['(', '=', ':', '}', '[']))
}

#[derive(Default)]
struct Inspector {
    is_of_src: bool,
    is_test: bool,
    found: Vec<(usize, String)>,
    expects: Vec<(usize, String)>,
}

impl Inspector {
    fn tell(&mut self, piece: &impl syn::spanned::Spanned, what: impl Into<String>) {
        self.found.push((line_of(piece), what.into()));
    }

    fn measure(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let lines = lines_of(block).1 + 1 - line_of(&signature.fn_token);
        if self.is_of_src && lines > LONGEST_FUNCTION {
            self.tell(
                signature,
                format!("{} takes {lines} lines; more than {LONGEST_FUNCTION} are two", signature.ident),
            );
        }
    }

    fn must_not_panic(&self) -> bool {
        self.is_of_src && !self.is_test
    }

    /// Visits an item that may be for tests only.
    fn within(&mut self, attributes: &[syn::Attribute], visit: impl FnOnce(&mut Self)) {
        let before = self.is_test;
        self.is_test |= is_for_tests(attributes);
        visit(self);
        self.is_test = before;
    }
}

impl<'ast> Visit<'ast> for Inspector {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.within(&item.attrs, |inspector| visit::visit_item_mod(inspector, item));
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.within(&item.attrs, |inspector| visit::visit_item_impl(inspector, item));
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.measure(&item.sig, &item.block);
        self.within(&item.attrs, |inspector| visit::visit_item_fn(inspector, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.measure(&item.sig, &item.block);
        self.within(&item.attrs, |inspector| visit::visit_impl_item_fn(inspector, item));
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.measure(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let tokens = match &attribute.meta {
            syn::Meta::List(list) => list.tokens.to_string(),
            _ => String::new(),
        };
        if attribute.path().is_ident("allow")
            || attribute.path().is_ident("cfg_attr") && tokens.contains("allow")
        {
            self.tell(
                attribute,
                "`#[expect(.., reason)]` tells why, and when it is no longer needed; `allow` does not",
            );
        }
        if attribute.path().is_ident("expect") && !tokens.contains("reason") {
            self.tell(attribute, "an `expect` without a reason");
        }
        visit::visit_attribute(self, attribute);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let method = call.method.to_string();
        if self.must_not_panic() && ["unwrap", "unwrap_err", "expect_err"].contains(&method.as_str()) {
            self.tell(&call.method, format!("`{method}` outside of tests"));
        }
        if self.must_not_panic() && method == "expect" {
            let message = call.args.first().and_then(text_of).unwrap_or_default();
            self.expects.push((line_of(&call.method), message));
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        let name = called.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
        if ["todo", "unimplemented", "dbg"].contains(&name.as_str()) {
            self.tell(called, format!("`{name}!` is unfinished work"));
        }
        if self.must_not_panic() {
            if ["panic", "unreachable", "assert", "assert_eq", "assert_ne"].contains(&name.as_str()) {
                self.tell(
                    called,
                    format!("`{name}!` outside of tests: an error, or a type that can't be wrong"),
                );
            }
            let tokens = called.tokens.to_string().replace(' ', "");
            if [".unwrap()", ".expect(", "todo!", "dbg!"].iter().any(|shortcut| tokens.contains(shortcut)) {
                self.tell(called, "a shortcut within a macro");
            }
        }
        visit::visit_macro(self, called);
    }
}

fn text_of(argument: &syn::Expr) -> Option<String> {
    let syn::Expr::Lit(literal) = argument else { return None };
    let syn::Lit::Str(text) = &literal.lit else { return None };
    Some(text.value())
}

#[cfg(test)]
mod samples {
    //! One bad file a rule, and good ones that are close to it.

    use super::*;

    fn wrong_with(text: &str) -> Vec<String> {
        breaches(&Source::sample("src/engine/a.rs", text))
    }

    #[test]
    fn each_bad_sample_breaks_exactly_one_rule() {
        let long_function = format!("//! A.\nfn f() {{\n{}}}\n", "    g();\n".repeat(LONGEST_FUNCTION - 1));
        let long_method =
            format!("//! A.\nimpl A {{\nfn f() {{\n{}}}\n}}\n", "    g();\n".repeat(LONGEST_FUNCTION - 1));
        let long_file = format!("//! A.\n{}", "const A: u8 = 1;\n".repeat(LONGEST_FILE));
        let table = [
            ("struct A;\n", "does not begin"),
            ("/// A.\nstruct A;\n", "does not begin"),
            (&long_function, "two"),
            (&long_method, "two"),
            (&long_file, "two ideas"),
            ("//! A.\nfn f() { todo!() }\n", "`todo!`"),
            ("//! A.\nfn f() { unimplemented!(\"later\") }\n", "`unimplemented!`"),
            ("//! A.\nfn f() { g(dbg!(1)) }\n", "`dbg!`"),
            ("//! A.\nfn f() { std::panic!(\"oh\") }\n", "`panic!`"),
            ("//! A.\nfn f() { g().unwrap() }\n", "`unwrap`"),
            ("//! A.\nfn f() { g().expect(\"luck\") }\n", "no proof"),
            ("//! A.\nfn f() { say!(\"{}\", g().unwrap()) }\n", "within a macro"),
            ("//! A.\n#[allow(dead_code)]\nstruct A;\n", "`allow` does not"),
            ("//! A.\n#![allow(dead_code)]\n", "`allow` does not"),
            ("//! A.\n#[cfg_attr(test, allow(dead_code))]\nstruct A;\n", "`allow` does not"),
            ("//! A.\n#[expect(dead_code)]\nstruct A;\n", "without a reason"),
            ("//! A.\n// let old = compute(1);\n", "commented out"),
            ("//! A.\n// pub fn old() {\n", "commented out"),
            ("//! A.\n// TODO: finish\n", "do it"),
        ];
        for (text, expected) in table {
            let found = wrong_with(text);
            assert!(found.len() == 1 && found[0].contains(expected), "{text}\n{found:#?}");
        }
    }

    #[test]
    fn good_samples_break_none() {
        let table = [
            "//! A.\n#[cfg(test)]\nmod tests {\n    fn f() { g().unwrap(); assert!(h().expect(\"x\")) }\n}\n",
            "//! A.\n// Where the database is slow, the step ends here: see `wait`.\nfn f() { g().unwrap_or_default() }\n",
            "//! A.\n#[expect(dead_code, reason = \"used by the derive\")]\nstruct A;\n",
        ];
        for text in table {
            assert_eq!(wrong_with(text), Vec::<String>::new(), "{text}");
        }
        let proven = "//! A.\nfn f() { g().expect(\"base64 is ASCII\") }\n";
        let there = Source::sample("src/genesys/login.rs", proven);
        assert_eq!(breaches(&there), Vec::<String>::new());
        assert_eq!(wrong_with(proven).len(), 1, "a proof holds in its own file only");
    }
}
