//! A person at a terminal of some width: a command on a pseudo terminal of its own.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::Stdio;

use nix::pty::{Winsize, openpty};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::support::process::LONG;

pub struct Terminal {
    process: Child,
    keyboard: File,
    screen: watch::Receiver<String>,
}

impl Terminal {
    /// Runs a shell's line there, with what is set for the command.
    pub fn run(command: &Command, line: &str, columns: u16) -> Self {
        let size = Winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None).unwrap();
        let end = || Stdio::from(pair.slave.try_clone().unwrap());
        let template = command.as_std();
        // A session of its own, whose terminal this is.
        let mut shell = Command::new("/usr/bin/setsid");
        shell.args(["--ctty", "--wait", "/bin/sh", "-c", line]).env_clear();
        shell.envs(template.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.env("PATH", "/usr/bin:/bin");
        if let Some(folder) = template.get_current_dir() {
            shell.current_dir(folder);
        }
        let process = shell.stdin(end()).stdout(end()).stderr(end()).kill_on_drop(true).spawn().unwrap();
        drop(pair.slave);
        let keyboard = File::from(pair.master);
        let (told, screen) = watch::channel(String::new());
        let mut output = keyboard.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // A terminal that nobody has open any more can't be read.
            while let Ok(length @ 1..) = output.read(&mut piece) {
                told.send_modify(|screen| screen.push_str(&String::from_utf8_lossy(&piece[..length])));
            }
        });
        Self { process, keyboard, screen }
    }

    /// Waits until this stands there.
    pub async fn until(&mut self, text: &str) {
        let is_shown = {
            let shown = timeout(LONG, self.screen.wait_for(|screen| screen.contains(text))).await;
            matches!(shown, Ok(Ok(_)))
        };
        assert!(is_shown, "{text:?} is not shown: {}", *self.screen.borrow());
    }

    pub fn enter(&mut self, text: &str) {
        self.keyboard.write_all(format!("{text}\n").as_bytes()).unwrap();
    }

    /// Waits for its end: the exit code, and all that stood there.
    pub async fn ended(mut self) -> (Option<i32>, String) {
        let status = timeout(LONG, self.process.wait()).await.expect("it ends").unwrap();
        // What was written before the end is read before the channel closes.
        let closed = timeout(LONG, async { while self.screen.changed().await.is_ok() {} }).await;
        closed.expect("the terminal is closed");
        let screen = self.screen.borrow().replace('\r', "");
        (status.code(), screen)
    }
}
