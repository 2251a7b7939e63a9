//! The function with its own folder, and the engine that calls it.

use std::{collections::BTreeMap, fs, ops::RangeInclusive, path::PathBuf, time::Duration};

use actix_web::{
    App,
    body::to_bytes,
    dev::ServiceResponse,
    http::{StatusCode, header::HeaderMap},
    test::{TestRequest, call_service, init_service},
    web::Data,
};
use runboard::{
    base::{
        config::{AllowedAddresses, TrustedProxies},
        ids::{ImportId, RunId},
        tasks::Tasks,
        time::UnixMillis,
    },
    files::{FetchLimits, Fetcher, Key, LinkKey, Storage},
    function::{FUNCTION_ID, LargeMemory, Processor, Share, Slots, serve},
    inngest::{Client, Server, call::step_id, signature},
    progress::ProgressRegistry,
    results::Plan,
    store::{quota::Quota, steps::StepFiles},
};
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::AnyPool;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{steps, support::handler};

pub(super) const KEY: &str = "signkey-prod-0123456789abcdef";
pub(super) const SERVE_URL: &str = "http://127.0.0.1:7000/api/inngest";

/// Makes a file of a few kilobytes need more steps than a call could do by accident.
pub(super) const SMALL_STEPS: RangeInclusive<u64> = 1_000..=1_000;

/// The function with its own folder.
pub(super) struct World {
    pub(super) folder: TempDir,
    pub(super) database: AnyPool,
    pub(super) processor: Data<Processor>,
}

/// The engine's state of a run: results by step id.
pub(super) type Memo = BTreeMap<String, Value>;

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl World {
    pub(super) async fn new(step_bytes: RangeInclusive<u64>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, database) = steps::open(&folder).await;
        let nowhere = Url::parse("http://127.0.0.1:9").unwrap();
        let serve_url = Url::parse(SERVE_URL).unwrap();
        let processor = Data::new(Processor {
            quota: Quota::new(store.clone(), None),
            store,
            storage: Storage::open(folder.path().join("files")).unwrap(),
            links: LinkKey::new([1; 32]),
            fetcher: Fetcher::new(AllowedAddresses::default(), FetchLimits::up_to(1 << 20)),
            progress: ProgressRegistry::default(),
            handler: handler(&engine(nowhere.clone()), &[KEY], &serve_url),
            engine: engine(nowhere),
            serve_url,
            max_record_bytes: 1 << 20,
            step_bytes,
            work: Slots::new(2, Share::All),
            fetches: Slots::new(2, Share::AsMuchAsIsLeft),
            large_memory: LargeMemory::default(),
            tasks: Tasks::on_this_runtime(),
            stopping: CancellationToken::new(),
        });
        Self { folder, database, processor }
    }

    /// The same world after `change`, as after a restart with another configuration.
    pub(super) fn restarted(self, change: impl FnOnce(&mut Processor)) -> Self {
        let Self { folder, database, processor: old } = self;
        let mut processor = Processor {
            store: old.store.clone(),
            quota: old.quota.clone(),
            storage: old.storage.clone(),
            links: old.links.clone(),
            fetcher: old.fetcher.clone(),
            progress: ProgressRegistry::default(),
            handler: handler(&old.engine, &[KEY], &old.serve_url),
            engine: old.engine.clone(),
            serve_url: old.serve_url.clone(),
            max_record_bytes: old.max_record_bytes,
            step_bytes: old.step_bytes.clone(),
            work: old.work.clone(),
            fetches: old.fetches.clone(),
            large_memory: old.large_memory.clone(),
            tasks: Tasks::on_this_runtime(),
            stopping: CancellationToken::new(),
        };
        change(&mut processor);
        Self { folder, database, processor: Data::new(processor) }
    }

    /// Stores an upload and returns its link.
    pub(super) fn upload(&self, csv: &(impl AsRef<[u8]> + ?Sized)) -> String {
        let import = ImportId::generate();
        fs::write(self.processor.storage.local().unwrap().path(&Key::upload(import)), csv).unwrap();
        self.link(import)
    }

    pub(super) fn link(&self, import: ImportId) -> String {
        let origin = Url::parse("http://127.0.0.1:8080").unwrap();
        let expires = UnixMillis::now().plus(Duration::from_secs(60));
        self.processor.links.sign(&origin, import, expires).into()
    }

    pub(super) async fn request(&self, request: TestRequest) -> Answer {
        self.request_behind(TrustedProxies::default(), request).await
    }

    pub(super) async fn request_behind(&self, proxies: TrustedProxies, request: TestRequest) -> Answer {
        let app = init_service(
            App::new()
                .app_data(self.processor.clone())
                .app_data(Data::new(proxies))
                .configure(|routes| serve::routes(routes, None)),
        )
        .await;
        let response: ServiceResponse = call_service(&app, request.to_request()).await;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = to_bytes(response.into_body()).await.unwrap();
        Answer { status, headers, text: String::from_utf8(body.to_vec()).unwrap() }
    }

    /// Sends a call as the engine does.
    pub(super) async fn call(&self, body: &Value) -> Answer {
        let body = body.to_string();
        self.request(post(&body).insert_header((signature::HEADER, sign(&body, KEY)))).await
    }

    /// Calls until the function no longer answers with a step.
    pub(super) async fn call_to_the_end(&self, run: &str, file: &str) -> (Vec<String>, Answer) {
        let (mut memo, mut names) = (Memo::new(), Vec::new());
        loop {
            let answer = self.call(&call(run, file, &memo, 0)).await;
            if answer.status != StatusCode::PARTIAL_CONTENT {
                return (names, answer);
            }
            names.push(answer.remember(&mut memo));
            assert!(names.len() < 500, "no end after {names:?}");
        }
    }

    /// The stored file that a planned run reads.
    pub(super) async fn stored(&self, run: &str) -> PathBuf {
        let steps = self.processor.store.steps(&run_id(run)).await.unwrap();
        let plan: Plan = serde_json::from_str(&steps[0].result).unwrap();
        self.processor.storage.local().unwrap().path(&Key::from_stored(plan.source))
    }

    /// The names of all stored outputs.
    pub(super) fn outputs(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path().join("files/runs")).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| format!("runs/{}", entry.unwrap().file_name().display())).collect();
        names.sort();
        names
    }

    /// The outputs that steps name.
    pub(super) async fn named_outputs(&self) -> Vec<String> {
        let mut names = steps::named_files(&self.database).await;
        names.sort();
        names
    }

    /// The concatenated parts of a run's output.
    pub(super) async fn concatenated(&self, run: &str, part: fn(StepFiles) -> Option<String>) -> String {
        let steps = self.processor.store.steps(&run_id(run)).await.unwrap();
        let files = steps.into_iter().map(|step| step.files);
        let keys = files.into_iter().filter_map(part).map(Key::from_stored);
        keys.map(|key| fs::read_to_string(self.processor.storage.local().unwrap().path(&key)).unwrap())
            .collect()
    }

    pub(super) async fn error(&self, run: &str) -> Option<String> {
        let saved = self.processor.store.execution(&run_id(run)).await.unwrap();
        let shown = self.processor.progress.of(&run_id(run)).now().execution;
        assert_eq!(saved.as_ref(), shown.as_deref(), "the saved execution equals the shown one");
        saved.and_then(|execution| execution.error).map(|error| error.message)
    }
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// Puts the only step of this answer into the engine's memo, and returns its name.
    pub(super) fn remember(&self, memo: &mut Memo) -> String {
        assert_eq!(self.status, StatusCode::PARTIAL_CONTENT, "{}", self.text);
        let ops = self.json();
        assert_eq!(ops.as_array().map(Vec::len), Some(1), "{ops}");
        let op = &ops[0];
        let name = op["displayName"].as_str().unwrap().to_owned();
        assert_eq!((&op["op"], &op["id"]), (&json!("StepRun"), &json!(step_id(&name))));
        memo.insert(step_id(&name), json!({ "data": op["data"] }));
        name
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
    }

    /// The sentence of a failure, and whether it may be retried.
    pub(super) fn failure(&self) -> (String, bool) {
        assert!(!self.status.is_success(), "{}", self.text);
        let retry = match self.header("x-inngest-no-retry") {
            "true" => false,
            "false" => true,
            other => panic!("x-inngest-no-retry: {other}"),
        };
        (self.json()["message"].as_str().unwrap().to_owned(), retry)
    }
}

