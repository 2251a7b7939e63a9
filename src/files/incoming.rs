//! Uploads in progress.

use std::{
    fs, io, mem,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncWriteExt, BufWriter},
    task::spawn_blocking,
};
use ulid::Ulid;

use super::{
    BinaryKind, Key, Storage,
    early_sync::EarlySync,
    folder::sync_folder,
    key::INCOMING,
    local::LocalStorage,
    objects::{ObjectStorage, ObjectWriter},
    storage::Place,
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

/// The most bytes of an archive that is on its way to a bucket of which a copy is kept here, because the sheets of a
/// workbook can be searched only in a file. Of a larger one the run says if it has no such sheet.
const LARGEST_COPY: u64 = 256 << 20;

/// How many bytes tell an archive.
const ARCHIVE_TOLD_BY: usize = 4;

/// A file that is being received, with constant memory use. It is deleted if it is dropped before it is kept.
#[derive(Debug)]
pub struct Incoming {
    storage: Storage,
    key: Key,
    sink: IncomingSink,
    size: u64,
    head: Vec<u8>,
    surveyor: Surveyor,
}

#[derive(Debug)]
enum IncomingSink {
    Local(Arriving),
    Object(Box<Departing>),
}

/// A file in the folder for incoming ones.
#[derive(Debug)]
struct Arriving {
    path: PathBuf,
    file: BufWriter<File>,
    sync: EarlySync,
}

/// A file that is sent on to a bucket.
#[derive(Debug)]
struct Departing {
    objects: Arc<ObjectStorage>,
    writer: ObjectWriter,
    /// An archive as far as it has arrived.
    copy: Option<BufWriter<File>>,
}

impl Storage {
    /// Starts to receive the upload of a new import; `announced` as for [`receive`](Self::receive).
    pub async fn receive_upload(&self, announced: u64) -> io::Result<Incoming> {
        self.receive(Key::upload(ImportId::generate()), announced).await
    }

    /// Starts to receive the file `key` of `announced` bytes; 0 if the size is unknown. Fails with a full disk
    /// unless there is room for twice as many: the file, and the outputs of its run.
    pub async fn receive(&self, key: Key, announced: u64) -> io::Result<Incoming> {
        self.ensure_room_for(announced.saturating_mul(2)).await?;
        let sink = match &self.place {
            Place::Local(local) => IncomingSink::Local(Arriving::create(local).await?),
            Place::Objects(objects) => {
                let writer = objects.write(&key);
                let departing = Departing { objects: Arc::clone(objects), writer, copy: None };
                IncomingSink::Object(Box::new(departing))
            }
        };
        let head = Vec::with_capacity(BinaryKind::HEAD_BYTES);
        Ok(Incoming { storage: self.clone(), key, sink, size: 0, head, surveyor: Surveyor::default() })
    }

    /// Stores the file `from` a second time as `to`, so that it survives a power failure. Either can be
    /// removed without the other. Returns the size in bytes. Call [`settled`](Self::settled) once a row names `to`.
    pub async fn duplicate(&self, from: &Key, to: &Key) -> io::Result<u64> {
        self.pending.begin(to);
        let duplicated = match &self.place {
            Place::Local(local) => link(local, from, to).await,
            Place::Objects(objects) => objects.copy(from, to).await,
        };
        let duplicated = match duplicated {
            Ok(Some(size)) => Ok(size),
            Ok(None) => self.copy(from, to).await,
            Err(error) => Err(error),
        };
        if duplicated.is_err() {
            self.settled(to);
        }
        duplicated
    }

    async fn copy(&self, from: &Key, to: &Key) -> io::Result<u64> {
        let mut copy = self.receive(to.clone(), 0).await?;
        copy.append(from, u64::MAX).await?;
        copy.keep().await
    }
}

/// Gives a file a second name. None if the file system cannot.
async fn link(local: &LocalStorage, from: &Key, to: &Key) -> io::Result<Option<u64>> {
    let (source, target) = (local.path(from), local.path(to));
    let linked = spawn_blocking(move || {
        fs::hard_link(source, &target)?;
        sync_folder(&target)?;
        Ok::<u64, io::Error>(target.metadata()?.len())
    });
    match linked.await.map_err(io::Error::other)? {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            // Some file systems have no hard links, or limit their number.
            tracing::debug!(%error, "cannot hard-link a stored file; copying it");
            Ok(None)
        }
        linked => linked.map(Some),
    }
}

