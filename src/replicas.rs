//! The processes that work on one database at once: who lives, who leads, what they tell each other, and what they count
//! together.
//!
//! Each renews its row once a second. One that cannot for [`LIVES_FOR`] has lost all that it had leased, and knows it
//! by its own clock no later than the others by the database's: it stops its watches and its lead, and joins again under
//! another id. So a process that was paused, or cut off, never goes on as if nothing had happened.

mod bus;
mod lead;
mod outgoing;
mod rates;
mod refusals;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use ulid::Ulid;
use url::Url;

pub use self::{
    bus::{Bus, Heard, HeardOrCurrent, Listener, Message},
    lead::Work,
    rates::{Rates, SharedLimiter},
};
use crate::{
    base::tasks::Tasks,
    store::{self, LIVES_FOR, ReplicaConnection, Store},
};

/// How often the row is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// How soon it is tried again after a failure.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// What this process may do at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenure {
    /// Names the leases of this process. None: it has lost them, and may do nothing that one replica does for all.
    pub id: Option<Arc<str>>,
    /// Whether it does what one replica does for all.
    pub leads: bool,
    /// How many replicas live, with this one.
    pub live: usize,
}

/// This process among the replicas. Clones share it.
#[derive(Clone, Debug)]
pub struct Replicas {
    bus: Bus,
    tenure: Arc<watch::Sender<Tenure>>,
    /// Cancelled once this process must not lead any more.
    resigned: CancellationToken,
}

impl Replicas {
    /// A process that has the database for itself: it leads, and there is nobody to tell.
    #[must_use]
    pub fn alone() -> Self {
        let tenure = Tenure { id: None, leads: true, live: 1 };
        Self::new(Bus::alone(), tenure)
    }

    fn new(bus: Bus, tenure: Tenure) -> Self {
        Self { bus, tenure: Arc::new(watch::Sender::new(tenure)), resigned: CancellationToken::new() }
    }

    /// Joins the replicas on the Postgres at `url`, as the process that has the data folder named `folder`, and this
    /// setting of `RUNBOARD_PUBLIC_URL`. `tasks` must be stopped last, because that leaves them.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn join(
        url: &str,
        store: Store,
        folder: &str,
        public_url: Option<&Url>,
        tasks: &Tasks,
    ) -> Result<Self, store::Error> {
        let mut lease = ReplicaConnection::new(url)?;
        let id = new_id();
        lease.forget(folder).await?;
        let asked_at = Instant::now();
        let mut public_url = PublicUrl::new(public_url);
        lease.join(&id, folder, &public_url.own).await?;
        let renewed = lease.renew(&id, true).await?;
        let tenure = Tenure {
            id: Some(Arc::clone(&id)),
            leads: renewed.as_ref().is_some_and(|renewed| renewed.leads),
            live: renewed.as_ref().map_or(1, |renewed| renewed.live),
        };
        public_url.compare(renewed.and_then(|renewed| renewed.other_public_url));
        if tenure.leads {
            log_lead(true);
        }
        store.set_replica(Some(Arc::clone(&id)));
        let bus = Bus::of(id.to_string());
        let channel = format!("runboard {}", store.schema().await?);
        let replicas = Self::new(bus.clone(), tenure);
        let stopping = tasks.stopping();
        tasks.spawn(bus.clone().send(ReplicaConnection::new(url)?, channel.clone(), stopping.clone()));
        tasks.spawn(bus.receive(url.to_owned(), channel, stopping.clone()));
        let keeper = Keeper {
            lease,
            id,
            folder: folder.to_owned(),
            public_url,
            store,
            replicas: replicas.clone(),
            has_resigned: false,
        };
        tasks.spawn(keeper.keep(tasks.clone(), asked_at));
        Ok(replicas)
    }

    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Whether no other process can use the database.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.bus.is_alone()
    }

    /// What this process may do, and notice of changes.
    #[must_use]
    pub fn tenure(&self) -> watch::Receiver<Tenure> {
        self.tenure.subscribe()
    }

    /// Whether this process does what one replica does for all.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.tenure.borrow().leads
    }

    /// Gives up the lead at once and for ever, as before an end that takes long. Watches and other leases stay.
    pub fn resign(&self) {
        if self.is_alone() {
            return;
        }
        self.resigned.cancel();
        self.tell(|tenure| tenure.leads = false);
    }

    fn tell(&self, change: impl FnOnce(&mut Tenure)) {
        self.tenure.send_if_modified(|tenure| {
            let before = tenure.clone();
            change(tenure);
            // Asked here, where `resign` cannot come in between.
            tenure.leads &= !self.resigned.is_cancelled();
            if tenure.leads != before.leads {
                log_lead(tenure.leads);
            }
            *tenure != before
        });
    }
}

/// Keeps the row of this process.
struct Keeper {
    lease: ReplicaConnection,
    id: Arc<str>,
    folder: String,
    public_url: PublicUrl,
    store: Store,
    replicas: Replicas,
    /// The lead has been given up, or is at the next renewal.
    has_resigned: bool,
}

