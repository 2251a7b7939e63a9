//! `runboard adopt`: joins a database and a data folder that were not used together before.

use std::{io, time::Duration};

use futures_util::{StreamExt, stream};
use secrecy::ExposeSecret;

use super::{StartError, data_dir, database::DatabaseLock, installation::Partner, storage_of, stored_files};
use crate::{
    base::{config::Config, ids::ImportId, time::UnixMillis},
    files::{Key, Moved, Storage},
    store::{Sharing, Store, sqlite_file},
};

/// How many files are looked up at once.
const LOOKUPS: usize = 16;

/// The result of the join.
#[derive(Debug)]
pub struct Adopted {
    pub imports: u64,
    pub stored_files: usize,
    /// The files that no import names, if they are in a folder.
    pub set_aside: Option<Moved>,
    /// How many files in a bucket no import names.
    pub unnamed_objects: usize,
    /// The number of imports whose upload is missing.
    pub without_upload: usize,
}

/// Joins the database of `config` and its data folder or bucket, after a restore from a backup or a move to another
/// database. Afterwards neither works with its former partner. Deletes nothing.
///
/// # Errors
/// If a server uses one of the two, if one of them fails, or if the data folder does not exist, unless the database is a
/// Postgres and the files are in a bucket.
pub async fn adopt(config: &Config) -> Result<Adopted, StartError> {
    // Then the folder holds nothing of the installation, and locking it makes it, as a start does.
    let is_scratch = config.bucket.is_some() && sqlite_file(config.database_url.expose_secret()).is_none();
    if !is_scratch && !config.data_dir.is_dir() {
        return Err(StartError::NoDataDir(config.data_dir.clone()));
    }
    let _folder = data_dir::lock(&config.data_dir).map_err(StartError::of_command)?;
    let (database, store) =
        DatabaseLock::open(&config.database_url, config.database_pool, Sharing::NobodyForCommand)
            .await
            .map_err(StartError::of_command)?;
    let storage = storage_of(config).await?;
    let unnamed = stored_files::find(&storage, &store, None, Duration::ZERO).await?;
    let stored_files = unnamed.stored;
    let unnamed = unnamed.into_all();
    let (set_aside, unnamed_objects) = match storage.local() {
        Some(local) => (local.set_aside(&unnamed, UnixMillis::now())?, 0),
        None => (None, unnamed.len()),
    };
    let without_upload = without_upload(&storage, &store).await?;
    let imports = store.count_imports().await?;
    Partner::of(config, &storage).join(&store).await?;
    store.close().await;
    database.release().await;
    Ok(Adopted { imports, stored_files, set_aside, unnamed_objects, without_upload })
}

async fn without_upload(storage: &Storage, store: &Store) -> Result<usize, StartError> {
    let (mut last, mut missing) = (ImportId::MIN, 0);
    loop {
        let some = store.uploads_after(last).await?;
        let Some(end) = some.last().copied() else { return Ok(missing) };
        let sizes = some.into_iter().map(|import| {
            let storage = storage.clone();
            async move { storage.size(&Key::upload(import)).await }
        });
        let mut sizes = stream::iter(sizes).buffer_unordered(LOOKUPS);
        while let Some(size) = sizes.next().await {
            match size {
                Err(error) if error.kind() == io::ErrorKind::NotFound => missing += 1,
                size => drop(size?),
            }
        }
        last = end;
    }
}
