//! Copies stored files from one storage to another.

use std::{io, pin::pin, slice};

use futures_util::TryStreamExt;

use super::{Key, Storage, storage::Place};

impl Storage {
    /// Stores the file `key` under the same key in the bucket `to`, with constant memory use. Returns its size in
    /// bytes. If this fails or is dropped, the bucket has no such object.
    pub async fn copy_to(&self, to: &Self, key: &Key) -> io::Result<u64> {
        let Place::Objects(objects) = &to.place else {
            return Err(io::Error::other("files are copied to buckets only"));
        };
        let file = self.segments(slice::from_ref(key)).await?;
        let length = file.length();
        let mut blocks = pin!(file.read());
        let mut writer = objects.write(key);
        let mut written = 0;
        while let Some(block) = blocks.try_next().await? {
            writer.write(&block).await?;
            written += block.len() as u64;
        }
        if written != length {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a stored file is shorter than it was"));
        }
        writer.finish_here();
        writer.finish().await?;
        writer.keep();
        Ok(written)
    }
}
