//! Several real programs on one Postgres and one bucket, behind a proxy that passes each request to the next of them.

use std::{
    fs::{self, OpenOptions},
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use reqwest::StatusCode;
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{
    link::{Cut, Link},
    rows::Rows,
    witness::until_shown,
};
use crate::{
    inngest_api::until,
    support::{
        binary::Binary,
        nginx::Nginx,
        postgres::Postgres,
        reserved_port::ReservedPort,
        s3::S3Server,
        visitor::{Panel, Visitor},
    },
};

/// How many replicas there are, unless a test says otherwise.
pub const REPLICAS: usize = 3;

/// The pauses between attempts, in seconds: the last one is longer than a disturbance.
const RETRY_SECONDS: &str = "0.5,1,15";

/// Each cluster has as many processes as this machine has cores, or more: with too many at once, leases end.
static TURNS: Semaphore = Semaphore::const_new(2);

type Configure = Box<dyn Fn(&mut Command, usize) + Send + Sync>;

pub struct Cluster {
    /// The address of the proxy, which people use.
    pub origin: String,
    pub rows: Rows,
    pub s3: S3Server,
    pub postgres: Postgres,
    _nginx: Nginx,
    _port: ReservedPort,
    replicas: Vec<Replica>,
    configure: Configure,
    folder: TempDir,
    _turn: SemaphorePermit<'static>,
}

struct Replica {
    port: ReservedPort,
    data: PathBuf,
    to_postgres: Link,
    to_s3: Link,
    /// None after a kill.
    process: Option<Binary>,
}

/// What a replica can be cut off from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partner {
    Postgres,
    S3,
}

impl Cluster {
    pub async fn start() -> Self {
        Self::start_with(REPLICAS, |_, _| {}).await
    }

    /// `configure` gets the command of each start, and the number of the replica.
    pub async fn start_with(
        count: usize,
        configure: impl Fn(&mut Command, usize) + Send + Sync + 'static,
    ) -> Self {
        let mut cluster = Self::without_processes(count, configure).await;
        cluster.replicas[0].process = Some(cluster.launch(0));
        cluster.launch_all();
        cluster
    }

    /// All begin at once, on a database and a bucket that nobody has used.
    pub async fn start_at_once() -> Self {
        let mut cluster = Self::without_processes(REPLICAS, |_, _| {}).await;
        cluster.launch_all();
        cluster
    }

    async fn without_processes(
        count: usize,
        configure: impl Fn(&mut Command, usize) + Send + Sync + 'static,
    ) -> Self {
        let turn = TURNS.acquire().await.unwrap();
        let (s3, postgres) = (S3Server::start().await, Postgres::start());
        let rows = Rows::of(&postgres.url);
        let postgres_port = postgres.url.rsplit([':', '/']).nth(1).unwrap().parse().unwrap();
        let s3_port = s3.origin.port().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let replica = |number| Replica {
            port: ReservedPort::new(),
            data: folder.path().join(format!("data-{number}")),
            to_postgres: Link::to(postgres_port),
            to_s3: Link::to(s3_port),
            process: None,
        };
        let replicas: Vec<Replica> = (0..count).map(replica).collect();
        let port = ReservedPort::new();
        let upstreams: Vec<u16> = replicas.iter().map(|replica| replica.port.port).collect();
        let nginx = Nginx::in_turn(port.port, &upstreams);
        let origin = format!("http://127.0.0.1:{}", port.port);
        let configure = Box::new(configure);
        Self {
            origin,
            rows,
            s3,
            postgres,
            _nginx: nginx,
            _port: port,
            replicas,
            configure,
            folder,
            _turn: turn,
        }
    }

    /// Starts those that do not run, at once.
    fn launch_all(&mut self) {
        let missing: Vec<usize> =
            (0..self.len()).filter(|number| self.replicas[*number].process.is_none()).collect();
        let this = &*self;
        let started: Vec<Binary> = thread::scope(|scope| {
            let starting: Vec<_> =
                missing.iter().map(|number| scope.spawn(move || this.launch(*number))).collect();
            starting.into_iter().map(|start| start.join().unwrap()).collect()
        });
        for (number, process) in missing.into_iter().zip(started) {
            self.replicas[number].process = Some(process);
        }
    }

