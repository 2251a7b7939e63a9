//! The data folder: made, locked, and the database's own.

use std::{
    collections::HashSet,
    fs::{self, DirBuilder, File, TryLockError},
    io,
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use ulid::Ulid;

use super::StartError;
use crate::{source::Key, store::Store};

/// Makes the data folder, if it is missing: uploads and password hashes are for nobody else on this
/// machine.
pub fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

pub(super) fn lock(path: &Path) -> Result<File, StartError> {
    let unusable = |source| StartError::DataDir { path: path.to_owned(), source };
    make(path).map_err(unusable)?;
    let file = File::create(path.join("lock")).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::InUse(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

/// Refuses a database that is not the data folder's: files that it does not name would be removed, and
/// what it names would not be there. Both keep the same random id.
pub(super) async fn check_installation(data_dir: &Path, store: &Store) -> Result<(), StartError> {
    let path = data_dir.join("installation");
    let unusable = |source| StartError::DataDir { path: data_dir.to_owned(), source };
    let in_folder = match fs::read_to_string(&path) {
        Ok(id) => Some(id.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(unusable(error)),
    };
    let new = in_folder.clone().unwrap_or_else(|| Ulid::new().to_string());
    let in_database = store.setting("installation", &new).await?;
    match in_folder {
        Some(id) if id == in_database => Ok(()),
        // A first start, or one that was cut off just here.
        None if store.import_ids().await?.is_empty() => fs::write(&path, &in_database).map_err(unusable),
        _ => Err(StartError::OtherInstallation(data_dir.to_owned())),
    }
}

/// All stored files that the database knows; a kill between writing and recording leaves others.
pub(super) async fn named_files(store: &Store) -> Result<HashSet<Key>, StartError> {
    let uploads = store.import_ids().await?.into_iter().map(Key::upload);
    let outputs = store.all_step_files().await?.into_iter().map(Key::from_stored);
    Ok(uploads.chain(outputs).collect())
}
