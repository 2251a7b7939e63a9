//! Objects in memory, with the rules of S3: for tests.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;

use super::{StoredObject, away};
use crate::base::time::UnixMillis;

/// Shared by all clones.
#[derive(Clone, Debug, Default)]
pub struct MemoryBucket(Arc<MemoryShared>);

#[derive(Debug, Default)]
struct MemoryShared {
    contents: Mutex<MemoryContents>,
    is_away: AtomicBool,
}

#[derive(Debug, Default)]
struct MemoryContents {
    objects: BTreeMap<String, (Bytes, UnixMillis)>,
    /// The parts of unfinished uploads.
    uploads: HashMap<String, BTreeMap<usize, Bytes>>,
    begun: u64,
}

impl MemoryBucket {
    /// Whether every request fails from now on, as in an outage.
    pub fn set_away(&self, is_away: bool) {
        self.0.is_away.store(is_away, Ordering::SeqCst);
    }

    /// How many uploads have begun and were neither finished nor abandoned.
    #[must_use]
    pub fn unfinished_uploads(&self) -> usize {
        self.lock().uploads.len()
    }

    /// The names of all objects.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.lock().objects.keys().cloned().collect()
    }

    /// Makes all objects that there are now look as if they had been written at `at`.
    pub fn date_back(&self, at: UnixMillis) {
        self.lock().objects.values_mut().for_each(|(_, written_at)| *written_at = at);
    }

    fn lock(&self) -> MutexGuard<'_, MemoryContents> {
        self.0.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn contents(&self) -> io::Result<MutexGuard<'_, MemoryContents>> {
        if self.0.is_away.load(Ordering::SeqCst) {
            Err(away("a test has ended the service"))
        } else {
            Ok(self.lock())
        }
    }

    pub(super) fn put(&self, path: &str, bytes: Bytes) -> io::Result<()> {
        self.contents()?.objects.insert(path.to_owned(), (bytes, UnixMillis::wall()));
        Ok(())
    }

    pub(super) fn begin(&self) -> io::Result<String> {
        let mut contents = self.contents()?;
        contents.begun += 1;
        let id = contents.begun.to_string();
        contents.uploads.insert(id.clone(), BTreeMap::new());
        Ok(id)
    }

    pub(super) fn put_part(&self, id: &str, index: usize, bytes: Bytes) -> io::Result<()> {
        let mut contents = self.contents()?;
        let parts = contents.uploads.get_mut(id).ok_or(io::ErrorKind::NotFound)?;
        parts.insert(index, bytes);
        Ok(())
    }

    /// Only the first `count` parts become the object.
    pub(super) fn complete(&self, path: &str, id: &str, count: usize) -> io::Result<()> {
        let mut contents = self.contents()?;
        let parts = contents.uploads.remove(id).ok_or(io::ErrorKind::NotFound)?;
        let bytes = parts.into_values().take(count).collect::<Vec<_>>().concat();
        contents.objects.insert(path.to_owned(), (bytes.into(), UnixMillis::wall()));
        Ok(())
    }

    pub(super) fn abort(&self, id: &str) -> io::Result<()> {
        self.contents()?.uploads.remove(id);
        Ok(())
    }

    pub(super) fn size(&self, path: &str) -> io::Result<u64> {
        let contents = self.contents()?;
        let (bytes, _) = contents.objects.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(bytes.len() as u64)
    }

    pub(super) fn written_at(&self, path: &str) -> io::Result<UnixMillis> {
        let contents = self.contents()?;
        let (_, written_at) = contents.objects.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(*written_at)
    }

    pub(super) fn read(&self, path: &str, range: &Range<u64>) -> io::Result<Bytes> {
        let contents = self.contents()?;
        let (bytes, _) = contents.objects.get(path).ok_or(io::ErrorKind::NotFound)?;
        let at = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        Ok(bytes.slice(at(range.start)..at(range.end)))
    }

    pub(super) fn delete(&self, path: &str) -> io::Result<()> {
        self.contents()?.objects.remove(path);
        Ok(())
    }

    pub(super) fn copy(&self, from: &str, to: &str) -> io::Result<()> {
        let mut contents = self.contents()?;
        let (bytes, _) = contents.objects.get(from).cloned().ok_or(io::ErrorKind::NotFound)?;
        contents.objects.insert(to.to_owned(), (bytes, UnixMillis::wall()));
        Ok(())
    }

    pub(super) fn list(&self, folder: &str) -> io::Result<Vec<StoredObject>> {
        let contents = self.contents()?;
        let within = |path: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        let objects = contents.objects.iter().filter(|(path, _)| within(path));
        Ok(objects.map(|(path, (_, at))| StoredObject { path: path.clone(), written_at: *at }).collect())
    }
}
