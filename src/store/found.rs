//! Inspects a database before anything is written to it.

use sqlx::{AnyConnection, Connection};

use super::Result;

/// Whether a Runboard has used a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// No Runboard has used it.
    Unused,
    /// A Runboard of another version has used it; its tables differ from this version's.
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
    let latest: Option<i64> = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations WHERE success")
        .fetch_one(&mut *connection)
        .await?;
    let ours = sqlx::migrate!().iter().map(|migration| migration.version).max();
    Ok(if ours == latest { Found::Usable } else { Found::OfAnotherVersion })
}

/// SQLite has one error code for everything that is wrong with a statement.
fn is_missing_table(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    error.code().is_some_and(|code| code == "42P01") || error.message().starts_with("no such table")
}
