//! Uploads in progress.

use std::{fs, io, path::PathBuf};

use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncWriteExt, BufWriter},
};

use ulid::Ulid;

use super::{
    BinaryKind, Folder, Key, Storage,
    folder::{INCOMING, sync_folder},
};
use crate::base::ids::ImportId;

/// How many bytes are gathered before they are written: a network chunk is much smaller, and each write
/// of an asynchronous file is a trip to another thread.
const BUFFER: usize = 256 * 1024;

/// After how many bytes the disk is asked again whether there is room.
const ASK_EVERY: u64 = 16 << 20;

/// Ends the name of a mark in [`INCOMING`].
const MARK: &str = ".recording";

/// A file that is being received, at a flat cost in memory. Dropped before it is kept, it is gone.
#[derive(Debug)]
pub struct Incoming {
    storage: Storage,
    path: PathBuf,
    file: BufWriter<File>,
    size: u64,
    head: Vec<u8>,
}

impl Storage {
    /// Begins to receive an upload of `announced` bytes, 0 if their number is unknown. Fails as a full disk
    /// does if there is no room for twice as many: the file, and what a run will write of it.
    pub async fn receive(&self, announced: u64) -> io::Result<Incoming> {
        self.ensure_room_for(announced.saturating_mul(2)).await?;
        Incoming::create(self.clone(), self.root().join(INCOMING).join(Ulid::new().to_string())).await
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
        self.root().join(INCOMING).join(format!("{import}{MARK}"))
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
}

impl Incoming {
    async fn create(storage: Storage, path: PathBuf) -> io::Result<Self> {
        let file = BufWriter::with_capacity(BUFFER, File::create_new(&path).await?);
        Ok(Self { storage, path, file, size: 0, head: Vec::with_capacity(BinaryKind::HEAD_BYTES) })
    }

    /// Appends `bytes`. An error may be that of an earlier write, or say that there is no more room
    /// for what a run will write of the file.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let wanted = BinaryKind::HEAD_BYTES - self.head.len();
        self.head.extend_from_slice(&bytes[..wanted.min(bytes.len())]);
        let asked = self.size / ASK_EVERY;
        self.size += bytes.len() as u64;
        self.file.write_all(bytes).await?;
        if self.size / ASK_EVERY > asked {
            self.storage.ensure_room_for(self.size).await?;
        }
        Ok(())
    }

    /// Appends the stored file `key`, or its first `limit` bytes if it has more.
    pub async fn append(&mut self, key: &Key, limit: u64) -> io::Result<()> {
        let mut part = File::open(self.storage.path(key)).await?.take(limit);
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = part.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            self.write(&buffer[..read]).await?;
        }
    }

    /// Bytes received so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The first bytes, up to [`BinaryKind::HEAD_BYTES`].
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Stores the file as `key` so that it survives a power cut, and returns its size in bytes.
    pub async fn keep(mut self, key: &Key) -> io::Result<u64> {
        self.file.flush().await?;
        self.file.get_ref().sync_all().await?;
        let stored = self.storage.path(key);
        tokio::fs::rename(&self.path, &stored).await?;
        tokio::task::spawn_blocking(move || sync_folder(&stored)).await.map_err(io::Error::other)??;
        Ok(self.size)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        match fs::remove_file(&self.path) {
            Ok(()) => {}
            // Kept: it has another name now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // A later start moves it to the quarantine.
            Err(error) => tracing::warn!(%error, "cannot remove an unfinished upload"),
        }
    }
}
