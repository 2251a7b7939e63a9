//! Files that a run writes.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
};

use super::{Key, Storage, folder::sync_folder};
use crate::base::ids::RunId;

/// An output that is being written. Dropped before it is kept, it is gone.
#[derive(Debug)]
pub struct OutputFile {
    key: Key,
    path: PathBuf,
    file: File,
    length: u64,
    is_kept: bool,
}

impl Storage {
    /// A new, empty output of `run`, in blocking code.
    pub fn create_output(&self, run: &RunId) -> io::Result<OutputFile> {
        let key = Key::output(run);
        OutputFile::create(self.path(&key), key)
    }
}

impl OutputFile {
    fn create(path: PathBuf, key: Key) -> io::Result<Self> {
        let file = File::create_new(&path)?;
        Ok(Self { key, path, file, length: 0, is_kept: false })
    }

    /// Appends `bytes`, best many at once. After an error some of them may be there:
    /// [`truncate`](Self::truncate) takes them off.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// How many bytes were written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.length
    }

    /// Takes off what is behind the first `length` bytes; nothing can be written after that.
    pub fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    /// Makes what is written survive a power cut.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        sync_folder(&self.path)
    }

    /// Lets the file stay, synced before, until its key is removed.
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
            // A later start moves it to the quarantine.
            tracing::warn!(%error, "cannot remove an unfinished output");
        }
    }
}
