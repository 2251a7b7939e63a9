//! SQL of the state that the history is filtered by.

use super::{Result, Tx};
use crate::base::ids::ImportId;

/// Records the state of an import (`Snapshot::state`) if it is final. Called after each write that can change
/// it.
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
