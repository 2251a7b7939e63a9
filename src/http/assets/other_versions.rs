//! The files of other versions of Runboard, whose pages may ask this process for them while replicas of both serve.
//!
//! Each process writes its own files to the database before it serves. A path that it does not know it looks up there.
//! Strangers can ask for any path. So a lookup reads the list of all paths, at most once per [`PACE`] however many ask,
//! and only a path of that list is read.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    base::{tasks::Tasks, time::UnixMillis},
    store::{self, Store, assets::StoredAsset},
};

/// How often the list is read at most.
const PACE: Duration = Duration::from_millis(250);

/// How often a process writes that its files are in use, which deletes those that nobody has written for 30 days.
const WRITTEN_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// How soon it is tried again after a failure.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// The most files that are kept in memory: those of about five versions.
const MOST_LOADED: usize = 50;

/// No hash and no name is longer.
const LONGEST_HASH: usize = 64;
const LONGEST_NAME: usize = 100;

/// The files of other versions.
#[derive(Debug)]
pub struct OtherVersions {
    store: Store,
    loaded: Mutex<HashMap<String, Arc<StoredAsset>>>,
    listed: tokio::sync::Mutex<ListedPaths>,
}

/// The paths that the database had.
#[derive(Debug, Default)]
struct ListedPaths {
    paths: HashSet<String>,
    /// When the reading of these paths began.
    read_at: Option<Instant>,
    /// When the last reading began, which may have failed.
    tried_at: Option<Instant>,
    /// When the database last failed.
    failed_at: Option<Instant>,
}

impl OtherVersions {
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, loaded: Mutex::default(), listed: tokio::sync::Mutex::default() }
    }

    /// Writes `ours`, the files of this process by their paths, for the others, and again each day until `tasks` end.
    ///
    /// # Errors
    /// If the database fails.
    pub(super) async fn share(
        store: &Store,
        ours: Vec<(String, StoredAsset)>,
        tasks: &Tasks,
    ) -> Result<Self, store::Error> {
        write(store, &ours).await?;
        let (again, stopping) = (store.clone(), tasks.stopping().clone());
        tasks.spawn(async move {
            let mut pause = WRITTEN_EVERY;
            while stopping.run_until_cancelled(sleep(pause)).await.is_some() {
                let Some(written) = stopping.run_until_cancelled(write(&again, &ours)).await else { return };
                pause = match written {
                    Ok(()) => WRITTEN_EVERY,
                    Err(error) => {
                        tracing::warn!(%error, "the files of pages could not be written for other replicas");
                        TRY_AGAIN_AFTER
                    }
                };
            }
        });
        Ok(Self::new(store.clone()))
    }

    /// The file at this path, if a process of another version has written it.
    ///
    /// # Errors
    /// If the database fails.
    pub(super) async fn find(
        &self,
        hash: &str,
        name: &str,
    ) -> Result<Option<Arc<StoredAsset>>, store::Error> {
        if !is_ours(hash, name) {
            return Ok(None);
        }
        let path = format!("{hash}/{name}");
        if let Some(asset) = self.loaded().get(&path) {
            return Ok(Some(Arc::clone(asset)));
        }
        let asked_at = Instant::now();
        let mut listed = self.listed.lock().await;
        // Otherwise those who wait for a database that hangs would do so one after the other.
        if listed.failed_at.is_some_and(|at| at >= asked_at) {
            return Err(store::Error::NoAnswer);
        }
        let found = self.read(&mut listed, path, asked_at).await;
        if found.is_err() {
            listed.failed_at = Some(Instant::now());
        }
        found
    }

    /// The file at this path, for a request that came at `asked_at`.
    async fn read(
        &self,
        listed: &mut ListedPaths,
        path: String,
        asked_at: Instant,
    ) -> Result<Option<Arc<StoredAsset>>, store::Error> {
        if !listed.paths.contains(&path) {
            // What was read since the request came is new enough.
            if listed.read_at.is_none_or(|at| at < asked_at) {
                if let Some(at) = listed.tried_at {
                    sleep_until(at + PACE).await;
                }
                let now = Instant::now();
                listed.tried_at = Some(now);
                listed.paths = self.store.asset_paths().await?.into_iter().collect();
                listed.read_at = Some(now);
            }
            if !listed.paths.contains(&path) {
                return Ok(None);
            }
        }
        // Another request has loaded it while this one waited.
        if let Some(asset) = self.loaded().get(&path) {
            return Ok(Some(Arc::clone(asset)));
        }
        let Some(asset) = self.store.asset(&path).await?.map(Arc::new) else {
            listed.paths.remove(&path);
            return Ok(None);
        };
        let mut loaded = self.loaded();
        if loaded.len() >= MOST_LOADED {
            loaded.clear();
        }
        loaded.insert(path, Arc::clone(&asset));
        Ok(Some(asset))
    }

    fn loaded(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<StoredAsset>>> {
        // Each entry is inserted as a whole.
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write(store: &Store, ours: &[(String, StoredAsset)]) -> Result<(), store::Error> {
    let now = UnixMillis::wall();
    for (path, asset) in ours {
        store.keep_asset(path, asset, now).await?;
    }
    store.forget_assets(now).await
}

/// Whether an address has the form of ours. Nothing is looked up for any other.
fn is_ours(hash: &str, name: &str) -> bool {
    let is_hash =
        hash.len() <= LONGEST_HASH && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_name = name.len() <= LONGEST_NAME
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    is_hash && is_name
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn who_waited_while_the_database_failed_does_not_ask_it_again() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}?mode=rwc", folder.path().join("runboard.db").display());
        let others = OtherVersions::new(Store::open(&url).await.unwrap());
        let mut listed = others.listed.lock().await;
        let mut waiting = Box::pin(others.find("0123456789abcdef", "style.css"));
        assert!((&mut waiting).now_or_never().is_none());
        listed.failed_at = Some(Instant::now());
        drop(listed);
        assert!(matches!(waiting.await, Err(store::Error::NoAnswer)));
        assert!(others.find("0123456789abcdef", "style.css").await.unwrap().is_none(), "a later one asks it");
        others.store.close().await;
    }

    #[test]
    fn nothing_is_looked_up_for_an_address_that_no_version_has() {
        assert!(is_ours("0123456789abcdef", "htmx-4.0.1.min.js"));
        let (long_hash, long_name) = ("a".repeat(65), "a".repeat(101));
        for (hash, name) in [
            (long_hash.as_str(), "style.css"),
            ("0123456789ABCDEF", "style.css"),
            ("0123456789abcdeé", "style.css"),
            ("0123456789abcdef", "../style.css"),
            ("0123456789abcdef", long_name.as_str()),
        ] {
            assert!(!is_ours(hash, name), "{hash} {name}");
        }
    }
}
