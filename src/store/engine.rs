//! The embedded engine's tables: registered functions here, [`events`] and the runs that they trigger,
//! [`runs`] as the API shows them, [`queue`], which advances the runs, and [`prune`], which deletes them.

pub mod events;
pub mod prune;
pub mod queue;
pub mod runs;

use std::collections::HashSet;

use sqlx::{Row, any::AnyRow};

use super::{Error, Result, Store, Tx};
use crate::base::{ids::RunId, time::UnixMillis};

/// A registered function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Function {
    /// `app-function`.
    pub slug: String,
    /// UUID.
    pub id: String,
    pub name: String,
    pub url: String,
    pub triggers: Vec<Trigger>,
    pub max_attempts: u32,
}

/// A condition that starts a run of a function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Trigger {
    /// The event's name.
    pub event: String,
    /// A further condition on the event, in CEL; None if there is none.
    pub expression: Option<String>,
}

impl Store {
    /// Replaces the functions of `app` by `functions`; others that it had are archived. Returns whether that
    /// changed anything. None: nothing was done, because the app is this process itself, which does not lead.
    pub async fn engine_sync(
        &self,
        app: &str,
        functions: &[Function],
        is_own: bool,
        now: UnixMillis,
    ) -> Result<Option<bool>> {
        let mut tx = self.begin_write().await?;
        if is_own {
            let replica = self.replica();
            let may = format!("SELECT 1 WHERE {}", leads(1));
            let may = sqlx::query(sqlx::AssertSqlSafe(may)).bind(replica.as_deref());
            if may.fetch_optional(&mut *tx).await?.is_none() {
                return Ok(None);
            }
        }
        let known = sqlx::query(
            "SELECT slug, id, name, url, events, expressions, max_attempts FROM engine_function \
             WHERE app = $1 AND archived_at IS NULL",
        )
        .bind(app)
        .fetch_all(&mut *tx)
        .await?;
        let known = known.iter().map(function).collect::<Result<HashSet<Function>>>()?;
        let wanted: HashSet<Function> = functions.iter().cloned().collect();
        if known == wanted {
            return Ok(Some(false));
        }
        sqlx::query("UPDATE engine_function SET archived_at = $1 WHERE app = $2 AND archived_at IS NULL")
            .bind(now.0)
            .bind(app)
            .execute(&mut *tx)
            .await?;
        for function in functions {
            let (events, expressions) = columns(&function.triggers);
            sqlx::query(
                "INSERT INTO engine_function (slug, app, id, name, url, events, expressions, max_attempts) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (slug) DO UPDATE SET \
                 app = excluded.app, id = excluded.id, name = excluded.name, url = excluded.url, \
                 events = excluded.events, expressions = excluded.expressions, \
                 max_attempts = excluded.max_attempts, archived_at = NULL",
            )
            .bind(&function.slug)
            .bind(app)
            .bind(&function.id)
            .bind(&function.name)
            .bind(&function.url)
            .bind(events)
            .bind(expressions)
            .bind(i64::from(function.max_attempts))
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(Some(true))
    }
}

/// The condition that the replica whose id is the parameter of this number leads. It holds without an id: one process
/// has the database.
fn leads(parameter: u8) -> String {
    format!(
        "(CAST(${parameter} AS TEXT) IS NULL \
          OR EXISTS (SELECT 1 FROM lease WHERE name = 'lead' AND replica_id = ${parameter}))"
    )
}

async fn delete_steps(tx: &mut Tx, run: &RunId) -> Result<()> {
    sqlx::query("DELETE FROM engine_step WHERE run_id = $1").bind(run.as_str()).execute(&mut **tx).await?;
    Ok(())
}

fn function(row: &AnyRow) -> Result<Function> {
    Ok(Function {
        slug: row.try_get("slug")?,
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        url: row.try_get("url")?,
        triggers: triggers(row)?,
        max_attempts: count("engine_function", row.try_get("max_attempts")?)?,
    })
}

/// The triggers in the form of the columns `events` and `expressions`: two lists of equal length, the second
/// only if there is an expression.
fn columns(triggers: &[Trigger]) -> (String, Option<String>) {
    let events: Vec<&str> = triggers.iter().map(|trigger| trigger.event.as_str()).collect();
    let expressions: Vec<Option<&str>> =
        triggers.iter().map(|trigger| trigger.expression.as_deref()).collect();
    let has_expression = expressions.iter().any(Option::is_some);
    let text = |list: serde_json::Value| list.to_string();
    (text(serde_json::json!(events)), has_expression.then(|| text(serde_json::json!(expressions))))
}

fn triggers(row: &AnyRow) -> Result<Vec<Trigger>> {
    let events: Vec<String> = json("engine_function", &row.try_get::<String, _>("events")?)?;
    let expressions: Option<String> = row.try_get("expressions")?;
    let expressions: Vec<Option<String>> = match expressions {
        Some(text) => json("engine_function", &text)?,
        None => vec![None; events.len()],
    };
    if events.len() != expressions.len() {
        let why = "the numbers of events and expressions differ".into();
        return Err(Error::Corrupt { table: "engine_function", why });
    }
    let pairs = events.into_iter().zip(expressions);
    Ok(pairs.map(|(event, expression)| Trigger { event, expression }).collect())
}

fn json<T: serde::de::DeserializeOwned>(table: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::Corrupt { table, why: error.to_string() })
}

fn count(table: &'static str, value: i64) -> Result<u32> {
    u32::try_from(value).map_err(|error| Error::Corrupt { table, why: error.to_string() })
}
