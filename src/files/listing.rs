//! Lists of stored files.

use std::io;

use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use tokio::task::spawn_blocking;

use super::Key;

/// Stored files, a few at a time, because there may be millions.
pub struct Listing(Source);

enum Source {
    /// Its iterator blocks.
    Local(Box<dyn Iterator<Item = io::Result<Key>> + Send>),
    Objects(BoxStream<'static, io::Result<Key>>),
    Over,
}

impl Listing {
    pub(super) fn of_files(files: impl Iterator<Item = io::Result<Key>> + Send + 'static) -> Self {
        Self(Source::Local(Box::new(files)))
    }

    pub(super) fn of_objects(objects: BoxStream<'static, io::Result<Key>>) -> Self {
        Self(Source::Objects(objects.fuse().boxed()))
    }

    /// The next files, at most `most`; fewer, or none, at the end.
    pub async fn next(&mut self, most: usize) -> io::Result<Vec<Key>> {
        match std::mem::replace(&mut self.0, Source::Over) {
            Source::Over => Ok(Vec::new()),
            Source::Local(mut files) => {
                let reading = spawn_blocking(move || {
                    let some = files.by_ref().take(most).collect::<io::Result<_>>()?;
                    Ok::<_, io::Error>((some, files))
                });
                let (some, files) = reading.await.map_err(io::Error::other)??;
                self.0 = Source::Local(files);
                Ok(some)
            }
            Source::Objects(mut objects) => {
                let some = objects.by_ref().take(most).try_collect().await?;
                self.0 = Source::Objects(objects);
                Ok(some)
            }
        }
    }
}
