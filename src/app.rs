//! Assembles the server: what is started and stopped, in which order.

mod adopt;
mod background;
mod data_dir;
mod database;
mod installation;
mod mail;
mod moved_files;
mod moving;
mod open_files;
mod reach;
mod routes;
mod server;
mod start_error;
mod stored_files;
mod wiring;

use std::{fs::File, sync::Arc, time::Duration};

use actix_web::{dev::ServerHandle, web};
use futures_util::future::join;
use secrecy::ExposeSecret;
use tokio::time::timeout;
use url::Url;

pub use self::{
    adopt::{Adopted, adopt},
    database::open_existing,
    moved_files::CopiedFiles,
    moving::{MovedParts, move_installation},
    server::behind_middleware,
    start_error::StartError,
    stored_files::sweep as sweep_stored_files,
};
use self::{
    database::DatabaseLock,
    installation::Partner,
    server::{Shared, listen, origin_of},
    wiring::Wiring,
};
use crate::{
    accounts::{Accounts, Mailer},
    api,
    base::{config::Config, tasks::Tasks},
    files::{FetchLimits, Fetcher, LinkKey, Poster, Storage},
    function::{self, LargeMemory, Previewer, Processor, Share, Slots},
    http::{
        api_rate::ApiRate,
        assets,
        health::{EngineCheck, Health, ReplicaCheck},
        origin::PublicOrigin,
        serving::Connections,
        upload::{ArrivingUploads, Uploads},
    },
    imports::{Dependencies, Imports},
    inngest::{self, Client, Registrar},
    progress::ProgressRegistry,
    replicas::{Rates, Replicas, Work},
    store::{Sharing, Store, quota::Quota, sqlite_file},
    web::{site::Site, versions::Versions},
    webhooks::Webhooks,
};

/// How long the first event waits until our functions are registered, because an engine that does not know
/// them would start no run for it. Requests are answered meanwhile.
const REGISTERED_WITHIN: Duration = Duration::from_secs(3);

/// How long the engine and the sweeps may take to end. The engine itself waits 10 s for calls in progress.
const BACKGROUND_GRACE: Duration = Duration::from_secs(12);

/// How long steps may continue whose callers have gone. The next start repeats their calls.
const STEPS_GRACE: Duration = Duration::from_secs(2);

/// How long telling the other replicas that this one ends may take.
const LEAVE_GRACE: Duration = Duration::from_secs(3);

/// How long the database may take to close. If it does not answer, it is closed by the end of the process.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// A running server.
pub struct App {
    /// The origin under which people reach it.
    pub origin: Url,
    /// If the first account is created through a link: that link, for each address that people may reach.
    pub first_account: Vec<Url>,
    /// Which engine runs the functions, and its address, for people.
    pub engine: String,
    /// Where e-mails go and who they are from, for people; None if none are sent.
    pub mail: Option<String>,
    public: ServerHandle,
    internal: Vec<ServerHandle>,
    uploads: ArrivingUploads,
    /// How long they may go on to arrive during a stop.
    stop_grace: Duration,
    /// The embedded engine, and the periodic tasks.
    background: Tasks,
    /// The running steps of our function.
    steps: Tasks,
    imports: Imports,
    store: Store,
    /// The slots for steps that read files: a test that holds one keeps a worker busy.
    pub work: Slots,
    pub large_memory: LargeMemory,
    replicas: Replicas,
    /// What this process does as one of several replicas.
    members: Tasks,
    database: DatabaseLock,
    /// Held until the end, so that only one process works on a data folder.
    _lock: File,
}

