//! The data folder: creates it and locks it.

use std::{
    fs::{self, File, TryLockError},
    os::unix::fs::MetadataExt,
    path::Path,
};

use super::StartError;
use crate::files::make_folder;

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
