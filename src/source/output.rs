//! Files that a run writes.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use super::{Key, storage::sync_folder};

/// An output that is being written. Dropped before it is kept, it is gone.
#[derive(Debug)]
pub struct OutputFile {
    key: Key,
    path: PathBuf,
    file: BufWriter<File>,
    is_kept: bool,
}

impl OutputFile {
    pub(super) fn create(path: PathBuf, key: Key) -> io::Result<Self> {
        let file = BufWriter::new(File::create_new(&path)?);
        Ok(Self { key, path, file, is_kept: false })
    }

    /// Appends `bytes`.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Makes what is written survive a power cut.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_data()?;
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
            // The next start removes it.
            tracing::warn!(%error, "an output that broke off could not be removed");
        }
    }
}
