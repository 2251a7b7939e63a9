//! Bytes in memory and stored files that are read in order, as one file.

use std::{io, ops::Range};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream, stream::BoxStream};
use sha2::{Digest, Sha256};
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt, SeekFrom},
};
use tokio_util::io::ReaderStream;

use super::{Key, Storage, storage::Place};

/// How many bytes are read at once: each read uses another thread.
const BLOCK: usize = 256 << 10;

/// How many sizes are looked up at once.
const LOOKUPS: usize = 16;

/// How many bytes of a SHA-256 make a fingerprint: enough to tell all files apart.
const FINGERPRINT_BYTES: usize = 16;

/// Consecutive bytes.
#[derive(Clone, Debug)]
enum Segment {
    Memory(Bytes),
    /// `length` bytes of a stored file, from the byte `start` on.
    File {
        storage: Storage,
        key: Key,
        start: u64,
        length: u64,
    },
}

/// Segments in reading order.
#[derive(Clone, Debug, Default)]
pub struct Segments(Vec<Segment>);

impl Storage {
    /// The stored files `keys` in order. Looks up their sizes and opens none of them. Fails with
    /// [`NotFound`](io::ErrorKind::NotFound) if one is missing.
    pub async fn segments(&self, keys: &[Key]) -> io::Result<Segments> {
        if let Some(local) = self.local().cloned() {
            // On one thread: each lookup takes microseconds.
            let (storage, keys) = (self.clone(), keys.to_vec());
            let look = move || {
                let file = |key: Key| {
                    let length = local.path(&key).metadata()?.len();
                    Ok(Segment::File { storage: storage.clone(), key, start: 0, length })
                };
                keys.into_iter().map(file).collect::<io::Result<_>>()
            };
            return tokio::task::spawn_blocking(look).await.map_err(io::Error::other)?.map(Segments);
        }
        let files = keys.iter().map(|key| Segment::whole_file(self.clone(), key.clone(), u64::MAX));
        // Collected, because a stream of closures that borrow is no future of a handler.
        let files: Vec<_> = files.collect();
        stream::iter(files).buffered(LOOKUPS).try_collect().await.map(Segments)
    }

    /// The first `limit` bytes of the stored file `key`, or the whole file if it is shorter. Fails like
    /// [`segments`](Self::segments).
    pub async fn front(&self, key: &Key, limit: u64) -> io::Result<Segments> {
        Ok(Segments(vec![Segment::whole_file(self.clone(), key.clone(), limit).await?]))
    }
}

impl Segments {
    #[must_use]
    pub fn of_bytes(bytes: Vec<u8>) -> Self {
        Self(vec![Segment::Memory(bytes.into())])
    }

    /// `self` followed by `next`.
    #[must_use]
    pub fn then(mut self, next: Self) -> Self {
        self.0.extend(next.0);
        self
    }

    /// The total number of bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.0.iter().map(Segment::length).sum()
    }

    /// A hexadecimal hash of the names and ranges of the files and of the bytes in memory. Different bytes have
    /// different fingerprints, because a stored file never changes and its name is never used again.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for segment in &self.0 {
            let (bytes, range) = match segment {
                Segment::Memory(bytes) => (&bytes[..], [0, bytes.len() as u64]),
                Segment::File { key, start, length, .. } => (key.file_name().as_bytes(), [*start, *length]),
            };
            for number in [bytes.len() as u64, range[0], range[1]] {
                hash.update(number.to_le_bytes());
            }
            hash.update(bytes);
        }
        hex::encode(&hash.finalize()[..FINGERPRINT_BYTES])
    }

    /// The bytes in `range`. No byte outside it is read.
    #[must_use]
    pub fn slice(self, range: &Range<u64>) -> Self {
        let mut begins_at = 0;
        let cut = self.0.into_iter().filter_map(|segment| {
            let place = begins_at..begins_at + segment.length();
            begins_at = place.end;
            let [from, to] =
                [range.start, range.end].map(|at| at.clamp(place.start, place.end) - place.start);
            (from < to).then(|| segment.slice(from, to))
        });
        Self(cut.collect())
    }

    /// The bytes. Each file is opened when it is needed.
    pub fn read(self) -> impl Stream<Item = io::Result<Bytes>> {
        stream::iter(self.0).then(Segment::read).try_flatten()
    }
}

