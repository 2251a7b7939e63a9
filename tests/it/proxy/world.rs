//! Imports, engine and function wired as in the program, with a proxy on each of the two connections.

use std::{collections::HashSet, fs, net::TcpListener, time::Duration};

use actix_web::{App, HttpServer, dev::ServerHandle, web};
use runboard::{
    base::{
        config::AllowedAddresses,
        ids::{ImportId, UserId},
        tasks::Tasks,
        time::UnixMillis,
    },
    engine::{self, Engine, Keys},
    files::{FetchLimits, Fetcher, LinkKey, Storage},
    function::{self, LargeMemory, Processor, Share, Slots},
    imports::{Dependencies, FileName, ImportOptions, Imports, Snapshot, Upload},
    inngest::{Backoff, Client, Limits, Registrar, Run, Server, SyncRequest},
    progress::ProgressRegistry,
    results::outputs::{self, Which},
    store::{Store, quota::Quota},
};
use secrecy::ExposeSecret;
use sqlx::AnyPool;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    inngest_api::until,
    steps,
    support::{cells, handler, parts, proxy::Proxy},
};

const RECORDS: u64 = 300;
/// One of this many records lacks a field.
const BAD_EVERY: u64 = 7;
/// Makes a file of a few kilobytes need several steps.
const STEP_BYTES: u64 = 1_000;

/// The pause between two attempts of a call.
const RETRY: Duration = Duration::from_millis(20);

/// For an engine that is near, behind a faulty connection.
const LIMITS: Limits = Limits {
    connect_timeout: Duration::from_secs(1),
    request_timeout: Duration::from_secs(5),
    poll_timeout: Duration::from_secs(2),
    max_answer_bytes: 1 << 20,
    backoff: Backoff {
        tries: 2,
        first_pause: Duration::from_millis(20),
        longest_pause: Duration::from_millis(50),
    },
    polls_per_second: 10.0,
    longest_hold: Duration::from_secs(1),
};

pub struct World {
    pub imports: Imports,
    pub owner: UserId,
    pub store: Store,
    database: AnyPool,
    pub to_engine: Proxy,
    pub to_function: Proxy,
    storage: Storage,
    folder: TempDir,
    server: ServerHandle,
    shutdown: CancellationToken,
}

