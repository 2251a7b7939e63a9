//! Sends the e-mails that wait, one after the other.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    accounts::{EndedImport, MailOutcome, Mailer},
    base::{
        ids::{ImportId, UserId},
        time::UnixMillis,
    },
    imports::Imports,
    report::{EngineName, ReportInputs, ended, guest::Audience, state_text::state_text},
    store,
};

/// How often ended imports are searched for. Nothing wakes the sender for them, so that no end of an import waits for
/// it.
const LOOK_EVERY: Duration = Duration::from_secs(3);

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
    while !stopping.is_cancelled() {
        let describe = |owner, import| describe(&imports, engine, owner, import);
        let pause = match mailer.send_next(UnixMillis::now(), describe).await {
            Ok(MailOutcome::Idle(at)) => {
                at.map_or(LOOK_EVERY, |at| at.since(UnixMillis::now())).min(LOOK_EVERY)
            }
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
            () = mailer.wait_until_wanted() => {}
        }
    }
}

/// How an import has ended; None if it was deleted or goes on. It is read from the database, because what is in memory
/// follows the commit that queued the e-mail a moment later.
async fn describe(
    imports: &Imports,
    engine: EngineName,
    owner: UserId,
    import: ImportId,
) -> store::Result<Option<EndedImport>> {
    let found = imports.recorded(owner, import).await?;
    Ok(found.filter(|import| import.state().is_final()).map(|import| {
        let inputs = ReportInputs { now: UnixMillis::now(), engine, audience: Audience::Owner };
        EndedImport {
            file_name: import.file_name().to_owned(),
            headline: ended::headline(&import),
            text: state_text(&import, &inputs),
            facts: ended::facts(&import),
        }
    }))
}
