//! `runboard adopt`: joins a database and a data folder that were not used together before.

use std::time::Duration;

use super::{StartError, data_dir, database::DatabaseLock, stored_files};
use crate::{
    base::{config::Config, time::UnixMillis},
    files::{Key, Moved, Storage},
    store::Store,
};

/// The result of the join.
#[derive(Debug)]
pub struct Adopted {
    pub imports: u64,
    pub stored_files: usize,
    /// The files that no import names.
    pub set_aside: Option<Moved>,
    /// The number of imports whose upload is not in the folder.
    pub without_upload: usize,
}

/// Joins the database and the data folder of `config`, after a restore from a backup or a move to another
/// database. Afterwards neither works with its former partner. Deletes nothing.
///
/// # Errors
/// If a server uses one of the two, if the folder does not exist, or if one of them fails.
pub async fn adopt(config: &Config) -> Result<Adopted, StartError> {
    if !config.data_dir.is_dir() {
        return Err(StartError::NoDataDir(config.data_dir.clone()));
    }
    let _folder = data_dir::lock(&config.data_dir)?;
    let (database, store) = DatabaseLock::open(&config.database_url, config.database_connections).await?;
    let storage = Storage::open(config.data_dir.join("files"))?;
    let unnamed = stored_files::find(&storage, &store, Duration::ZERO).await?;
    let stored_files = unnamed.stored;
    let set_aside = storage.set_aside(&unnamed.into_all(), UnixMillis::now())?;
    let without_upload = without_upload(&storage, &store).await?;
    let imports = store.count_imports().await?;
    data_dir::join(&config.data_dir, &store).await?;
    store.close().await;
    database.release().await;
    Ok(Adopted { imports, stored_files, set_aside, without_upload })
}

async fn without_upload(storage: &Storage, store: &Store) -> Result<usize, StartError> {
    let uploads = store.uploaded_imports().await?;
    Ok(uploads.into_iter().filter(|import| !storage.path(&Key::upload(*import)).exists()).count())
}