pub(super) fn engine(api: Url) -> Client {
    let server = Server {
        event_api: api.clone(),
        api,
        event_key: SecretString::from("event-key"),
        signing_keys: SecretString::from(KEY).into(),
        api_key: None,
        env: None,
    };
    Client::new(server).unwrap()
}

pub(super) fn run_id(run: &str) -> RunId {
    RunId::from(run.to_owned())
}

pub(super) fn call(run: &str, file: &str, memo: &Memo, attempt: u32) -> Value {
    let event = json!({
        "data": { "file": file, "userId": "u" }, "id": "01M852BFZNDZSECF4ZXVXKXYMX",
        "name": "imports/csv.uploaded", "ts": 1_795_466_575_861_i64, "user": {}
    });
    json!({
        "ctx": {
            "attempt": attempt, "fn_id": "5d106f6c-31b1-5988-838b-963ea7845fd8", "max_attempts": 4,
            "run_id": run, "stack": { "current": memo.len(), "stack": memo.keys().collect::<Vec<_>>() },
        },
        "event": event, "events": [event], "steps": memo, "use_api": false, "version": 2
    })
}

pub(super) fn post(body: &str) -> TestRequest {
    let uri = format!("{}?fnId={FUNCTION_ID}&stepId=step", serve::PATH);
    TestRequest::post().uri(&uri).set_payload(body.to_owned())
}

pub(super) fn sign(body: &str, key: &str) -> String {
    signature::sign(body.as_bytes(), &SecretString::from(key), UnixMillis::now())
}

/// A file of which every seventh record lacks a field.
pub(super) fn csv(records: usize) -> String {
    let mut text = "id,name\n".to_owned();
    for record in 1..=records {
        text += &if record % 7 == 0 { format!("{record}\n") } else { format!("{record},name {record}\n") };
    }
    text
}
