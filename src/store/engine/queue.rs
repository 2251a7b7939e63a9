//! The queue of the embedded engine's runs.
//!
//! A claimed run has a lease, a random token. Only the call made under that lease can advance the run, so the
//! answer of a call that was cancelled or taken over has no effect. Of several replicas, only the one that leads by
//! the database's word claims runs and voids leases (`leads`).

use sqlx::{Any, Executor, Row};

use super::{
    count, delete_steps,
    events::{Rules, RunEnd, tell_of_end},
    leads,
};
use crate::{
    base::{
        ids::{EventId, RunId},
        time::UnixMillis,
    },
    inngest::RunStatus,
    store::{Result, Store, Tx},
};

/// A tenant with waiting runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingTenant {
    pub tenant: String,
    /// When its first run is due.
    pub due_at: UnixMillis,
}

/// A claimed run, with everything that a call of its function needs.
#[derive(Clone, Debug)]
pub struct Claim {
    pub run_id: RunId,
    pub event_id: EventId,
    /// The tenant that the run belongs to.
    pub tenant: String,
    pub lease: String,
    pub function_id: String,
    /// `app-function`.
    pub slug: String,
    pub function_name: String,
    pub url: String,
    pub event_name: String,
    /// JSON in the form that functions receive.
    pub event: String,
    /// 0-based.
    pub attempt: u32,
    pub max_attempts: u32,
    /// The protocol version of the function's last answer; -1 before the first.
    pub req_version: i64,
    /// The planned step that the function is called for; None: the next step, whichever it is.
    pub planned: Option<String>,
    /// How many consecutive answers have finished no step.
    pub idle_turns: u32,
    /// The finished steps, in the order in which they ended.
    pub steps: Vec<StepOutput>,
}

/// A finished step's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepOutput {
    /// SHA-1 hex of the step's name.
    pub id: String,
    /// JSON: `{"data": ...}` or `{"error": ...}`.
    pub output: String,
}

/// The effect of an answer on its run, applied in one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    /// Stores the steps; the run then waits to be called again.
    Continue {
        steps: Vec<StepOutput>,
        /// The step to call next.
        planned: Option<String>,
        /// How many consecutive answers have finished no step, including this one.
        idle_turns: u32,
        attempt: u32,
        req_version: i64,
        available_at: UnixMillis,
    },
    /// Ends the run for good. `output` is JSON; `reason` says in a word or a sentence why it failed.
    End { status: RunStatus, output: String, reason: Option<String> },
}

/// The limit of a run's state.
#[derive(Clone, Copy, Debug)]
pub struct StateLimit {
    pub steps: usize,
    /// The bytes of all outputs as JSON.
    pub bytes: usize,
}

/// The result of storing steps that were reported during a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    All,
    NothingAsTooMuch,
    /// The lease of the call is stale.
    NothingAsStale,
}

impl Store {
    /// Takes over the queue of a process that has ended. Its calls are repeated under the same attempt
    /// number, and a wait that began later than `now`, because the clock was set back since, begins again.
    /// Returns the number of lost calls.
    pub async fn engine_take_over(&self, now: UnixMillis) -> Result<u64> {
        let mut tx = self.begin_write().await?;
        let void = format!(
            "UPDATE engine_run SET lease = NULL WHERE ended_at IS NULL AND lease IS NOT NULL AND {}",
            leads(1)
        );
        let replica = self.replica();
        let voided =
            sqlx::query(sqlx::AssertSqlSafe(void)).bind(replica.as_deref()).execute(&mut *tx).await?;
        sqlx::query(
            "UPDATE engine_run SET available_at = available_at - waits_since + $1, waits_since = $1 \
             WHERE ended_at IS NULL AND waits_since > $1",
        )
        .bind(now.0)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(voided.rows_affected())
    }

    /// The tenants with waiting runs. Needs one index lookup per tenant, however many runs there are.
    pub async fn engine_waiting(&self) -> Result<Vec<WaitingTenant>> {
        let rows = sqlx::query(
            "WITH RECURSIVE waiting (tenant) AS ( \
             SELECT MIN(tenant) FROM engine_run WHERE ended_at IS NULL AND lease IS NULL \
             UNION ALL \
             SELECT (SELECT MIN(r.tenant) FROM engine_run r \
                     WHERE r.ended_at IS NULL AND r.lease IS NULL AND r.tenant > waiting.tenant) \
             FROM waiting WHERE waiting.tenant IS NOT NULL) \
             SELECT tenant, (SELECT MIN(r.available_at) FROM engine_run r \
                             WHERE r.ended_at IS NULL AND r.lease IS NULL AND r.tenant = waiting.tenant) AS due_at \
             FROM waiting WHERE tenant IS NOT NULL",
        )
        .fetch_all(&self.pool)
        .await?;
        let mut tenants = Vec::with_capacity(rows.len());
        for row in rows {
            // None: its last run was claimed in between.
            if let Some(due_at) = row.try_get::<Option<i64>, _>("due_at")? {
                tenants.push(WaitingTenant { tenant: row.try_get("tenant")?, due_at: UnixMillis(due_at) });
            }
        }
        Ok(tenants)
    }

