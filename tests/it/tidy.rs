//! The house: who may name whom, and the rules that every file keeps. The tables are here; how a rule is checked stands
//! in the files below, beside the bad samples that show that it can fail.

mod bans;
mod circles;
mod docs;
mod names;
mod order;
mod reach;
mod sql;
mod tree;

use std::collections::{BTreeMap, BTreeSet};

use names::Naming;
use tree::Source;

/// Which top folder of src may name which others; `cli` and `app` put everything together. Only what is needed is
/// allowed: an entry that nobody uses is a breach too.
const FOLDERS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("intake", &[]),
    ("config", &[]),
    ("crash", &[]),
    ("postgres", &[]),
    // Its wire types are its own: sharing ours, it would share our misreadings.
    ("sandbox", &[]),
    ("meters", &["domain"]),
    ("traces", &["domain"]),
    ("evidence", &["domain"]),
    ("genesys", &["crash", "domain", "meters"]),
    ("store", &["crash", "domain", "intake", "meters"]),
    ("webhooks", &["crash", "domain", "meters", "store", "traces"]),
    // They meet in Postgres: `api` never calls Genesys, `engine` never knows HTTP from below.
    ("engine", &["domain", "genesys", "meters", "store", "traces"]),
    ("api", &["domain", "evidence", "intake", "meters", "store", "traces", "webhooks"]),
    ("admin", &["api", "domain", "intake", "store"]),
    ("feed", &["store"]),
    ("upkeep", &["domain", "engine", "meters", "store"]),
    ("telemetry", &["config"]),
    (
        "app",
        &[
            "admin", "api", "config", "domain", "engine", "feed", "genesys", "meters", "postgres", "store",
            "traces", "upkeep", "webhooks",
        ],
    ),
    (
        "cli",
        &[
            "api",
            "app",
            "config",
            "crash",
            "domain",
            "intake",
            "postgres",
            "sandbox",
            "store",
            "telemetry",
            "webhooks",
        ],
    ),
    ("main", &["cli"]),
];

/// Which crates are at home in which folders or files only, unit tests aside.
const CRATES: &[(&str, &[&str])] = &[
    ("sqlx", &["store"]),
    ("jiff_sqlx", &["store"]),
    // Receivers to try things out with are servers of their own.
    (
        "axum",
        &[
            "admin",
            "api",
            "sandbox",
            "cli/demo/receiver.rs",
            "cli/dev/viewer.rs",
            "cli/webhooks/inbox.rs",
            "cli/webhooks/listen.rs",
        ],
    ),
    // A layer of reqwest, which is one of tower's.
    ("tower", &["genesys"]),
    ("tower_http", &["api"]),
    // Its trait is what a connection of reqwest's can be read by.
    ("hyper", &["api", "genesys"]),
    ("hyper_util", &["api"]),
    ("async_compression", &["api"]),
    ("utoipa_axum", &["api"]),
    ("utoipa_swagger_ui", &["api"]),
    // Nobody else makes a name or a label.
    ("metrics_exporter_prometheus", &["meters"]),
    // The words of the contract are described where they are defined.
    ("utoipa", &["api", "domain"]),
    // What may be connected to is decided once.
    ("iprfc", &["domain/address.rs"]),
    ("ipnet", &["domain/address.rs", "config/networks.rs", "config/webhooks.rs"]),
    ("aws_lc_rs", &["admin", "webhooks"]),
    ("maud", &["admin", "cli/dev/page.rs"]),
    ("multer", &["admin/upload.rs"]),
    ("plotters", &["admin/plots.rs"]),
    // The demo plays the caller; config checks URLs with the type that will call them.
    (
        "reqwest",
        &[
            "genesys",
            "webhooks",
            "config",
            "cli/caller",
            "cli/demo",
            "cli/purge",
            "cli/webhooks/endpoints.rs",
            "app/deliveries.rs",
            "postgres/archive",
            "traces",
        ],
    ),
    ("opentelemetry", &["traces"]),
    ("opentelemetry_http", &["traces"]),
    ("opentelemetry_otlp", &["traces"]),
    ("opentelemetry_sdk", &["traces"]),
    ("flate2", &["postgres/archive"]),
    ("tar", &["postgres/archive"]),
    ("anyhow", &["cli"]),
    ("clap", &["cli", "app/mod.rs"]),
    // Doctor asks the system how much room a folder has; a process of a test freezes itself.
    (
        "nix",
        &["config/files.rs", "crash", "postgres", "app/doctor/machine.rs", "app/files.rs", "app/memory.rs"],
    ),
    ("dotenvy", &["config"]),
    ("indicatif", &["cli/demo", "cli/purge"]),
    ("csv_core", &["intake"]),
    // Chance is handed in: the engine's is seeded, the sandbox has its own.
    ("rand", &["app/world.rs", "engine/chance.rs", "sandbox"]),
    (
        "tokio",
        &[
            "admin", "api", "app", "cli", "engine", "feed", "genesys", "intake", "postgres", "sandbox",
            "store", "traces", "upkeep", "webhooks",
        ],
    ),
];

/// What the decisions never touch: they are total functions over plain values.
const NOT_IN_DOMAIN: &[&str] = &[
    "std::time::Instant",
    "std::time::SystemTime",
    "std::fs",
    "std::io",
    // Addresses are plain values.
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::ToSocketAddrs",
    "std::net::UdpSocket",
    "std::env",
    "std::process",
    "std::thread",
    "std::sync",
];

