//! A Postgres of the test's own: a throw-away cluster on a free port.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{TestApp, spawn_app_on};

const DEADLINE: Duration = Duration::from_secs(60);

pub struct Postgres {
    pub url: String,
    process: Child,
    _folder: TempDir,
}

/// Does the same with an empty database of each kind.
pub async fn on_each_database(check: impl AsyncFn(&str)) {
    let folder = tempfile::tempdir().unwrap();
    check(&format!("sqlite:{}?mode=rwc", folder.path().join("runboard.db").display())).await;
    check(&Postgres::start().url).await;
}

/// A whole server whose database is a Postgres.
pub async fn spawn_app_on_postgres() -> (TestApp, Postgres) {
    let postgres = Postgres::start();
    let app = spawn_app_on(tempfile::tempdir().unwrap(), |config| {
        config.database_url = postgres.url.clone().into()
    })
    .await;
    (app, postgres)
}

impl Postgres {
    pub fn start() -> Self {
        let programs = programs();
        let folder = tempfile::Builder::new().prefix("runboard-postgres-").tempdir().unwrap();
        // Postgres refuses to run as root; Debian's package brings a user for it.
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(folder.path()));
        }
        let data = folder.path().join("data");
        let init = programs.join("initdb");
        run(as_its_user(&init).arg("-D").arg(&data).args(["-U", "postgres", "-A", "trust", "--no-sync"]));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = as_its_user(&programs.join("postgres"))
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-k"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        let ready = programs.join("pg_isready");
        while !Command::new(&ready)
            .args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()])
            .status()
            .unwrap()
            .success()
        {
            assert!(start.elapsed() < DEADLINE, "Postgres does not answer on port {port}");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { url: format!("postgres://postgres@127.0.0.1:{port}/postgres"), process, _folder: folder }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGQUIT: it ends at once and takes its workers along.
        let _ = Command::new("pkill").args(["-QUIT", "-P", &self.process.id().to_string()]).status();
        let _ = Command::new("kill").args(["-QUIT", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}

/// Debian keeps the server's programs out of the path, one folder per version.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("Postgres is installed (make setup)");
    let mut folders: Vec<PathBuf> = versions.map(|entry| entry.unwrap().path().join("bin")).collect();
    folders.retain(|folder| folder.join("initdb").exists());
    folders.sort();
    folders.pop().expect("Postgres is installed (make setup)")
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}

fn as_its_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program);
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
