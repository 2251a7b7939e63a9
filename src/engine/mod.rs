//! The embedded engine: Inngest's stand-in on a loopback port.
//!
//! It speaks Inngest's HTTP API ([`api`]), so that the rest of Runboard knows only that API, and it
//! calls functions over HTTP like Inngest does (`caller`), one tenant's beside another's (`share`). Between the two lies a queue in the
//! database (`queue`): an event and the runs it triggers are committed before the sender gets its
//! answer, and whatever an answer of a function does to its run is one transaction (`answer`
//! decides what that is). A process that dies loses nothing: at the next start old leases are void,
//! and a call that was lost is made again under the same attempt number.
//!
//! Functions can be triggered by an event that an `expression` holds for, and by the end of other
//! runs (`system_events`), which is recorded in the transaction that ends the run.
//!
//! It runs plain steps, one after the other, with retries and cancellation. A function may report
//! several during one call, and end a call that has lasted long by planning the next step. Whatever
//! else Inngest can do (sleeps, parallel steps, crons, concurrency limits, ...) is refused by name.

mod answer;
pub mod api;
mod caller;
mod canonical;
mod end;
mod events;
mod expression;
mod functions;
mod ops;
mod queue;
mod share;
mod system_events;
mod triggers;

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;
use tokio::sync::watch;

pub use self::queue::DispatchOutcome;
use self::{caller::Caller, share::Calls};
use crate::{
    base::{ids::RunId, time::UnixMillis},
    inngest,
    progress::ProgressRegistry,
    store::{self, Store, engine::runs::Cancelled},
};

/// The engine. Clones share everything.
#[derive(Clone, Debug)]
pub struct Engine {
    store: Store,
    keys: Keys,
    options: Arc<EngineOptions>,
    caller: Caller,
    calls: Calls,
    /// Says that a run may have become due.
    news: watch::Sender<()>,
    /// Who in this process is told of the end of a run, before any function is.
    watchers: Option<ProgressRegistry>,
}

/// The keys that clients and functions know the engine by.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Part of the address that takes events, `POST /e/{event_key}`.
    pub event_key: SecretString,
    /// Bearer of every other request, and the key that calls of functions are signed with.
    pub signing_key: SecretString,
}

#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// How many calls are made at once; at least one is.
    pub calls: usize,
    /// The pauses before the second, third, ... attempt; the last one repeats. Empty: no pause.
    pub retries: Vec<Duration>,
}

impl Engine {
    /// An engine over `store`. Call [`Engine::run`] to have it work, and mount [`api::routes`] to have it reached.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new(store: Store, keys: Keys, options: EngineOptions) -> Result<Self, inngest::Error> {
        let caller = Caller::new(keys.signing_key.clone())?;
        let calls = Calls::new(options.calls);
        Ok(Self {
            store,
            keys,
            options: Arc::new(options),
            caller,
            calls,
            news: watch::Sender::new(()),
            watchers: None,
        })
    }

    /// The same engine, which tells those who watch `live` of the end of a run once it is recorded.
    #[must_use]
    pub fn telling(self, live: ProgressRegistry) -> Self {
        Self { watchers: Some(live), ..self }
    }

    /// Cancels a run at once. A call at work is not interrupted, its answer is dropped.
    async fn cancel(&self, run: &RunId) -> store::Result<Cancelled> {
        let cancelled = self.store.engine_cancel(run, self, UnixMillis::now()).await?;
        // Its end may have triggered a run.
        self.news.send_replace(());
        Ok(cancelled)
    }
}