impl Keeper {
    async fn keep(mut self, tasks: Tasks, mut renewed_at: Instant) {
        let stopping = tasks.stopping();
        let mut pause = RENEW_EVERY;
        while stopping.run_until_cancelled(self.pause(pause)).await.is_some() {
            // A process that was paused must not believe, even for one statement, that its leases are its own.
            if renewed_at.elapsed() >= LIVES_FOR {
                self.lose();
            }
            // The time before the request, so that this clock never ends a lease later than the database's.
            let asked_at = Instant::now();
            // An attempt must not outlast the leases that it renews.
            let left = match LIVES_FOR.saturating_sub(renewed_at.elapsed()) {
                Duration::ZERO => LIVES_FOR,
                left => left,
            };
            pause = match timeout(left, self.renew(asked_at)).await.unwrap_or(Err(store::Error::NoAnswer)) {
                Ok(()) => {
                    renewed_at = asked_at;
                    RENEW_EVERY
                }
                Err(error) => {
                    tracing::warn!(%error, "the database does not renew the leases of this process");
                    TRY_AGAIN_AFTER
                }
            };
            match LIVES_FOR.saturating_sub(renewed_at.elapsed()) {
                Duration::ZERO => self.lose(),
                // No pause outlasts the leases.
                left => pause = pause.min(left),
            }
        }
        self.lose();
        if let Err(error) = self.lease.leave(&self.id).await {
            tracing::warn!(%error, "the other replicas take over in some seconds only");
        }
    }

    /// Waits, but not with a lead that is to be given up.
    async fn pause(&mut self, pause: Duration) {
        let (has_resigned, resigned) = (self.has_resigned, self.replicas.resigned.clone());
        let resigns = async {
            match has_resigned {
                true => std::future::pending().await,
                false => resigned.cancelled().await,
            }
        };
        self.has_resigned |= timeout(pause, resigns).await.is_ok();
    }

    /// Renews the leases, or joins anew after they were lost.
    async fn renew(&mut self, asked_at: Instant) -> Result<(), store::Error> {
        let may_lead = !self.replicas.resigned.is_cancelled();
        let renewed = self.lease.renew(&self.id, may_lead).await?;
        let is_lost = self.replicas.tenure.borrow().id.is_none() || is_late(asked_at);
        if let Some(renewed) = renewed.filter(|_| !is_lost) {
            self.public_url.compare(renewed.other_public_url);
            let id = Some(Arc::clone(&self.id));
            self.replicas.tell(|tenure| *tenure = Tenure { id, leads: renewed.leads, live: renewed.live });
            return Ok(());
        }
        self.lose();
        self.lease.leave(&self.id).await?;
        // If the answer to the next statement is lost, its row may be there, and goes like the one before.
        self.id = new_id();
        self.lease.join(&self.id, &self.folder, &self.public_url.own).await?;
        if is_late(asked_at) {
            return Err(store::Error::NoAnswer);
        }
        self.store.set_replica(Some(Arc::clone(&self.id)));
        tracing::warn!(
            "the leases of this process were lost; it works on under another id. Usual causes, unless the database was \
             away: the machine was paused, or another replica has a copy of this one's data folder (RUNBOARD_DATA_DIR)"
        );
        let id = Some(Arc::clone(&self.id));
        self.replicas.tell(|tenure| (tenure.id, tenure.leads) = (id, false));
        Ok(())
    }

    fn lose(&self) {
        self.replicas.tell(|tenure| (tenure.id, tenure.leads) = (None, false));
    }
}

/// `RUNBOARD_PUBLIC_URL` of this process, and of another one if it differs.
struct PublicUrl {
    /// Empty if it is not set.
    own: String,
    other: Option<String>,
}

impl PublicUrl {
    fn new(own: Option<&Url>) -> Self {
        let own = own.map_or("", |own| own.as_str().trim_end_matches('/'));
        Self { own: own.to_owned(), other: None }
    }

    /// Warns when another replica begins to have another address.
    fn compare(&mut self, other: Option<String>) {
        if let Some(other) = other.as_ref().filter(|_| other != self.other) {
            tracing::warn!(
                "RUNBOARD_PUBLIC_URL is {} here and {} at another replica: people seem signed out when they reach \
                 the other one. Set the same address at all of them",
                Self::in_words(&self.own),
                Self::in_words(other)
            );
        }
        self.other = other;
    }

    fn in_words(url: &str) -> &str {
        if url.is_empty() { "not set" } else { url }
    }
}

/// Whether leases that were asked for at this time are over. The answer of the database may be older than a pause of
/// this process.
fn is_late(asked_at: Instant) -> bool {
    asked_at.elapsed() >= LIVES_FOR
}

/// For an operator, who sees it nowhere else but in `/readyz`.
fn log_lead(leads: bool) {
    if leads {
        tracing::info!("this replica leads now: it does what one replica does for all");
    } else {
        tracing::info!("this replica does not lead any more");
    }
}

fn new_id() -> Arc<str> {
    Ulid::new().to_string().into()
}
