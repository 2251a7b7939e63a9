//! Shared by tests that need a whole server.

pub mod binary;
pub mod database;
pub mod host;
pub mod import_row;
pub mod mail_server;
pub mod migration;
pub mod nginx;
pub mod peer;
pub mod postgres;
pub mod program;
pub mod proxy;
pub mod reserved_port;
pub mod s3;
pub mod tcp;
pub mod terminal;
pub mod visitor;

use std::{
    fmt::Debug,
    net::{SocketAddr, TcpListener},
    path::Path,
    pin::pin,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use runboard::{
    app::{self, App, StartError},
    base::{
        config::{
            self, AllowedAddresses, Config, DatabasePool, FOLLOWED_FOR, HttpLimits, LATE_RUNS,
            OutputPointers, STEP_BYTES, SignUp, TrustedProxies,
        },
        ids::RunId,
        time::UnixMillis,
    },
    files::{LinkKey, Storage},
    function::{self, EngineLocation, LargeMemory, ServeHandler, ServeLimits, Slot, Slots},
    imports::Dependencies,
    inngest::{Client, Registrar, SigningKeys},
    progress::ProgressRegistry,
    replicas::Replicas,
    store::{Store, executions::Execution, quota::Quota},
};
use secrecy::SecretString;
use sqlx::AssertSqlSafe;
use tempfile::TempDir;

use self::visitor::Visitor;

/// How long a condition may take to become true.
const DEADLINE: Duration = Duration::from_secs(60);

/// A whole server on a free port, with its own data folder.
pub struct TestApp {
    pub origin: String,
    pub data: TempDir,
    workers: usize,
    app: App,
}

/// Holds all workers of a server, so that it cannot read files.
pub struct Busy {
    slots: Slots,
    held: Vec<Slot>,
}

impl Busy {
    /// Releases one worker for one step, if a run waits for it, and takes it again.
    pub async fn lend(&mut self) {
        let mut again = pin!(self.slots.acquire("a test"));
        // Waits from here on, so that a second step cannot take the worker before this thread goes on.
        assert!(again.as_mut().now_or_never().is_none(), "all workers are held");
        drop(self.held.pop());
        self.held.push(again.await);
    }
}

pub async fn spawn_app() -> TestApp {
    spawn_app_on(tempfile::tempdir().unwrap(), |_| {}).await
}

/// The same, with a configuration and a data folder that the test chooses.
pub async fn spawn_app_on(data: TempDir, configure: impl FnOnce(&mut Config)) -> TestApp {
    let mut config = Config {
        listen: ([127, 0, 0, 1], 0).into(),
        public_url: None,
        data_dir: data.path().to_owned(),
        database_url: database::url(data.path()).into(),
        database_pool: DatabasePool::default(),
        bucket: None,
        sign_up: SignUp::Open,
        max_upload_bytes: 1 << 30,
        max_record_bytes: 16 << 20,
        quota_bytes: None,
        allow_addresses: AllowedAddresses::default(),
        trusted_proxies: TrustedProxies::default(),
        connections_per_address: None,
        api_rate: 6_000,
        http: HttpLimits::default(),
        step_bytes: STEP_BYTES,
        engine: config::EngineConfig::Embedded(None),
        workers: 2,
        fetches: 16,
        engine_retries: vec![Duration::from_millis(10)],
        poll_budget: 10.0,
        processor: true,
        push: true,
        late_runs: LATE_RUNS,
        followed_for: FOLLOWED_FOR,
        output_pointers: OutputPointers::default(),
        mail: None,
    };
    configure(&mut config);
    let workers = config.workers;
    let deadline = Instant::now() + Duration::from_secs(30);
    let app = loop {
        match app::start(config.clone()).await {
            // A child that another test begins at this moment has the lock of the last server until it is a program.
            Err(StartError::InUse(_)) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            started => break started.unwrap(),
        }
    };
    TestApp { origin: app.origin.as_str().trim_end_matches('/').to_owned(), data, workers, app }
}

impl TestApp {
    /// A new visitor.
    pub fn visitor(&self) -> Visitor {
        Visitor::new(&self.origin)
    }

    /// A visitor with an account.
    pub async fn signed_in(&self) -> Visitor {
        let mut visitor = self.visitor();
        visitor.sign_up("mira@example.org").await;
        visitor
    }

    /// Holds all workers until the returned value is dropped: no file is read meanwhile.
    pub async fn busy(&self) -> Busy {
        let mut busy = Busy { slots: self.app.work.clone(), held: Vec::new() };
        for _ in 0..self.workers {
            busy.held.push(busy.slots.acquire("a test").await);
        }
        busy
    }

    /// The large memory of its steps and previews.
    pub fn large_memory(&self) -> LargeMemory {
        self.app.large_memory.clone()
    }

    /// Runs a statement on the server's database.
    pub async fn sql(&self, statement: &'static str) {
        let pool = database::pool(self.data.path()).await;
        sqlx::query(statement).execute(&pool).await.unwrap();
        pool.close().await;
    }

    /// Makes the database refuse each `change`, such as `INSERT ON import`, from now on.
    pub async fn refuse(&self, change: &str) {
        let statements = if database::is_postgres() {
            format!(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE 'a secret of the database'; END $$; \
                 CREATE TRIGGER refuse BEFORE {change} FOR EACH ROW EXECUTE FUNCTION refuse()"
            )
        } else {
            format!(
                "CREATE TRIGGER refuse BEFORE {change} \
                 BEGIN SELECT RAISE(ABORT, 'a secret of the database'); END"
            )
        };
        let pool = database::pool(self.data.path()).await;
        sqlx::raw_sql(AssertSqlSafe(statements)).execute(&pool).await.unwrap();
        pool.close().await;
    }

    /// Makes it refuse nothing any more.
    pub async fn refuse_nothing(&self) {
        let refuses = database::is_postgres();
        self.sql(if refuses { "DROP FUNCTION refuse() CASCADE" } else { "DROP TRIGGER refuse" }).await;
    }

    /// Stops the server and returns its data folder.
    pub async fn stop(self) -> TempDir {
        self.app.stop().await;
        self.data
    }
}

/// Imports that use `client`, with no engine that calls them.
pub fn parts(store: Store, storage: Storage, client: Client, progress: ProgressRegistry) -> Dependencies {
    let here: url::Url = "http://127.0.0.1:8080".parse().unwrap();
    let registration = function::registration(&here.join(function::serve::PATH).unwrap(), true, true);
    Dependencies {
        quota: Quota::new(store.clone(), None),
        store,
        storage,
        registrar: Registrar::new(client.clone(), registration),
        client,
        progress,
        links: LinkKey::new([1; 32]),
        origin: here,
        pointers: OutputPointers::default(),
        replicas: Replicas::alone(),
        late_runs: LATE_RUNS,
        followed_for: FOLLOWED_FOR,
    }
}

/// The serve handler with `keys`, of an app that registers with `client` and is called at `url`.
pub fn handler(client: &Client, keys: &[&str], url: &url::Url) -> ServeHandler {
    let keys: Vec<SecretString> = keys.iter().map(|key| SecretString::from(*key)).collect();
    let registrar = Registrar::new(client.clone(), function::registration(url, true, true));
    let engine = EngineLocation {
        api: "http://api.example/".into(),
        event_api: "http://event.example/".into(),
        env: None,
    };
    ServeHandler {
        keys: SigningKeys::from(keys),
        is_dev: false,
        registrar,
        engine,
        limits: ServeLimits::default(),
    }
}

/// An unused address, for settings that must be known before the start.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Records that nothing more is expected of an import that has ended, as its server does after `late_runs`. For tests
/// with the real program, for which those ten seconds are no setting.
pub async fn end_watch(data: &Path, import: &str) {
    let url = database::url(data);
    let store = Store::open(&url).await.unwrap();
    let id = import.rsplit('/').next().unwrap().parse().unwrap();
    assert!(store.finish_import(id, false, UnixMillis::now()).await.unwrap());
    store.close().await;
}

/// The number of files below a folder, at any depth.
pub fn files_under(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files_under(&path) } else { 1 }).sum()
}

