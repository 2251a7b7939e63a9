//! The outbox: sends each recorded event until the engine confirms it or refuses it permanently.
//!
//! Of several replicas, the one that leads sends. If one was paused and goes on as if it still led, both take attempts,
//! but never the same one: an attempt is taken from those that the row counts. The later attempt asks the engine
//! whether the event has arrived, and sends it with the same seed, which makes it the same event.
//!
//! Only two answers are a permanent refusal: malformed (400) and too large (413). A key, a path, a rate limit
//! or a server can be corrected, so after every other answer the event is sent again, without a limit.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{EngineOutage, OutageCause, Shared, Snapshot, told};
use crate::{
    base::{
        ids::{EventId, ImportId, UserId},
        limits::{Turn, Turns},
        time::UnixMillis,
    },
    inngest::{Error, Event, EventSeed, Priority},
    progress::News,
    replicas::Work,
    store::{self, outbox::OutboxRow},
};

/// How many events are sent at once, at most one of each user. A thousand events of one user, or one that the
/// engine is slow to accept, do not delay the events of other users.
const SENDS_AT_ONCE: usize = 8;

/// The pause after a failed attempt doubles from this to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The longest pause that an engine's `Retry-After` can cause. A row with a later time was written before the
/// clock was set back, and counts as due.
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);

/// The pause after a database failure.
const DATABASE_PAUSE: Duration = Duration::from_secs(5);

/// After this many failed attempts the page says that the engine does not answer.
const WORTH_A_WORD: u32 = 1;

/// The result of reading the outbox.
enum Next {
    /// It is this user's turn.
    Send(Turn<UserId>),
    /// No event is due before this time, or at all.
    Idle(Option<UnixMillis>),
}

/// The result of one attempt to send an event.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Sent(ImportId),
    /// The engine will never accept it.
    Refused(ImportId),
    /// No answer; it is sent again later.
    Postponed(ImportId),
    /// Cancelled before or while it was sent, or taken by another process.
    Withdrawn,
}

/// Sends events after `ready` has completed, while this process leads, until the server stops.
pub async fn run(shared: Arc<Shared>, ready: impl Future<Output = ()>) {
    let stopping = shared.tasks.stopping();
    if stopping.run_until_cancelled(ready).await.is_none() {
        return;
    }
    let replicas = &shared.replicas;
    replicas.lead(Work::Outbox, &shared.outbox, stopping, |term| send_all(&shared, term)).await;
}

/// Sends events until `stopping`.
async fn send_all(shared: &Arc<Shared>, stopping: CancellationToken) {
    let turns = Turns::default();
    // Aborted at the end. Whoever goes on checks whether the events arrived.
    let mut sends = JoinSet::new();
    while !stopping.is_cancelled() {
        while sends.try_join_next().is_some() {}
        let pause = match next(shared, &turns).await {
            Ok(Next::Send(turn)) => {
                sends.spawn(take_turn(Arc::clone(shared), turn));
                continue;
            }
            Ok(Next::Idle(None)) => shared.replicas.rest(Duration::MAX),
            Ok(Next::Idle(Some(at))) => shared.replicas.rest(at.since(UnixMillis::now())),
            Err(error) => {
                tracing::error!(%error, "outbox");
                DATABASE_PAUSE
            }
        };
        tokio::select! {
            () = stopping.cancelled() => {}
            // In each of these cases an event may be due.
            Some(_) = sends.join_next() => {}
            _ = timeout(pause, shared.outbox.notified()) => {}
        }
    }
    sends.shutdown().await;
}

/// The user whose event is sent next.
async fn next(shared: &Shared, turns: &Turns<UserId>) -> store::Result<Next> {
    let now = UnixMillis::now();
    let senders = shared.store.outbox_senders().await?;
    let due = senders.iter().filter(|(_, due_at)| is_due(*due_at, now)).map(|(owner, _)| owner);
    if let Some(turn) = turns.next(due, |mine, all| mine == 0 && all < SENDS_AT_ONCE) {
        return Ok(Next::Send(turn));
    }
    // Users with due events wait for the end of a send, which wakes the loop.
    let later = senders.iter().filter(|(owner, due_at)| !is_due(*due_at, now) && turns.is_idle(owner));
    Ok(Next::Idle(later.map(|(_, due_at)| *due_at).min()))
}

