//! SQL of the state that the history is filtered by, and of what follows from its end.

use sqlx::Row;

use super::{Result, Tx, deliveries};
use crate::base::ids::ImportId;

/// Records the state of an import (`Snapshot::state`) if it is final, and has its end told. Called after each write
/// that can change it.
pub(super) async fn settle(tx: &mut Tx, import: ImportId) -> Result<()> {
    let settled = sqlx::query(
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
         WHERE id = $1 \
         RETURNING state, told_end, finished_at, \
             (SELECT COUNT(*) FROM run WHERE run.import_id = import.id) AS runs",
    )
    .bind(import.to_string())
    .fetch_optional(&mut **tx)
    .await?;
    let Some(settled) = settled else { return Ok(()) };
    let (state, told): (Option<String>, Option<String>) =
        (settled.try_get("state")?, settled.try_get("told_end")?);
    let (runs, finished_at): (i64, Option<i64>) = (settled.try_get("runs")?, settled.try_get("finished_at")?);
    let end = match state {
        Some(state) if state != "Held" => {
            // A cancelled import may still get a run, which is awaited for a while and then cancelled.
            if runs == 0 && finished_at.is_none() {
                return Ok(());
            }
            // Another run that has ended since is another end.
            Some(format!("{state} {runs}"))
        }
        _ => None,
    };
    if end != told {
        sqlx::query("UPDATE import SET told_end = $2 WHERE id = $1")
            .bind(import.to_string())
            .bind(&end)
            .execute(&mut **tx)
            .await?;
        deliveries::end_changed(tx, import, end.is_some()).await?;
    }
    Ok(())
}
