//! Putting it together: what is started in which order, middleware, and every route.

pub mod data_dir;
mod wiring;

use std::{
    fs::File,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use actix_web::{
    HttpServer, Route,
    dev::{Server as HttpService, ServerHandle},
    guard,
    middleware::{Compress, from_fn},
    web,
};
use secrecy::ExposeSecret;
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

use self::wiring::Wiring;
use crate::{
    accounts::{self, Accounts},
    config::Config,
    function::{self, Processor},
    imports::{Imports, Parts},
    inngest::{self, Client, Registrar, signature},
    source::{FetchLimits, Fetcher, LinkKey, Storage},
    store::{self, Live, Store},
    time::UnixMillis,
    web::{
        assets, csrf, downloads, error, files, headers,
        health::{self, EngineCheck},
        origin::PublicOrigin,
        pages::{dashboard, delete, import, sign_in, sign_out, sign_up},
        retry, sample,
        site::Site,
    },
};

/// How long requests may take to end when the server stops: calls of Inngest among them, which are
/// steps at work. Those of the embedded engine have ended by then.
const REQUEST_GRACE: Duration = Duration::from_secs(10);

/// How long the start waits until our functions are registered; it goes on by itself behind it.
const REGISTERED_WITHIN: Duration = Duration::from_secs(3);

/// How often what runs of others' events have left behind is looked for.
const SWEEP_STRANGERS_EVERY: Duration = Duration::from_secs(60 * 60);

/// How soon a session that was ended from the command line ends here.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// A running server.
pub struct App {
    /// Where people reach it.
    pub origin: Url,
    /// While only the first account can be made and only with it: the link to do so.
    pub first_account: Option<Url>,
    /// Which engine runs the functions, and where it is: for people.
    pub engine: String,
    public: ServerHandle,
    internal: Vec<ServerHandle>,
    /// The embedded engine at work.
    dispatch: Option<JoinHandle<()>>,
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
    #[error("Cannot listen on {address}: {source}. RUNBOARD_ENGINE_LISTEN sets the address.")]
    EngineListen { address: SocketAddr, source: io::Error },
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
    let lock = data_dir::lock(&config.data_dir)?;
    let store = Store::open(config.database_url.expose_secret()).await?;
    data_dir::check_installation(&config.data_dir, &store).await?;
    let storage = Storage::open(config.data_dir.join("files"))?;
    let removed = storage.remove_unnamed(&data_dir::named_files(&store).await?)?;
    if removed > 0 {
        tracing::info!(files = removed, "removed what an interrupted upload or step left behind");
    }

    let public = listen(config.listen)?;
    let here = origin_of(public.local_addr()?)?;
    let links = link_key(&store).await?;
    let live = Live::default();
    let wiring = Wiring::of(&config, &store, &here)?;
    let limits = inngest::Limits { polls_per_second: config.poll_budget, ..inngest::Limits::default() };
    let client = Client::with_limits(wiring.server.clone(), limits)?;
    let registration = function::registration(&wiring.serve_url, config.processor);
    let registrar = Registrar::new(client.clone(), registration);
    let processor = web::Data::new(Processor {
        store: store.clone(),
        storage: storage.clone(),
        links: links.clone(),
        fetcher: Fetcher::new(config.allow_addresses, FetchLimits::up_to(config.max_upload_bytes)),
        live: live.clone(),
        engine: client.clone(),
        door: wiring.door(registrar.clone()),
        serve_url: wiring.serve_url.clone(),
        max_record_bytes: config.max_record_bytes,
        step_bytes: function::STEP_BYTES,
    });

    let accounts = web::Data::new(Accounts::new(store.clone(), config.sign_up, config.listen));
    let origin = config.public_url.clone().unwrap_or_else(|| here.clone());
    let first_account = match accounts.link_token().await? {
        Some(token) => Some(origin.join(&format!("/sign-up?token={}", token.expose()))?),
        None => None,
    };
    let imports = Imports::new(Parts {
        store: store.clone(),
        storage: storage.clone(),
        client: client.clone(),
        registrar: registrar.clone(),
        live,
        links: links.clone(),
        origin: origin.clone(),
        pointers: config.output_pointers,
    });

    let shutdown = CancellationToken::new();
    let internal = wiring.serve(&processor)?;
    let registering = {
        let (registrar, shutdown) = (registrar.clone(), shutdown.clone());
        tokio::spawn(async move { registrar.persist(&shutdown).await })
    };
    // Before the first event is sent, if that is possible.
    let _ = timeout(REGISTERED_WITHIN, registering).await;
    imports.start().await?;
    tokio::spawn(check_event_key(client.clone()));
    tokio::spawn(sweep_sessions(accounts.clone(), shutdown.clone()));
    tokio::spawn(sweep_strangers(processor.clone().into_inner(), shutdown.clone()));
    let shared = Shared {
        origin: web::Data::new(PublicOrigin::new(config.public_url.as_ref(), public.local_addr()?)),
        site: web::Data::new(Site {
            engine: wiring.name(),
            max_upload_bytes: config.max_upload_bytes,
            stopping: shutdown.clone(),
        }),
        accounts,
        imports: web::Data::new(imports.clone()),
        store: web::Data::new(store.clone()),
        storage: web::Data::new(storage),
        engine: web::Data::new(EngineCheck::new(client)),
        links: web::Data::new(links),
        functions: wiring.called_at().map(|path| (processor, path)),
    };
    let public = serve_public(public, shared)?;
    let engine = wiring.in_words();
    let dispatch = wiring.dispatch(&shutdown);
    Ok(App {
        origin,
        first_account,
        engine,
        public,
        internal,
        dispatch,
        shutdown,
        imports,
        store,
        _lock: lock,
    })
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
    engine: web::Data<EngineCheck>,
    links: web::Data<LinkKey>,
    /// Where Inngest calls us, the functions and their path. The embedded engine does so elsewhere.
    functions: Option<(web::Data<Processor>, String)>,
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
        .route("/imports", read().to(dashboard::list))
        .route("/imports", web::post().to(dashboard::upload))
        .route("/sample.csv", read().to(sample::show))
        .route("/imports/sample", web::post().to(sample::import))
        .route("/imports/{id}", read().to(import::show))
        .route("/imports/{id}/panel", read().to(import::panel))
        .route("/imports/{id}/cancel", web::post().to(import::cancel))
        .route("/imports/{id}/retry", web::post().to(retry::submit))
        .route("/imports/{id}/delete", read().to(delete::show))
        .route("/imports/{id}/delete", web::post().to(delete::submit))
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
            .app_data(shared.engine)
            .app_data(shared.links)
            .app_data(web::QueryConfig::default().error_handler(|_, _| error::Error::Unreadable.into()))
            .app_data(web::FormConfig::default().error_handler(|_, _| error::Error::Unreadable.into()))
            .configure(public_routes)
            // Behind the pages, whose paths no setting can take.
            .configure(|routes| {
                if let Some((processor, path)) = shared.functions {
                    routes.app_data(processor);
                    function::serve::routes(routes, Some(&path));
                }
            })
            // The last one sees a request first.
            .wrap(from_fn(csrf::refuse_cross_site))
            .wrap(Compress::default())
            .wrap(from_fn(headers::secure))
    });
    let server = server.listen(listener)?.shutdown_timeout(REQUEST_GRACE.as_secs()).disable_signals();
    Ok(run(server.run()))
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
        if let Some(dispatch) = self.dispatch
            && let Err(error) = dispatch.await
        {
            tracing::error!(%error, "the engine broke off");
        }
        self.public.stop(true).await;
        self.imports.stop().await;
        for internal in self.internal {
            internal.stop(false).await;
        }
        self.store.close().await;
    }
}

/// Says at start what the first import would find out: registering takes the signing key only.
async fn check_event_key(client: Client) {
    if let Err(inngest::Error::Unauthorized { message }) = client.check_event_api().await {
        tracing::error!(%message, "the engine does not take the event key: no import can be sent");
    }
}

async fn sweep_strangers(processor: Arc<Processor>, shutdown: CancellationToken) {
    loop {
        match processor.sweep_strangers(UnixMillis::now()).await {
            Ok(0) => {}
            Ok(runs) => tracing::info!(runs, "removed what runs of others' events had written a day ago"),
            Err(error) => tracing::error!(%error, "runs of others' events could not be swept"),
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(SWEEP_STRANGERS_EVERY)).await.is_none() {
            return;
        }
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
