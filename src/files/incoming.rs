//! Uploads in progress.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncWriteExt, BufWriter},
};

use ulid::Ulid;

use super::{
    BinaryKind, Folder, Key, Storage,
    folder::{INCOMING, sync_folder},
};
use crate::{
    base::ids::ImportId,
    csv::{Survey, Surveyor},
};

/// The bytes that are gathered before a write. Network chunks are much smaller, and each write to an
/// asynchronous file uses another thread.
const BUFFER: usize = 256 * 1024;

/// The free space of the disk is checked again after this many bytes.
const ASK_EVERY: u64 = 16 << 20;

/// The suffix of a mark's name in [`INCOMING`].
const MARK: &str = ".recording";

/// A file that is being received, with constant memory use. It is deleted if it is dropped before it is kept.
#[derive(Debug)]
pub struct Incoming {
    storage: Storage,
    path: PathBuf,
    file: BufWriter<File>,
    size: u64,
    head: Vec<u8>,
    surveyor: Surveyor,
}

impl Storage {
    /// Starts to receive an upload of `announced` bytes; 0 if the size is unknown. Fails with a full disk
    /// unless there is room for twice as many: the file, and the outputs of its run.
    pub async fn receive(&self, announced: u64) -> io::Result<Incoming> {
        self.ensure_room_for(announced.saturating_mul(2)).await?;
        Incoming::create(self.clone(), self.root().join(INCOMING).join(Ulid::new().to_string())).await
    }

    /// Marks the upload of `import` as about to be stored before a row names it. A start that finds the mark
    /// knows that the process was killed in between. [`recorded`](Self::recorded) removes the mark.
    pub async fn record_soon(&self, import: ImportId) -> io::Result<()> {
        tokio::fs::write(self.marker(import), []).await
    }

    /// Removes the mark: the import has its row, or its upload was deleted.
    pub async fn recorded(&self, import: ImportId) {
        self.settled(&Key::upload(import));
        if let Err(error) = tokio::fs::remove_file(self.marker(import)).await
            && error.kind() != io::ErrorKind::NotFound
        {
            // The mark has no more meaning, and the next start moves it away.
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

    /// Stores the file `from` a second time as `to`, so that it survives a power failure. Either can be
    /// removed without the other. Returns the size in bytes. Call [`settled`](Self::settled) once a row names `to`.
    pub async fn duplicate(&self, from: &Key, to: &Key) -> io::Result<u64> {
        self.pending.begin(to);
        let duplicated = self.link_or_copy(from, to).await;
        if duplicated.is_err() {
            self.settled(to);
        }
        duplicated
    }

    async fn link_or_copy(&self, from: &Key, to: &Key) -> io::Result<u64> {
        let (source, target) = (self.path(from), self.path(to));
        let linked = tokio::task::spawn_blocking(move || {
            fs::hard_link(source, &target)?;
            sync_folder(&target)?;
            Ok::<u64, io::Error>(target.metadata()?.len())
        });
        match linked.await.map_err(io::Error::other)? {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // Some file systems have no hard links, or limit their number.
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
        let head = Vec::with_capacity(BinaryKind::HEAD_BYTES);
        Ok(Self { storage, path, file, size: 0, head, surveyor: Surveyor::default() })
    }

    /// Appends `bytes`. Returns the error of an earlier write, if it failed, and fails if the disk has no
    /// more room for the outputs of the file's run.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let wanted = BinaryKind::HEAD_BYTES - self.head.len();
        self.head.extend_from_slice(&bytes[..wanted.min(bytes.len())]);
        self.surveyor.feed(bytes);
        let asked = self.size / ASK_EVERY;
        self.size += bytes.len() as u64;
        self.file.write_all(bytes).await?;
        if self.size / ASK_EVERY > asked {
            self.storage.ensure_room_for(self.size).await?;
        }
        Ok(())
    }

    /// Appends the stored file `key`, or its first `limit` bytes.
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

    /// The path at which all bytes received so far can be read.
    pub(super) async fn flushed(&mut self) -> io::Result<PathBuf> {
        self.file.flush().await?;
        Ok(self.path.clone())
    }

    /// Bytes received so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The first bytes of the file, up to [`BinaryKind::HEAD_BYTES`].
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// What the bytes received so far say about the file's encoding.
    #[must_use]
    pub fn survey(&self) -> Survey {
        self.surveyor.clone().finish()
    }

    /// Stores the file as `key` so that it survives a power failure, and returns its size in bytes. Call
    /// [`Storage::settled`] once a row names it.
    pub async fn keep(mut self, key: &Key) -> io::Result<u64> {
        self.file.flush().await?;
        self.file.get_ref().sync_all().await?;
        let stored = self.storage.path(key);
        self.storage.pending.begin(key);
        if let Err(error) = store(&self.path, stored).await {
            // Removed if it was stored; no row will name it.
            if let Err(error) = self.storage.remove(key).await {
                tracing::warn!(%error, "cannot remove a file that was not stored safely");
            }
            self.storage.settled(key);
            return Err(error);
        }
        Ok(self.size)
    }
}

/// Moves a file to its place, so that it survives a power failure there.
async fn store(from: &Path, place: PathBuf) -> io::Result<()> {
    tokio::fs::rename(from, &place).await?;
    tokio::task::spawn_blocking(move || sync_folder(&place)).await.map_err(io::Error::other)?
}

impl Drop for Incoming {
    fn drop(&mut self) {
        match fs::remove_file(&self.path) {
            Ok(()) => {}
            // The file was kept, so it has another name now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // The next start moves it to the quarantine.
            Err(error) => tracing::warn!(%error, "cannot remove an unfinished upload"),
        }
    }
}