impl World {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, database) = steps::open(&folder).await;
        let owner = UserId::generate();
        sqlx::query(
            "INSERT INTO account (id, email, password_hash, created_at) VALUES ($1, 'a@example.org', '', 0)",
        )
        .bind(owner.to_string())
        .execute(&database)
        .await
        .unwrap();
        let storage = Storage::open(folder.path().join("files")).unwrap();
        let (progress, links) = (ProgressRegistry::default(), LinkKey::new([1; 32]));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let (to_engine, to_function) = (Proxy::start(&here).await, Proxy::start(&here).await);

        let keys = Keys { event_key: "event-key".into(), signing_key: "0123456789abcdef".into() };
        let client = |at: &Url| {
            let (event_key, signing_key) = (keys.event_key.clone(), keys.signing_key.clone());
            let signing_keys = signing_key.into();
            let server = Server {
                event_api: at.clone(),
                api: at.clone(),
                event_key,
                signing_keys,
                api_key: None,
                env: None,
            };
            Client::with_limits(server, LIMITS).unwrap()
        };
        let (direct, proxied) = (client(&here), client(&to_engine.origin));
        let options = engine::EngineOptions { calls: 3, retries: vec![RETRY] };
        let engine = Engine::new(store.clone(), keys.clone(), options).unwrap();
        let serve_url = to_function.origin.join(function::serve::PATH).unwrap();
        let processor = Processor {
            quota: Quota::new(store.clone(), None),
            store: store.clone(),
            storage: storage.clone(),
            links: links.clone(),
            progress: progress.clone(),
            fetcher: Fetcher::new(AllowedAddresses::default(), FetchLimits::up_to(1 << 20)),
            handler: handler(&direct, &[keys.signing_key.expose_secret()], &serve_url),
            engine: direct.clone(),
            serve_url: serve_url.clone(),
            max_record_bytes: 1 << 20,
            step_bytes: STEP_BYTES..=STEP_BYTES,
            work: Slots::new(2, Share::All),
            fetches: Slots::new(2, Share::AsMuchAsIsLeft),
            large_memory: LargeMemory::default(),
            tasks: Tasks::on_this_runtime(),
            stopping: CancellationToken::new(),
        };
        let server = serve(listener, engine.clone(), processor);
        let registration = function::registration(&serve_url, true, true);
        direct.register(&registration, &SyncRequest::default()).await.unwrap();
        let imports = Imports::new(Dependencies {
            origin: here,
            links,
            registrar: Registrar::new(direct, registration),
            ..parts(store.clone(), storage.clone(), proxied, progress)
        });
        imports.start(std::future::ready(())).await.unwrap();
        let shutdown = CancellationToken::new();
        tokio::spawn(engine.run(shutdown.clone()));
        Self { imports, owner, store, database, to_engine, to_function, storage, folder, server, shutdown }
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        self.imports.stop().await;
        self.server.stop(false).await;
    }

    pub async fn upload(&self) -> ImportId {
        let mut file = self.storage.receive_upload(0).await.unwrap();
        file.write(records(|_| true, "\n").as_bytes()).await.unwrap();
        let name = FileName::from_client("records.csv");
        let upload = Upload { file_name: name, receiving_at: UnixMillis::now(), file };
        self.imports.accept(self.owner, upload, ImportOptions::default()).await.unwrap().id
    }

    /// (processed, failed) of an upload.
    pub fn counts() -> (u64, u64) {
        (RECORDS - RECORDS / BAD_EVERY, RECORDS / BAD_EVERY)
    }

    /// Returns false if there is nothing to cancel.
    pub async fn cancel(&self, id: ImportId) -> bool {
        let import = self.imports.get(self.owner, id).await.unwrap().unwrap();
        self.imports.cancel(&import).await.unwrap()
    }

    pub async fn snapshot(&self, id: ImportId) -> Snapshot {
        self.imports.get(self.owner, id).await.unwrap().unwrap().into_snapshot()
    }

    /// The runs according to the engine.
    pub async fn runs(&self, id: ImportId) -> Vec<Run> {
        let event = self.snapshot(id).await.row.event_id.clone();
        self.store.engine_event_runs(&event).await.unwrap()
    }

    /// Checks that there is one run, and that its files contain each record once and in order.
    pub async fn check_files(&self, id: ImportId) {
        let snapshot = self.snapshot(id).await;
        let runs = self.runs(id).await;
        assert_eq!((runs.len(), snapshot.runs.len()), (1, 1), "{runs:?} {snapshot:?}");
        let processed = self.output(&runs[0], Which::Processed).await;
        assert!(processed == records(|id| id % BAD_EVERY != 0, "\r\n"), "{processed}");
        let failed = self.output(&runs[0], Which::Failed).await;
        let ids: Vec<u64> = failed.lines().skip(1).map(|line| cells(line)[3].parse().unwrap()).collect();
        assert!(ids.into_iter().eq((1..=RECORDS).filter(|id| id % BAD_EVERY == 0)), "{failed}");
    }

    /// Checks that only named files are stored, once the last execution has cleaned up.
    pub async fn check_storage(&self) {
        let named: HashSet<String> = steps::named_files(&self.database).await.into_iter().collect();
        let stored = || async {
            let entries = fs::read_dir(self.folder.path().join("files/runs")).unwrap();
            let stored: HashSet<String> =
                entries.map(|entry| format!("runs/{}", entry.unwrap().file_name().display())).collect();
            if stored == named { Ok(()) } else { Err(stored) }
        };
        until("the files that steps name, and no others", stored).await;
    }

    async fn output(&self, run: &Run, which: Which) -> String {
        let outputs = outputs::of(&self.store, &run.run_id, which).await.unwrap().unwrap();
        let parts = outputs
            .parts
            .iter()
            .map(|key| fs::read_to_string(self.storage.local().unwrap().path(key)).unwrap());
        String::from_utf8(outputs.header).unwrap() + parts.collect::<String>().as_str()
    }
}

/// A header and the records that `wanted` selects.
fn records(wanted: impl Fn(u64) -> bool, line_end: &str) -> String {
    let mut text = format!("id,name{line_end}");
    for id in (1..=RECORDS).filter(|id| wanted(*id)) {
        let name = if id % BAD_EVERY == 0 { String::new() } else { format!(",name {id}") };
        text += &format!("{id}{name}{line_end}");
    }
    text
}

fn serve(listener: TcpListener, engine: Engine, processor: Processor) -> ServerHandle {
    let (engine, processor) = (web::Data::new(engine), web::Data::new(processor));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(engine.clone())
            .app_data(processor.clone())
            .configure(engine::api::routes)
            .configure(|routes| function::serve::routes(routes, None))
    });
    let server = server.workers(1).shutdown_timeout(0).disable_signals().listen(listener).unwrap().run();
    let handle = server.handle();
    tokio::spawn(server);
    handle
}
