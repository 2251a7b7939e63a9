//! Stored files that are being written, so that no row names them yet. The check for unnamed files skips them.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Key;

/// Shared by all clones. It is empty when a process starts. Has the names that files have in a bucket, because lists
/// of a bucket know no others.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending(Arc<Mutex<HashSet<String>>>);

impl Pending {
    /// To be called before the file is created.
    pub fn begin(&self, key: &Key) {
        self.names().insert(key.object_name());
    }

    /// To be called once a row names the file, or the file is deleted.
    pub fn end(&self, key: &Key) {
        self.names().remove(&key.object_name());
    }

    pub fn contains(&self, key: &Key) -> bool {
        self.names().contains(&key.object_name())
    }

    fn names(&self) -> MutexGuard<'_, HashSet<String>> {
        // The set is consistent after each call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
