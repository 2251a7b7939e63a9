//! A Postgres for one test, or one for all tests: a temporary cluster.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{TestApp, database, spawn_app_on};

const DEADLINE: Duration = Duration::from_secs(60);

pub struct Postgres {
    pub url: String,
    process: Child,
    folder: TempDir,
}

/// Runs the same check with a database of each kind that has no tables yet; on Postgres alone if the servers of the
/// tests use it.
pub async fn on_each_database(check: impl AsyncFn(&str)) {
    let folder = tempfile::tempdir().unwrap();
    if !database::is_postgres() {
        check(&database::in_file(folder.path())).await;
    }
    check(&database::empty_on_postgres(folder.path())).await;
}

/// A whole server whose database is a Postgres of its own.
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
        Self::start_with(|_, _| {})
    }

    /// A Postgres that accepts only TLS connections, with a self-signed certificate for its address.
    pub fn start_with_tls() -> Self {
        Self::start_with(|data, postgres| {
            let (certificate, key) = (data.join("server.crt"), data.join("server.key"));
            run(Command::new("openssl")
                .args(["req", "-new", "-x509", "-days", "2", "-nodes", "-subj", "/CN=localhost"])
                .args([
                    "-addext",
                    "subjectAltName=IP:127.0.0.1",
                    "-addext",
                    "basicConstraints=CA:FALSE",
                    "-out",
                ])
                .arg(&certificate)
                .arg("-keyout")
                .arg(&key));
            fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
            if is_root() {
                run(Command::new("chown").arg("postgres").arg(&certificate).arg(&key));
            }
            fs::write(data.join("pg_hba.conf"), "hostssl all all 127.0.0.1/32 trust\n").unwrap();
            postgres.args(["-c", "ssl=on"]);
        })
    }

    /// The certificate of one that was started with TLS.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("data/server.crt")
    }

    /// `prepare` gets its data folder, and the command that starts it.
    fn start_with(prepare: impl FnOnce(&Path, &mut Command)) -> Self {
        let (folder, data) = new_cluster();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut postgres = as_its_user(&programs().join("postgres"));
        postgres
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-k"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        prepare(&data, &mut postgres);
        let process = postgres.spawn().unwrap();
        until_it_answers("127.0.0.1", port);
        Self { url: format!("postgres://postgres@127.0.0.1:{port}/postgres"), process, folder }
    }
}

/// A Postgres of which all processes are stopped, until this is dropped: connections stay open and can be
/// made, but nothing is answered.
pub struct Hung(Vec<u32>);

/// A session that holds a lock.
pub struct HeldLock(Child);

impl Drop for HeldLock {
    fn drop(&mut self) {
        // Ending its input ends the session.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        let last_first: Vec<u32> = self.0.iter().rev().copied().collect();
        signal("-CONT", &last_first);
    }
}

/// One that has ended meanwhile needs no signal.
fn signal(signal: &str, processes: &[u32]) {
    for process in processes.iter().map(u32::to_string) {
        let sent = Command::new("kill").args([signal, &process]).status().unwrap();
        let is_there = || Path::new("/proc").join(&process).exists();
        assert!(sent.success() || !is_there(), "{signal} {process}");
    }
}

/// `process` and all processes that it has started.
fn family(process: u32) -> Vec<u32> {
    let children = Command::new("pgrep").args(["-P", &process.to_string()]).output().unwrap();
    let children = String::from_utf8(children.stdout).unwrap();
    let children = children.lines().flat_map(|child| family(child.parse().unwrap()));
    std::iter::once(process).chain(children).collect()
}

impl Postgres {
    /// Stops all of its processes, as on a machine in trouble.
    pub fn hang(&self) -> Hung {
        let processes = family(self.process.id());
        // As root, the first process is `runuser`, which stops itself together with the process that it runs.
        // If we stopped it before, it would do so after it continues, and never end.
        let first = usize::from(is_root());
        signal("-STOP", &processes[first..]);
        Hung(processes)
    }

