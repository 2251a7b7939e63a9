//! The commands of a client: the real program, as a person or a script runs it.

mod acts;
mod ctrl_c;
mod docs;
mod downloads;
mod endings;
mod help;
mod login;
mod lost;
mod patience;
mod proxies;
mod safety;
mod several;
mod sources;
mod terminal;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    TestApp,
    host::{Host, Reply},
    program::Program,
    spawn_app, spawn_app_on,
    visitor::Visitor,
};

/// How long a condition may take to become true.
const DEADLINE: Duration = Duration::from_secs(60);

/// The variable that shortens the waits of a client: milliseconds of the longest pause, and of the longest silence.
const MILLIS: &str = "TEST_RUNBOARD_CLIENT_MILLIS";

/// Two rows that can be processed, and one that fails.
const ORDERS: &str = "id;name\n1;Zoë\n2\n3;Ada\n";
const ORDERS_OUTPUT: &str = "{\"status\":\"success\",\"processedItems\":2,\"failedItems\":1}\n";

/// A server, and somebody who works with it from a folder.
struct Desk {
    app: TestApp,
    owner: Visitor,
    program: Program,
    folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Desk {
    async fn new() -> Self {
        Self::at(spawn_app().await).await
    }

    async fn at(app: TestApp) -> Self {
        let owner = app.signed_in().await;
        let program = Program::of(&owner, &["read", "import"]).await;
        Self { app, owner, program, folder: tempfile::tempdir().unwrap() }
    }

    /// With a host of [`ORDERS`] whose addresses the server fetches.
    async fn beside_host() -> (Self, Host) {
        let host = Host::start(|_, _| Reply::file(ORDERS)).await;
        let allowed = host.allowed();
        let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| {
            config.allow_addresses = allowed.parse().unwrap();
        })
        .await;
        (Self::at(app).await, host)
    }

    /// A file in the folder.
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn content(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// The names of the files in the folder.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A command with the server and the token in its environment, and nothing else.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = client(self.folder.path(), words);
        command.env("RUNBOARD_URL", &self.app.origin).env("RUNBOARD_TOKEN", self.program.secret());
        command
    }

    /// A script of a shell that finds the program.
    fn in_shell(&self, script: &str) -> Command {
        let direct = self.command(&[]);
        let folder = Path::new(direct.get_program()).parent().unwrap();
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("bash");
        command.args(["-c", script]).current_dir(self.folder.path()).env_clear().stdin(Stdio::null());
        for (name, value) in direct.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command.env("PATH", path);
        command
    }

    async fn run(&self, words: &[&str]) -> Ended {
        ended(self.command(words)).await
    }

    /// What the API lists.
    async fn imports(&self) -> Vec<Value> {
        let answer = self.program.get("/api/v1/imports").await;
        let list: Value = answer.json().await.unwrap();
        list["data"].as_array().unwrap().clone()
    }

    /// The id of the only import, once there is one.
    async fn only_import(&self) -> String {
        let imports = self.until_imports(1).await;
        imports[0]["id"].as_str().unwrap().to_owned()
    }

    /// The list, once it has so many imports.
    async fn until_imports(&self, count: usize) -> Vec<Value> {
        let start = Instant::now();
        loop {
            let imports = self.imports().await;
            if imports.len() == count {
                return imports;
            }
            assert!(start.elapsed() < DEADLINE, "waited for {count} imports, last seen: {imports:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Imports a file, and returns the id.
    async fn imported(&self, name: &str, content: &str) -> String {
        let path = self.owner.upload(name, content).await;
        self.owner.wait_for_state(&path, "Completed").await;
        path.rsplit('/').next().unwrap().to_owned()
    }

    async fn stop(self) {
        self.app.stop().await;
    }
}

impl Ended {
    /// Its code and standard output, if it was quiet otherwise.
    fn quiet(&self) -> (i32, &str) {
        assert_eq!(self.err, "", "{self:?}");
        (self.code.unwrap(), &self.out)
    }

    /// The same of a command that made an import: what follows the line about it.
    fn imported(&self) -> (i32, &str) {
        let (code, out) = self.quiet();
        (code, after_begun(out))
    }

    /// What it printed of the end of the import that it made.
    fn output(&self) -> &str {
        after_begun(&self.out)
    }
}

/// Standard output after the line with the id of an import and the address of its page.
fn after_begun(out: &str) -> &str {
    let (line, rest) = out.split_once('\n').unwrap_or_else(|| panic!("a line: {out:?}"));
    let (id, page) = line.split_once('\t').unwrap_or_else(|| panic!("an id and a page: {out:?}"));
    assert!(id.len() == 26 && page.ends_with(&format!("/imports/{id}")), "{out:?}");
    rest
}

/// A command in `folder`, which is also its home, with an empty environment but for its short pauses.
fn client(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runboard"));
    command.args(words).current_dir(folder).env_clear().env("HOME", folder).stdin(Stdio::null());
    command.env(MILLIS, "10,60000");
    command
}

async fn ended(mut command: Command) -> Ended {
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    Ended {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// An import as the API gives it, made up.
fn import_json(id: &str, more: &Value) -> Value {
    let mut import = json!({
        "id": id, "fileName": "a.csv", "state": "Completed", "stateText": "No rows.",
        "receivedAt": "2026-11-23T20:43:26.599Z", "runs": [],
    });
    for (name, value) in more.as_object().unwrap() {
        import[name] = value.clone();
    }
    import
}
