//! The requests to a bucket.

use std::{io, ops::Range, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use object_store::{
    ObjectMeta, ObjectStore, ObjectStoreExt,
    multipart::{MultipartStore, PartId},
    path::Path,
    signer::{Method, SignedUrlOptions, Signer},
};
use url::Url;

use super::{
    DownloadLink, StoredObject,
    memory::MemoryBucket,
    s3::{SharedClient, io_error},
};
use crate::base::time::UnixMillis;

/// Where objects are.
#[derive(Clone, Debug)]
pub(super) enum Bucket {
    S3(SharedClient),
    Memory(MemoryBucket),
}

impl Bucket {
    pub(super) async fn put(&self, path: &Path, bytes: Bytes) -> io::Result<()> {
        match self {
            Self::S3(client) => client.put(path, bytes.into()).await.map(drop).map_err(io_error),
            Self::Memory(bucket) => bucket.put(path.as_ref(), bytes),
        }
    }

    /// Begins an upload in parts, and returns its id.
    pub(super) async fn begin(&self, path: &Path) -> io::Result<String> {
        match self {
            Self::S3(client) => client.create_multipart(path).await.map_err(io_error),
            Self::Memory(bucket) => bucket.begin(),
        }
    }

    /// Stores a part, in place of an earlier one with this index.
    pub(super) async fn put_part(
        &self,
        path: &Path,
        upload: &str,
        index: usize,
        bytes: Bytes,
    ) -> io::Result<PartId> {
        match self {
            Self::S3(client) => {
                client.put_part(path, &upload.to_owned(), index, bytes.into()).await.map_err(io_error)
            }
            Self::Memory(bucket) => {
                bucket.put_part(upload, index, bytes)?;
                Ok(PartId { content_id: index.to_string() })
            }
        }
    }

    /// Makes the parts, the first of all that were stored, an object.
    pub(super) async fn complete(&self, path: &Path, upload: &str, parts: Vec<PartId>) -> io::Result<()> {
        match self {
            Self::S3(client) => {
                let completed = client.complete_multipart(path, &upload.to_owned(), parts).await;
                completed.map(drop).map_err(io_error)
            }
            Self::Memory(bucket) => bucket.complete(path.as_ref(), upload, parts.len()),
        }
    }

    /// Deletes the parts of an upload. Succeeds if there are none.
    pub(super) async fn abort(&self, path: &Path, upload: &str) -> io::Result<()> {
        let aborted = match self {
            Self::S3(client) => client.abort_multipart(path, &upload.to_owned()).await.map_err(io_error),
            Self::Memory(bucket) => bucket.abort(upload),
        };
        or_not_there(aborted)
    }

    pub(super) async fn size(&self, path: &Path) -> io::Result<u64> {
        match self {
            Self::S3(client) => client.head(path).await.map(|object| object.size).map_err(io_error),
            Self::Memory(bucket) => bucket.size(path.as_ref()),
        }
    }

    pub(super) async fn written_at(&self, path: &Path) -> io::Result<UnixMillis> {
        match self {
            Self::S3(client) => client.head(path).await.map(|object| written_at(&object)).map_err(io_error),
            Self::Memory(bucket) => bucket.written_at(path.as_ref()),
        }
    }

    /// The bytes in `range`, which is not empty and lies within the object.
    pub(super) async fn read(&self, path: &Path, range: Range<u64>) -> io::Result<Bytes> {
        let wanted = range.end - range.start;
        let bytes = match self {
            Self::S3(client) => client.get_range(path, range).await.map_err(io_error)?,
            Self::Memory(bucket) => bucket.read(path.as_ref(), &range)?,
        };
        if bytes.len() as u64 == wanted {
            Ok(bytes)
        } else {
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, "an object is shorter than it was"))
        }
    }

    /// All of a small object.
    pub(super) async fn read_whole(&self, path: &Path) -> io::Result<Bytes> {
        match self.size(path).await? {
            0 => Ok(Bytes::new()),
            size => self.read(path, 0..size).await,
        }
    }

    /// Succeeds if there is no such object.
    pub(super) async fn delete(&self, path: &Path) -> io::Result<()> {
        let deleted = match self {
            Self::S3(client) => client.delete(path).await.map_err(io_error),
            Self::Memory(bucket) => bucket.delete(path.as_ref()),
        };
        or_not_there(deleted)
    }

    /// Copies an object inside the bucket.
    pub(super) async fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self {
            Self::S3(client) => client.copy(from, to).await.map_err(io_error),
            Self::Memory(bucket) => bucket.copy(from.as_ref(), to.as_ref()),
        }
    }

    /// The objects below `folder`, in the order of their names.
    pub(super) fn list(&self, folder: &Path) -> BoxStream<'static, io::Result<StoredObject>> {
        match self {
            Self::S3(client) => {
                let objects = client.list(Some(folder)).map_err(io_error);
                let object = |meta: ObjectMeta| StoredObject {
                    written_at: written_at(&meta),
                    path: meta.location.into(),
                };
                objects.map_ok(object).boxed()
            }
            Self::Memory(bucket) => match bucket.list(folder.as_ref()) {
                Ok(objects) => stream::iter(objects.into_iter().map(Ok)).boxed(),
                Err(error) => stream::iter([Err(error)]).boxed(),
            },
        }
    }

    /// A link by which anybody can read the object for some time. None if the bucket has no server.
    pub(super) async fn signed_link(
        &self,
        path: &Path,
        lifetime: Duration,
        download: Option<&DownloadLink>,
    ) -> io::Result<Option<Url>> {
        match self {
            Self::S3(client) => {
                let (mut method, mut options) = (Method::GET, SignedUrlOptions::default());
                if let Some(download) = download {
                    if download.is_head {
                        method = Method::HEAD;
                    }
                    options = options.with_query([
                        ("response-content-type", download.content_type),
                        ("response-content-disposition", &download.content_disposition),
                        ("response-cache-control", "no-store"),
                    ]);
                }
                let link = client.signed_url_opts(method, path, lifetime, &options).await;
                link.map(Some).map_err(io_error)
            }
            Self::Memory(_) => Ok(None),
        }
    }
}

fn written_at(object: &ObjectMeta) -> UnixMillis {
    UnixMillis(object.last_modified.timestamp_millis())
}

fn or_not_there(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
