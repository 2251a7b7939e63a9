//! `runboard move`: copies the database to a Postgres, and joins that with the stored files.

use secrecy::{ExposeSecret, SecretString};

use super::{
    StartError, data_dir,
    database::{DatabaseLock, open_existing},
    installation::Partner,
    open_storage,
};
use crate::{
    base::config::Config,
    store::{CopiedTable, copy_rows, sqlite_file},
};

/// Copies the SQLite database of `config` to the Postgres at `to`, which must have no rows. Afterwards the stored
/// files belong to that one alone. The SQLite file stays as it is. `tell` is called after each table.
///
/// # Errors
/// If a server uses one of the databases, or one of them fails: then nothing has changed.
pub async fn move_database(
    config: &Config,
    to: &SecretString,
    tell: impl FnMut(&CopiedTable),
) -> Result<Vec<CopiedTable>, StartError> {
    let from = config.database_url.expose_secret();
    if sqlite_file(from).is_none() {
        return Err(StartError::NothingToMove);
    }
    if !config.data_dir.is_dir() {
        return Err(StartError::NoDataDir(config.data_dir.clone()));
    }
    let _folder = data_dir::lock(&config.data_dir)?;
    let source = open_existing(config).await?;
    let storage = open_storage(config, &source).await?;
    source.close().await;
    let (lock, target) = DatabaseLock::open(to, config.database_pool).await?;
    let copied = copy_rows(from, to.expose_secret(), tell).await?;
    Partner::of(config, &storage).join(&target).await?;
    target.close().await;
    lock.release().await;
    Ok(copied)
}
