//! Reads a part of an object in order, in blocks.

use std::{io, ops::Range, sync::Arc};

use bytes::Bytes;
use object_store::path::Path;
use tokio_util::task::AbortOnDropHandle;

use super::{ObjectStorage, away};

/// How many bytes one request reads: few at first, because often only the front is wanted, then more.
const FIRST_BLOCK: u64 = 512 << 10;
const LARGEST_BLOCK: u64 = 4 << 20;

/// Each request is short, so that nobody who reads slowly holds a connection. The next block is requested while the
/// one before it is worked on.
#[derive(Debug)]
pub(in crate::files) struct ObjectReader {
    objects: Arc<ObjectStorage>,
    path: Path,
    /// What was not requested yet.
    left: Range<u64>,
    block: u64,
    ahead: Option<AbortOnDropHandle<io::Result<Bytes>>>,
    /// A block was requested and did not arrive.
    is_broken: bool,
}

impl ObjectReader {
    /// Reads `range`, which must lie within the object.
    pub(super) fn new(objects: Arc<ObjectStorage>, path: Path, range: Range<u64>) -> Self {
        Self { objects, path, left: range, block: FIRST_BLOCK, ahead: None, is_broken: false }
    }

    /// Goes on at `range`, which must lie within the object.
    pub(in crate::files) fn restart(&mut self, range: Range<u64>) {
        (self.left, self.block, self.ahead, self.is_broken) = (range, FIRST_BLOCK, None, false);
    }

    /// The next bytes; none at the end. After an error, or if it was dropped, it fails until a
    /// [`restart`](Self::restart), so that no bytes are left out.
    pub(in crate::files) async fn next(&mut self) -> io::Result<Bytes> {
        if self.is_broken {
            return Err(away("a block of the object was not read"));
        }
        let is_first = self.block == FIRST_BLOCK;
        let Some(block) = self.ahead.take().or_else(|| self.request()) else { return Ok(Bytes::new()) };
        self.is_broken = true;
        let bytes = block.await.map_err(io::Error::other)??;
        self.is_broken = false;
        if !is_first {
            self.ahead = self.request();
        }
        Ok(bytes)
    }

    fn request(&mut self) -> Option<AbortOnDropHandle<io::Result<Bytes>>> {
        let length = self.block.min(self.left.end.saturating_sub(self.left.start));
        if length == 0 {
            return None;
        }
        let range = self.left.start..self.left.start + length;
        self.left.start = range.end;
        self.block = (self.block * 2).min(LARGEST_BLOCK);
        let (objects, path) = (Arc::clone(&self.objects), self.path.clone());
        let read = async move { objects.bucket.read(&path, range).await };
        Some(AbortOnDropHandle::new(self.objects.runtime.spawn(read)))
    }
}