fn is_due(at: UnixMillis, now: UnixMillis) -> bool {
    at <= now || at > now.plus(LONGEST_WAIT)
}

/// Sends the next event of a user.
async fn take_turn(shared: Arc<Shared>, turn: Turn<UserId>) {
    match send_next(&shared, *turn.of()).await {
        Ok(outcome) => tracing::debug!(?outcome, "outbox"),
        Err(error) => {
            tracing::error!(%error, "outbox");
            sleep(DATABASE_PAUSE).await;
        }
    }
}

/// An import whose event is being sent, until this is dropped.
struct Sending<'a> {
    shared: &'a Shared,
    import: ImportId,
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.shared.sending().remove(&self.import);
    }
}

async fn send_next(shared: &Arc<Shared>, owner: UserId) -> store::Result<Outcome> {
    let Some(row) = shared.store.next_outbox(owner).await? else { return Ok(Outcome::Withdrawn) };
    // Another process may have taken the attempt since the senders were listed.
    if !is_due(row.next_attempt_at, UnixMillis::now()) {
        return Ok(Outcome::Withdrawn);
    }
    // Registered before the send is recorded, so that a cancel finds one or the other.
    let cancelled = CancellationToken::new();
    shared.sending().insert(row.import, (owner, cancelled.clone()));
    let _sending = Sending { shared, import: row.import };
    // Recorded before the first byte is sent: from here on the event may have arrived.
    let pause = pause_after(row.attempts);
    if !shared.store.begin_sending(&row, UnixMillis::now().plus(pause)).await? {
        return Ok(Outcome::Withdrawn);
    }
    // An aborted event has arrived or never will, and is not sent again. A run that it has triggered appears
    // soon, and the watcher cancels it.
    let Some(sent) = cancelled.run_until_cancelled(send(shared, &row)).await else {
        return Ok(Outcome::Withdrawn);
    };
    match sent {
        Ok(confirmed) => {
            shared.store.event_sent(row.import, &confirmed, UnixMillis::now()).await?;
            shared.progress.tell(&row.event_id, News::Look);
            Ok(Outcome::Sent(row.import))
        }
        Err(Unsent::Postponed { error, was_sent }) => {
            tracing::warn!(import = %row.import, %error, was_sent, "the event could not be sent yet");
            // An engine may ask for a longer pause.
            let asked = match error {
                Error::RateLimited { retry_after: Some(asked) } => asked.min(LONGEST_WAIT),
                _ => Duration::ZERO,
            };
            let next_attempt = UnixMillis::now().plus(pause.max(asked));
            shared.store.postpone_sending(&row.event_id, next_attempt).await?;
            // A refused connection may be temporary, so it is reported only after the next attempt. A status
            // is an answer, and after a timeout the engine has been silent for that time, so these are
            // reported at once.
            let is_lasting = error.status().is_some() || matches!(error, Error::TimedOut(_));
            if is_lasting || row.attempts >= WORTH_A_WORD {
                let cause = match error.status() {
                    Some(status) if was_sent => OutageCause::EventNotTaken { status, retry_at: next_attempt },
                    _ => OutageCause::of(&error),
                };
                say_why(shared, &row, cause);
            }
            Ok(Outcome::Postponed(row.import))
        }
        Err(Unsent::Refused(error)) => {
            tracing::error!(import = %row.import, %error, "the engine refused the event");
            let refused = shared.store.event_refused(row.import, &reason(&error), UnixMillis::now()).await;
            // Its watcher may have ended, and nobody watches an import that is over.
            told::recorded_for_all(shared.replicas.bus(), row.owner, row.import);
            refused?;
            shared.progress.tell(&row.event_id, News::Look);
            Ok(Outcome::Refused(row.import))
        }
    }
}

