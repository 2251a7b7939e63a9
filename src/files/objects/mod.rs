//! Stored files as objects of a bucket. Nothing is renamed, cut or linked there: an object comes to exist whole, under
//! its final name, and never changes.

mod bucket;
mod memory;
mod reader;
mod s3;
mod writer;

use std::{error::Error, io, path::Path as FolderPath, sync::Arc, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{multipart::PartId, path::Path};
use tokio::runtime::Handle;
use ulid::Ulid;
use url::Url;

use self::{bucket::Bucket, writer::UnfinishedUpload};
pub use self::{memory::MemoryBucket, s3::BucketError};
pub(super) use self::{reader::ObjectReader, writer::ObjectWriter};
use super::{Folder, Key, key::INCOMING, listing::Listing, scratch::Scratch};
use crate::base::{
    config::{BucketConfig, StorageLinks},
    time::UnixMillis,
};

/// How old an object must be that no row names, or an upload that was not finished, to be deleted. Longer than an
/// upload takes: its object counts as written when it began.
pub const UNNAMED_FOR: Duration = Duration::from_secs(48 * 60 * 60);

/// The error kind of a storage that does not answer, or refuses. Another attempt may succeed.
pub const STORAGE_AWAY: io::ErrorKind = io::ErrorKind::HostUnreachable;

/// The most bytes that one request copies inside a bucket. More may take longer than a request may.
const MOST_COPIED: u64 = 256 << 20;

/// How long a direct link to an upload is valid. A download that has begun may take longer.
const UPLOAD_LINK_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// The same for a download, which follows its link at once.
const DOWNLOAD_LINK_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// The name of the id that says which database the stored files belong to: here that of an object.
pub const INSTALLATION: &str = "installation";

/// The stored files in a bucket.
#[derive(Debug)]
pub struct ObjectStorage {
    bucket: Bucket,
    /// In front of all names.
    prefix: String,
    /// For people.
    name: String,
    links: StorageLinks,
    /// Requests run here, because the threads of the HTTP servers end earlier.
    runtime: Handle,
    scratch: Scratch,
}

/// A link for a download, and the headers of its answer.
#[derive(Clone, Debug)]
pub struct DownloadLink {
    /// It is for a HEAD; otherwise for a GET.
    pub is_head: bool,
    pub content_type: &'static str,
    pub content_disposition: String,
}

/// An object in a list.
#[derive(Clone, Debug)]
struct StoredObject {
    path: String,
    written_at: UnixMillis,
}

fn away(why: impl Into<Box<dyn Error + Send + Sync>>) -> io::Error {
    io::Error::new(STORAGE_AWAY, why)
}

impl ObjectStorage {
    /// Connects to a bucket, and makes sure that it can be used. Temporary files are in `data_dir`.
    pub(super) async fn connect(config: &BucketConfig, data_dir: &FolderPath) -> Result<Self, BucketError> {
        let (runtime, scratch) = (Handle::current(), Scratch::open(data_dir)?);
        let client = s3::client(config, runtime.clone())?;
        s3::check(&client, config).await?;
        let (bucket, prefix) = (Bucket::S3(Arc::new(client)), config.prefix.clone());
        Ok(Self { bucket, prefix, name: config.to_string(), links: config.links, runtime, scratch })
    }

    pub(super) fn in_memory(bucket: MemoryBucket, data_dir: &FolderPath) -> io::Result<Self> {
        Ok(Self {
            bucket: Bucket::Memory(bucket),
            prefix: String::new(),
            name: "memory".to_owned(),
            links: StorageLinks::Through,
            runtime: Handle::current(),
            scratch: Scratch::open(data_dir)?,
        })
    }

    /// The address of the bucket, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// Waits for `done`. Must not be called by a task.
    pub(super) fn wait_for<T>(&self, done: impl Future<Output = T>) -> T {
        self.runtime.block_on(done)
    }

    fn path_of(&self, name: &str) -> Path {
        Path::from(format!("{}/{name}", self.prefix))
    }

    /// Where a stored file is. An import's id is known only once its upload has arrived whole, and an object cannot
    /// be renamed. So the object's name has only the part of the id that does not depend on the time.
    pub(super) fn path(&self, key: &Key) -> Path {
        self.path_of(&key.object_name())
    }

    pub(super) async fn size(&self, key: &Key) -> io::Result<u64> {
        self.bucket.size(&self.path(key)).await
    }

    pub(super) async fn remove(&self, key: &Key) -> io::Result<()> {
        self.bucket.delete(&self.path(key)).await
    }

    pub(super) fn write(self: &Arc<Self>, key: &Key) -> ObjectWriter {
        ObjectWriter::new(Arc::clone(self), self.path(key))
    }

    /// Reads from the byte `start` up to but not including `end`, which must lie within the object.
    pub(super) fn read(self: &Arc<Self>, key: &Key, start: u64, end: u64) -> ObjectReader {
        ObjectReader::new(Arc::clone(self), self.path(key), start..end)
    }

    /// Copies an object inside the bucket, and returns its size; None if it is too large for that.
    pub(super) async fn copy(self: &Arc<Self>, from: &Key, to: &Key) -> io::Result<Option<u64>> {
        let size = self.size(from).await?;
        if size > MOST_COPIED {
            return Ok(None);
        }
        let to = self.path(to);
        if let Err(error) = self.bucket.copy(&self.path(from), &to).await {
            // The copy may have been made all the same.
            let objects = Arc::clone(self);
            self.runtime.spawn(async move { objects.delete_unwanted(&to).await });
            return Err(error);
        }
        Ok(Some(size))
    }

    async fn delete_unwanted(&self, path: &Path) {
        if let Err(error) = self.bucket.delete(path).await {
            tracing::warn!(%error, "cannot delete an unwanted object; a sweep does");
        }
    }

    /// The files in `folder` that were last written before `until`, with the names that [`Key::object_name`] gives.
    pub fn list_old(&self, folder: Folder, until: UnixMillis) -> Listing {
        Listing::of_objects(self.list(folder, Some(until)))
    }

    /// The files in `folder`; with `until` only those that were last written before.
    pub(super) fn list(
        &self,
        folder: Folder,
        until: Option<UnixMillis>,
    ) -> BoxStream<'static, io::Result<Key>> {
        let front = format!("{}/", self.prefix).trim_start_matches('/').to_owned();
        let key = move |object: StoredObject| {
            let is_old = until.is_none_or(|until| object.written_at < until);
            let name = object.path.strip_prefix(&front)?;
            is_old.then(|| Key::from_stored(name.to_owned()))
        };
        let objects = self.bucket.list(&self.path_of(folder.name()));
        objects.try_filter_map(move |object| std::future::ready(Ok(key(object)))).boxed()
    }

    /// Whether files can be read by links to the bucket.
    pub(super) fn has_direct_links(&self) -> bool {
        self.links == StorageLinks::Direct
    }

    /// A link by which anybody can read the file for some minutes, if such links are allowed. With `download` the answer
    /// has these headers.
    pub(super) async fn direct_link(
        &self,
        key: &Key,
        download: Option<&DownloadLink>,
    ) -> io::Result<Option<Url>> {
        if !self.has_direct_links() {
            return Ok(None);
        }
        let lifetime = if download.is_some() { DOWNLOAD_LINK_LIFETIME } else { UPLOAD_LINK_LIFETIME };
        self.bucket.signed_link(&self.path(key), lifetime, download).await
    }

    /// The id of the installation that the bucket belongs to. None if it belongs to none yet.
    pub async fn installation(&self) -> io::Result<Option<String>> {
        match self.bucket.read_whole(&self.path_of(INSTALLATION)).await {
            Ok(id) => Ok(Some(String::from_utf8_lossy(&id).trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// When the bucket was given to its installation. None if it belongs to none.
    pub async fn installed_at(&self) -> io::Result<Option<UnixMillis>> {
        match self.bucket.written_at(&self.path_of(INSTALLATION)).await {
            Ok(at) => Ok(Some(at)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives the bucket to an installation.
    pub async fn set_installation(&self, id: &str) -> io::Result<()> {
        self.bucket.put(&self.path_of(INSTALLATION), id.to_owned().into()).await
    }

    /// Fails unless the bucket answers.
    pub(super) async fn check(&self) -> io::Result<()> {
        self.installation().await.map(drop)
    }

    /// Begins an upload in parts.
    async fn begin(&self, path: &Path) -> io::Result<UnfinishedUpload> {
        let id = self.bucket.begin(path).await?;
        let note = self.path_of(&format!("{INCOMING}/{}", Ulid::new()));
        let upload = UnfinishedUpload { path: path.clone(), id, note };
        let said = format!("{path}\n{}", upload.id);
        if let Err(error) = self.bucket.put(&upload.note, said.into()).await {
            self.abandon(&upload).await;
            return Err(error);
        }
        Ok(upload)
    }

    /// Makes parts an object of `size` bytes.
    async fn complete(&self, upload: &UnfinishedUpload, parts: Vec<PartId>, size: u64) -> io::Result<()> {
        let completed = self.bucket.complete(&upload.path, &upload.id, parts).await;
        match completed {
            // The answer to an earlier try was lost.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && self.bucket.size(&upload.path).await.is_ok_and(|stored| stored == size) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(away(error)),
            completed => completed?,
        }
        if let Err(error) = self.bucket.delete(&upload.note).await {
            tracing::warn!(%error, "cannot delete the note of a finished upload; a sweep does");
        }
        Ok(())
    }

    /// Deletes the parts of an upload that is not finished. What cannot be deleted now is left to a sweep.
    async fn abandon(&self, upload: &UnfinishedUpload) {
        if let Err(error) = self.abort(upload).await {
            tracing::warn!(%error, "cannot delete the parts of an unfinished upload; a sweep does");
        }
    }

    /// Deletes the parts that have arrived of an upload of which others may arrive later. A sweep does it again.
    async fn abort_for_now(&self, upload: &UnfinishedUpload) {
        if let Err(error) = self.bucket.abort(&upload.path, &upload.id).await {
            tracing::warn!(%error, "cannot delete the parts of an unfinished upload; a sweep does");
        }
    }

    async fn abort(&self, upload: &UnfinishedUpload) -> io::Result<()> {
        self.bucket.abort(&upload.path, &upload.id).await?;
        self.bucket.delete(&upload.note).await
    }

    /// Deletes the parts of uploads that a killed process began before `until`. Returns how many uploads those were.
    /// What cannot be deleted is left to the next time, unless the bucket does not answer at all.
    pub async fn abort_unfinished(&self, until: UnixMillis) -> io::Result<usize> {
        let mut notes = self.list(Folder::Incoming, Some(until));
        let mut aborted = 0;
        while let Some(note) = notes.try_next().await? {
            match self.abort_noted(self.path(&note)).await {
                Ok(was_unfinished) => aborted += usize::from(was_unfinished),
                Err(error) => {
                    self.check().await?;
                    tracing::warn!(note = note.as_str(), %error, "cannot delete the parts of an unfinished upload");
                }
            }
        }
        Ok(aborted)
    }

    /// Deletes the parts of the upload that `note` names. Returns false if there is none.
    async fn abort_noted(&self, note: Path) -> io::Result<bool> {
        let said = match self.bucket.read_whole(&note).await {
            // It was finished in the meantime.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            said => String::from_utf8_lossy(&said?).into_owned(),
        };
        // Else a probe of a start that was interrupted.
        let Some((path, id)) = said.split_once('\n') else {
            self.bucket.delete(&note).await?;
            return Ok(false);
        };
        self.abort(&UnfinishedUpload { path: Path::from(path), id: id.to_owned(), note }).await?;
        Ok(true)
    }
}