    fn launch(&self, number: usize) -> Binary {
        let replica = &self.replicas[number];
        let log = self.folder.path().join(format!("log-{number}"));
        let log = OpenOptions::new().create(true).append(true).open(log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_runboard"));
        command.env_clear();
        self.s3.configure(&mut command);
        command
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", replica.to_s3.port))
            .env("RUNBOARD_LISTEN", format!("127.0.0.1:{}", replica.port.port))
            .env("RUNBOARD_PUBLIC_URL", &self.origin)
            .env("RUNBOARD_TRUSTED_PROXIES", "127.0.0.1")
            .env("RUNBOARD_DATA_DIR", &replica.data)
            .env(
                "RUNBOARD_DATABASE_URL",
                format!("postgres://postgres@127.0.0.1:{}/postgres", replica.to_postgres.port),
            )
            .env("RUNBOARD_SIGN_UP", "open")
            .env("RUNBOARD_WORKERS", "2")
            .env("RUNBOARD_ENGINE_RETRY_SECONDS", RETRY_SECONDS)
            .stderr(log);
        (self.configure)(&mut command, number);
        Binary::start(&mut command)
    }

    pub fn len(&self) -> usize {
        self.replicas.len()
    }

    pub fn port_of(&self, number: usize) -> u16 {
        self.replicas[number].port.port
    }

    /// The address of one replica.
    pub fn origin_of(&self, number: usize) -> String {
        format!("http://127.0.0.1:{}", self.port_of(number))
    }

    pub fn process(&mut self, number: usize) -> &mut Binary {
        let process = self.replicas[number].process.as_mut().expect("it was not killed");
        assert!(process.is_running(), "the replica {number} has ended by itself");
        process
    }

    /// SIGKILL. Returns the ids under which it may still have leases.
    pub async fn kill(&mut self, number: usize) -> Vec<String> {
        self.process(number);
        self.replicas[number].process.take().unwrap().kill();
        self.rows.ids_of(&self.folder_name(number)).await
    }

    /// Starts it again with the same folder.
    pub fn restart(&mut self, number: usize) {
        self.replicas[number].process = Some(self.launch(number));
    }

    /// Starts it with an empty folder, as on another machine.
    pub fn restart_fresh(&mut self, number: usize) {
        let folder = &mut self.replicas[number].data;
        let name = format!("{}-next", folder.file_name().unwrap().display());
        folder.set_file_name(name);
        self.restart(number);
    }

    /// SIGSTOP.
    pub fn pause(&mut self, number: usize) {
        self.process(number).signal("STOP");
    }

    /// SIGCONT.
    pub fn resume(&mut self, number: usize) {
        self.process(number).signal("CONT");
    }

    pub fn cut(&self, number: usize, from: Partner, cut: Cut) {
        let replica = &self.replicas[number];
        match from {
            Partner::Postgres => replica.to_postgres.set(cut),
            Partner::S3 => replica.to_s3.set(cut),
        }
    }

    /// From now on each answer of the bucket with a part of a file waits: no step reads on.
    pub fn hold_reads(&self) {
        self.replicas.iter().for_each(|replica| replica.to_s3.hold_reads());
    }

    /// The replicas that wait for such an answer.
    pub fn readers(&self) -> Vec<usize> {
        (0..self.len()).filter(|number| self.replicas[*number].to_s3.held_reads() > 0).collect()
    }

    /// The answers that wait go on, and later ones wait.
    pub fn let_held_reads_pass(&self) {
        self.replicas.iter().for_each(|replica| replica.to_s3.let_held_reads_pass());
    }

    /// All go on.
    pub fn release_reads(&self) {
        self.replicas.iter().for_each(|replica| replica.to_s3.release_reads());
    }

    /// The connections of a replica to its database.
    pub fn to_postgres(&self, number: usize) -> &Link {
        &self.replicas[number].to_postgres
    }

    /// The name of its data folder in the table `replica`.
    fn folder_name(&self, number: usize) -> String {
        fs::read_to_string(self.replicas[number].data.join("replica")).unwrap().trim().to_owned()
    }

    fn number_of(&self, folder: &str) -> Option<usize> {
        (0..self.len()).find(|number| self.folder_name(*number) == folder)
    }

    /// The live replica that leads.
    pub async fn leader(&self) -> Option<usize> {
        self.number_of(&self.rows.leader().await?.1)
    }

    /// The live replica that watches an import.
    pub async fn watcher(&self, import: &str) -> Option<usize> {
        self.number_of(&self.rows.watcher(import).await?.1)
    }

    /// Waits for a leader that is none of `others`. Returns it, and how long that took.
    pub async fn until_led(&self, others: &[usize]) -> (usize, Duration) {
        let start = Instant::now();
        let look = || async {
            let leader = self.leader().await;
            leader.filter(|leader| !others.contains(leader)).ok_or(leader)
        };
        (until("another leader", look).await, start.elapsed())
    }

    /// The same for who watches an import.
    pub async fn until_watched(&self, import: &str, others: &[usize]) -> (usize, Duration) {
        let start = Instant::now();
        let look = || async {
            let watcher = self.watcher(import).await;
            watcher.filter(|watcher| !others.contains(watcher)).ok_or(watcher)
        };
        (until("somebody who watches the import", look).await, start.elapsed())
    }

    /// Waits until so many replicas live.
    pub async fn until_live(&self, count: i64) {
        let look = || async {
            let live = self.rows.live().await;
            if live == count { Ok(()) } else { Err(live) }
        };
        until(&format!("{count} live replicas"), look).await;
    }

    /// A visitor through the proxy, with an account.
    pub async fn signed_in(&self, email: &str) -> Visitor {
        let mut visitor = Visitor::new(&self.origin);
        visitor.sign_up(email).await;
        visitor
    }

    /// The same person with the same session, at one replica.
    pub fn at(&self, number: usize, visitor: &Visitor) -> Visitor {
        visitor.at(&self.origin_of(number))
    }

    /// Waits until a replica says that it is ready, or not.
    pub async fn until_ready(&self, number: usize, expected: StatusCode) {
        let visitor = Visitor::new(&self.origin_of(number));
        let look = || async {
            let answer = visitor.get("/readyz").await;
            let status = answer.status();
            if status == expected { Ok(()) } else { Err((status, answer.text().await)) }
        };
        until(&format!("the replica {number} to answer {expected}"), look).await;
    }

    /// Waits until the page of an import at a replica is such.
    pub async fn until_shown(
        &self,
        number: usize,
        visitor: &Visitor,
        import: &str,
        is_such: impl Fn(&Panel) -> bool,
    ) -> Panel {
        until_shown(&self.at(number, visitor), import, is_such).await
    }

    /// The same for a state.
    pub async fn until_state(&self, number: usize, visitor: &Visitor, import: &str, state: &str) -> Panel {
        self.until_shown(number, visitor, import, |panel| panel.state == state).await
    }

    /// Waits until the pages of these replicas show the end of an import, and checks that they say the same.
    pub async fn until_ended(&self, replicas: &[usize], visitor: &Visitor, import: &str) -> Panel {
        let mut panels = Vec::new();
        for number in replicas {
            let panel = self.until_state(*number, visitor, import, "Completed").await;
            panels.push((panel.state, panel.runs, panel.html));
        }
        let (state, runs, html) = panels.pop().unwrap();
        for (other, other_runs, _) in panels {
            assert_eq!((&other, &other_runs), (&state, &runs), "{import} at {replicas:?}");
        }
        Panel { state, runs, html }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if thread::panicking() {
            self.folder.disable_cleanup(true);
            eprintln!("the logs of the replicas are in {}", self.folder.path().display());
        }
    }
}
