//! The sources as the compiler finds them: from the roots along every `mod`.

use std::fs;
use std::path::{Path, PathBuf};

/// One file.
pub struct Source {
    /// Relative to the project, with `/`.
    pub path: String,
    /// Its module path within its crate.
    pub modules: Vec<String>,
    /// It is compiled for tests only.
    pub is_test: bool,
    pub text: String,
    pub syntax: syn::File,
}

impl Source {
    /// A file that is not on disk: the bad samples.
    pub fn sample(path: &str, text: &str) -> Self {
        let modules = path.trim_start_matches("src/").trim_end_matches(".rs").split('/');
        let modules = modules.filter(|name| *name != "mod").map(str::to_owned).collect();
        let syntax = syn::parse_file(text).unwrap();
        Self { path: path.to_owned(), modules, is_test: false, text: text.to_owned(), syntax }
    }

    /// It belongs to the service, not to its tests.
    pub fn is_of_src(&self) -> bool {
        self.path.starts_with("src/") && self.path != "src/lib.rs"
    }

    /// The first folder below src; `main` for main.rs.
    pub fn folder(&self) -> &str {
        self.modules.first().map_or("main", String::as_str)
    }

    /// Whether it is this file of src, or lies in this folder of src.
    pub fn is_in(&self, home: &str) -> bool {
        let inner = self.path.strip_prefix("src/").unwrap_or_default();
        let rest = inner.strip_prefix(home);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest == ".rs")
    }
}

/// Every file that the compiler sees.
pub fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for root in ["src/lib.rs", "src/main.rs", "tests/it/main.rs"] {
        let folder = Path::new(root).parent().unwrap();
        follow(Path::new(root), folder, Vec::new(), root.starts_with("tests/"), &mut found);
    }
    found
}

/// Every Rust file on disk.
pub fn files() -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::from("src"), PathBuf::from("tests")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(project().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(shown(&path));
            }
        }
    }
    found
}

/// Whether an item is compiled for tests only.
pub fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_cfg_test = attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|argument| argument == "test");
        is_cfg_test || attribute.path().is_ident("test")
    })
}

/// The text of a piece of syntax: its first and its last line, counted from one.
pub fn lines_of(piece: &impl syn::spanned::Spanned) -> (usize, usize) {
    let span = piece.span();
    (span.start().line, span.end().line)
}

/// The first line of a piece of syntax.
pub fn line_of(piece: &impl syn::spanned::Spanned) -> usize {
    piece.span().start().line
}

pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

fn follow(path: &Path, folder: &Path, modules: Vec<String>, is_test: bool, found: &mut Vec<Source>) {
    let text = fs::read_to_string(project().join(path)).unwrap();
    let syntax = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    descend(&syntax.items, path.parent().unwrap(), folder, &modules, is_test, found);
    found.push(Source { path: shown(path), modules, is_test, text, syntax });
}

/// `beside` is the folder of the file, which `#[path]` starts from; `below` is the folder of its children.
fn descend(
    items: &[syn::Item],
    beside: &Path,
    below: &Path,
    modules: &[String],
    is_test: bool,
    found: &mut Vec<Source>,
) {
    for item in items {
        let syn::Item::Mod(item) = item else { continue };
        let name = item.ident.to_string();
        let is_test = is_test || is_for_tests(&item.attrs);
        let modules: Vec<String> = modules.iter().cloned().chain([name.clone()]).collect();
        let within = below.join(&name);
        if let Some((_, items)) = &item.content {
            descend(items, &within, &within, &modules, is_test, found);
        } else if let Some(elsewhere) = path_of(&item.attrs) {
            follow(&beside.join(elsewhere), &within, modules, is_test, found);
        } else {
            let candidates = [below.join(format!("{name}.rs")), within.join("mod.rs")];
            let child = candidates.into_iter().find(|path| project().join(path).is_file());
            follow(
                &child.unwrap_or_else(|| panic!("no file for `mod {name}`")),
                &within,
                modules,
                is_test,
                found,
            );
        }
    }
}

/// The value of `#[path = "..."]`.
fn path_of(attributes: &[syn::Attribute]) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.path().is_ident("path"))?;
    let syn::Expr::Lit(literal) = &attribute.meta.require_name_value().ok()?.value else { return None };
    let syn::Lit::Str(path) = &literal.lit else { return None };
    Some(path.value())
}
