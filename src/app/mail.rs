//! Sends the e-mails that wait: those for forgotten passwords beside each other, all others one after the other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

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
    replicas::{Replicas, Work},
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

/// Sends while this process leads, until `stopping`. No e-mail is begun after that. One that is being sent then is still sent if the server takes
/// it within the time that background tasks have to end (`BACKGROUND_GRACE`). If not, it is broken off and the next
/// start sends it again, which is twice if the server took it after all.
pub(super) async fn send(
    mailer: Mailer,
    imports: Imports,
    engine: EngineName,
    replicas: Replicas,
    stopping: CancellationToken,
) {
    let mailer = Arc::new(mailer);
    if replicas.is_alone() {
        resume(&mailer, UnixMillis::now()).await;
    }
    let is_resumed = AtomicBool::new(replicas.is_alone());
    let others = replicas.lead(Work::Mail, mailer.wanted(MailLane::Others), &stopping, |term| {
        let (mailer, imports, is_resumed) = (&mailer, &imports, &is_resumed);
        async move {
            // The process that led before may still be sending what it has begun.
            if !is_resumed.swap(true, Ordering::Relaxed) {
                resume(mailer, UnixMillis::now().plus(mailer.place_for())).await;
            }
            send_others(mailer, imports, engine, &term).await;
        }
    });
    let forgotten = replicas.lead(Work::Forgotten, mailer.wanted(MailLane::Forgotten), &stopping, |term| {
        let mailer = &mailer;
        async move { send_forgotten(mailer, &term).await }
    });
    tokio::join!(others, forgotten);
}

async fn resume(mailer: &Mailer, at: UnixMillis) {
    if let Err(error) = mailer.resume(at).await {
        tracing::error!(%error, "cannot resume the sending of e-mails");
    }
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
            () = mailer.wanted(MailLane::Others).notified() => {}
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
            () = mailer.wanted(MailLane::Forgotten).notified() => {}
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