/// Starts everything. Returns once requests are answered.
pub async fn start(config: Config) -> Result<App, StartError> {
    open_files::raise();
    let lock = data_dir::lock(&config.data_dir)?;
    // Only files in a bucket are those of several processes.
    let sharing = if config.bucket.is_some() { Sharing::Replicas } else { Sharing::Nobody };
    let (database, store) = DatabaseLock::open(&config.database_url, config.database_pool, sharing).await?;
    let storage = open_storage(&config, &store).await?;
    stored_files::check_at_start(&storage, &store).await?;

    let members = Tasks::on_this_runtime();
    let replicas = replicas(&config, &store, &members).await?;
    let other_assets =
        if replicas.is_alone() { None } else { Some(web::Data::new(assets::share(&store, &members).await?)) };
    let rates = Rates::of(&replicas, &store);

    let public = listen(config.listen)?;
    let here = origin_of(public.local_addr()?)?;
    let links = link_key(&store).await?;
    let progress = ProgressRegistry::on(replicas.bus().clone());
    members.spawn(progress.clone().exchange(members.stopping().clone()));
    if !config.push {
        progress.expect_no_ends();
    }
    let (background, steps) = (Tasks::on_this_runtime(), Tasks::on_this_runtime());
    let wiring = Wiring::of(&config, &store, &progress, &replicas, &here)?;
    let limits =
        inngest::Limits { polls_per_second: wiring.poll_budget(&config), ..inngest::Limits::default() };
    let client = Client::with_limits(wiring.server.clone(), limits)?;
    wiring.share_budget(client.clone(), &config, &background);
    let registration = function::registration(&wiring.serve_url, config.processor, config.push);
    let registrar = Registrar::new(client.clone(), registration);
    let (work, large_memory) = (Slots::new(config.workers, Share::All), LargeMemory::default());
    let quota = Quota::new(store.clone(), config.quota_bytes);
    background::tell_reserved(&members, &replicas, quota.clone());
    let processor = web::Data::new(Processor {
        store: store.clone(),
        quota: quota.clone(),
        storage: storage.clone(),
        links: links.clone(),
        fetcher: Fetcher::new(config.allow_addresses.clone(), FetchLimits::up_to(config.max_upload_bytes)),
        progress: progress.clone(),
        engine: client.clone(),
        handler: wiring.handler(registrar.clone()),
        serve_url: wiring.serve_url.clone(),
        max_record_bytes: config.max_record_bytes,
        step_bytes: config.step_bytes,
        work: work.clone(),
        fetches: Slots::new(config.fetches, Share::AsMuchAsIsLeft),
        large_memory: large_memory.clone(),
        tasks: steps.clone(),
        stopping: background.stopping().clone(),
    });

    let origin = config.public_url.clone().unwrap_or_else(|| here.clone());
    let mailer = match &config.mail {
        Some(mail) => Some(Mailer::new(store.clone(), mail, origin.clone())?),
        None => None,
    };
    let outlet = mailer.as_ref().map(Mailer::outlet);
    let accounts = Accounts::new(store.clone(), config.sign_up, config.listen)
        .with_mail(outlet.clone())
        .with_replicas(&replicas)
        .with_rates(&rates);
    let accounts = web::Data::new(accounts);
    // Until the last answer, as the other parts of the replica.
    let hearing = Arc::clone(&accounts).hear();
    let leaving = members.stopping().clone();
    members.spawn(async move { leaving.run_until_cancelled(hearing).await });
    let first_account = match accounts.link_token().await? {
        Some(token) => {
            let origins = match &config.public_url {
                Some(url) => vec![url.clone()],
                None => reach::origins(public.local_addr()?)?,
            };
            let link = |origin: &Url| Ok(origin.join(&format!("/sign-up?token={}", token.expose()))?);
            origins.iter().map(link).collect::<Result<_, StartError>>()?
        }
        None => Vec::new(),
    };
    let imports = Imports::new(Dependencies {
        store: store.clone(),
        storage: storage.clone(),
        client: client.clone(),
        registrar: registrar.clone(),
        progress,
        replicas: replicas.clone(),
        links: links.clone(),
        origin: origin.clone(),
        pointers: config.output_pointers,
        quota,
        late_runs: config.late_runs,
        followed_for: config.followed_for,
    });

    let webhooks = Webhooks::new(
        store.clone(),
        Poster::new(config.allow_addresses),
        api::describe::describer(imports.clone(), store.clone(), wiring.name()),
        imports.ended(),
    )
    .with_rates(&rates)
    .among(replicas.clone());

    let connections = Connections::new(config.connections_per_address, config.trusted_proxies.clone());
    let internal = wiring.serve(&processor, config.http, &connections)?;
    wiring.register(registrar.clone(), &background);
    let registering = registrar.clone();
    imports
        .start(async move { drop(timeout(REGISTERED_WITHIN, registering.until_registered()).await) })
        .await?;
    background.spawn(background::check_event_key(client.clone()));
    background::start(
        &background,
        accounts.clone(),
        imports.clone(),
        processor.clone(),
        storage.clone(),
        store.clone(),
        &replicas,
    );
    background::tell_ends(&background, webhooks.clone(), &replicas);
    background::sweep_rates(&background, &replicas, rates.clone());
    if let Some(mailer) = mailer {
        let stopping = background.stopping().clone();
        background.spawn(mail::send(mailer, imports.clone(), wiring.name(), replicas.clone(), stopping));
    }
    let uploads = ArrivingUploads::new(background.stopping().clone());
    let previewer = Previewer::new(storage.clone(), config.max_record_bytes, large_memory.clone());
    let shared = Shared {
        origin: web::Data::new(PublicOrigin::new(config.public_url.as_ref(), public.local_addr()?)),
        site: web::Data::new(Site {
            engine: wiring.name(),
            max_upload_bytes: config.max_upload_bytes,
            panels: Versions::default(),
            sections: Versions::default(),
        }),
        accounts,
        api_rate: web::Data::new(ApiRate::new(config.api_rate, &rates)),
        proxies: web::Data::new(config.trusted_proxies),
        limits: web::Data::new(config.http),
        imports: web::Data::new(imports.clone()),
        uploads: web::Data::new(Uploads {
            imports: imports.clone(),
            storage: storage.clone(),
            previewer: previewer.clone(),
            max_bytes: config.max_upload_bytes,
            arriving: uploads.clone(),
        }),
        store: web::Data::new(store.clone()),
        storage: web::Data::new(storage.clone()),
        previewer: web::Data::new(previewer),
        health: web::Data::new(Health {
            store: store.clone(),
            storage,
            lock: database.held(),
            replicas: ReplicaCheck::new(replicas.clone(), &background),
            engine: EngineCheck::new(client).into(),
            stopping: background.stopping().clone(),
            probe: Arc::default(),
        }),
        links: web::Data::new(links),
        bus: web::Data::new(replicas.bus().clone()),
        other_assets,
        exports: web::Data::default(),
        webhooks: web::Data::new(webhooks),
        engine: web::Data::new(wiring.name()),
        reference: web::Data::new(api::openapi::for_people()),
        functions: wiring.called_at().map(|path| (processor, path)),
    };
    let public = server::serve_public(public, shared, connections)?;
    let engine = wiring.in_words();
    wiring.dispatch(&background, registrar, database.held());
    Ok(App {
        origin,
        first_account,
        engine,
        mail: outlet.map(|outlet| outlet.route.to_string()),
        public,
        internal,
        uploads,
        stop_grace: config.http.stop_grace,
        background,
        steps,
        imports,
        store,
        work,
        large_memory,
        replicas,
        members,
        database,
        _lock: lock,
    })
}

