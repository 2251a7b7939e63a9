//! Stored files: a folder, written with plain file writes.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use ulid::Ulid;

use super::{Folder, Incoming, OutputFile, room};
use crate::base::ids::{ImportId, RunId};

pub(super) const INCOMING: &str = "incoming";
pub(super) const UPLOADS: &str = "uploads";
pub(super) const RUNS: &str = "runs";

/// Ends the name of a mark in [`INCOMING`].
const MARK: &str = ".recording";

/// How much of a run's id an output's name repeats: all of a ULID.
const RUN_ID_CHARS: usize = 26;

/// The folder of stored files: uploads in progress (`incoming/`), uploads (`uploads/`), what runs
/// wrote (`runs/`), and what no row names (`quarantine/`).
#[derive(Clone, Debug)]
pub struct Storage {
    root: PathBuf,
}

/// The name of a stored file, relative to the folder: never anything a client said.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(String);

impl Key {
    #[must_use]
    pub fn upload(import: ImportId) -> Self {
        Self(format!("{UPLOADS}/{import}.csv"))
    }

    /// A new random name for an output of `run`. It repeats the run's id, so that an operator can tell the files
    /// apart, but only its letters and digits: an engine may put anything into an id.
    #[must_use]
    pub fn output(run: &RunId) -> Self {
        let run: String =
            run.as_str().chars().filter(char::is_ascii_alphanumeric).take(RUN_ID_CHARS).collect();
        Self(format!("{RUNS}/{run}-{}", Ulid::new()))
    }

    /// The import whose upload this is, by its name.
    #[must_use]
    pub fn import(&self) -> Option<ImportId> {
        self.0.strip_prefix(UPLOADS)?.strip_prefix('/')?.strip_suffix(".csv")?.parse().ok()
    }

    /// What an output's name repeats of the id of its run.
    #[must_use]
    pub fn run(&self) -> Option<&str> {
        let (run, _) = self.0.strip_prefix(RUNS)?.strip_prefix('/')?.split_once('-')?;
        Some(run)
    }

    /// A name as the database has it.
    #[must_use]
    pub fn from_stored(name: String) -> Self {
        Self(name)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Makes a folder, and missing ones above it, that no other user of this machine can open, whatever the umask.
pub fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

impl Storage {
    /// Opens the folder `root`, and makes it and its sub-folders where they are missing.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        for folder in [INCOMING, UPLOADS, RUNS] {
            make_folder(&root.join(folder))?;
        }
        Ok(Self { root })
    }

    /// The path of a stored file.
    #[must_use]
    pub fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.as_str())
    }

    /// A stored file for reading, in blocking code.
    pub fn file(&self, key: &Key) -> io::Result<File> {
        File::open(self.path(key))
    }

    /// Begins to receive an upload of `announced` bytes, 0 if nobody said how many. Fails as a full disk
    /// does if there is no room for twice as many: the file, and what a run will write of it.
    pub async fn receive(&self, announced: u64) -> io::Result<Incoming> {
        self.ensure_room_for(announced.saturating_mul(2)).await?;
        Incoming::create(self.clone(), self.root.join(INCOMING).join(Ulid::new().to_string())).await
    }

    /// Says that the upload of `import` is about to be stored, and that no row names it yet: a start that finds it
    /// so knows that a kill came between. To be taken back by [`recorded`](Self::recorded).
    pub async fn record_soon(&self, import: ImportId) -> io::Result<()> {
        tokio::fs::write(self.marker(import), []).await
    }

    /// The import has its row, or its upload is gone.
    pub async fn recorded(&self, import: ImportId) {
        if let Err(error) = tokio::fs::remove_file(self.marker(import)).await
            && error.kind() != io::ErrorKind::NotFound
        {
            // It explains nothing any more, and the next start moves it away.
            tracing::warn!(%import, %error, "cannot remove the mark of an import that was being recorded");
        }
    }

    /// The imports whose recording was interrupted. Blocks.
    pub fn being_recorded(&self) -> io::Result<Vec<ImportId>> {
        let names = self.list(Folder::Incoming)?.collect::<Result<Vec<Key>, _>>()?;
        let import = |key: &Key| key.as_str().strip_suffix(MARK)?.rsplit('/').next()?.parse().ok();
        Ok(names.iter().filter_map(import).collect())
    }

    fn marker(&self, import: ImportId) -> PathBuf {
        self.root.join(INCOMING).join(format!("{import}{MARK}"))
    }

    /// Stores the file `from` once more as `to`, so that it survives a power cut. Either can be removed
    /// without the other. Returns its size in bytes.
    pub async fn duplicate(&self, from: &Key, to: &Key) -> io::Result<u64> {
        let (source, target) = (self.path(from), self.path(to));
        let linked = tokio::task::spawn_blocking(move || {
            fs::hard_link(source, &target)?;
            sync_folder(&target)?;
            Ok::<u64, io::Error>(target.metadata()?.len())
        });
        match linked.await.map_err(io::Error::other)? {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // Some file systems have no second names, or not so many.
                tracing::debug!(%error, "cannot hard-link a stored file; copying it");
                let mut copy = self.receive(0).await?;
                copy.append(from, u64::MAX).await?;
                copy.keep(to).await
            }
            result => result,
        }
    }

    /// A new, empty output of `run`, in blocking code.
    pub fn create_output(&self, run: &RunId) -> io::Result<OutputFile> {
        let key = Key::output(run);
        OutputFile::create(self.path(&key), key)
    }

    /// As [`ensure_room`](Self::ensure_room), for `bytes` more, in asynchronous code.
    pub(super) async fn ensure_room_for(&self, bytes: u64) -> io::Result<()> {
        let root = self.root.clone();
        tokio::task::spawn_blocking(move || room::ensure(&root, bytes)).await.map_err(io::Error::other)?
    }

    /// Fails as a full disk does once what is free has shrunk to [`RESERVE`](super::RESERVE); in
    /// blocking code.
    pub fn ensure_room(&self) -> io::Result<()> {
        room::ensure(&self.root, 0)
    }

    /// Removes a stored file; one that is not there is removed already.
    pub async fn remove(&self, key: &Key) -> io::Result<()> {
        match tokio::fs::remove_file(self.path(key)).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Fails unless a file can be written now; leaves none. Blocks.
    pub fn check_writable(&self) -> io::Result<()> {
        let path = self.root.join(INCOMING).join(format!("probe-{}", Ulid::new()));
        let written = File::create_new(&path).and_then(|mut file| file.write_all(b"."));
        let removed = fs::remove_file(&path);
        written.and(removed)
    }
}

/// Makes the names in the folder of `path` survive a power cut.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