    /// The leases of all claimed runs.
    pub async fn engine_leases(&self) -> Result<Vec<String>> {
        let leases = "SELECT lease FROM engine_run WHERE lease IS NOT NULL AND ended_at IS NULL";
        Ok(sqlx::query_scalar(leases).fetch_all(&self.pool).await?)
    }

    /// Repeats the call that was to be made under `lease`, unless it was answered in between.
    pub async fn engine_void(&self, lease: &str) -> Result<()> {
        let void = format!(
            "UPDATE engine_run SET lease = NULL WHERE lease = $1 AND ended_at IS NULL AND {}",
            leads(2)
        );
        let replica = self.replica();
        let void = sqlx::query(sqlx::AssertSqlSafe(void)).bind(lease).bind(replica.as_deref());
        self.pool.write(void).await?;
        Ok(())
    }

    /// Claims the run of `tenant` that has been due longest, under the new `lease`. None if no run is due, or if this
    /// process is one of several and does not lead.
    pub async fn engine_claim(&self, tenant: &str, lease: &str, now: UnixMillis) -> Result<Option<Claim>> {
        let mut tx = self.begin_write().await?;
        // SQLite has no concurrent writer.
        let skip_locked = if self.is_postgres { "FOR UPDATE SKIP LOCKED" } else { "" };
        let sql = format!(
            "UPDATE engine_run SET lease = $1, status = $2, started_at = COALESCE(started_at, $3) \
             WHERE run_id = (SELECT run_id FROM engine_run \
              WHERE tenant = $4 AND ended_at IS NULL AND lease IS NULL AND available_at <= $3 \
              ORDER BY available_at, run_id LIMIT 1 {skip_locked}) AND {} \
             RETURNING run_id, event_id, slug, function_id, attempt, req_version, planned_step, idle_turns",
            leads(5)
        );
        let replica = self.replica();
        let claimed = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(lease)
            .bind(RunStatus::Running.as_str())
            .bind(now.0)
            .bind(tenant)
            .bind(replica.as_deref())
            .fetch_optional(&mut *tx)
            .await?;
        let Some(run) = claimed else { return Ok(None) };
        let run_id: String = run.try_get("run_id")?;
        let event_id: String = run.try_get("event_id")?;
        let slug: String = run.try_get("slug")?;
        let call = sqlx::query(
            "SELECT e.name, e.body, f.name AS function_name, f.url, f.max_attempts FROM engine_event e, engine_function f \
             WHERE e.event_id = $1 AND f.slug = $2",
        )
        .bind(&event_id)
        .bind(&slug)
        .fetch_one(&mut *tx)
        .await?;
        let run_id = RunId::from(run_id);
        let steps = steps_of(&mut *tx, &run_id).await?;
        tx.commit().await?;
        Ok(Some(Claim {
            run_id,
            event_id: event_id.into(),
            tenant: tenant.to_owned(),
            lease: lease.to_owned(),
            function_id: run.try_get("function_id")?,
            slug,
            function_name: call.try_get("function_name")?,
            url: call.try_get("url")?,
            event_name: call.try_get("name")?,
            event: call.try_get("body")?,
            attempt: count("engine_run", run.try_get("attempt")?)?,
            max_attempts: count("engine_function", call.try_get("max_attempts")?)?,
            req_version: run.try_get("req_version")?,
            planned: run.try_get("planned_step")?,
            idle_turns: count("engine_run", run.try_get("idle_turns")?)?,
            steps,
        }))
    }

