//! Events, and the runs that they trigger.

use std::time::Duration;

use sqlx::Row;

use super::{Trigger, triggers};
use crate::{
    base::{
        ids::{EventId, RunId, ulid_at},
        time::UnixMillis,
    },
    inngest::RunStatus,
    store::{Result, Store, Tx},
};

/// How long a sender's own event id prevents a second run of the same function (as on Inngest).
const OWN_ID_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// The prefix of the names of the engine's own events.
pub const SYSTEM_PREFIX: &str = "inngest/";

/// An accepted event.
#[derive(Clone, Debug)]
pub struct NewEvent {
    pub id: EventId,
    /// The sender's own id, if it set one.
    pub own_id: Option<String>,
    pub name: String,
    /// The tenant that the event belongs to.
    pub tenant: String,
    /// JSON in the form that functions receive.
    pub body: String,
    /// Its runs do not start before this time.
    pub starts_at: UnixMillis,
}

/// A function that events can trigger.
#[derive(Clone, Debug)]
pub struct Triggered {
    pub slug: String,
    pub function_id: String,
    pub triggers: Vec<Trigger>,
}

/// The end of a run, which the engine reports to functions.
#[derive(Clone, Copy, Debug)]
pub struct RunEnd<'a> {
    pub run_id: &'a RunId,
    /// `app-function`.
    pub slug: &'a str,
    /// The tenant that the run belonged to.
    pub tenant: &'a str,
    pub status: &'a RunStatus,
    /// JSON.
    pub output: &'a str,
    /// Why the run failed, in a word or a sentence; None if it did not fail.
    pub reason: Option<&'a str>,
    /// The name of the event that triggered the run.
    pub event_name: &'a str,
    /// That event as JSON, in the form that the function received.
    pub event: &'a str,
    pub ended_at: UnixMillis,
}

/// The engine's decisions inside the transaction that records an event or the end of a run.
pub trait Rules: Sync {
    /// The functions that `event` triggers.
    fn triggered<'a>(&self, event: &NewEvent, functions: &'a [Triggered]) -> Vec<&'a Triggered>;

    /// The events that report the end of a run.
    fn events_of_end(&self, end: &RunEnd<'_>) -> Vec<NewEvent>;
}