/// Waits until `condition` holds; `what` describes it. If there is more than a yes or no to show, use
/// [`until_equal`].
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    until_equal(what, condition, true).await;
}

/// Waits until `look` returns `expected`. On failure, prints its last value.
pub async fn until_equal<T: Debug + PartialEq>(what: &str, look: impl Fn() -> T, expected: T) {
    until_seen(what, async || look(), expected).await;
}

/// The same if one must ask for what is seen.
pub async fn until_seen<T: Debug + PartialEq>(what: &str, look: impl AsyncFn() -> T, expected: T) {
    let start = Instant::now();
    loop {
        let seen = look().await;
        if seen == expected {
            return;
        }
        assert!(
            start.elapsed() < DEADLINE,
            "timed out waiting for {what}: expected {expected:?}, last seen {seen:?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The cells of a CSV line, without quotes. No cell contains a line end.
pub fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut is_quoted = false;
    for c in line.chars() {
        match (c, cells.last_mut()) {
            ('"', _) => is_quoted = !is_quoted,
            (',', _) if !is_quoted => cells.push(String::new()),
            (c, Some(cell)) => cell.push(c),
            (_, None) => {}
        }
    }
    cells
}

/// Records that our function was called for `run`.
pub async fn record_call(store: &Store, run: &RunId) {
    let called = Execution {
        function: "f".to_owned(),
        started_at: UnixMillis(1),
        attempt: 1,
        max_attempts: 4,
        error: None,
        earlier: Vec::new(),
    };
    store.save_execution(run, &called).await.unwrap();
}
