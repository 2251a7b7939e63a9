//! Processes that start at once on one database take turns, where the first does something for all.

use sqlx::{AnyConnection, Connection};

use super::{Error, Result, Store};

/// How long a process waits for its turn.
const TURN_WITHIN: &str = "SET lock_timeout = '60s'";
/// The lock belongs to the connection.
const TAKE_TURN: &str =
    "SELECT 1 FROM (SELECT pg_advisory_lock(hashtextextended($1 || current_schema(), 0))) AS taken";

/// A turn, which ends with this value.
#[derive(Debug)]
pub struct StartTurn(Option<AnyConnection>);

impl StartTurn {
    /// Ends the turn before the connection is closed by its drop.
    pub async fn end(self) -> Result<()> {
        match self.0 {
            Some(connection) => Ok(connection.close().await?),
            None => Ok(()),
        }
    }
}

impl Store {
    /// The turn to decide which stored files belong to the database. On SQLite one process has both.
    pub async fn turn_of_files(&self) -> Result<StartTurn> {
        if !self.is_postgres {
            return Ok(StartTurn(None));
        }
        let mut connection = self.pool.pool.acquire().await?.detach();
        take(&mut connection, "runboard files ").await?;
        Ok(StartTurn(Some(connection)))
    }
}

/// Takes the turn of this name on a connection, which takes it with it wherever that ends.
pub(super) async fn take(connection: &mut AnyConnection, name: &str) -> Result<()> {
    sqlx::raw_sql(TURN_WITHIN).execute(&mut *connection).await?;
    match sqlx::query(TAKE_TURN).bind(name).execute(&mut *connection).await {
        Err(sqlx::Error::Database(why)) if is_lock_timeout(&*why) => Err(Error::TablesChange),
        taken => taken.map(|_| ()).map_err(Error::from),
    }
}

pub(super) fn is_lock_timeout(error: &dyn sqlx::error::DatabaseError) -> bool {
    error.code().as_deref() == Some("55P03")
}
