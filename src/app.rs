//! Putting it together: what is started in which order, middleware, and every route.

use std::{
    collections::HashSet,
    fs::{self, DirBuilder, File, TryLockError},
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use actix_web::{
    HttpServer, Route,
    dev::{Server as HttpService, ServerHandle},
    guard,
    middleware::{Compress, from_fn},
    web,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;
use url::Url;

use crate::{
    accounts::{self, Accounts},
    config::Config,
    engine::{self, Engine},
    function::{self, Processor},
    imports::Imports,
    inngest::{self, Client, Server, signature},
    source::{FetchLimits, Fetcher, Key, LinkKey, Storage},
    store::{self, Live, Store},
    web::{
        assets, csrf, downloads, error, files, headers, health,
        origin::PublicOrigin,
        pages::{dashboard, import, sign_in, sign_out, sign_up},
        retry,
        site::Site,
        views::EngineName,
    },
};

/// How long requests may take to end when the server stops, once the steps at work have ended.
const REQUEST_GRACE: Duration = Duration::from_secs(3);

/// The function does its work on other threads; these only speak HTTP.
const INTERNAL_THREADS: usize = 1;

/// How soon a session that was ended from the command line ends here.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// A running server.
pub struct App {
    /// Where people reach it.
    pub origin: Url,
    /// While only the first account can be made and only with it: the link to do so.
    pub first_account: Option<Url>,
    public: ServerHandle,
    internal: ServerHandle,
    dispatch: JoinHandle<()>,
    shutdown: CancellationToken,
    imports: Imports,
    store: Store,
    /// Held until the end: one process works on a data folder.
    _lock: File,
}

/// Why the server did not start. The text says what to change.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("The data folder {} is in use by another Runboard. Stop it, or set RUNBOARD_DATA_DIR to another folder.", .0.display())]
    InUse(PathBuf),
    #[error("The data folder {} cannot be used: {source}. RUNBOARD_DATA_DIR sets it.", path.display())]
    DataDir { path: PathBuf, source: io::Error },
    #[error("Cannot listen on {address}: {source}. RUNBOARD_LISTEN sets the address.")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("The database is not the one of the data folder {}. RUNBOARD_DATABASE_URL and RUNBOARD_DATA_DIR belong together: set both as they were, or start with a new folder and a new database.", .0.display())]
    OtherInstallation(PathBuf),
    #[error("The database cannot be used: {0}")]
    Store(#[from] store::Error),
    #[error("The engine cannot be used: {0}")]
    Engine(#[from] inngest::Error),
    #[error("The server cannot start: {0}")]
    Io(#[from] io::Error),
    #[error("Accounts cannot be used: {0}")]
    Accounts(#[from] accounts::Error),
    #[error(
        "The database has a link_key that is not one. Remove it; links to files made before then no longer hold."
    )]
    LinkKey,
    #[error("An address cannot be written as a URL: {0}")]
    Url(#[from] url::ParseError),
}

/// Starts everything; returns once requests are answered.
pub async fn start(config: Config) -> Result<App, StartError> {
    let lock = lock_data_dir(&config.data_dir)?;
    let store = Store::open(config.database_url.expose_secret()).await?;
    check_installation(&config.data_dir, &store).await?;
    let storage = Storage::open(config.data_dir.join("files"))?;
    let removed = storage.remove_unnamed(&named_files(&store).await?)?;
    if removed > 0 {
        tracing::info!(files = removed, "removed what an interrupted upload or step left behind");
    }

    let public = listen(config.listen)?;
    let internal = listen(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let here = origin_of(public.local_addr()?)?;
    let engine_origin = origin_of(internal.local_addr()?)?;

    let keys = engine::Keys { event_key: random_key(), signing_key: random_key() };
    let links = link_key(&store).await?;
    let live = Live::default();
    let client = Client::new(Server {
        event_api: engine_origin.clone(),
        api: engine_origin.clone(),
        event_key: keys.event_key.clone(),
        signing_key: keys.signing_key.clone(),
    })?;
    let options = engine::Options { workers: config.workers, retries: config.engine_retries.clone() };
    let engine = Engine::new(store.clone(), keys.clone(), options)?;
    let serve_url = engine_origin.join(function::serve::PATH)?;
    let processor = Processor {
        store: store.clone(),
        storage: storage.clone(),
        links: links.clone(),
        fetcher: Fetcher::new(config.allow_addresses, FetchLimits::up_to(config.max_upload_bytes)),
        live: live.clone(),
        engine: client.clone(),
        signing_key: keys.signing_key,
        signing_key_fallback: None,
        serve_url: serve_url.clone(),
        max_record_bytes: config.max_record_bytes,
        step_bytes: function::STEP_BYTES,
    };
    let internal = serve_internal(internal, engine.clone(), processor)?;
    client.register(&function::registration(&serve_url)).await?;

    let accounts = web::Data::new(Accounts::new(store.clone(), config.sign_up, config.listen));
    let origin = config.public_url.clone().unwrap_or_else(|| here.clone());
    let first_account = match accounts.link_token().await? {
        Some(token) => Some(origin.join(&format!("/sign-up?token={}", token.expose()))?),
        None => None,
    };
    let imports = Imports::new(store.clone(), storage.clone(), client.clone(), live, links.clone(), here);
    imports.start().await?;

    let shutdown = CancellationToken::new();
    let dispatch = tokio::spawn(engine.run(shutdown.clone()));
    tokio::spawn(sweep_sessions(accounts.clone(), shutdown.clone()));
    let shared = Shared {
        origin: web::Data::new(PublicOrigin::new(config.public_url.as_ref(), public.local_addr()?)),
        site: web::Data::new(Site {
            engine: EngineName::Embedded,
            max_upload_bytes: config.max_upload_bytes,
            stopping: shutdown.clone(),
        }),
        accounts,
        imports: web::Data::new(imports.clone()),
        store: web::Data::new(store.clone()),
        storage: web::Data::new(storage),
        client: web::Data::new(client),
        links: web::Data::new(links),
    };
    let public = serve_public(public, shared)?;
    Ok(App { origin, first_account, public, internal, dispatch, shutdown, imports, store, _lock: lock })
}

/// What the handlers of the public listener share.
#[derive(Clone)]
struct Shared {
    origin: web::Data<PublicOrigin>,
    site: web::Data<Site>,
    accounts: web::Data<Accounts>,
    imports: web::Data<Imports>,
    store: web::Data<Store>,
    storage: web::Data<Storage>,
    client: web::Data<Client>,
    links: web::Data<LinkKey>,
}

/// Every route that people reach. Which of them need a session stands beside each handler, as its
/// `SignedIn` argument; a test walks this table as a stranger and as nobody.
fn public_routes(routes: &mut web::ServiceConfig) {
    routes
        .route("/healthz", read().to(health::healthz))
        .route("/readyz", read().to(health::readyz))
        .route("/assets/{hash}/{name}", read().to(assets::serve))
        .route("/files/{import}", read().to(files::file))
        .route("/sign-up", read().to(sign_up::show))
        .route("/sign-up", web::post().to(sign_up::submit))
        .route("/sign-in", read().to(sign_in::show))
        .route("/sign-in", web::post().to(sign_in::submit))
        .route("/sign-out", web::post().to(sign_out::submit))
        .route("/", read().to(dashboard::show))
        .route("/live", read().to(dashboard::live))
        .route("/imports", web::post().to(dashboard::upload))
        .route("/imports/{id}", read().to(import::show))
        .route("/imports/{id}/panel", read().to(import::panel))
        .route("/imports/{id}/cancel", web::post().to(import::cancel))
        .route("/imports/{id}/retry", web::post().to(retry::submit))
        .route("/imports/{id}/processed.csv", read().to(downloads::processed))
        .route("/imports/{id}/failed.csv", read().to(downloads::failed))
        .default_service(web::to(error::not_found));
}

/// GET, and HEAD for whoever only wants to know that there would be an answer.
fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

fn serve_public(listener: TcpListener, shared: Shared) -> io::Result<ServerHandle> {
    let server = HttpServer::new(move || {
        let shared = shared.clone();
        actix_web::App::new()
            .app_data(shared.origin)
            .app_data(shared.site)
            .app_data(shared.accounts)
            .app_data(shared.imports)
            .app_data(shared.store)
            .app_data(shared.storage)
            .app_data(shared.client)
            .app_data(shared.links)
            .app_data(web::QueryConfig::default().error_handler(|_, _| error::Error::Unreadable.into()))
            .app_data(web::FormConfig::default().error_handler(|_, _| error::Error::Unreadable.into()))
            .configure(public_routes)
            // The last one sees a request first.
            .wrap(from_fn(csrf::refuse_cross_site))
            .wrap(Compress::default())
            .wrap(from_fn(headers::secure))
    });
    let server = server.listen(listener)?.shutdown_timeout(REQUEST_GRACE.as_secs()).disable_signals();
    Ok(run(server.run()))
}

/// The engine's API and the function that it calls: on loopback, for this process alone.
fn serve_internal(listener: TcpListener, engine: Engine, processor: Processor) -> io::Result<ServerHandle> {
    let (engine, processor) = (web::Data::new(engine), web::Data::new(processor));
    let server = HttpServer::new(move || {
        actix_web::App::new()
            .app_data(engine.clone())
            .app_data(processor.clone())
            .configure(engine::api::routes)
            .configure(function::serve::routes)
    });
    Ok(run(server.workers(INTERNAL_THREADS).listen(listener)?.disable_signals().run()))
}

/// Serves in the background, until the handle stops it.
fn run(server: HttpService) -> ServerHandle {
    let handle = server.handle();
    tokio::spawn(server);
    handle
}

impl App {
    /// Takes no more uploads, lets steps at work end or breaks them off, closes everything.
    pub async fn stop(self) {
        self.shutdown.cancel();
        // Meanwhile the pages still answer, and say to an upload that it is not taken.
        if let Err(error) = self.dispatch.await {
            tracing::error!(%error, "the engine broke off");
        }
        self.public.stop(true).await;
        self.imports.stop().await;
        self.internal.stop(false).await;
        self.store.close().await;
    }
}

async fn sweep_sessions(accounts: web::Data<Accounts>, shutdown: CancellationToken) {
    while shutdown.run_until_cancelled(tokio::time::sleep(SWEEP_EVERY)).await.is_some() {
        if let Err(error) = accounts.sweep_sessions().await {
            tracing::error!(%error, "sessions could not be swept");
        }
    }
}

/// The key that signs file links: made once, so that links outlive a restart.
async fn link_key(store: &Store) -> Result<LinkKey, StartError> {
    let kept = store.setting("link_key", &signature::hex(&rand::random::<[u8; 32]>())).await?;
    let bytes = signature::from_hex(&kept).and_then(|bytes| bytes.try_into().ok());
    bytes.map(LinkKey::new).ok_or(StartError::LinkKey)
}

/// Makes the data folder, if it is missing: uploads and password hashes are for nobody else on this
/// machine.
pub fn make_data_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn lock_data_dir(path: &Path) -> Result<File, StartError> {
    let unusable = |source| StartError::DataDir { path: path.to_owned(), source };
    make_data_dir(path).map_err(unusable)?;
    let file = File::create(path.join("lock")).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::InUse(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

/// Refuses a database that is not the data folder's: files that it does not name would be removed, and
/// what it names would not be there. Both keep the same random id.
async fn check_installation(data_dir: &Path, store: &Store) -> Result<(), StartError> {
    let path = data_dir.join("installation");
    let unusable = |source| StartError::DataDir { path: data_dir.to_owned(), source };
    let in_folder = match fs::read_to_string(&path) {
        Ok(id) => Some(id.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(unusable(error)),
    };
    let new = in_folder.clone().unwrap_or_else(|| Ulid::new().to_string());
    let in_database = store.setting("installation", &new).await?;
    match in_folder {
        Some(id) if id == in_database => Ok(()),
        // A first start, or one that was cut off just here.
        None if store.import_ids().await?.is_empty() => fs::write(&path, &in_database).map_err(unusable),
        _ => Err(StartError::OtherInstallation(data_dir.to_owned())),
    }
}

/// All stored files that the database knows; a kill between writing and recording leaves others.
async fn named_files(store: &Store) -> Result<HashSet<Key>, StartError> {
    let uploads = store.import_ids().await?.into_iter().map(Key::upload);
    let outputs = store.all_step_files().await?.into_iter().map(Key::from_stored);
    Ok(uploads.chain(outputs).collect())
}

fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(|source| StartError::Listen { address, source })
}

/// The origin at which a listener is reached from this machine.
fn origin_of(mut address: SocketAddr) -> Result<Url, StartError> {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    Ok(format!("http://{address}").parse()?)
}

/// A key for the embedded engine, new at every start: nobody else is to know it.
fn random_key() -> SecretString {
    SecretString::from(signature::hex(&rand::random::<[u8; 32]>()))
}