#[test]
fn folders_name_only_those_that_they_may() {
    let (mut breaches, mut used) = (Vec::new(), BTreeSet::new());
    for source in tree::sources().iter().filter(|source| source.is_of_src()) {
        breaches.extend(folder_breaches(source));
        used.extend(names::of_folders(source).into_iter().map(|name| (source.folder().to_owned(), name)));
    }
    for (folder, names) in FOLDERS {
        let idle = names.iter().filter(|&&name| !used.contains(&((*folder).to_owned(), name.to_owned())));
        breaches.extend(idle.map(|name| format!("the table lets {folder} name {name}, which it never does")));
    }
    assert_none(&breaches);
}

fn folder_breaches(source: &Source) -> Vec<String> {
    let folder = source.folder();
    let Some((_, allowed)) = FOLDERS.iter().find(|(name, _)| *name == folder) else {
        return vec![format!("{}: the table does not know the folder {folder}", source.path)];
    };
    let names = names::of_folders(source).into_iter();
    let strangers = names.filter(|name| name != folder && !allowed.contains(&name.as_str()));
    strangers.map(|name| format!("{}: {folder} may not name {name}", source.path)).collect()
}

#[test]
fn crates_stay_in_their_homes() {
    let sources = tree::sources();
    let of_src = sources.iter().filter(|source| source.is_of_src() && !source.is_test);
    let breaches: Vec<String> = of_src.flat_map(crate_breaches).collect();
    assert_none(&breaches);
}

fn crate_breaches(source: &Source) -> Vec<String> {
    let mut breaches = Vec::new();
    for Naming { path, line } in names::outside_tests(source) {
        // A word alone is the name of something here; of a crate something is named.
        let first = path.first().filter(|_| path.len() > 1);
        let homes = CRATES.iter().find(|(name, _)| first.is_some_and(|first| first == name));
        if let Some((name, homes)) = homes
            && !homes.iter().any(|home| source.is_in(home))
        {
            breaches.push(format!("{}:{line}: {name} is at home in {homes:?}", source.path));
        }
    }
    breaches
}

#[test]
fn the_tables_refuse_bad_samples() {
    let table = [
        ("src/api/purges/a.rs", "use crate::genesys::Permit;", true),
        ("src/api/purges/a.rs", "use crate::store::Store;", false),
        ("src/sandbox/a.rs", "use crate::domain::outcome::Outcome;", true),
        ("src/helpers/a.rs", "use super::b;", true),
    ];
    for (path, text, is_bad) in table {
        assert_eq!(!folder_breaches(&Source::sample(path, text)).is_empty(), is_bad, "{path}: {text}");
    }
    let table = [
        ("src/api/a.rs", "fn f() { sqlx::query!(\"-- f\\nselect 1\"); }", true),
        ("src/store/jobs/a.rs", "fn f() { sqlx::query!(\"-- f\\nselect 1\"); }", false),
        ("src/engine/a.rs", "use reqwest::StatusCode;", true),
        ("src/cli/demo/receiver.rs", "use axum::Router;", false),
        ("src/cli/demo/stage.rs", "use axum::Router;", true),
        ("src/domain/a.rs", "fn f() { tokio::spawn(g()); }", true),
        ("src/store/a.rs", "use anyhow::Context;", true),
    ];
    for (path, text, is_bad) in table {
        assert_eq!(!crate_breaches(&Source::sample(path, text)).is_empty(), is_bad, "{path}: {text}");
    }
}

#[test]
fn the_domain_only_decides() {
    let mut breaches = Vec::new();
    for source in tree::sources().iter().filter(|source| source.is_in("domain") && !source.is_test) {
        breaches.extend(names::effects(source, NOT_IN_DOMAIN));
    }
    assert_none(&breaches);
}

#[test]
fn every_file_keeps_the_order_of_the_house() {
    let breaches: Vec<String> = tree::sources().iter().flat_map(order::breaches).collect();
    assert_none(&breaches);
}

#[test]
fn every_proof_of_an_expect_is_still_needed() {
    let sources = tree::sources();
    let used: BTreeSet<_> = sources.iter().flat_map(order::proofs_used).collect();
    let idle: Vec<_> = order::PROOFS.iter().filter(|proof| !used.contains(&(proof.0, proof.1))).collect();
    assert!(idle.is_empty(), "nobody leans on these any more: {idle:#?}");
}

#[test]
fn every_statement_names_itself() {
    let sources = tree::sources();
    let store = || sources.iter().filter(|source| source.is_in("store") && !source.is_test);
    let breaches: Vec<String> = store().flat_map(sql::breaches).collect();
    assert_none(&breaches);
    let mut names = BTreeMap::<String, usize>::new();
    for name in store().flat_map(sql::names) {
        *names.entry(name).or_default() += 1;
    }
    let twice: Vec<_> = names.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "the logs can't tell these apart: {twice:?}");
}

#[test]
fn no_file_is_without_a_parent() {
    let known: BTreeSet<String> = tree::sources().into_iter().map(|source| source.path).collect();
    let orphans: Vec<String> = tree::files().into_iter().filter(|file| !known.contains(file)).collect();
    assert!(orphans.is_empty(), "no `mod` leads to {orphans:#?}");
}

fn assert_none(breaches: &[String]) {
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}
