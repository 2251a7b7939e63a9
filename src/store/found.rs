//! Inspects a database before anything is written to it.

use sqlx::{AnyConnection, Connection};

use super::{
    Error, Result,
    program_age::{can_use, is_missing_table, migrator},
};

/// Whether a Runboard has used a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// No Runboard has used it.
    Unused,
    /// A Runboard of another version has used it, and this one cannot use its tables as they are.
    OfAnotherVersion,
    Usable,
}

/// Inspects the database at `url`, which a Runboard has used if it contains `setting`. Changes nothing.
pub async fn look(url: &str, setting: &str) -> Result<Found> {
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(url).await?;
    let found = read(&mut connection, setting).await;
    connection.close().await?;
    found
}

async fn read(connection: &mut AnyConnection, setting: &str) -> Result<Found> {
    let used: Option<String> = match sqlx::query_scalar("SELECT value FROM setting WHERE name = $1")
        .bind(setting)
        .fetch_optional(&mut *connection)
        .await
    {
        Err(error) if is_missing_table(&error) => None,
        value => value?,
    };
    if used.is_none() {
        return Ok(Found::Unused);
    }
    match can_use(&migrator(), connection).await {
        Ok(true) => Ok(Found::Usable),
        Ok(false) | Err(Error::TooOld { .. }) => Ok(Found::OfAnotherVersion),
        Err(error) => Err(error),
    }
}
