//! SQL of the state that the history is filtered by, and of what is told of an end.

use super::{Result, Tx, deliveries::queue_delivery, ended_mail::queue_ended_mail};
use crate::base::{ids::ImportId, time::UnixMillis};

/// Records the state of an import (`Snapshot::state`) if it is final. Called after each write that can change it.
pub(super) async fn settle(tx: &mut Tx, import: ImportId) -> Result<()> {
    sqlx::query(
        "UPDATE import SET \
             state = (SELECT CASE \
                 WHEN import.held_until IS NOT NULL THEN 'Held' \
                 WHEN import.refused IS NOT NULL THEN 'Failed' \
                 WHEN COUNT(*) = 0 AND import.cancel_requested_at IS NOT NULL THEN 'Cancelled' \
                 WHEN COUNT(*) = 0 AND import.sent_at IS NOT NULL AND import.finished_at IS NOT NULL \
                     THEN 'NoFunction' \
                 WHEN COUNT(*) = 0 OR COUNT(*) > COUNT(COALESCE(run.ended_at, run.lost_at)) THEN NULL \
                 WHEN COUNT(*) > COUNT(run.ended_at) THEN 'Lost' \
                 WHEN SUM(CASE WHEN run.status = 'Failed' THEN 1 ELSE 0 END) > 0 THEN 'Failed' \
                 WHEN SUM(CASE WHEN run.status = 'Cancelled' THEN 1 ELSE 0 END) > 0 THEN 'Cancelled' \
                 WHEN SUM(CASE WHEN run.status = 'Completed' THEN 1 ELSE 0 END) > 0 THEN 'Completed' \
                 ELSE 'Skipped' END \
                 FROM run WHERE run.import_id = import.id), \
             failed_rows = (SELECT CASE WHEN COUNT(*) = COUNT(run.ended_at) \
                 THEN CAST(SUM(run.failed) AS BIGINT) END \
                 FROM run WHERE run.import_id = import.id) \
         WHERE id = $1",
    )
    .bind(import.to_string())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Has the end of an import told, by a webhook and by e-mail. Called after [`settle`] in the transaction that sets
/// `finished_at`, so that each end is told once, whatever is killed. An end is a final state with a number of runs: an
/// import that was watched again without a new run, or whose lost run stays lost, has not ended again.
pub(super) async fn tell_end(tx: &mut Tx, import: ImportId, now: UnixMillis) -> Result<()> {
    let ended = sqlx::query(
        "UPDATE import SET told_end = state || ' ' || \
             (SELECT CAST(COUNT(*) AS TEXT) FROM run WHERE run.import_id = import.id) \
         WHERE id = $1 AND finished_at IS NOT NULL AND state IS NOT NULL AND COALESCE(told_end, '') <> \
             state || ' ' || (SELECT CAST(COUNT(*) AS TEXT) FROM run WHERE run.import_id = import.id)",
    )
    .bind(import.to_string())
    .execute(&mut **tx)
    .await?;
    if ended.rows_affected() > 0 {
        queue_delivery(tx, import, now).await?;
        queue_ended_mail(tx, import, now).await?;
    }
    Ok(())
}
