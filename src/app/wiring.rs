//! Sets up the engine that is configured, and nothing else does: its address, who calls whom, and with which keys.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use actix_web::{App, dev::ServerHandle, middleware::from_fn, web};
use secrecy::SecretString;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    StartError,
    server::{listen, origin_of},
};
use crate::{
    base::{
        config::{self, Config, Exposed, HttpLimits, Inngest},
        tasks::Tasks,
    },
    engine::{self, Engine},
    function::{self, EngineLocation, Processor, ServeHandler, ServeLimits},
    http::serving::{self, Connections},
    inngest::{Client, Registrar, Server, SigningKeys, SyncRequest},
    progress::ProgressRegistry,
    replicas::{Replicas, Work},
    report::EngineName,
    store::Store,
};

/// One thread is enough: the functions do their work on other threads, and these only handle HTTP.
const INTERNAL_THREADS: usize = 1;

/// The embedded engine has no limit that others share. This rate spreads the polls of many watchers that
/// begin at once, for example after a start.
const EMBEDDED_POLLS_PER_SECOND: f64 = 1_000.0;

/// How many calls the embedded engine makes at once. Most of them wait for their turn in our function, which
/// limits its concurrent work. Each takes a connection and the memory of its run's step outputs.
const CALLS: usize = 128;

/// How often the replica that leads looks whether the functions are registered at its address.
const REGISTER_EVERY: Duration = Duration::from_secs(10);

/// Stopped at once, because their callers have ended by then.
const STOP_GRACE: Duration = Duration::from_secs(1);

pub struct Wiring {
    /// The server that the client sends requests to.
    pub server: Server,
    /// The URL at which the engine calls our functions.
    pub serve_url: Url,
    is_dev: bool,
    replicas: Replicas,
    engine: Which,
}

enum Which {
    Embedded(Box<Embedded>),
    Inngest,
}

struct Embedded {
    engine: Engine,
    /// A loopback listener for this process only: the engine's API, and the functions that the engine calls.
    internal: TcpListener,
    /// The listener of the engine's API for others.
    exposed: Option<(TcpListener, SocketAddr)>,
}

impl Wiring {
    /// `here` is the address of the pages.
    pub fn of(
        config: &Config,
        store: &Store,
        progress: &ProgressRegistry,
        replicas: &Replicas,
        here: &Url,
    ) -> Result<Self, StartError> {
        match &config.engine {
            config::EngineConfig::Embedded(exposed) => {
                Self::embedded(config, exposed.as_ref(), store, progress, replicas)
            }
            config::EngineConfig::Inngest(inngest) => Self::inngest(inngest, replicas, here),
        }
    }