    /// Applies the effect of the answer to `claim`, and reports the run's end to functions. Returns `false`
    /// and changes nothing if the lease is stale.
    pub async fn engine_settle(
        &self,
        claim: &Claim,
        transition: &Transition,
        rules: &dyn Rules,
        now: UnixMillis,
    ) -> Result<bool> {
        let mut tx = self.begin_write().await?;
        let settled = match transition {
            Transition::Continue { planned, idle_turns, attempt, req_version, available_at, .. } => {
                sqlx::query(
                    "UPDATE engine_run SET lease = NULL, attempt = $1, req_version = $2, available_at = $3, \
                     planned_step = $6, waits_since = $7, idle_turns = $8 \
                     WHERE run_id = $4 AND lease = $5 AND ended_at IS NULL",
                )
                .bind(i64::from(*attempt))
                .bind(req_version)
                .bind(available_at.0)
                .bind(claim.run_id.as_str())
                .bind(&claim.lease)
                .bind(planned)
                .bind(now.0)
                .bind(i64::from(*idle_turns))
                .execute(&mut *tx)
                .await?
            }
            Transition::End { status, output, .. } => {
                sqlx::query(
                    "UPDATE engine_run SET lease = NULL, status = $1, output = $2, ended_at = $3 \
                     WHERE run_id = $4 AND lease = $5 AND ended_at IS NULL",
                )
                .bind(status.as_str())
                .bind(output)
                .bind(now.0)
                .bind(claim.run_id.as_str())
                .bind(&claim.lease)
                .execute(&mut *tx)
                .await?
            }
        };
        if settled.rows_affected() == 0 {
            return Ok(false);
        }
        match transition {
            Transition::Continue { steps, .. } => {
                for step in steps {
                    insert_step(&mut tx, &claim.run_id, step).await?;
                }
            }
            Transition::End { status, output, reason } => {
                delete_steps(&mut tx, &claim.run_id).await?;
                let end = RunEnd {
                    run_id: &claim.run_id,
                    slug: &claim.slug,
                    tenant: &claim.tenant,
                    status,
                    output,
                    reason: reason.as_deref(),
                    event_name: &claim.event_name,
                    event: &claim.event,
                    ended_at: now,
                };
                tell_of_end(&mut tx, &end, rules).await?;
            }
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Stores the steps that were finished during the call under `lease`, which continues, in one
    /// transaction.
    pub async fn engine_checkpoint(
        &self,
        run: &RunId,
        lease: &str,
        steps: &[StepOutput],
        limit: StateLimit,
    ) -> Result<Kept> {
        let mut tx = self.begin_write().await?;
        // An update locks the row on Postgres, so that the run cannot end in between.
        let held = sqlx::query(
            "UPDATE engine_run SET lease = lease WHERE run_id = $1 AND lease = $2 AND ended_at IS NULL",
        )
        .bind(run.as_str())
        .bind(lease)
        .execute(&mut *tx)
        .await?;
        if held.rows_affected() == 0 {
            return Ok(Kept::NothingAsStale);
        }
        for step in steps {
            insert_step(&mut tx, run, step).await?;
        }
        let state = sqlx::query(
            "SELECT COUNT(*) AS steps, CAST(COALESCE(SUM(LENGTH(output)), 0) AS BIGINT) AS bytes \
             FROM engine_step WHERE run_id = $1",
        )
        .bind(run.as_str())
        .fetch_one(&mut *tx)
        .await?;
        let is_over = |found: i64, limit: usize| usize::try_from(found).map_or(true, |found| found > limit);
        if is_over(state.try_get("steps")?, limit.steps) || is_over(state.try_get("bytes")?, limit.bytes) {
            return Ok(Kept::NothingAsTooMuch);
        }
        tx.commit().await?;
        Ok(Kept::All)
    }
}

/// A run's finished steps, in the order in which they ended.
pub(super) async fn steps_of<'a>(
    executor: impl Executor<'a, Database = Any>,
    run: &RunId,
) -> Result<Vec<StepOutput>> {
    let rows = sqlx::query("SELECT step_id, output FROM engine_step WHERE run_id = $1 ORDER BY position")
        .bind(run.as_str())
        .fetch_all(executor)
        .await?;
    let steps =
        rows.iter().map(|row| Ok(StepOutput { id: row.try_get("step_id")?, output: row.try_get("output")? }));
    steps.collect()
}

/// Appends a step. A step that was stored before stays unchanged.
async fn insert_step(tx: &mut Tx, run: &RunId, step: &StepOutput) -> Result<()> {
    sqlx::query(
        "INSERT INTO engine_step (run_id, step_id, position, output) \
         SELECT $1, $2, COUNT(*), $3 FROM engine_step WHERE run_id = $1 \
         ON CONFLICT (run_id, step_id) DO NOTHING",
    )
    .bind(run.as_str())
    .bind(&step.id)
    .bind(&step.output)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
