//! `runboard move`: copies the database to a Postgres, the stored files to a bucket, or both, and joins the two.
//!
//! Until a database has the new common id, everything works as before. That database refuses the former id of the
//! files, and only the new one is left to write then.

use secrecy::ExposeSecret;

use super::{
    StartError, data_dir,
    database::{DatabaseLock, open_existing},
    installation::{Partner, new_id},
    moved_files::{CopiedFiles, copy_files},
    open_storage,
};
use crate::{
    base::config::{Config, MoveTo},
    files::INSTALLATION,
    store::{CopiedTable, Sharing, copy_rows, sqlite_file},
};

/// What was copied.
#[derive(Debug)]
pub struct MovedParts {
    /// Those of the database, if it was moved.
    pub tables: Vec<CopiedTable>,
    pub files: Option<CopiedFiles>,
}

/// Copies the SQLite database of `config` to a Postgres, which must have no rows, and the files of its data folder to a
/// bucket, which must have none, or one of the two. Afterwards the database and the files of the new places belong
/// together alone. What was copied stays as it is. `tell` is called after each table.
///
/// # Errors
/// If a server uses the installation, or anything fails. Then the installation works as before, and the move can be
/// repeated; not so if the error is [`StartError::NotJoined`], or that a commit was not confirmed.
pub async fn move_installation(
    config: &Config,
    to: &MoveTo,
    tell: impl FnMut(&CopiedTable),
) -> Result<MovedParts, StartError> {
    let from = config.database_url.expose_secret();
    if to.database.is_some() && sqlite_file(from).is_none() {
        return Err(StartError::NothingToMove);
    }
    if let (Some(_), Some(bucket)) = (&to.bucket, &config.bucket) {
        return Err(StartError::FilesInBucket(bucket.to_string()));
    }
    if !config.data_dir.is_dir() {
        return Err(StartError::NoDataDir(config.data_dir.clone()));
    }
    let _folder = data_dir::lock(&config.data_dir).map_err(StartError::of_command)?;
    // Opened by its server's version only.
    open_existing(config).await.map_err(of_source)?.close().await;
    let (source_lock, source) =
        DatabaseLock::open(&config.database_url, config.database_pool, Sharing::NobodyForCommand)
            .await
            .map_err(of_source)?;
    let storage = open_storage(config, &source).await.map_err(of_source)?;
    let target = match &to.database {
        None => None,
        Some(url) => {
            let (lock, store) =
                DatabaseLock::open_free(url, config.database_pool).await.map_err(of_target)?;
            Some((url, lock, store))
        }
    };
    let moved = match &to.bucket {
        None => None,
        Some(bucket) => {
            let copied = copy_files(&storage, &source, bucket, &config.data_dir).await;
            Some(copied.map_err(of_source)?)
        }
    };

    let id = new_id();
    let tables = match &target {
        Some((url, ..)) => copy_rows(from, url.expose_secret(), (INSTALLATION, &id), tell).await?,
        None => {
            source.change_setting(INSTALLATION, &id).await.map_err(StartError::Source)?;
            Vec::new()
        }
    };
    let files_in = moved.as_ref().map_or(&storage, |(bucket, _)| bucket);
    let join = async {
        if target.is_some() && moved.is_some() {
            // The SQLite file and the folder both have the former id, and would still be used together. No database has
            // this one.
            Partner::Folder(&config.data_dir).write(&new_id()).await?;
        }
        Partner::of(config, files_in).write(&id).await
    };
    join.await.map_err(|error| not_joined(to, &error))?;

    source.close().await;
    source_lock.release().await;
    if let Some((_, lock, store)) = target {
        store.close().await;
        lock.release().await;
    }
    Ok(MovedParts { tables, files: moved.map(|(_, files)| files) })
}

/// The database that is used now, not the one of `--to`.
fn of_source(error: StartError) -> StartError {
    match error {
        StartError::Store(error) => StartError::Source(error),
        other => other.of_command(),
    }
}

fn of_target(error: StartError) -> StartError {
    match error {
        StartError::DatabaseInUse => StartError::TargetInUse,
        StartError::Store(error) => StartError::Target(error),
        other => other,
    }
}

fn not_joined(to: &MoveTo, error: &StartError) -> StartError {
    let (moved, set) = match (&to.database, &to.bucket) {
        (_, None) => ("All rows are in the Postgres database", "RUNBOARD_DATABASE_URL set to it"),
        (None, Some(_)) => ("All files are in the bucket", "RUNBOARD_STORAGE_URL set to it"),
        (Some(_), Some(_)) => (
            "All rows are in the Postgres database, and all files in the bucket",
            "RUNBOARD_DATABASE_URL and RUNBOARD_STORAGE_URL set to them",
        ),
    };
    let why = match error {
        StartError::Io(error) => error.to_string(),
        other => other.to_string(),
    };
    StartError::NotJoined { moved, set, why: why.lines().next().unwrap_or_default().to_owned() }
}