impl Store {
    /// Records events and the runs that they trigger, in one transaction. An event whose id is known triggers
    /// only functions that have no run of it, as on Inngest: those that were registered since.
    pub async fn engine_accept(&self, events: &[NewEvent], rules: &dyn Rules, now: UnixMillis) -> Result<()> {
        let mut tx = self.begin_write().await?;
        let functions = functions(&mut tx).await?;
        for event in events {
            insert_event(&mut tx, event, now).await?;
            for function in rules.triggered(event, &functions) {
                insert_run(&mut tx, event, function, now).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }
}

/// Records the events that report the end of a run, and the runs that they trigger. An event that triggers no
/// run is not recorded. The end of a run that such an event triggered is not reported, because that would
/// never stop.
pub(super) async fn tell_of_end(tx: &mut Tx, end: &RunEnd<'_>, rules: &dyn Rules) -> Result<()> {
    if end.event_name.starts_with(SYSTEM_PREFIX) {
        return Ok(());
    }
    let functions = functions(tx).await?;
    let mut triggers = functions.iter().flat_map(|function| &function.triggers);
    if !triggers.any(|trigger| trigger.event.starts_with(SYSTEM_PREFIX)) {
        return Ok(());
    }
    for event in rules.events_of_end(end) {
        let triggered = rules.triggered(&event, &functions);
        if triggered.is_empty() {
            continue;
        }
        insert_event(tx, &event, end.ended_at).await?;
        for function in triggered {
            insert_run(tx, &event, function, end.ended_at).await?;
        }
    }
    Ok(())
}

/// Deletes an event, its runs, and the events that reported their end, each of which contains a copy of the
/// event. Deletes nothing if a run of the event has not ended.
pub(in crate::store) async fn forget_event(tx: &mut Tx, event: &EventId) -> Result<()> {
    let going_on = "SELECT 1 FROM engine_run WHERE event_id = $1 AND ended_at IS NULL LIMIT 1";
    if sqlx::query(going_on).bind(event.as_str()).fetch_optional(&mut **tx).await?.is_some() {
        return Ok(());
    }
    let told: Vec<String> = sqlx::query_scalar(
        "SELECT told.event_id FROM engine_run AS ended \
         JOIN engine_event AS told ON told.received_at = ended.ended_at \
         WHERE ended.event_id = $1 AND told.name LIKE 'inngest/function.%' \
             AND told.body LIKE '%\"run_id\":\"' || ended.run_id || '\"%'",
    )
    .bind(event.as_str())
    .fetch_all(&mut **tx)
    .await?;
    for told in told {
        // No event reports the end of these runs, so the recursion stops here.
        Box::pin(forget_event(tx, &EventId::from(told))).await?;
    }
    for sql in [
        "DELETE FROM engine_step WHERE run_id IN (SELECT run_id FROM engine_run WHERE event_id = $1)",
        "DELETE FROM engine_run WHERE event_id = $1",
        "DELETE FROM engine_event WHERE event_id = $1",
    ] {
        sqlx::query(sql).bind(event.as_str()).execute(&mut **tx).await?;
    }
    Ok(())
}

/// The functions that events can trigger.
async fn functions(tx: &mut Tx) -> Result<Vec<Triggered>> {
    let rows =
        sqlx::query("SELECT slug, id, events, expressions FROM engine_function WHERE archived_at IS NULL")
            .fetch_all(&mut **tx)
            .await?;
    let read = rows.iter().map(|row| {
        let (slug, function_id) = (row.try_get("slug")?, row.try_get("id")?);
        Ok(Triggered { slug, function_id, triggers: triggers(row)? })
    });
    read.collect()
}

/// An event whose id is in the table stays unchanged.
async fn insert_event(tx: &mut Tx, event: &NewEvent, now: UnixMillis) -> Result<()> {
    sqlx::query(
        "INSERT INTO engine_event (event_id, name, body, received_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (event_id) DO NOTHING",
    )
    .bind(event.id.as_str())
    .bind(&event.name)
    .bind(&event.body)
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn insert_run(tx: &mut Tx, event: &NewEvent, function: &Triggered, now: UnixMillis) -> Result<()> {
    if let Some(own_id) = &event.own_id {
        sqlx::query(
            "UPDATE engine_run SET own_event_id = NULL WHERE slug = $1 AND own_event_id = $2 AND queued_at < $3",
        )
        .bind(&function.slug)
        .bind(own_id)
        .bind(now.0.saturating_sub(OWN_ID_WINDOW.as_millis() as i64))
        .execute(&mut **tx)
        .await?;
    }
    // The only possible conflict: the function has a run for this own id already.
    sqlx::query(
        "INSERT INTO engine_run (run_id, event_id, own_event_id, slug, function_id, status, queued_at, \
         attempt, req_version, available_at, tenant, waits_since) \
         SELECT $1, $2, $3, $4, $5, $6, $7, 0, -1, $8, $9, $10 \
         WHERE NOT EXISTS (SELECT 1 FROM engine_run WHERE event_id = $2 AND slug = $4) \
         ON CONFLICT DO NOTHING",
    )
    .bind(ulid_at(now).to_string())
    .bind(event.id.as_str())
    .bind(event.own_id.as_deref())
    .bind(&function.slug)
    .bind(&function.function_id)
    .bind(RunStatus::Scheduled.as_str())
    .bind(now.0)
    .bind(event.starts_at.0)
    .bind(&event.tenant)
    // A later start was chosen by the sender, and is a time of the system clock.
    .bind((event.starts_at <= now).then_some(now.0))
    .execute(&mut **tx)
    .await?;
    Ok(())
}
