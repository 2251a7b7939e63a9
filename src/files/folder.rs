//! The sub-folders of stored files.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use super::{
    Key,
    key::{INCOMING, RUNS, UPLOADS},
};

/// A folder of stored files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folder {
    Incoming,
    Uploads,
    Runs,
}

impl Folder {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Incoming => INCOMING,
            Self::Uploads => UPLOADS,
            Self::Runs => RUNS,
        }
    }
}

/// Lists the files, one at a time, because there may be millions. A name that is not UTF-8 is not one of ours and no
/// row names it, so it is skipped. Blocks.
pub(super) fn list(
    root: &Path,
    folder: Folder,
) -> io::Result<impl Iterator<Item = io::Result<Key>> + Send + use<>> {
    let name = folder.name();
    Ok(fs::read_dir(root.join(name))?.filter_map(move |entry| {
        let key = |entry: fs::DirEntry| {
            let Ok(file) = entry.file_name().into_string() else { return Ok(None) };
            let is_file = entry.file_type()?.is_file();
            Ok(is_file.then(|| Key::from_stored(format!("{name}/{file}"))))
        };
        entry.and_then(key).transpose()
    }))
}

/// Creates a folder and its missing parents with access for no other user of this machine, whatever the
/// umask.
pub fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Syncs the folder of `path`, so that its names survive a power failure.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
