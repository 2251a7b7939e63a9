//! Where stored files are: in a folder of this machine, or in a bucket. All kinds keep the same rules: a file is
//! written from its front, exists once it is kept, and never changes.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::{StreamExt, stream};
use url::Url;

use super::{
    Folder, Key,
    listing::Listing,
    local::LocalStorage,
    objects::{BucketError, DownloadLink, MemoryBucket, ObjectStorage, STORAGE_AWAY},
    pending::Pending,
    stored_file::StoredFile,
};
use crate::base::{config::BucketConfig, ids::ImportId};

/// How many objects are deleted at once.
const REMOVED_AT_ONCE: usize = 16;

/// The stored files.
#[derive(Clone, Debug)]
pub struct Storage {
    pub(super) place: Place,
    pub(super) pending: Pending,
}

/// Where they are.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Local(LocalStorage),
    Objects(Arc<ObjectStorage>),
}

impl Storage {
    /// Opens the folder `root` and creates it and its sub-folders if they are missing.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        Ok(Self::at(Place::Local(LocalStorage::open(root.into())?)))
    }

    /// Connects to a bucket. Only temporary files are in the data folder then.
    ///
    /// # Errors
    /// If the bucket cannot be used. The text says what to change.
    pub async fn connect(bucket: &BucketConfig, data_dir: &Path) -> Result<Self, BucketError> {
        let objects = ObjectStorage::connect(bucket, data_dir).await?;
        Ok(Self::at(Place::Objects(objects.into())))
    }

    /// Keeps files as objects in memory, for tests. Only temporary files are in the data folder.
    ///
    /// # Panics
    /// Outside a runtime.
    pub fn in_memory(bucket: MemoryBucket, data_dir: &Path) -> io::Result<Self> {
        let objects = ObjectStorage::in_memory(bucket, data_dir)?;
        Ok(Self::at(Place::Objects(objects.into())))
    }

    fn at(place: Place) -> Self {
        Self { place, pending: Pending::default() }
    }

    /// The folder, if the files are in one.
    #[must_use]
    pub fn local(&self) -> Option<&LocalStorage> {
        match &self.place {
            Place::Local(local) => Some(local),
            Place::Objects(_) => None,
        }
    }

    /// The bucket, if the files are in one.
    #[must_use]
    pub fn bucket(&self) -> Option<&ObjectStorage> {
        match &self.place {
            Place::Local(_) => None,
            Place::Objects(objects) => Some(objects),
        }
    }

    /// The files in `folder`. Those of a bucket have the names that [`Key::object_name`] gives. Blocks for a moment.
    pub fn list(&self, folder: Folder) -> io::Result<Listing> {
        Ok(match &self.place {
            Place::Local(local) => Listing::of_files(local.list(folder)?),
            Place::Objects(objects) => Listing::of_objects(objects.list(folder, None)),
        })
    }

    /// The size of a stored file in bytes. Fails with [`NotFound`](io::ErrorKind::NotFound) if it is missing.
    pub async fn size(&self, key: &Key) -> io::Result<u64> {
        match &self.place {
            Place::Local(local) => Ok(tokio::fs::metadata(local.path(key)).await?.len()),
            Place::Objects(objects) => objects.size(key).await,
        }
    }

    /// A link by which anybody can read the file directly from the bucket for some minutes. None if there are no such
    /// links, or they are not wanted.
    pub async fn direct_link(&self, key: &Key) -> io::Result<Option<Url>> {
        match &self.place {
            Place::Local(_) => Ok(None),
            Place::Objects(objects) => objects.direct_link(key, None).await,
        }
    }

    /// The same for a download by a person or a program.
    pub async fn download_link(&self, key: &Key, download: &DownloadLink) -> io::Result<Option<Url>> {
        match &self.place {
            Place::Local(_) => Ok(None),
            Place::Objects(objects) => objects.direct_link(key, Some(download)).await,
        }
    }

    /// Whether there are such links, and they are wanted.
    #[must_use]
    pub fn has_direct_links(&self) -> bool {
        self.bucket().is_some_and(ObjectStorage::has_direct_links)
    }

    /// Opens a stored file for reading. Blocks. Must not be called by a task.
    pub fn file(&self, key: &Key) -> io::Result<StoredFile> {
        match &self.place {
            Place::Local(local) => StoredFile::of_file(std::fs::File::open(local.path(key))?),
            Place::Objects(objects) => {
                let length = objects.wait_for(objects.size(key))?;
                Ok(StoredFile::of_object(Arc::clone(objects), objects.read(key, 0, length), length))
            }
        }
    }

    /// A temporary file on the local disk with room for `bytes`, which is gone once it is closed. Blocks.
    pub(super) fn temporary_file(&self, bytes: u64) -> io::Result<std::fs::File> {
        match &self.place {
            Place::Local(_) => Err(io::Error::other("files in a folder need no copies")),
            Place::Objects(objects) => objects.scratch().file(bytes),
        }
    }

    /// Fails with a full disk if `bytes` more would leave less than [`RESERVE`](super::RESERVE) free where the files
    /// are. Blocks.
    pub fn ensure_room(&self, bytes: u64) -> io::Result<()> {
        match &self.place {
            Place::Local(local) => local.ensure_room(bytes),
            Place::Objects(_) => Ok(()),
        }
    }

    /// As [`ensure_room`](Self::ensure_room), without blocking.
    pub(super) async fn ensure_room_for(&self, bytes: u64) -> io::Result<()> {
        let Place::Local(local) = &self.place else { return Ok(()) };
        let local = local.clone();
        tokio::task::spawn_blocking(move || local.ensure_room(bytes)).await.map_err(io::Error::other)?
    }

    /// Removes a stored file. Succeeds if the file does not exist. What cannot be removed is left: in a folder to the
    /// next start, in a bucket to a sweep.
    pub async fn remove(&self, key: &Key) -> io::Result<()> {
        match &self.place {
            Place::Local(local) => match tokio::fs::remove_file(local.path(key)).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => self.settled(key),
            },
            Place::Objects(objects) => {
                // A sweep skips what is pending.
                self.settled(key);
                objects.remove(key).await?;
            }
        }
        Ok(())
    }

    /// Removes stored files, the others also if one cannot be removed, unless the storage does not answer.
    ///
    /// # Errors
    /// The first error.
    pub async fn remove_all(&self, keys: Vec<Key>) -> io::Result<()> {
        if self.bucket().is_some() {
            keys.iter().for_each(|key| self.settled(key));
        }
        let removals = keys.into_iter().map(|key| {
            let storage = self.clone();
            async move { storage.remove(&key).await }
        });
        let mut removals = stream::iter(removals).buffer_unordered(REMOVED_AT_ONCE);
        let mut first = Ok(());
        while let Some(removed) = removals.next().await {
            let is_away = removed.as_ref().is_err_and(|error| error.kind() == STORAGE_AWAY);
            first = first.and(removed);
            if is_away {
                break;
            }
        }
        first
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

    /// Fails unless files can be stored in the folder now, or the bucket answers a read. Leaves no file. Blocks. Must
    /// not be called by a task.
    pub fn check(&self) -> io::Result<()> {
        match &self.place {
            Place::Local(local) => local.check_writable().and_then(|()| local.ensure_room(0)),
            Place::Objects(objects) => objects.wait_for(objects.check()),
        }
    }

    /// Marks the upload of `import` as about to be stored in the folder before a row names it. A start that finds the
    /// mark knows that the process was killed in between. [`recorded`](Self::recorded) removes the mark.
    pub async fn record_soon(&self, import: ImportId) -> io::Result<()> {
        match &self.place {
            Place::Local(local) => tokio::fs::write(local.marker(import), []).await,
            // What is left in a bucket is told by its age.
            Place::Objects(_) => Ok(()),
        }
    }

    /// Removes the mark: the import has its row, or its upload was deleted.
    pub async fn recorded(&self, import: ImportId) {
        self.settled(&Key::upload(import));
        if let Place::Local(local) = &self.place
            && let Err(error) = tokio::fs::remove_file(local.marker(import)).await
            && error.kind() != io::ErrorKind::NotFound
        {
            // The mark has no more meaning, and the next start moves it away.
            tracing::warn!(%import, %error, "cannot remove the mark of an import that was being recorded");
        }
    }
}