    /// Takes the advisory lock `key` in its own session, until the returned value is dropped.
    pub fn hold_lock(&self, key: u32) -> HeldLock {
        let mut session = Command::new(programs().join("psql"))
            .args(["-XAtq", &self.url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let statement = format!("SELECT pg_advisory_lock({key});\n\\echo held\n");
        session.stdin.as_mut().unwrap().write_all(statement.as_bytes()).unwrap();
        let mut lines = BufReader::new(session.stdout.as_mut().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "held"), "the lock {key} is not held");
        HeldLock(session)
    }

    /// The result of one statement, as `psql` prints it without a frame.
    pub fn sql(&self, statement: &str) -> String {
        psql(&self.url, statement)
    }
}

fn psql(url: &str, statement: &str) -> String {
    let mut command = Command::new(programs().join("psql"));
    let output = command.args(["-XAtq", "-c", statement, url]).output().unwrap();
    assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The Postgres that all tests of this process share, reached through a socket in its folder. It ends with the
/// process, however that ends.
pub struct Shared {
    folder: PathBuf,
    /// The system closes it at the end of this process, and the shell that reads from it then stops Postgres.
    _until: ChildStdin,
}

/// Runs its arguments until its input ends; then deletes the folder that is its name. A program that has just begun may
/// ignore the first signal.
const WATCHED: &str = r#""$@" & cat; while kill -QUIT $!; do sleep 0.1; done; rm -rf "$0""#;

/// The port is a part of the socket's name.
const SOCKET_PORT: u16 = 5432;

impl Shared {
    pub fn start() -> Self {
        let (folder, data) = new_cluster();
        let folder = folder.keep();
        let mut watched = as_its_user(Path::new("sh"));
        watched.args(["-c", WATCHED]).arg(&folder).arg(programs().join("postgres")).arg("-D").arg(&data);
        watched.args(["-p", &SOCKET_PORT.to_string(), "-k"]).arg(&folder).args(["-c", "listen_addresses="]);
        // Nothing of it is read after the tests. Each of them has a few connections.
        for setting in ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=500"]
        {
            watched.args(["-c", setting]);
        }
        // In a group of its own, so that Ctrl-C reaches the tests alone.
        watched.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let until = watched.spawn().unwrap().stdin.take().unwrap();
        until_it_answers(folder.to_str().unwrap(), SOCKET_PORT);
        Self { folder, _until: until }
    }

    /// The URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@localhost:{SOCKET_PORT}/{database}?host={}", self.folder.display())
    }

    /// Runs a statement in the database in which the others are made.
    pub fn sql(&self, statement: &str) {
        psql(&self.url("postgres"), statement);
    }
}

/// A temporary folder, and a new cluster in it.
fn new_cluster() -> (TempDir, PathBuf) {
    let folder = tempfile::Builder::new().prefix("runboard-postgres-").tempdir().unwrap();
    // Postgres refuses to run as root; Debian's package creates a user for it.
    if is_root() {
        run(Command::new("chown").arg("postgres").arg(folder.path()));
    }
    let data = folder.path().join("data");
    let mut init = as_its_user(&programs().join("initdb"));
    run(init.arg("-D").arg(&data).args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]));
    (folder, data)
}

/// `host` is an address, or the folder of a socket.
fn until_it_answers(host: &str, port: u16) {
    let start = Instant::now();
    let ready = programs().join("pg_isready");
    while !Command::new(&ready).args(["-q", "-h", host, "-p", &port.to_string()]).status().unwrap().success()
    {
        assert!(start.elapsed() < DEADLINE, "Postgres does not answer at {host} {port}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A stopped process does not end.
        let _ = Command::new("kill").args(["-CONT", &self.process.id().to_string()]).status();
        // SIGQUIT: it ends at once, with its workers.
        let _ = Command::new("pkill").args(["-QUIT", "-P", &self.process.id().to_string()]).status();
        let _ = Command::new("kill").args(["-QUIT", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}

/// Debian keeps the server's programs out of the path, in one folder per version.
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