impl Incoming {
    /// The name that the file will have.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Appends `bytes`. Returns the error of an earlier write, if it failed, and fails if the disk has no
    /// more room for the outputs of the file's run.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let wanted = BinaryKind::HEAD_BYTES - self.head.len();
        self.head.extend_from_slice(&bytes[..wanted.min(bytes.len())]);
        self.surveyor.feed(bytes);
        let before = self.size;
        self.size += bytes.len() as u64;
        match &mut self.sink {
            IncomingSink::Local(arriving) => arriving.write(bytes, self.size).await?,
            IncomingSink::Object(departing) => departing.write(bytes, before, &self.head).await?,
        }
        if self.size / ASK_EVERY > before / ASK_EVERY {
            self.storage.ensure_room_for(self.size).await?;
        }
        Ok(())
    }

    /// Appends the stored file `key`, or its first `limit` bytes.
    pub async fn append(&mut self, key: &Key, limit: u64) -> io::Result<()> {
        match self.storage.place.clone() {
            Place::Local(local) => {
                let mut part = File::open(local.path(key)).await?.take(limit);
                let mut buffer = vec![0; BUFFER];
                loop {
                    let read = part.read(&mut buffer).await?;
                    if read == 0 {
                        return Ok(());
                    }
                    self.write(&buffer[..read]).await?;
                }
            }
            Place::Objects(objects) => {
                let mut part = objects.read(key, 0, objects.size(key).await?.min(limit));
                loop {
                    let bytes = part.next().await?;
                    if bytes.is_empty() {
                        return Ok(());
                    }
                    self.write(&bytes).await?;
                }
            }
        }
    }

    /// All bytes received so far, as a file that can be read in any order. None if there is none.
    pub(super) async fn received(&mut self) -> io::Result<Option<fs::File>> {
        match &mut self.sink {
            IncomingSink::Local(arriving) => {
                arriving.file.flush().await?;
                Ok(Some(File::open(&arriving.path).await?.into_std().await))
            }
            IncomingSink::Object(departing) => Ok(departing.copied().await),
        }
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

    /// Stores the file under its name so that it survives a power failure, and returns its size in bytes. Call
    /// [`Storage::settled`] once a row names it.
    pub async fn keep(self) -> io::Result<u64> {
        let key = self.key.clone();
        self.keep_as(&key).await
    }

    /// Does the same under another name: that of an upload whose import's id has the same random part.
    pub async fn keep_as(mut self, key: &Key) -> io::Result<u64> {
        self.storage.pending.begin(key);
        let stored = match (&mut self.sink, &self.storage.place) {
            (IncomingSink::Local(arriving), Place::Local(local)) => arriving.store(local.path(key)).await,
            (IncomingSink::Object(departing), Place::Objects(objects))
                if *departing.writer.path() == objects.path(key) =>
            {
                departing.writer.finish_here();
                departing.writer.finish().await.map(|()| departing.writer.keep())
            }
            _ => Err(io::Error::other("an object cannot be renamed")),
        };
        if let Err(error) = stored {
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

impl Arriving {
    async fn create(local: &LocalStorage) -> io::Result<Self> {
        let path = local.root().join(INCOMING).join(Ulid::new().to_string());
        let file = BufWriter::with_capacity(BUFFER, File::create_new(&path).await?);
        Ok(Self { path, file, sync: EarlySync::default() })
    }

    /// After it the file has `length` bytes.
    async fn write(&mut self, bytes: &[u8], length: u64) -> io::Result<()> {
        self.file.write_all(bytes).await?;
        if self.sync.is_due(length) {
            let file = self.file.get_ref().try_clone().await?.into_std().await;
            self.sync.begin(file, length)?;
        }
        Ok(())
    }

    /// Moves the file to its place, so that it survives a power failure there.
    async fn store(&mut self, place: PathBuf) -> io::Result<()> {
        self.file.flush().await?;
        let mut sync = mem::take(&mut self.sync);
        spawn_blocking(move || sync.wait()).await.map_err(io::Error::other)??;
        self.file.get_ref().sync_all().await?;
        tokio::fs::rename(&self.path, &place).await?;
        spawn_blocking(move || sync_folder(Path::new(&place))).await.map_err(io::Error::other)?
    }
}

impl Departing {
    /// Sends `bytes` on, which follow so many others. `head` is the front of the file, with them.
    async fn write(&mut self, bytes: &[u8], before: u64, head: &[u8]) -> io::Result<()> {
        let earlier = usize::try_from(before).unwrap_or(usize::MAX);
        let is_told = earlier < ARCHIVE_TOLD_BY && head.len() >= ARCHIVE_TOLD_BY;
        let copied = if before.saturating_add(bytes.len() as u64) > LARGEST_COPY {
            self.copy = None;
            Ok(())
        } else if is_told && BinaryKind::sniff(head) == Some(BinaryKind::Zip) {
            self.begin_copy(&head[..earlier], bytes).await
        } else if let Some(copy) = &mut self.copy {
            copy.write_all(bytes).await
        } else {
            Ok(())
        };
        if let Err(error) = copied {
            self.without_copy(&error);
        }
        self.writer.write(bytes).await
    }

    /// Begins the copy with the bytes that have arrived `earlier`, and these.
    async fn begin_copy(&mut self, earlier: &[u8], bytes: &[u8]) -> io::Result<()> {
        let objects = Arc::clone(&self.objects);
        let file = spawn_blocking(move || objects.scratch().file(LARGEST_COPY));
        let file = File::from_std(file.await.map_err(io::Error::other)??);
        let copy = self.copy.insert(BufWriter::with_capacity(BUFFER, file));
        copy.write_all(earlier).await?;
        copy.write_all(bytes).await
    }

    /// The upload needs no copy.
    fn without_copy(&mut self, error: &io::Error) {
        tracing::debug!(%error, "no copy is kept of an archive that is arriving");
        self.copy = None;
    }

    /// The copy as a file, if there is one.
    async fn copied(&mut self) -> Option<fs::File> {
        let copy = self.copy.as_mut()?;
        let file = match copy.flush().await {
            Ok(()) => copy.get_ref().try_clone().await,
            Err(error) => Err(error),
        };
        match file {
            Ok(file) => Some(file.into_std().await),
            Err(error) => {
                self.without_copy(&error);
                None
            }
        }
    }
}

impl Drop for Arriving {
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