impl Segment {
    async fn whole_file(storage: Storage, key: Key, limit: u64) -> io::Result<Self> {
        let length = storage.size(&key).await?.min(limit);
        Ok(Self::File { storage, key, start: 0, length })
    }

    fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
        }
    }

    /// The bytes from `from` up to but not including `to`. Both lie within the segment.
    fn slice(self, from: u64, to: u64) -> Self {
        match self {
            // Both are at most the length of bytes in memory, which is a `usize`.
            Self::Memory(bytes) => Self::Memory(bytes.slice(from as usize..to as usize)),
            Self::File { storage, key, start, .. } => {
                Self::File { storage, key, start: start + from, length: to - from }
            }
        }
    }

    async fn read(self) -> io::Result<BoxStream<'static, io::Result<Bytes>>> {
        let (storage, key, start, length) = match self {
            Self::Memory(bytes) => return Ok(stream::iter([Ok(bytes)]).boxed()),
            Self::File { storage, key, start, length } => (storage, key, start, length),
        };
        match &storage.place {
            Place::Local(local) => {
                let mut file = File::open(local.path(&key)).await?;
                if start > 0 {
                    file.seek(SeekFrom::Start(start)).await?;
                }
                Ok(ReaderStream::with_capacity(file.take(length), BLOCK).boxed())
            }
            Place::Objects(objects) => {
                let reader = objects.read(&key, start, start + length);
                let blocks = stream::try_unfold(reader, async |mut reader| {
                    let bytes = reader.next().await?;
                    Ok((!bytes.is_empty()).then_some((bytes, reader)))
                });
                Ok(blocks.boxed())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, fs, path::PathBuf};

    use super::*;
    use crate::base::ids::RunId;

    fn path(storage: &Storage, key: &Key) -> PathBuf {
        storage.local().expect("a folder").path(key)
    }

    async fn text(segments: Segments) -> String {
        let blocks: Vec<Bytes> = segments.read().try_collect().await.expect("all files are there");
        String::from_utf8(blocks.concat()).expect("text")
    }

    #[tokio::test]
    async fn any_slice_is_that_of_the_whole() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let storage = Storage::open(folder.path()).expect("a folder of stored files");
        let mut keys = Vec::new();
        for part in ["one", "", "three", "4"] {
            let key = Key::output(&RunId::from("run".to_owned()));
            fs::write(path(&storage, &key), part).expect("a part");
            keys.push(key);
        }
        let front = storage.front(&keys[2], 2).await.expect("a front");
        let parts = storage.segments(&keys).await.expect("parts");
        let all = Segments::of_bytes(b"head,".to_vec()).then(front).then(parts);
        let whole = "head,thonethree4";
        assert_eq!((text(all.clone()).await.as_str(), all.length()), (whole, whole.len() as u64));
        let mut fingerprints = HashSet::from([all.fingerprint()]);
        let mut fingerprint_of = |segments: Segments| assert!(fingerprints.insert(segments.fingerprint()));
        fingerprint_of(Segments::of_bytes(b"head;".to_vec()));
        fingerprint_of(storage.segments(&keys).await.expect("parts"));
        fingerprint_of(storage.segments(&keys[..3]).await.expect("parts"));
        fingerprint_of(storage.segments(&[keys[0].clone(), keys[3].clone()]).await.expect("parts"));
        fingerprint_of(all.clone().slice(&(0..15)));
        for from in 0..=whole.len() {
            for to in from..=whole.len() + 1 {
                let slice = all.clone().slice(&(from as u64..to as u64));
                let expected = &whole[from..to.min(whole.len())];
                assert_eq!(slice.length(), expected.len() as u64, "{from}..{to}");
                assert_eq!(text(slice).await, expected, "{from}..{to}");
            }
        }
    }

    #[tokio::test]
    async fn a_slice_opens_no_file_that_it_has_no_bytes_of() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let storage = Storage::open(folder.path()).expect("a folder of stored files");
        let keys = [(); 3].map(|()| Key::output(&RunId::from("run".to_owned())));
        for key in &keys {
            fs::write(path(&storage, key), "abc").expect("a part");
        }
        let all = storage.segments(&keys).await.expect("parts");
        for key in [&keys[0], &keys[2]] {
            fs::remove_file(path(&storage, key)).expect("it is there");
        }
        assert_eq!(text(all.slice(&(3..6))).await, "abc");
        let missing = storage.segments(&keys).await.expect_err("two are missing");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
