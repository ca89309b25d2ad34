//! Clients that are generated from openapi.yaml, against a real service: what a generator stumbles over shows here, and is
//! mended in the document.
//!
//! `.ci/run` installs the generators and names them in the environment: `PURGE_TEST_PYTHON`, an interpreter that has
//! openapi-python-client, and `PURGE_TEST_NODE_MODULES`, a folder with openapi-typescript, openapi-fetch and typescript.
//! Without them these tests say that they were left out; with `CI` set they fail.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use genesys_purge::sandbox::Kind;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::TestService;
use crate::support::process::{LONG, tool};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.yaml");

/// What openapi-python-client can't read: of several kinds of body it takes JSON, and YAML it does not know at all.
const UNREADABLE: [&str; 3] = [
    "Unsupported content type application/x-ndjson",
    "Unsupported content type text/csv",
    "Cannot parse response",
];

/// How strictly TypeScript checks what uses the generated types.
const STRICT: &str = r#"{"files": ["happy.ts"], "compilerOptions": {"strict": true, "noUncheckedIndexedAccess": true,
    "exactOptionalPropertyTypes": true, "target": "es2022", "lib": ["es2022", "dom"], "module": "nodenext", "types": []}}"#;

#[tokio::test]
async fn the_client_that_openapi_python_client_generates_purges_to_the_end() {
    let Some(python) = tool("PURGE_TEST_PYTHON") else { return };
    let folder = folder_with("happy.py");
    // What it generated is not to be made pretty, for which it would look for programs.
    fs::write(folder.path().join("generator.yaml"), "post_hooks: []\n").unwrap();
    let said = run(
        folder.path(),
        Command::new(&python).args([
            "-m",
            "openapi_python_client",
            "generate",
            "--path",
            DOCUMENT,
            "--config",
            "generator.yaml",
            "--meta",
            "none",
            "--output-path",
            "generated",
        ]),
    )
    .await;
    let warnings = said.lines().filter(|line| line.starts_with("Unsupported") || line.starts_with("Cannot"));
    let unforeseen: Vec<_> =
        warnings.filter(|line| !UNREADABLE.iter().any(|known| line.starts_with(known))).collect();
    assert!(unforeseen.is_empty() && said.matches("WARNING").count() <= UNREADABLE.len(), "{said}");
    purge_with(folder.path(), Command::new(&python).arg("happy.py")).await;
}

#[tokio::test]
async fn the_client_that_openapi_typescript_generates_purges_to_the_end() {
    let Some(modules) = tool("PURGE_TEST_NODE_MODULES") else { return };
    let folder = folder_with("happy.ts");
    std::os::unix::fs::symlink(&modules, folder.path().join("node_modules")).unwrap();
    fs::write(folder.path().join("package.json"), r#"{"type": "module"}"#).unwrap();
    fs::write(folder.path().join("tsconfig.json"), STRICT).unwrap();
    let program = |path: &str| {
        let mut node = Command::new("node");
        node.arg(modules.join(path));
        node
    };
    let mut generate = program("openapi-typescript/bin/cli.js");
    run(folder.path(), generate.args([DOCUMENT, "--output", "schema.d.ts"])).await;
    let mut check = program("typescript/bin/tsc");
    run(folder.path(), &mut check).await;
    purge_with(folder.path(), Command::new("node").arg("happy.js")).await;
}

/// A folder of this test's own with one of the programs.
fn folder_with(program: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients").join(program);
    fs::copy(source, folder.path().join(program)).unwrap();
    folder
}

/// The program is given a service, a key and three conversations, and has them purged.
async fn purge_with(folder: &Path, program: &mut Command) {
    let test = TestService::start().await;
    let ids = &test.ids_of(Kind::Eligible)[..3];
    let said =
        run(folder, program.args([&test.url, &test.key]).args(ids.iter().map(ToString::to_string))).await;
    assert_eq!(said.trim(), "ok");
    for id in ids {
        assert!(test.sandbox.sandbox().conversation(*id).unwrap().deleted_at.is_some());
    }
    test.assert_no_breach();
}

/// What it says in all; it must succeed.
async fn run(folder: &Path, command: &mut Command) -> String {
    let command = command.current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(LONG, command.output()).await.expect("it ends").unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}