/// The stored files, which belong to the database.
async fn open_storage(config: &Config, store: &Store) -> Result<Storage, StartError> {
    let storage = storage_of(config).await?;
    let turn = store.turn_of_files().await?;
    Partner::of(config, &storage).check(store).await?;
    turn.end().await?;
    Ok(storage)
}

/// The stored files, whatever database they belong to.
async fn storage_of(config: &Config) -> Result<Storage, StartError> {
    Ok(match &config.bucket {
        None => Storage::open(config.data_dir.join("files"))?,
        Some(bucket) => Storage::connect(bucket, &config.data_dir).await?,
    })
}

/// This process among those that share its database. `members` must be stopped last.
async fn replicas(config: &Config, store: &Store, members: &Tasks) -> Result<Replicas, StartError> {
    let url = config.database_url.expose_secret();
    if config.bucket.is_none() || sqlite_file(url).is_some() {
        return Ok(Replicas::alone());
    }
    let folder = data_dir::name(&config.data_dir)?;
    Ok(Replicas::join(url, store.clone(), &folder, config.public_url.as_ref(), members).await?)
}

/// The key that signs file links. Generated once, so that links stay valid after a restart.
async fn link_key(store: &Store) -> Result<LinkKey, StartError> {
    let kept = store.setting("link_key", &hex::encode(rand::random::<[u8; 32]>())).await?;
    let bytes = hex::decode(&kept).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map(LinkKey::new).ok_or(StartError::LinkKey)
}

impl App {
    /// Accepts no more uploads, lets those that are arriving and running steps end or interrupts them, and closes
    /// everything: first the parts that start work, then the parts that the work needs.
    pub async fn stop(self) {
        // From now on `/readyz` says so, and no upload begins.
        self.background.stopping().cancel();
        let work = async {
            broken_off("tasks", self.background.stop(BACKGROUND_GRACE).await);
            // Requests may take long to end, and what one replica does for all must not wait for them.
            self.replicas.resign();
        };
        let uploads = async {
            let count = self.uploads.stop(self.stop_grace).await;
            if count > 0 {
                tracing::warn!(count, "uploads did not arrive in time and were refused");
            }
        };
        let ended = join(work, uploads);
        if self.replicas.is_alone() {
            // No other process can answer, so this one serves pages until then; they refuse uploads with a sentence.
            ended.await;
            self.public.stop(true).await;
        } else {
            // The proxy passes what it cannot connect here to another replica.
            join(ended, self.public.stop(true)).await;
            // The task that tells the leader of new events ended above, and the last uploads may have recorded some since.
            self.replicas.bus().tell(&Work::Outbox);
        }
        broken_off("steps", self.steps.stop(STEPS_GRACE).await);
        broken_off("watches", self.imports.stop().await);
        // The replica that leads tells the ends that the watches have recorded meanwhile.
        self.replicas.bus().tell(&Work::Deliveries);
        for internal in self.internal {
            internal.stop(false).await;
        }
        broken_off("leases", self.members.stop(LEAVE_GRACE).await);
        if timeout(CLOSE_GRACE, self.store.close()).await.is_err() {
            tracing::warn!("the database did not close in time");
        }
        self.database.release().await;
    }
}

fn broken_off(what: &str, count: usize) {
    if count > 0 {
        tracing::warn!(count, "{what} were interrupted; the next start resumes them");
    }
}
