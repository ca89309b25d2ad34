//! Whoever is answered reaches some orgs and not others: what the API asks of the store takes that as an argument.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};

use super::assert_none;
use super::tree::{self, Source, is_for_tests};

/// What the API asks without it, and why nothing of another org can come of it.
const WITHOUT: &[(&str, &str)] = &[
    ("accept_purge", "its org was chosen among those that the key reaches"),
    ("caller_of_key", "it finds out who looks, and the reach"),
    ("check_ready", "it is about the process"),
    ("create_hold", "its orgs were chosen among those that the key reaches"),
    ("feed_before", "it tells a number, and nothing of any event"),
    ("feed_end", "it tells a number, and nothing of any event"),
    ("find_caller", "it finds out who asks, and the reach"),
    ("is_key_in_force", "it is about the key that asks"),
    ("is_known_repeat", "it is about the key that asks"),
    ("keep_secret", "it is about the service"),
    ("list_keys", "the page shows those alone whose reach is within that of who looks"),
    ("open_purges_of", "it counts, for the key that asks, its own purges"),
    ("pools", "it is about the process"),
    ("readings", "the metrics are for keys that reach every org, or for everybody"),
];

#[test]
fn what_the_api_asks_of_the_store_takes_the_reach_of_the_caller() {
    let sources = tree::sources();
    let of = |folder: &'static str| {
        sources.iter().filter(move |source| source.is_of_src() && source.is_in(folder) && !source.is_test)
    };
    let taking: BTreeMap<String, bool> = of("store").flat_map(methods).collect();
    let asked: BTreeSet<String> = of("api").chain(of("admin")).flat_map(asked).collect();
    assert!(asked.len() > 12, "{asked:?}");
    assert_none(&breaches(&taking, &asked));
}

fn breaches(taking: &BTreeMap<String, bool>, asked: &BTreeSet<String>) -> Vec<String> {
    let is_excused = |name: &str| WITHOUT.iter().any(|(excused, _)| *excused == name);
    let without = asked.iter().filter(|name| !taking.get(*name).copied().unwrap_or_default());
    let without = without.filter(|name| !is_excused(name));
    let idle = WITHOUT
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !asked.contains(*name) || taking.get(*name).copied().unwrap_or_default());
    let told = without.map(|name| format!("the API asks {name}, which does not take the caller's reach"));
    told.chain(idle.map(|name| format!("{name} needs no excuse any more"))).collect()
}

/// The methods of the store that others may call, and whether they take a reach.
fn methods(source: &Source) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    for item in &source.syntax.items {
        let syn::Item::Impl(item) = item else { continue };
        if item.trait_.is_some() || !is_named(&item.self_ty, "Store") {
            continue;
        }
        for inner in &item.items {
            let syn::ImplItem::Fn(method) = inner else { continue };
            if matches!(method.vis, syn::Visibility::Public(_)) {
                let takes = method.sig.inputs.iter().any(|input| match input {
                    syn::FnArg::Typed(argument) => is_named(&argument.ty, "Reach"),
                    syn::FnArg::Receiver(_) => false,
                });
                found.push((method.sig.ident.to_string(), takes));
            }
        }
    }
    found
}

fn is_named(kind: &syn::Type, name: &str) -> bool {
    match kind {
        syn::Type::Reference(reference) => is_named(&reference.elem, name),
        syn::Type::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == name),
        _ => false,
    }
}

/// What is called on something that is named `store`, unit tests aside.
fn asked(source: &Source) -> Vec<String> {
    let mut calls = Calls::default();
    calls.visit_file(&source.syntax);
    calls.0
}

#[derive(Default)]
struct Calls(Vec<String>);

impl<'ast> Visit<'ast> for Calls {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let is_store = match &*call.receiver {
            syn::Expr::Field(field) => matches!(&field.member, syn::Member::Named(name) if name == "store"),
            syn::Expr::Path(path) => path.path.is_ident("store"),
            _ => false,
        };
        // A copy of the store is the store.
        if is_store && call.method != "clone" {
            self.0.push(call.method.to_string());
        }
        visit::visit_expr_method_call(self, call);
    }
}

#[test]
fn bad_samples_are_seen() {
    let store = Source::sample(
        "src/store/a.rs",
        "impl Store { pub async fn one(&self, reach: &Reach, id: Uuid) {} pub async fn two(&self, id: Uuid) {}
            pub(super) async fn three(&self) {} }",
    );
    let taking: BTreeMap<String, bool> = methods(&store).into_iter().collect();
    let table = [
        ("async fn f(state: ApiState) { state.store.one(&reach, id).await }", 0),
        ("async fn f(state: ApiState) { state.store.two(id).await }", 1),
        ("async fn f(store: &Store) { store.two(id).await; store.clone(); }", 1),
        ("impl A { fn f(&self) { let scan = self.store.three(); } }", 1),
        ("async fn f() { other.two(id).await } #[cfg(test)] mod tests { fn f() { store.two(id) } }", 0),
    ];
    for (text, number) in table {
        let asked: BTreeSet<String> = asked(&Source::sample("src/api/a.rs", text)).into_iter().collect();
        let found = breaches(&taking, &asked);
        let found: Vec<_> = found.iter().filter(|breach| !breach.contains("excuse")).collect();
        assert_eq!(found.len(), number, "{text}: {found:?}");
    }
}
