//! Files that a run writes.

use std::{
    fs::{self, File},
    io::{self, Write},
    panic::resume_unwind,
    path::PathBuf,
    thread::{self, JoinHandle},
};

use super::{Key, Storage, folder::sync_folder};
use crate::base::ids::RunId;

/// How many bytes are written before another thread stores them durably. Without it, all of them would be stored after
/// the last one was written, while every core waits.
const SYNCED_AT_ONCE: u64 = 32 << 20;

/// An output that is being written. It is deleted if it is dropped before it is kept.
#[derive(Debug)]
pub struct OutputFile {
    storage: Storage,
    key: Key,
    path: PathBuf,
    file: File,
    length: u64,
    syncing: Option<JoinHandle<io::Result<()>>>,
    /// How many bytes were written when that began.
    synced: u64,
    is_kept: bool,
}

impl Storage {
    /// Creates an empty output of `run`. Blocks.
    pub fn create_output(&self, run: &RunId) -> io::Result<OutputFile> {
        OutputFile::create(self.clone(), Key::output(run))
    }
}

impl OutputFile {
    fn create(storage: Storage, key: Key) -> io::Result<Self> {
        let path = storage.path(&key);
        storage.pending.begin(&key);
        match File::create_new(&path) {
            Ok(file) => {
                Ok(Self { storage, key, path, file, length: 0, syncing: None, synced: 0, is_kept: false })
            }
            Err(error) => {
                storage.settled(&key);
                Err(error)
            }
        }
    }

    /// Appends `bytes`; best called with large blocks. After an error some of them may have been written;
    /// [`truncate`](Self::truncate) removes them.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        if self.length - self.synced >= SYNCED_AT_ONCE
            && self.syncing.as_ref().is_none_or(JoinHandle::is_finished)
        {
            self.wait_for_sync()?;
            let file = self.file.try_clone()?;
            self.syncing = Some(thread::Builder::new().spawn(move || file.sync_data())?);
            self.synced = self.length;
        }
        Ok(())
    }

    /// The system reports a failed write to only one of those who ask.
    fn wait_for_sync(&mut self) -> io::Result<()> {
        match self.syncing.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(panic)) => resume_unwind(panic),
        }
    }

    /// Under which it is stored.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The number of bytes written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.length
    }

    /// Cuts the file to its first `length` bytes. Nothing can be written after that.
    pub fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    /// Makes the written bytes survive a power failure.
    pub fn sync(&mut self) -> io::Result<()> {
        self.wait_for_sync()?;
        self.file.sync_data()?;
        sync_folder(&self.path)
    }

    /// Keeps the file, which must be synced, until its key is removed. Call [`Storage::settled`] once a row names
    /// it.
    #[must_use]
    pub fn keep(mut self) -> Key {
        self.is_kept = true;
        self.key.clone()
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path) {
            // It is quarantined after the next start.
            tracing::warn!(%error, "cannot remove an unfinished output");
        }
        self.storage.settled(&self.key);
    }
}
