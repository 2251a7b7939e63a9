//! SQL of what the replicas have reserved of a user's quota for files that are arriving. Needs Postgres.
//!
//! Each replica has one row for a user, with all that it has reserved. The row of one that does not live counts for
//! nothing, and goes with the replica's.

use std::sync::Arc;

use super::{Result, Store, Tx, replicas::lives, to_bigint};
use crate::base::ids::UserId;

/// The bytes of all files of the imports of `$1`: uploads, fetched files and outputs.
pub(super) const STORED_BYTES: &str = "SELECT CAST(COALESCE(SUM(stored.bytes), 0) AS BIGINT) FROM ( \
     SELECT size_bytes AS bytes FROM import WHERE account_id = $1 AND failed_rows_of IS NULL \
     UNION ALL \
     SELECT step.stored_bytes AS bytes FROM import JOIN run ON run.import_id = import.id \
     JOIN step ON step.run_id = run.run_id WHERE import.account_id = $1) AS stored";

/// A transaction in which this replica alone reserves quota of one user.
#[derive(Debug)]
pub(super) struct QuotaTurn {
    tx: Tx,
    owner: UserId,
    replica: Arc<str>,
}

/// What counts besides that which this replica has reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UsedElsewhere {
    /// Reserved by the other replicas.
    pub reserved: u64,
    /// Stored.
    pub stored: u64,
}

impl Store {
    /// Waits for the turn to reserve quota of `owner`, as the replica of this id.
    pub(super) async fn begin_quota_turn(&self, owner: UserId, replica: Arc<str>) -> Result<QuotaTurn> {
        let tx = self.begin_write_locked(&format!("quota of {owner}")).await?;
        Ok(QuotaTurn { tx, owner, replica })
    }
}

impl QuotaTurn {
    /// A file that is recorded meanwhile is counted twice, but never omitted: its reservation is read first, and ends
    /// last.
    pub(super) async fn used_elsewhere(&mut self) -> Result<UsedElsewhere> {
        let reserved = format!(
            "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM arriving \
             WHERE account_id = $1 AND replica_id <> $2 AND replica_id IN (SELECT id FROM replica WHERE {})",
            lives()
        );
        let reserved: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(reserved))
            .bind(self.owner.to_string())
            .bind(&*self.replica)
            .fetch_one(&mut *self.tx)
            .await?;
        let stored: i64 =
            sqlx::query_scalar(STORED_BYTES).bind(self.owner.to_string()).fetch_one(&mut *self.tx).await?;
        Ok(UsedElsewhere {
            reserved: u64::try_from(reserved).unwrap_or(0),
            stored: u64::try_from(stored).unwrap_or(0),
        })
    }

    /// Records that this replica has reserved `bytes` in all, and ends the turn. Returns false if that could not be
    /// recorded, because the replica's row is gone until it joins anew.
    pub(super) async fn end(mut self, bytes: u64) -> Result<bool> {
        let (owner, replica) = (self.owner.to_string(), &*self.replica);
        let is_recorded = if bytes == 0 {
            sqlx::query("DELETE FROM arriving WHERE account_id = $1 AND replica_id = $2")
                .bind(owner)
                .bind(replica)
                .execute(&mut *self.tx)
                .await?;
            true
        } else {
            let recorded = sqlx::query(
                "INSERT INTO arriving (account_id, replica_id, bytes) \
                 SELECT $1, $2, $3 WHERE EXISTS (SELECT 1 FROM replica WHERE id = $2) \
                 ON CONFLICT (account_id, replica_id) DO UPDATE SET bytes = excluded.bytes",
            )
            .bind(owner)
            .bind(replica)
            .bind(to_bigint(bytes))
            .execute(&mut *self.tx)
            .await?;
            recorded.rows_affected() > 0
        };
        self.tx.commit().await?;
        Ok(is_recorded)
    }
}
