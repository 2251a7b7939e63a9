//! The files of other versions of Runboard, whose pages may ask this process for them while replicas of both serve.
//!
//! Each process writes its own files to the database before it serves. A path that it does not know it looks up there.
//! Strangers can ask for any path. So a lookup reads the list of all paths, at most once per [`PACE`] however many ask,
//! and only a path of that list is read.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex as AsyncMutex, OnceCell},
    time::{Instant, sleep, sleep_until},
};

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

/// Without a value it is being read, or could not be.
type File = Arc<OnceCell<Arc<StoredAsset>>>;

/// The files of other versions. A request for one file waits neither for the list nor for another file.
#[derive(Debug)]
pub struct OtherVersions {
    store: Store,
    files: Mutex<HashMap<String, File>>,
    /// The paths that the database had.
    paths: Mutex<HashSet<String>>,
    /// Held while they are read.
    listing: AsyncMutex<ListTimes>,
}

#[derive(Debug, Default)]
struct ListTimes {
    /// When the reading of the present list began.
    read_at: Option<Instant>,
    /// When the last reading began, which may have failed.
    tried_at: Option<Instant>,
    /// When the database last failed.
    failed_at: Option<Instant>,
}

impl OtherVersions {
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, files: Mutex::default(), paths: Mutex::default(), listing: AsyncMutex::default() }
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
        if let Some(asset) = lock(&self.files).get(&path).and_then(|file| file.get()) {
            return Ok(Some(Arc::clone(asset)));
        }
        if self.is_listed(&path).await? { self.load(path).await } else { Ok(None) }
    }

    async fn is_listed(&self, path: &str) -> Result<bool, store::Error> {
        if lock(&self.paths).contains(path) {
            return Ok(true);
        }
        let asked_at = Instant::now();
        let mut listing = self.listing.lock().await;
        // What was read since the request came is new enough.
        if listing.read_at.is_none_or(|at| at < asked_at) {
            // Otherwise those who wait for a database that hangs would do so one after the other.
            if listing.failed_at.is_some_and(|at| at >= asked_at) {
                return Err(store::Error::NoAnswer);
            }
            if let Some(at) = listing.tried_at {
                sleep_until(at + PACE).await;
            }
            let now = Instant::now();
            listing.tried_at = Some(now);
            match self.store.asset_paths().await {
                Ok(paths) => *lock(&self.paths) = paths.into_iter().collect(),
                Err(error) => {
                    listing.failed_at = Some(Instant::now());
                    return Err(error);
                }
            }
            listing.read_at = Some(now);
        }
        Ok(lock(&self.paths).contains(path))
    }

    /// Reads a file that is listed. Those who need it meanwhile wait for that, no longer than for a statement.
    async fn load(&self, path: String) -> Result<Option<Arc<StoredAsset>>, store::Error> {
        let file = self.file(&path);
        match store::in_turn(file.get_or_try_init(|| self.read(&path))).await? {
            Ok(asset) => Ok(Some(Arc::clone(asset))),
            Err(Some(error)) => Err(error),
            Err(None) => {
                lock(&self.paths).remove(&path);
                Ok(None)
            }
        }
    }

    /// Without an error: the file is not there any more.
    async fn read(&self, path: &str) -> Result<Arc<StoredAsset>, Option<store::Error>> {
        self.store.asset(path).await.map_err(Some)?.map(Arc::new).ok_or(None)
    }

    fn file(&self, path: &str) -> File {
        let mut files = lock(&self.files);
        if files.len() >= MOST_LOADED && !files.contains_key(path) {
            // Those that are being read stay.
            files.retain(|_, file| Arc::strong_count(file) > 1);
        }
        Arc::clone(files.entry(path.to_owned()).or_default())
    }
}

/// What is kept is changed as a whole.
fn lock<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
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
    let is_hash = (1..=LONGEST_HASH).contains(&hash.len())
        && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_name = (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    is_hash && is_name
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use bytes::Bytes;
    use futures_util::FutureExt;

    use super::*;

    const HASH: &str = "0123456789abcdef";
    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn who_waited_while_the_database_failed_does_not_ask_it_again() {
        let folder = tempfile::tempdir().unwrap();
        let others = OtherVersions::new(store(folder.path()).await);
        let mut listing = others.listing.lock().await;
        let mut waiting = Box::pin(others.find(HASH, "style.css"));
        assert!((&mut waiting).now_or_never().is_none());
        listing.failed_at = Some(Instant::now());
        drop(listing);
        assert!(matches!(waiting.await, Err(store::Error::NoAnswer)));
        assert!(others.find(HASH, "style.css").await.unwrap().is_none(), "a later one asks it");
        others.store.close().await;
    }

    async fn store(folder: &std::path::Path) -> Store {
        let url = format!("sqlite:{}?mode=rwc", folder.join("runboard.db").display());
        Store::open(&url).await.unwrap()
    }

    #[tokio::test]
    async fn while_one_file_and_the_list_are_being_read_another_file_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let others = OtherVersions::new(store(folder.path()).await);
        let bytes = Bytes::from_static(b"body");
        let content_type = "text/css".to_owned();
        let asset = StoredAsset { content_type, body: bytes.clone(), brotli: bytes.clone(), gzip: bytes };
        for name in ["hanging.css", "other.css", "first.css"] {
            others.store.keep_asset(&format!("{HASH}/{name}"), &asset, UnixMillis::wall()).await.unwrap();
        }
        // Now they are listed.
        assert_eq!(others.find(HASH, "first.css").await.unwrap().as_deref(), Some(&asset));

        let _listing = others.listing.lock().await;
        let hanging = others.file(&format!("{HASH}/hanging.css"));
        let mut reading = Box::pin(hanging.get_or_init(pending));
        assert!((&mut reading).now_or_never().is_none());
        let other = tokio::time::timeout(MINUTE, others.find(HASH, "other.css")).await;
        assert_eq!(other.expect("it waits").unwrap().as_deref(), Some(&asset));
        let waited = store::within(Duration::from_millis(10), others.find(HASH, "hanging.css")).await;
        assert!(matches!(waited, Err(store::Error::NoAnswer)), "no longer than for a statement: {waited:?}");
        drop(reading);
        assert_eq!(others.find(HASH, "hanging.css").await.unwrap().as_deref(), Some(&asset));
        others.store.close().await;
    }

    #[test]
    fn nothing_is_looked_up_for_an_address_that_no_version_has() {
        assert!(is_ours("0123456789abcdef", "htmx-4.0.1.min.js"));
        let (long_hash, long_name) = ("a".repeat(65), "a".repeat(101));
        for (hash, name) in [
            ("", "style.css"),
            ("0123456789abcdef", ""),
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
