//! The embedded engine: a replacement for Inngest on a loopback port.
//!
//! It serves Inngest's HTTP API ([`api`]), the only interface that the rest of Runboard knows, and calls
//! functions over HTTP as Inngest does (`caller`), sharing its calls between tenants (`share`). In between is
//! a queue in the database (`queue`). An event and the runs that it triggers are committed before the sender
//! gets its answer, and the effect of a function's answer on its run, decided by `answer`, is one
//! transaction. A process that dies loses nothing: at the next start old leases are void, and a lost call is
//! repeated under the same attempt number.
//!
//! Of several replicas, each serves the API, and the one that leads makes all calls. The database lets no other one claim
//! a run or void a lease, so one that was paused and goes on as if it still led changes nothing. The one that begins to
//! lead voids the leases of the one before, whose answers then have no effect.
//!
//! Functions can be triggered by an event for which an `expression` is true, and by the end of other runs
//! (`system_events`), which is recorded in the transaction that ends the run.
//!
//! It supports plain steps, one after the other, with retries and cancellation. A function may report several
//! steps during one call, and end a long call by planning the next step. Inngest's other features (sleeps,
//! parallel steps, crons, concurrency limits, ...) are refused by name.

mod answer;
pub mod api;
mod caller;
mod canonical;
mod end;
mod events;
mod expression;
mod functions;
mod ops;
mod prune;
mod queue;
mod share;
mod system_events;
mod triggers;

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;
use tokio::sync::Notify;

use self::{caller::Caller, share::Calls};
pub use self::{prune::prune, queue::DispatchOutcome};
use crate::{
    base::{ids::RunId, time::UnixMillis},
    inngest,
    progress::ProgressRegistry,
    replicas::Replicas,
    store::{self, Store, engine::runs::Cancelled},
};

/// The embedded engine. Clones share everything.
#[derive(Clone, Debug)]
pub struct Engine {
    store: Store,
    keys: Keys,
    options: Arc<EngineOptions>,
    caller: Caller,
    calls: Calls,
    /// Notified when a run may be due.
    news: Arc<Notify>,
    replicas: Replicas,
    /// Whether the functions that are registered with it are those of this process.
    serves_itself: bool,
    /// The watchers in this process that learn of the end of a run before any function does.
    watchers: Option<ProgressRegistry>,
}

/// The keys that clients and functions authenticate the engine with.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Part of the URL that accepts events, `POST /e/{event_key}`.
    pub event_key: SecretString,
    /// The bearer token of every other request, and the key that calls of functions are signed with.
    pub signing_key: SecretString,
}

#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// How many calls run at once; at least one.
    pub calls: usize,
    /// The pauses before the second, third, ... attempt; the last one repeats. Empty: no pause.
    pub retries: Vec<Duration>,
}

impl Engine {
    /// An engine over `store`. [`Engine::run`] starts its work, and [`api::routes`] mounts its API.
    ///
    /// # Errors
    /// If the HTTP client cannot be built.
    pub fn new(store: Store, keys: Keys, options: EngineOptions) -> Result<Self, inngest::Error> {
        let caller = Caller::new(keys.signing_key.clone())?;
        let calls = Calls::new(options.calls);
        Ok(Self {
            store,
            keys,
            options: Arc::new(options),
            caller,
            calls,
            news: Arc::default(),
            replicas: Replicas::alone(),
            serves_itself: false,
            watchers: None,
        })
    }

    /// The same engine, which also reports the end of each recorded run to the watchers in `progress`.
    #[must_use]
    pub fn telling(self, progress: ProgressRegistry) -> Self {
        Self { watchers: Some(progress), ..self }
    }

    /// The same engine in a process that is one of `replicas`. To be [run](Self::run) only while that leads.
    #[must_use]
    pub fn among(self, replicas: Replicas) -> Self {
        Self { replicas, ..self }
    }

    /// The same engine, of which this process alone knows the address: it takes registrations only while this replica
    /// leads, because their functions are at an address of this process.
    #[must_use]
    pub fn serving_itself(self) -> Self {
        Self { serves_itself: true, ..self }
    }

    /// Notified when a run may be due.
    #[must_use]
    pub fn news(&self) -> &Notify {
        &self.news
    }

    /// Cancels a run at once. A call in progress is not interrupted, but its answer is ignored.
    async fn cancel(&self, run: &RunId) -> store::Result<Cancelled> {
        let cancelled = self.store.engine_cancel(run, self, UnixMillis::now()).await?;
        // The end may have triggered another run.
        self.news.notify_one();
        Ok(cancelled)
    }
}