/// Shows why the event is not sent yet, until it is.
fn say_why(shared: &Arc<Shared>, row: &OutboxRow, cause: OutageCause) {
    let (shared, owner, import) = (Arc::clone(shared), row.owner, row.import);
    let say = move |shared: &Shared| {
        shared.snapshots.change(owner, import, |import| {
            let since = import.outage.map_or_else(UnixMillis::now, |outage| outage.since);
            import.outage = Some(EngineOutage { since, cause });
        });
    };
    if shared.replicas.is_alone() || shared.snapshots.is_watched(import) {
        return say(&shared);
    }
    // The replica that watches the import learns it from a change of what is shown here. Not waited for, because the next
    // event must not. What cannot be loaded, because the database is away, is said after the next attempt.
    let tasks = shared.tasks.clone();
    tasks.spawn(async move {
        let _asked = shared.snapshots.fresh(owner, Some(import)).await;
        // It may have been sent, refused or cancelled meanwhile.
        let waits = |import: &Snapshot| {
            import.row.sent_at.or(import.row.cancel_requested_at).is_none() && import.row.refused.is_none()
        };
        if shared.snapshots.get(owner, import).is_some_and(|import| waits(&import)) {
            say(&shared);
        }
    });
}

/// Sends the event of an import again, with its original seed. A function that has accepted it before does
/// not run twice.
pub async fn send_again(shared: &Shared, id: ImportId) -> store::Result<()> {
    let Some(import) = shared.store.import(id).await? else { return Ok(()) };
    let Some(seed) = EventSeed::of(&import.event_id) else { return Ok(()) };
    // It was sent before, so its runs are requested first.
    let event = OutboxRow { attempts: 1, ..shared.event_of(&import, &seed, UnixMillis::now()) };
    shared.store.send_event_again(&event).await?;
    shared.outbox.notify_one();
    Ok(())
}

/// Why an event was not sent.
enum Unsent {
    /// It may have been sent, or may be later. `was_sent` is true if the event itself failed, and false if
    /// the check for its arrival failed.
    Postponed { error: Error, was_sent: bool },
    /// It was not accepted, and never will be.
    Refused(Error),
}

/// Sends one event. If it may have arrived, its runs are requested first: an existing run proves the arrival.
async fn send(shared: &Shared, row: &OutboxRow) -> Result<EventId, Unsent> {
    if row.attempts > 0 {
        // An error of this request says nothing about the event.
        let client = shared.client.for_user(row.owner, Priority::Now);
        let runs = client.event_runs(&row.event_id).await;
        let runs = runs.map_err(|error| Unsent::Postponed { error, was_sent: false })?;
        if !runs.data.is_empty() {
            return Ok(row.event_id.clone());
        }
        // An engine that was unavailable may have restarted, and an event triggers only functions that are
        // registered.
        shared.registrar.remind().await;
    }
    let (Ok(data), Some(seed)) = (serde_json::from_str(&row.data), EventSeed::parse(&row.seed)) else {
        return Err(Unsent::Refused(Error::Setup("the outbox has a row that cannot be read".to_owned())));
    };
    shared.client.send(&Event { name: row.name.clone(), data }, &seed).await.map_err(Unsent::from)
}

impl From<Error> for Unsent {
    fn from(error: Error) -> Self {
        match error {
            Error::Setup(_) | Error::Refused { status: 400 | 413, .. } => Self::Refused(error),
            // An unreadable answer, such as one that a proxy cut off, may have been a success.
            Error::Unreachable(_)
            | Error::TimedOut(_)
            | Error::RateLimited { .. }
            | Error::Server { .. }
            | Error::Unreadable(_)
            | Error::Unauthorized { .. }
            | Error::NotFound { .. }
            | Error::Refused { .. } => Self::Postponed { error, was_sent: true },
        }
    }
}

fn pause_after(attempts: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(2u32.saturating_pow(attempts)).min(LONGEST_PAUSE)
}

/// The text after "Inngest refused the event:".
fn reason(error: &Error) -> String {
    match error {
        Error::Refused { message, .. } => message.clone(),
        other => other.to_string(),
    }
}
