//! The data folder: creates it, locks it, and checks that the database belongs to it.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::Path,
};

use ulid::Ulid;

use super::StartError;
use crate::{files::make_folder, store::Store};

/// The name of the id that a folder and its database share: a file in the folder, a setting in the database.
pub(super) const INSTALLATION: &str = "installation";

/// The permissions of the group and of others.
const OTHERS: u32 = 0o077;

/// Locks the data folder. Creates it if it is missing.
pub(super) fn lock(path: &Path) -> Result<File, StartError> {
    let unusable = |source| StartError::DataDir { path: path.to_owned(), source };
    make_folder(path).map_err(unusable)?;
    let file = File::create(path.join("lock")).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(StartError::InUse(path.to_owned())),
        Err(TryLockError::Error(source)) => return Err(unusable(source)),
    }
    let mode = fs::metadata(path).map_err(unusable)?.mode() & 0o777;
    if mode & OTHERS != 0 {
        tracing::warn!(
            "other users of this machine can open the data folder {} (mode {mode:03o}); \
             chmod -R go-rwx takes that away",
            path.display()
        );
    }
    Ok(file)
}

/// Refuses a database that does not belong to the data folder: its imports would lack their files, and the
/// files their imports. Both store the same random id, which the first start generates.
pub(super) async fn check_installation(data_dir: &Path, store: &Store) -> Result<(), StartError> {
    let in_folder = id_in(data_dir)?;
    let in_database = store.setting_if_known(INSTALLATION).await?;
    match (in_folder, in_database) {
        (Some(folder), Some(database)) if folder == database => Ok(()),
        (Some(_), None) => Err(StartError::EmptyDatabase(data_dir.to_owned())),
        (None, None) => join(data_dir, store).await,
        // A first start was interrupted between writing the two ids.
        (None, Some(database)) if store.count_imports().await? == 0 => write_id(data_dir, &database),
        (None | Some(_), Some(_)) => Err(StartError::OtherInstallation(data_dir.to_owned())),
    }
}

/// Gives the folder and the database a new common id. Their former partners do not have it.
pub(super) async fn join(data_dir: &Path, store: &Store) -> Result<(), StartError> {
    let id = Ulid::new().to_string();
    // The database first, because a folder with an id refuses a database without one.
    store.change_setting(INSTALLATION, &id).await?;
    write_id(data_dir, &id)
}

fn id_in(data_dir: &Path) -> Result<Option<String>, StartError> {
    match fs::read_to_string(data_dir.join(INSTALLATION)) {
        Ok(id) => Ok(Some(id.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StartError::DataDir { path: data_dir.to_owned(), source }),
    }
}

/// Writes the id atomically, also across a power failure.
fn write_id(data_dir: &Path, id: &str) -> Result<(), StartError> {
    let write = || {
        let new = data_dir.join("installation.new");
        let mut file = File::create(&new)?;
        file.write_all(id.as_bytes())?;
        file.sync_all()?;
        fs::rename(new, data_dir.join(INSTALLATION))?;
        File::open(data_dir)?.sync_all()
    };
    write().map_err(|source| StartError::DataDir { path: data_dir.to_owned(), source })
}
