//! Stored files in a folder, written with plain file writes.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use ulid::Ulid;

use super::{
    Folder, Key,
    folder::{list, make_folder},
    key::{INCOMING, RUNS, UPLOADS},
    room,
};
use crate::base::ids::ImportId;

/// The suffix of a mark's name in [`INCOMING`].
const MARK: &str = ".recording";

/// The folder of stored files: uploads in progress (`incoming/`), uploads (`uploads/`), outputs of runs
/// (`runs/`), and files that no row names (`quarantine/`).
#[derive(Clone, Debug)]
pub struct LocalStorage {
    root: PathBuf,
}

impl LocalStorage {
    /// Opens the folder `root` and creates it and its sub-folders if they are missing.
    pub(super) fn open(root: PathBuf) -> io::Result<Self> {
        for folder in [INCOMING, UPLOADS, RUNS] {
            make_folder(&root.join(folder))?;
        }
        Ok(Self { root })
    }

    /// The files in `folder`, one at a time, because there may be millions. Blocks.
    pub fn list(&self, folder: Folder) -> io::Result<impl Iterator<Item = io::Result<Key>> + Send + use<>> {
        list(&self.root, folder)
    }

    /// The path of a stored file.
    #[must_use]
    pub fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.as_str())
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The imports whose recording was interrupted. Blocks.
    pub fn being_recorded(&self) -> io::Result<Vec<ImportId>> {
        let names = self.list(Folder::Incoming)?.collect::<Result<Vec<Key>, _>>()?;
        let import = |key: &Key| key.as_str().strip_suffix(MARK)?.rsplit('/').next()?.parse().ok();
        Ok(names.iter().filter_map(import).collect())
    }

    /// The mark that says that an import is being recorded.
    pub(super) fn marker(&self, import: ImportId) -> PathBuf {
        self.root.join(INCOMING).join(format!("{import}{MARK}"))
    }

    /// Fails with a full disk if `bytes` more would leave less than [`RESERVE`](super::RESERVE) free. Blocks.
    pub(super) fn ensure_room(&self, bytes: u64) -> io::Result<()> {
        room::ensure(&self.root, bytes)
    }

    /// Fails unless a file can be written now. Leaves no file. Blocks.
    pub(super) fn check_writable(&self) -> io::Result<()> {
        let path = self.root.join(INCOMING).join(format!("probe-{}", Ulid::new()));
        let written = File::create_new(&path).and_then(|mut file| file.write_all(b"."));
        let removed = fs::remove_file(&path);
        written.and(removed)
    }
}