    fn embedded(
        config: &Config,
        exposed: Option<&Exposed>,
        store: &Store,
        progress: &ProgressRegistry,
        replicas: &Replicas,
    ) -> Result<Self, StartError> {
        let internal = listen(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let origin = origin_of(internal.local_addr()?)?;
        let keys = match exposed {
            Some(Exposed { event_key, signing_key, .. }) => {
                engine::Keys { event_key: event_key.clone(), signing_key: signing_key.clone() }
            }
            None => engine::Keys { event_key: random_key(), signing_key: random_key() },
        };
        let exposed = match exposed {
            Some(exposed) => {
                let refused = |source| StartError::EngineListen { address: exposed.listen, source };
                let listener = TcpListener::bind(exposed.listen).map_err(refused)?;
                let address = listener.local_addr()?;
                Some((listener, address))
            }
            None => None,
        };
        let server = Server {
            event_api: origin.clone(),
            api: origin.clone(),
            event_key: keys.event_key.clone(),
            signing_keys: keys.signing_key.clone().into(),
            api_key: None,
            env: None,
        };
        let options = engine::EngineOptions { calls: CALLS, retries: config.engine_retries.clone() };
        let engine = Engine::new(store.clone(), keys, options)?;
        let engine = engine.telling(progress.clone()).among(replicas.clone());
        Ok(Self {
            server,
            serve_url: origin.join(function::serve::PATH)?,
            is_dev: false,
            replicas: replicas.clone(),
            engine: Which::Embedded(Box::new(Embedded { engine, internal, exposed })),
        })
    }

    fn inngest(inngest: &Inngest, replicas: &Replicas, here: &Url) -> Result<Self, StartError> {
        if inngest.is_dev && !inngest.signing_keys.is_empty() {
            tracing::warn!(
                "INNGEST_DEV is set: calls are accepted without a signature, although a signing key is set"
            );
        }
        Ok(Self {
            server: Server {
                event_api: inngest.event_api.clone(),
                api: inngest.api.clone(),
                event_key: inngest.event_key.clone(),
                signing_keys: SigningKeys::from(inngest.signing_keys.clone()),
                api_key: inngest.api_key.clone(),
                env: inngest.env.clone(),
            },
            serve_url: inngest.serve_origin.as_ref().unwrap_or(here).join(&inngest.serve_path)?,
            is_dev: inngest.is_dev,
            replicas: replicas.clone(),
            engine: Which::Inngest,
        })
    }

    pub fn handler(&self, registrar: Registrar) -> ServeHandler {
        ServeHandler {
            keys: self.server.signing_keys.clone(),
            is_dev: self.is_dev,
            registrar,
            engine: EngineLocation {
                api: self.server.api.to_string(),
                event_api: self.server.event_api.to_string(),
                env: self.server.env.clone(),
            },
            limits: ServeLimits::default(),
        }
    }

    /// How many requests per second are made to the engine, by all replicas together.
    pub fn poll_budget(&self, config: &Config) -> f64 {
        match self.engine {
            Which::Embedded(_) => EMBEDDED_POLLS_PER_SECOND,
            Which::Inngest => config.poll_budget,
        }
    }

    pub fn name(&self) -> EngineName {
        match self.engine {
            Which::Embedded(_) => EngineName::Embedded,
            Which::Inngest => EngineName::Inngest,
        }
    }

    /// A description of the engine for the operator.
    pub fn in_words(&self) -> String {
        let Server { api, event_api, .. } = &self.server;
        match &self.engine {
            Which::Embedded(embedded) => {
                let others = match &embedded.exposed {
                    None => String::new(),
                    Some((_, address)) => format!(", for others at http://{address}"),
                };
                let one = if self.replicas.is_alone() {
                    ""
                } else {
                    ", calls the functions of one replica (Inngest calls those of all)"
                };
                format!("embedded{others}{one}")
            }
            Which::Inngest => {
                let kind = if self.is_dev { "Inngest dev server" } else { "Inngest" };
                let events =
                    if api == event_api { String::new() } else { format!(", events to {}", bare(event_api)) };
                format!("{kind} at {}{events}, calls us at {}", bare(api), self.serve_url)
            }
        }
    }

    /// The path at which an external engine calls our functions, on the listener of the pages.
    pub fn called_at(&self) -> Option<String> {
        match self.engine {
            Which::Embedded(_) => None,
            Which::Inngest => Some(self.serve_url.path().to_owned()),
        }
    }

    /// Serves the internal and the exposed listener.
    pub fn serve(
        &self,
        processor: &web::Data<Processor>,
        limits: HttpLimits,
        connections: &Arc<Connections>,
    ) -> io::Result<Vec<ServerHandle>> {
        let Which::Embedded(embedded) = &self.engine else { return Ok(Vec::new()) };
        let mut servers = Vec::new();
        let engine = web::Data::new(embedded.engine.clone());
        let of_internal = web::Data::new(embedded.engine.clone().serving_itself());
        let processor = processor.clone();
        let options = |connections| serving::ServeOptions {
            limits,
            connections,
            header_lines: "".into(),
            workers: Some(INTERNAL_THREADS),
            grace: STOP_GRACE,
        };
        let limits = web::Data::new(limits);
        let of_exposed = limits.clone();
        let listener = embedded.internal.try_clone()?;
        servers.push(serving::serve(listener, options(Connections::unlimited()), move || {
            App::new()
                .app_data(of_internal.clone())
                .app_data(processor.clone())
                .app_data(limits.clone())
                .configure(engine::api::routes)
                .configure(|routes| function::serve::routes(routes, None))
                .wrap(from_fn(serving::within))
        })?);
        if let Some((listener, _)) = &embedded.exposed {
            let options = options(Arc::clone(connections));
            servers.push(serving::serve(listener.try_clone()?, options, move || {
                App::new()
                    .app_data(engine.clone())
                    .app_data(of_exposed.clone())
                    .configure(engine::api::routes)
                    .wrap(from_fn(serving::within))
            })?);
        }
        Ok(servers)
    }

    /// Registers our functions, unless [`dispatch`](Self::dispatch) does that whenever this process begins to lead.
    pub fn register(&self, registrar: Registrar, tasks: &Tasks) {
        if matches!(self.engine, Which::Embedded(_)) && !self.replicas.is_alone() {
            registrar.rest(true);
            return;
        }
        let stopping = tasks.stopping().clone();
        tasks.spawn(async move { registrar.persist(&stopping).await });
    }

    /// Starts the embedded engine's work until `tasks` is stopped. It works only while this process holds the
    /// lock of the database, because without the lock another process may work on the same runs; and of several
    /// replicas, only while this one leads.
    pub fn dispatch(self, tasks: &Tasks, registrar: Registrar, held: watch::Receiver<bool>) {
        let Self { replicas, engine: Which::Embedded(embedded), .. } = self else { return };
        let Embedded { engine, .. } = *embedded;
        let stopping = tasks.stopping().clone();
        if replicas.is_alone() {
            tasks.spawn(async move { while_held(held, &stopping, |round| engine.clone().run(round)).await });
            return;
        }
        tracing::info!(
            "the embedded engine calls the functions of the replica that leads, whose machine does all the work; \
             Inngest calls those of all replicas"
        );
        tasks.spawn(async move {
            let (engine, registrar) = (&engine, &registrar);
            let work = |term: CancellationToken| {
                let held = held.clone();
                async move { while_held(held, &term, |round| run_registered(engine, registrar, round)).await }
            };
            replicas.lead(Work::Runs, engine.news(), &stopping, work).await;
        });
    }

    /// Has the client make this replica's share of the requests that all of them may make to Inngest, until `tasks` is
    /// stopped.
    pub fn share_budget(&self, client: Client, config: &Config, tasks: &Tasks) {
        if self.replicas.is_alone() || matches!(self.engine, Which::Embedded(_)) {
            return;
        }
        let mut tenure = self.replicas.tenure();
        let (budget, stopping) = (self.poll_budget(config), tasks.stopping().clone());
        // What Inngest would otherwise be given is an address of this process.
        let mut is_called_alone = matches!(
            &config.engine,
            config::EngineConfig::Inngest(inngest) if inngest.serve_origin.is_none()
        );
        let share = async move {
            loop {
                let live = tenure.borrow_and_update().live;
                client.set_polls_per_second(share_of(budget, live));
                if live > 1 && std::mem::take(&mut is_called_alone) {
                    tracing::warn!(
                        "there are several replicas, and Inngest calls the one that has registered last: \
                         set INNGEST_SERVE_ORIGIN to the address of the proxy"
                    );
                }
                if tenure.changed().await.is_err() {
                    return;
                }
            }
        };
        tasks.spawn(async move { stopping.run_until_cancelled(share).await });
    }
}

/// The share of one of `live` replicas.
fn share_of(budget: f64, live: usize) -> f64 {
    budget / f64::from(u32::try_from(live).unwrap_or(u32::MAX).max(1))
}

/// Runs the engine until `round` ends, with our functions registered at the address of this process: the runs of the
/// replica that led before must not be called at that one's. They are registered again and again, because a replica that
/// is paused at the wrong moment completes a registration later.
async fn run_registered(engine: &Engine, registrar: &Registrar, round: CancellationToken) {
    registrar.rest(false);
    registrar.persist(&round).await;
    if !round.is_cancelled() {
        let again = async {
            while round.run_until_cancelled(sleep(REGISTER_EVERY)).await.is_some() {
                if let Err(error) = registrar.register(&SyncRequest::default()).await {
                    tracing::warn!(%error, "cannot look whether the functions are registered");
                }
            }
            registrar.rest(true);
        };
        tokio::join!(engine.clone().run(round.clone()), again);
    }
    registrar.rest(true);
}

/// Does `work` whenever this process holds the lock of the database, until `stopping`.
async fn while_held<F: Future<Output = ()>>(
    mut held: watch::Receiver<bool>,
    stopping: &CancellationToken,
    work: impl Fn(CancellationToken) -> F,
) {
    while stopping.run_until_cancelled(becomes(&mut held, true)).await.is_some() {
        let round = stopping.child_token();
        let mut work = pin!(work(round.clone()));
        tokio::select! {
            () = &mut work => return,
            () = becomes(&mut held, false) => {}
        }
        // Calls in progress may end. Their answers are ignored if another process has taken over
        // their runs.
        round.cancel();
        work.await;
    }
}

/// Waits until `flag` has the value `wanted`; never returns once its sender is gone.
async fn becomes(flag: &mut watch::Receiver<bool>, wanted: bool) {
    if flag.wait_for(|now| *now == wanted).await.is_err() {
        std::future::pending().await
    }
}

/// An address in the form that people write.
fn bare(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}

/// A key for an embedded engine that is not exposed: new at every start.
fn random_key() -> SecretString {
    SecretString::from(hex::encode(rand::random::<[u8; 32]>()))
}
