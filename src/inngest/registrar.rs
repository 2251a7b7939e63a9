//! Keeps our functions registered with an engine: at start, on request, and after it has forgotten them.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{Client, Error, Registered, SyncRequest, call::Registration};
use crate::base::time::UnixMillis;

/// The pause after a failed registration doubles from this to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// However many events find no function, the server is not asked more often than this whether it knows our
/// functions, and less often each time that it did.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
const AGAIN_AFTER_AT_MOST: Duration = Duration::from_secs(10 * 60);

/// The registration of an app with an engine. Clones share everything.
#[derive(Clone, Debug)]
pub struct Registrar {
    client: Client,
    app: Arc<Registration>,
    state: Arc<Mutex<State>>,
    /// Whether they were registered since the start.
    registered: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    /// When the registration was last checked.
    last: Option<Instant>,
    /// How many checks in a row found the functions registered.
    known: u32,
    /// When a check last found them missing.
    renewed_at: Option<UnixMillis>,
    /// Another process registers the functions.
    rests: bool,
}

impl Registrar {
    #[must_use]
    pub fn new(client: Client, app: Registration) -> Self {
        Self { client, app: Arc::new(app), state: Arc::default(), registered: watch::Sender::new(false) }
    }

    /// The registered app.
    #[must_use]
    pub fn app(&self) -> &Registration {
        &self.app
    }

    /// When the engine was last told about functions that it did not know. An event from before then may have
    /// found no function.
    #[must_use]
    pub fn renewed_at(&self) -> Option<UnixMillis> {
        self.state().renewed_at
    }

    /// Registers on request of the engine.
    pub async fn register(&self, sync: &SyncRequest) -> Result<Registered, Error> {
        let registered = self.client.register(&self.app, sync).await?;
        let mut state = self.state();
        state.last = Some(Instant::now());
        if registered.modified {
            state.renewed_at = Some(UnixMillis::now());
            state.known = 0;
        }
        drop(state);
        self.registered.send_replace(true);
        Ok(registered)
    }

    /// Registers until the engine accepts, or until `shutdown`. Waits for an engine that is not reachable
    /// yet.
    pub async fn persist(&self, shutdown: &CancellationToken) {
        let mut pause = FIRST_PAUSE;
        loop {
            match shutdown.run_until_cancelled(self.register(&SyncRequest::default())).await {
                None => return,
                Some(Ok(Registered { modified })) => {
                    tracing::info!(modified, "the functions are registered");
                    return;
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, ?pause, "cannot register the functions yet")
                }
            }
            if shutdown.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Whether this process keeps the functions registered. If another one does, [`remind`](Self::remind) does nothing.
    pub fn rest(&self, rests: bool) {
        self.state().rests = rests;
    }

    /// Waits until the functions are registered for the first time.
    pub async fn until_registered(&self) {
        // The sender is in `self`, so the wait cannot fail.
        let _ = self.registered.subscribe().wait_for(|registered| *registered).await;
    }

    /// Registers again unless that was done recently: an event found no function, or the engine came back.
    pub async fn remind(&self) {
        {
            let mut state = self.state();
            if state.rests {
                return;
            }
            let now = Instant::now();
            let pause = AGAIN_AFTER.saturating_mul(2u32.saturating_pow(state.known)).min(AGAIN_AFTER_AT_MOST);
            if state.last.is_some_and(|last| now.duration_since(last) < pause) {
                return;
            }
            state.last = Some(now);
        }
        match self.register(&SyncRequest::default()).await {
            Ok(Registered { modified: true }) => {
                tracing::warn!("the engine had lost the functions; registered them again");
            }
            Ok(Registered { modified: false }) => {
                let mut state = self.state();
                state.known = state.known.saturating_add(1);
            }
            Err(error) => tracing::warn!(%error, "cannot register the functions again"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent after each statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
