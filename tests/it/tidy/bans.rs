//! The bans of clippy.toml: a ban whose path names nothing is only a warning of clippy, which nobody would see.

use super::tree;

/// Names a banned function under an `expect`: where the ban did not bite, clippy would refuse the `expect`.
macro_rules! bitten {
    ($path:path) => {{
        #[expect(clippy::disallowed_methods, reason = "the proof that the ban bites")]
        let _ = $path;
        stringify!($path)
    }};
}

#[test]
fn every_ban_of_clippy_toml_bites() {
    let bitten = [
        bitten!(jiff::Timestamp::now),
        bitten!(jiff::Zoned::now),
        bitten!(std::time::SystemTime::now),
        bitten!(uuid::Uuid::new_v4),
        bitten!(uuid::Uuid::now_v7),
        bitten!(rand::rng),
        bitten!(rand::random::<u8>),
        bitten!(std::env::var::<&str>),
        bitten!(std::env::var_os::<&str>),
        bitten!(std::env::vars),
        bitten!(std::env::vars_os),
        bitten!(reqwest::Client::new),
    ];
    let bitten: Vec<String> = bitten.iter().map(|path| plain(path)).collect();
    let text = std::fs::read_to_string(tree::project().join("clippy.toml")).unwrap();
    assert_eq!(banned(&text), bitten, "clippy.toml and this list name the same functions, in the same order");
}

/// The path without its type arguments, as clippy.toml writes it.
fn plain(path: &str) -> String {
    let path = path.replace(' ', "");
    path.split_once("::<").map_or(path.clone(), |(path, _)| path.to_owned())
}

fn banned(text: &str) -> Vec<String> {
    let entry = |line: &str| Some(line.split_once("path = \"")?.1.split_once('"')?.0.to_owned());
    text.lines().filter_map(entry).collect()
}

#[test]
fn a_ban_that_nobody_proves_is_seen() {
    assert_eq!(banned("disallowed-methods = [\n    { path = \"a::b\", reason = \"c\" },\n]"), ["a::b"]);
    assert_eq!(plain("a :: b :: < u8 >"), "a::b");
}
