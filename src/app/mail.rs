//! Sends the e-mails that wait: those for forgotten passwords beside each other, all others one after the other.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    accounts::{EndedImport, FORGOTTEN_AT_ONCE, MailOutcome, Mailer, NextForgotten},
    base::{
        ids::{ImportId, UserId},
        time::UnixMillis,
    },
    imports::Imports,
    report::{EngineName, ReportInputs, ended, guest::Audience, state_text::state_text},
    store::{
        self,
        mail::{MailLane, MailRow},
    },
};

/// How often ended imports are searched for. Nothing wakes the sender for them, so that no end of an import waits for
/// it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The pause after an e-mail that was not taken, so that a server in trouble gets one attempt after the other.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);

/// The pause after a database failure.
const DATABASE_PAUSE: Duration = Duration::from_secs(5);

/// Sends until `stopping`. No e-mail is begun after that. One that is being sent then is still sent if the server takes
/// it within the time that background tasks have to end (`BACKGROUND_GRACE`). If not, it is broken off and the next
/// start sends it again, which is twice if the server took it after all.
pub(super) async fn send(mailer: Mailer, imports: Imports, engine: EngineName, stopping: CancellationToken) {
    if let Err(error) = mailer.resume(UnixMillis::now()).await {
        tracing::error!(%error, "cannot resume the sending of e-mails");
    }
    let mailer = Arc::new(mailer);
    tokio::join!(send_others(&mailer, &imports, engine, &stopping), send_forgotten(&mailer, &stopping));
}

/// The pause before the next look, if the next e-mail is due `at` a time.
fn until_due(at: Option<UnixMillis>) -> Duration {
    at.map_or(LOOK_EVERY, |at| at.since(UnixMillis::now())).min(LOOK_EVERY)
}

async fn send_others(mailer: &Mailer, imports: &Imports, engine: EngineName, stopping: &CancellationToken) {
    while !stopping.is_cancelled() {
        let describe = |owner, import| describe(imports, engine, owner, import);
        let pause = match mailer.send_next(UnixMillis::now(), describe).await {
            Ok(MailOutcome::Idle(at)) => until_due(at),
            Ok(MailOutcome::Postponed(_)) => TROUBLE_PAUSE,
            Ok(outcome) => {
                tracing::debug!(?outcome, "mail");
                continue;
            }
            Err(error) => {
                tracing::error!(%error, "cannot send e-mails");
                DATABASE_PAUSE
            }
        };
        tokio::select! {
            () = stopping.cancelled() => {}
            () = sleep(pause) => {}
            () = mailer.wait_until_wanted(MailLane::Others) => {}
        }
    }
}

async fn send_forgotten(mailer: &Arc<Mailer>, stopping: &CancellationToken) {
    let mut places = JoinSet::new();
    while !stopping.is_cancelled() {
        while places.try_join_next().is_some() {}
        let next = if places.len() < FORGOTTEN_AT_ONCE {
            mailer.take_forgotten(UnixMillis::now()).await
        } else {
            Ok(NextForgotten::Idle(None))
        };
        let pause = match next {
            Ok(NextForgotten::Due(mail)) => {
                places.spawn(keep_place(Arc::clone(mailer), mail, stopping.clone()));
                continue;
            }
            Ok(NextForgotten::Idle(at)) => until_due(at),
            Err(error) => {
                tracing::error!(%error, "cannot send e-mails");
                DATABASE_PAUSE
            }
        };
        tokio::select! {
            () = stopping.cancelled() => {}
            () = sleep(pause) => {}
            Some(_) = places.join_next() => {}
            () = mailer.wait_until_wanted(MailLane::Forgotten) => {}
        }
    }
    while places.join_next().await.is_some() {}
}

/// Sends an e-mail, and keeps its place until the time is over that every request gets.
async fn keep_place(mailer: Arc<Mailer>, mail: Box<MailRow>, stopping: CancellationToken) {
    let until = Instant::now() + mailer.place_for();
    if let Err(error) = mailer.send_forgotten(&mail, UnixMillis::now()).await {
        tracing::error!(%error, "cannot send an e-mail");
    }
    tokio::select! {
        () = stopping.cancelled() => {}
        () = sleep_until(until) => {}
    }
}

/// How an import has ended; None if it was deleted or goes on.
async fn describe(
    imports: &Imports,
    engine: EngineName,
    owner: UserId,
    import: ImportId,
) -> store::Result<Option<EndedImport>> {
    Ok(imports.recorded_end(owner, import).await?.map(|import| {
        let inputs = ReportInputs { now: UnixMillis::now(), engine, audience: Audience::Owner };
        EndedImport {
            file_name: import.file_name().to_owned(),
            headline: ended::headline(&import),
            text: state_text(&import, &inputs),
            facts: ended::facts(&import),
        }
    }))
}
