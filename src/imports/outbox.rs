//! The outbox: sends each recorded event until the engine has confirmed it or refused it for good.
//!
//! Only an event that the engine can never take is refused for good: one that it calls malformed (400)
//! or too large (413). A key, a path, a rate or a server can be put right, so every other answer is
//! waited out, however long that takes.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{EngineOutage, OutageCause, Shared};
use crate::{
    base::{
        ids::{EventId, ImportId, UserId},
        limits::{Turn, Turns},
        time::UnixMillis,
    },
    inngest::{Error, Event, EventSeed, Priority},
    progress::News,
    store::{self, outbox::OutboxRow},
};

/// How many events are sent at once, at most one of each user. A thousand events of one user, or one that the
/// engine is slow to take, do not delay the events of other users.
const SENDS_AT_ONCE: usize = 8;

/// The pause after a failed attempt doubles from the first to the last of these.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The longest that an engine's Retry-After postpones the next attempt. A row that says more was written
/// before the clock was set back, and is due.
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);

/// How long to rest when the database itself fails.
const DATABASE_PAUSE: Duration = Duration::from_secs(5);

/// After so many failed attempts it is said that the engine does not answer.
const WORTH_A_WORD: u32 = 1;

/// What one look into the outbox came to.
enum Next {
    /// It is this user's turn.
    Send(Turn<UserId>),
    /// Nothing to send before this time, or at all.
    Idle(Option<UnixMillis>),
}

/// What came of one attempt to send an event.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Sent(ImportId),
    /// The engine will never take it.
    Refused(ImportId),
    /// No answer; it is tried again.
    Postponed(ImportId),
    /// Cancelled before it was sent, or while it was.
    Withdrawn,
}

/// Sends from when `ready` has come until the server stops.
pub async fn run(shared: Arc<Shared>, ready: impl Future<Output = ()>) {
    let stopping = shared.tasks.stopping();
    if stopping.run_until_cancelled(ready).await.is_none() {
        return;
    }
    let turns = Turns::default();
    // Broken off at a stop, it is asked at the next start whether the event arrived.
    let mut sends = JoinSet::new();
    while !stopping.is_cancelled() {
        while sends.try_join_next().is_some() {}
        let pause = match next(&shared, &turns).await {
            Ok(Next::Send(turn)) => {
                sends.spawn(take_turn(Arc::clone(&shared), turn));
                continue;
            }
            Ok(Next::Idle(None)) => Duration::MAX,
            Ok(Next::Idle(Some(at))) => at.since(UnixMillis::now()),
            Err(error) => {
                tracing::error!(%error, "outbox");
                DATABASE_PAUSE
            }
        };
        tokio::select! {
            () = stopping.cancelled() => {}
            // In each case there may be something to send now.
            Some(_) = sends.join_next() => {}
            _ = timeout(pause, shared.outbox.notified()) => {}
        }
    }
    sends.shutdown().await;
}

/// Whose event is sent next.
async fn next(shared: &Shared, turns: &Turns<UserId>) -> store::Result<Next> {
    let now = UnixMillis::now();
    let senders = shared.store.outbox_senders().await?;
    let is_due = |due_at: UnixMillis| due_at <= now || due_at > now.plus(LONGEST_WAIT);
    let due = senders.iter().filter(|(_, due_at)| is_due(*due_at)).map(|(owner, _)| owner);
    if let Some(turn) = turns.next(due, |mine, all| mine == 0 && all < SENDS_AT_ONCE) {
        return Ok(Next::Send(turn));
    }
    // Those that are due wait for the end of a send, which is looked for anyway.
    let later = senders.iter().filter(|(owner, due_at)| !is_due(*due_at) && turns.is_idle(owner));
    Ok(Next::Idle(later.map(|(_, due_at)| *due_at).min()))
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

/// The import whose event is on its way, until this is dropped.
struct Sending<'a> {
    shared: &'a Shared,
    import: ImportId,
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.shared.sending().remove(&self.import);
    }
}

async fn send_next(shared: &Shared, owner: UserId) -> store::Result<Outcome> {
    let Some(row) = shared.store.next_outbox(owner).await? else { return Ok(Outcome::Withdrawn) };
    // Known before it is recorded: a wish to cancel finds either the one or the other.
    let cancelled = CancellationToken::new();
    shared.sending().insert(row.import, cancelled.clone());
    let _sending = Sending { shared, import: row.import };
    // Recorded before the first byte leaves: from here on the event may have arrived.
    let pause = pause_after(row.attempts);
    if !shared.store.begin_sending(&row.event_id, UnixMillis::now().plus(pause)).await? {
        return Ok(Outcome::Withdrawn);
    }
    // Once broken off it has arrived or never will, and is not tried again: a run that it triggers
    // comes at once, and is cancelled by the watch.
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
            // A refused connection may pass within the second to the next attempt. A status is an answer, and
            // an engine that lets an event run out of time has been silent for that time.
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
            shared.store.event_refused(row.import, &reason(&error), UnixMillis::now()).await?;
            shared.progress.tell(&row.event_id, News::Look);
            Ok(Outcome::Refused(row.import))
        }
    }
}

/// Shows why the event is not sent yet, until it is.
fn say_why(shared: &Shared, row: &OutboxRow, cause: OutageCause) {
    shared.snapshots.change(row.owner, row.import, |import| {
        let since = import.outage.map_or_else(UnixMillis::now, |outage| outage.since);
        import.outage = Some(EngineOutage { since, cause });
    });
}

/// Sends the event of an import again, under the seed that it had. A function that took it before does
/// not take it twice.
pub async fn send_again(shared: &Shared, id: ImportId) -> store::Result<()> {
    let Some(import) = shared.store.import(id).await? else { return Ok(()) };
    let Some(seed) = EventSeed::of(&import.event_id) else { return Ok(()) };
    // It is known to have been sent, so its runs are asked for first.
    let event = OutboxRow { attempts: 1, ..shared.event_of(&import, &seed, UnixMillis::now()) };
    shared.store.send_event_again(&event).await?;
    shared.outbox.notify_one();
    Ok(())
}

/// Why an event was not sent.
enum Unsent {
    /// Perhaps it was, or will be at another time. `was_sent`: the error is of the event, and not of the
    /// question whether it arrived.
    Postponed { error: Error, was_sent: bool },
    /// It was not taken, and never will be.
    Refused(Error),
}

/// Sends one event. One that may have arrived is asked for first: a run that exists is proof.
async fn send(shared: &Shared, row: &OutboxRow) -> Result<EventId, Unsent> {
    if row.attempts > 0 {
        // An error of the question says nothing of the event.
        let client = shared.client.for_user(row.owner, Priority::Now);
        let runs = client.event_runs(&row.event_id).await;
        let runs = runs.map_err(|error| Unsent::Postponed { error, was_sent: false })?;
        if !runs.data.is_empty() {
            return Ok(row.event_id.clone());
        }
        // An engine that was away may have been started anew, and an event finds only functions that are
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
            // An answer that cannot be read, as of a proxy that cut it short, may have been a yes.
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

/// What a person reads behind "Inngest refused the event:".
fn reason(error: &Error) -> String {
    match error {
        Error::Refused { message, .. } => message.clone(),
        other => other.to_string(),
    }
}
