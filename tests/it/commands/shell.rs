//! A remote shell: the output and exit code of commands there.

use std::path::PathBuf;
use std::process::{Output, Stdio};

use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;
use uuid::Uuid;

use crate::support::TestService;
use crate::support::process::{LONG, PROGRAM};

/// Somebody's shell, with nothing in its environment but where the service is.
pub struct Shell {
    pub folder: TempDir,
    url: String,
    key: String,
}

impl Shell {
    pub fn new(url: &str, key: &str) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), url: url.to_owned(), key: key.to_owned() }
    }

    pub fn of(test: &TestService) -> Self {
        Self::new(&test.url, &test.key)
    }

    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A command of `purge`.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_of("purge", arguments)
    }

    fn command_of(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .env_clear()
            .env("PURGE_URL", &self.url)
            .env("PURGE_API_KEY", &self.key)
            .current_dir(self.folder.path())
            .arg(name)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// A command of `webhooks`.
    pub async fn webhooks(&self, arguments: &[&str]) -> Said {
        self.any(&[&["webhooks"], arguments].concat()).await
    }

    /// Any command, without input.
    pub async fn any(&self, arguments: &[&str]) -> Said {
        let output = timeout(LONG, self.command_of(arguments[0], &arguments[1..]).output()).await;
        self.said(&output.expect("it ends").unwrap())
    }

    pub async fn run(&self, arguments: &[&str]) -> Said {
        self.run_with_input(arguments, "").await
    }

    pub async fn run_with_input(&self, arguments: &[&str], input: &str) -> Said {
        let mut process = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = process.stdin.take().unwrap();
        // A command that does not read its input may be gone before it is written.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = timeout(LONG, process.wait_with_output()).await.expect("it ends").unwrap();
        self.said(&output)
    }

    /// Whatever was said: the key is never in it, and nothing paints a terminal that is none.
    pub fn said(&self, output: &Output) -> Said {
        let [out, err] =
            [&output.stdout, &output.stderr].map(|bytes| String::from_utf8(bytes.clone()).unwrap());
        for text in [&out, &err] {
            assert!(!text.contains(&self.key), "the key is told: {text}");
            let text = text.replace("\r\n", "\n");
            assert!(!text.contains('\u{1b}') && !text.contains('\r'), "no terminal: {text:?}");
        }
        Said { code: output.status.code(), out, err }
    }
}

#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    /// The id, which must be all that standard output has.
    pub fn id(&self) -> Uuid {
        self.out.strip_suffix('\n').and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("{self:?}"))
    }

    #[track_caller]
    pub fn assert(&self, code: i32, told: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for told in told {
            assert!(self.err.contains(told), "{told:?}: {self:?}");
        }
    }
}
