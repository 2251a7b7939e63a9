//! A script of `tests/sdk`, in Node.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use tempfile::TempDir;

use crate::inngest_api::until;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk");

/// A running script; killed on drop.
pub struct Script {
    process: Child,
    name: String,
    /// Contains its standard output and standard error.
    folder: TempDir,
}

impl Script {
    /// Starts `name` with only these variables.
    pub fn start(name: &str, variables: Vec<(&str, String)>) -> Self {
        assert!(
            Path::new(FOLDER).join("node_modules/inngest").is_dir(),
            "tests/sdk/node_modules is missing. `make setup` installs it."
        );
        let folder = tempfile::tempdir().unwrap();
        let output = |name| Stdio::from(File::create(folder.path().join(name)).unwrap());
        let started = Command::new("node")
            .arg(name)
            .current_dir(FOLDER)
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .envs(variables)
            .stdin(Stdio::null())
            .stdout(output("out"))
            .stderr(output("err"))
            .spawn();
        let process = started.unwrap_or_else(|error| {
            panic!("node cannot be started ({error}). `make setup` installs it, on Debian.")
        });
        Self { process, name: name.to_owned(), folder }
    }

    fn output(&self, name: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()
    }

    /// Everything that it has printed so far.
    pub fn said(&self) -> String {
        format!("{} says:\n{}{}", self.name, self.output("out"), self.output("err"))
    }

    /// Waits for its first line.
    pub async fn first_line(&self) -> String {
        let line = || async {
            let out = self.output("out");
            out.split_once('\n').map(|(line, _)| line.to_owned()).ok_or_else(|| self.said())
        };
        until(&format!("the first line of {}", self.name), line).await
    }

    /// Waits for its successful end. Returns what it printed.
    pub async fn printed(mut self) -> String {
        let ended = std::cell::RefCell::new(&mut self.process);
        let end = || async { ended.borrow_mut().try_wait().unwrap().ok_or("at work") };
        let status: ExitStatus = until(&format!("the end of {}", self.name), end).await;
        assert!(status.success(), "{status}, {}", self.said());
        self.output("out")
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
