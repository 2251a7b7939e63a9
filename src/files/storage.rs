//! Stored files in a folder, written with plain file writes.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use ulid::Ulid;

use super::{
    Folder, Key,
    folder::{INCOMING, list, make_folder},
    key::{RUNS, UPLOADS},
    pending::Pending,
    room,
};

/// The folder of stored files: uploads in progress (`incoming/`), uploads (`uploads/`), outputs of runs
/// (`runs/`), and files that no row names (`quarantine/`).
#[derive(Clone, Debug)]
pub struct Storage {
    root: PathBuf,
    pub(super) pending: Pending,
}

impl Storage {
    /// Opens the folder `root` and creates it and its sub-folders if they are missing.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        for folder in [INCOMING, UPLOADS, RUNS] {
            make_folder(&root.join(folder))?;
        }
        Ok(Self { root, pending: Pending::default() })
    }

    /// The files in `folder`, one at a time, because there may be millions. Blocks.
    pub fn list(&self, folder: Folder) -> io::Result<impl Iterator<Item = io::Result<Key>> + Send + use<>> {
        list(self.root(), folder)
    }

    /// The path of a stored file.
    #[must_use]
    pub fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.as_str())
    }

    /// Opens a stored file for reading. Blocks.
    pub fn file(&self, key: &Key) -> io::Result<File> {
        File::open(self.path(key))
    }

    /// As [`ensure_room`](Self::ensure_room), for `bytes` more, without blocking.
    pub(super) async fn ensure_room_for(&self, bytes: u64) -> io::Result<()> {
        let root = self.root.clone();
        tokio::task::spawn_blocking(move || room::ensure(&root, bytes)).await.map_err(io::Error::other)?
    }

    /// Fails with a full disk if less than [`RESERVE`](super::RESERVE) is free. Blocks.
    pub fn ensure_room(&self) -> io::Result<()> {
        room::ensure(&self.root, 0)
    }

    /// Removes a stored file. Succeeds if the file does not exist.
    pub async fn remove(&self, key: &Key) -> io::Result<()> {
        match tokio::fs::remove_file(self.path(key)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        self.settled(key);
        Ok(())
    }

    /// To be called by the writer of `key` once a row names the file, or the file is deleted.
    pub fn settled(&self, key: &Key) {
        self.pending.end(key);
    }

    /// Whether `key` is being written and not [`settled`](Self::settled) yet.
    #[must_use]
    pub fn is_pending(&self, key: &Key) -> bool {
        self.pending.contains(key)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Fails unless a file can be written now. Leaves no file. Blocks.
    pub fn check_writable(&self) -> io::Result<()> {
        let path = self.root.join(INCOMING).join(format!("probe-{}", Ulid::new()));
        let written = File::create_new(&path).and_then(|mut file| file.write_all(b"."));
        let removed = fs::remove_file(&path);
        written.and(removed)
    }
}
