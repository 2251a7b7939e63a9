//! The outbox: sends each recorded event until the engine has confirmed it or refused it for good.
//!
//! Only an event that the engine can never take is refused for good: one that it calls malformed (400)
//! or too large (413). A key, a path, a rate or a server can be put right, so every other answer is
//! waited out, however long that takes.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Shared, Silence, SilenceCause};
use crate::{
    ids::{EventId, ImportId},
    inngest::{Error, Event, EventSeed},
    store::{self, imports::OutboxRow, live::News},
    time::UnixMillis,
};

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
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// Nothing to send before this time, or at all.
    Idle(Option<UnixMillis>),
    Sent(ImportId),
    /// The engine will never take it.
    Refused(ImportId),
    /// No answer; it is tried again.
    Postponed(ImportId),
    /// Cancelled before it was sent, or while it was.
    Withdrawn(ImportId),
}

/// Sends from when `ready` has come until the server stops.
pub async fn run(shared: Arc<Shared>, ready: impl Future<Output = ()>) {
    if shared.tasks.stopping().run_until_cancelled(ready).await.is_none() {
        return;
    }
    loop {
        // Broken off, it is asked at the next start whether the event arrived.
        let Some(outcome) = shared.tasks.stopping().run_until_cancelled(send_next(&shared)).await else {
            return;
        };
        let pause = match outcome {
            Ok(Outcome::Idle(None)) => Duration::MAX,
            Ok(Outcome::Idle(Some(at))) => at.since(UnixMillis::now()),
            Ok(outcome) => {
                tracing::debug!(?outcome, "outbox");
                Duration::ZERO
            }
            Err(error) => {
                tracing::error!(%error, "outbox");
                DATABASE_PAUSE
            }
        };
        tokio::select! {
            () = shared.tasks.stopping().cancelled() => return,
            // Either way there may be something to send now.
            _ = timeout(pause, shared.outbox.notified()) => {}
        }
    }
}

/// Sends the event whose turn it is.
async fn send_next(shared: &Shared) -> store::Result<Outcome> {
    let now = UnixMillis::now();
    let row = match shared.store.next_outbox().await? {
        None => return Ok(Outcome::Idle(None)),
        Some(row) if row.next_attempt_at > now && row.next_attempt_at <= now.plus(LONGEST_WAIT) => {
            return Ok(Outcome::Idle(Some(row.next_attempt_at)));
        }
        Some(row) => row,
    };
    // Known before it is recorded: a wish to cancel finds either the one or the other.
    let cancelled = CancellationToken::new();
    *shared.sending() = Some((row.import, cancelled.clone()));
    // Recorded before the first byte leaves: from here on the event may have arrived.
    let next_attempt = now.plus(pause_after(row.attempts));
    if !shared.store.begin_sending(&row.event_id, next_attempt).await? {
        return Ok(Outcome::Withdrawn(row.import));
    }
    // Once broken off it has arrived or never will, and is not tried again: a run that it triggers
    // comes at once, and is cancelled by the watch.
    let Some(sent) = cancelled.run_until_cancelled(send(shared, &row)).await else {
        return Ok(Outcome::Withdrawn(row.import));
    };
    match sent {
        Ok(confirmed) => {
            shared.store.event_sent(row.import, &confirmed, UnixMillis::now()).await?;
            shared.live.tell(&row.event_id, News::Look);
            Ok(Outcome::Sent(row.import))
        }
        Err(Unsent::Postponed(error)) => {
            tracing::warn!(import = %row.import, %error, "the event could not be sent yet");
            let next_attempt = postpone(shared, &row, next_attempt, &error).await?;
            // A refused connection may pass within the second to the next attempt. A status is an answer, and
            // an engine that lets an event run out of time has been silent for that time.
            let is_lasting = error.status().is_some() || matches!(error, Error::TimedOut(_));
            if is_lasting || row.attempts >= WORTH_A_WORD {
                say_why(shared, row.import, &error, next_attempt).await?;
            }
            Ok(Outcome::Postponed(row.import))
        }
        Err(Unsent::Refused(error)) => {
            tracing::error!(import = %row.import, %error, "the engine refused the event");
            shared.store.event_refused(row.import, &reason(&error), UnixMillis::now()).await?;
            shared.live.tell(&row.event_id, News::Look);
            Ok(Outcome::Refused(row.import))
        }
    }
}

/// Waits longer than planned if the engine asks for it. When the next attempt begins.
async fn postpone(
    shared: &Shared,
    row: &OutboxRow,
    planned: UnixMillis,
    error: &Error,
) -> store::Result<UnixMillis> {
    let Error::RateLimited { retry_after: Some(pause) } = error else { return Ok(planned) };
    let wanted = UnixMillis::now().plus((*pause).min(LONGEST_WAIT));
    if wanted > planned {
        shared.store.postpone_sending(&row.event_id, wanted).await?;
    }
    Ok(wanted.max(planned))
}

/// Shows why the event is not sent yet, until it is.
async fn say_why(
    shared: &Shared,
    id: ImportId,
    error: &Error,
    next_attempt: UnixMillis,
) -> store::Result<()> {
    let Some(import) = shared.store.import(id).await? else { return Ok(()) };
    let cause = match error.status() {
        Some(status) => SilenceCause::EventNotTaken { status, retry_at: next_attempt },
        None => SilenceCause::of(error),
    };
    shared.board.change(import.owner, id, |import| {
        let since = import.silence.map_or_else(UnixMillis::now, |silence| silence.since);
        import.silence = Some(Silence { since, cause });
    });
    Ok(())
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
    /// Perhaps it was, or will be at another time.
    Postponed(Error),
    /// It was not taken, and never will be.
    Refused(Error),
}

/// Sends one event. One that may have arrived is asked for first: a run that exists is proof.
async fn send(shared: &Shared, row: &OutboxRow) -> Result<EventId, Unsent> {
    if row.attempts > 0 {
        // Whatever goes wrong with the question says nothing of the event.
        let runs = shared.client.event_runs(&row.event_id).await.map_err(Unsent::Postponed)?;
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
            | Error::Refused { .. } => Self::Postponed(error),
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
