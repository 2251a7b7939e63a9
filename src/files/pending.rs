//! Stored files that are being written, so that no row names them yet. The check for unnamed files skips them.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Key;

/// Shared by all clones. It is empty when a process starts.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending(Arc<Mutex<HashSet<Key>>>);

impl Pending {
    /// To be called before the file is created.
    pub fn begin(&self, key: &Key) {
        self.keys().insert(key.clone());
    }

    /// To be called once a row names the file, or the file is deleted.
    pub fn end(&self, key: &Key) {
        self.keys().remove(key);
    }

    pub fn contains(&self, key: &Key) -> bool {
        self.keys().contains(key)
    }

    fn keys(&self) -> MutexGuard<'_, HashSet<Key>> {
        // The set is consistent after each call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
