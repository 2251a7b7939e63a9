//! The data folder: creates it, locks it and names it.

use std::{
    fs::{self, File, TryLockError},
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::Path,
};

use ulid::Ulid;

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

/// The name of a locked data folder, by which a process finds what its killed predecessor had leased.
pub(super) fn name(path: &Path) -> Result<String, StartError> {
    let unusable = |source| StartError::DataDir { path: path.to_owned(), source };
    let file = path.join("replica");
    match fs::read_to_string(&file) {
        // Also after a kill while it was written.
        Ok(name) if name.parse::<Ulid>().is_ok() => Ok(name),
        Ok(_) => write_name(&file).map_err(unusable),
        Err(error) if error.kind() == ErrorKind::NotFound => write_name(&file).map_err(unusable),
        Err(error) => Err(unusable(error)),
    }
}

fn write_name(file: &Path) -> io::Result<String> {
    let name = Ulid::new().to_string();
    fs::write(file, &name)?;
    Ok(name)
}
