//! Where stored files are: in a folder of this machine, or in a bucket. All kinds keep the same rules: a file is
//! written from its front, exists once it is kept, and never changes.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use url::Url;

use super::{
    Folder, Key,
    key::INCOMING,
    listing::Listing,
    local::LocalStorage,
    objects::{BucketError, MemoryBucket, ObjectStorage},
    pending::Pending,
    stored_file::StoredFile,
};
use crate::base::{config::BucketConfig, ids::ImportId, time::UnixMillis};

/// The suffix of a mark's name in [`INCOMING`].
const MARK: &str = ".recording";

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

    /// The files in `folder`; with `until` only those that were last written before. Those of a bucket have the names
    /// that [`Key::object_name`] gives. Blocks for a moment.
    pub fn list(&self, folder: Folder, until: Option<UnixMillis>) -> io::Result<Listing> {
        Ok(match &self.place {
            Place::Local(local) => {
                let (root, files) = (local.clone(), local.list(folder)?);
                let is_old = move |key: &Key| match until {
                    None => true,
                    // A file that is gone is in no list.
                    Some(until) => root.written_at(key).is_some_and(|at| at < until),
                };
                Listing::of_files(files.filter(move |key| !key.as_ref().is_ok_and(|key| !is_old(key))))
            }
            Place::Objects(objects) => Listing::of_objects(objects.list(folder, until)),
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
            Place::Objects(objects) => objects.direct_link(key).await,
        }
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

    /// Fails with a full disk if less than [`RESERVE`](super::RESERVE) is free where the files are. Blocks.
    pub fn ensure_room(&self) -> io::Result<()> {
        match &self.place {
            Place::Local(local) => local.ensure_room(0),
            Place::Objects(_) => Ok(()),
        }
    }

    /// As [`ensure_room`](Self::ensure_room), for `bytes` more, without blocking.
    pub(super) async fn ensure_room_for(&self, bytes: u64) -> io::Result<()> {
        let Place::Local(local) = &self.place else { return Ok(()) };
        let local = local.clone();
        tokio::task::spawn_blocking(move || local.ensure_room(bytes)).await.map_err(io::Error::other)?
    }

    /// Removes a stored file. Succeeds if the file does not exist.
    pub async fn remove(&self, key: &Key) -> io::Result<()> {
        let removed = match &self.place {
            Place::Local(local) => tokio::fs::remove_file(local.path(key)).await,
            Place::Objects(objects) => objects.remove(key).await,
        };
        match removed {
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

    /// Fails unless files can be stored now. Leaves none. Blocks. Must not be called by a task.
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

impl LocalStorage {
    /// The imports whose recording was interrupted. Blocks.
    pub fn being_recorded(&self) -> io::Result<Vec<ImportId>> {
        let names = self.list(Folder::Incoming)?.collect::<Result<Vec<Key>, _>>()?;
        let import = |key: &Key| key.as_str().strip_suffix(MARK)?.rsplit('/').next()?.parse().ok();
        Ok(names.iter().filter_map(import).collect())
    }

    fn marker(&self, import: ImportId) -> PathBuf {
        self.root().join(INCOMING).join(format!("{import}{MARK}"))
    }

    /// When a file was last written. None if it does not exist.
    fn written_at(&self, key: &Key) -> Option<UnixMillis> {
        let modified = self.path(key).metadata().ok()?.modified().ok()?;
        let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Some(UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
    }
}
