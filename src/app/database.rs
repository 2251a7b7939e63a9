//! Opens the database at start: takes its lock, and checks whether a server has used it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;

use super::StartError;
use crate::{
    base::{
        config::{Config, DatabasePool},
        tasks::Tasks,
    },
    files::INSTALLATION,
    store::{self, Found, ProcessLock, Sharing, Store, sqlite_file},
};

/// How long a start waits for an earlier process, which has 10 s to end its steps.
const LOCK_WITHIN: Duration = Duration::from_secs(15);

/// How long releasing the lock at the end may take.
const RELEASE_GRACE: Duration = Duration::from_secs(6);

/// The ending of the lock file of a SQLite database, after the database's own name. SQLite itself uses other endings
/// (`-wal`, `.lock`).
const LOCK_ENDING: &str = ".process-lock";

/// The lock of the database, released last: that of a Postgres is held by a task of its own.
pub(super) struct DatabaseLock {
    keeper: Tasks,
    held: watch::Receiver<bool>,
    _file: Option<File>,
}

impl DatabaseLock {
    /// Takes the lock of the database at `url`, then opens it. The order matters: the migration must not
    /// change tables that an earlier process still uses.
    pub async fn open(
        url: &SecretString,
        pool: DatabasePool,
        sharing: Sharing,
    ) -> Result<(Self, Store), StartError> {
        Self::open_within(url, pool, sharing, LOCK_WITHIN).await
    }

    /// The same for a database that no earlier process is about to leave.
    pub async fn open_free(url: &SecretString, pool: DatabasePool) -> Result<(Self, Store), StartError> {
        Self::open_within(url, pool, Sharing::Nobody, Duration::ZERO).await
    }

    async fn open_within(
        url: &SecretString,
        pool: DatabasePool,
        sharing: Sharing,
        within: Duration,
    ) -> Result<(Self, Store), StartError> {
        let url = url.expose_secret();
        let file = lock_file(url)?;
        let lock = ProcessLock::take(url, sharing, within).await?.ok_or(StartError::DatabaseInUse)?;
        let (keeper, held) = (Tasks::on_this_runtime(), lock.held());
        keeper.spawn(lock.keep(keeper.stopping().clone()));
        Ok((Self { keeper, held, _file: file }, Store::open_with(url, pool).await?))
    }

    /// Whether the lock is held, and notice of changes.
    pub fn held(&self) -> watch::Receiver<bool> {
        self.held.clone()
    }

    pub async fn release(self) {
        self.keeper.stop(RELEASE_GRACE).await;
    }
}

/// Locks the SQLite database at `url`, whatever the data folder of its process is. None if it has no file.
fn lock_file(url: &str) -> Result<Option<File>, StartError> {
    let Some(database) = sqlite_file(url).as_deref().and_then(real_path) else { return Ok(None) };
    let mut path = database.clone().into_os_string();
    path.push(LOCK_ENDING);
    // Not the database itself: a process that closes any handle of that file loses the locks that SQLite has on it.
    let file = OpenOptions::new().append(true).create(true).open(path).map_err(TryLockError::Error);
    match file.and_then(|file| file.try_lock().map(|()| file)) {
        Ok(file) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(StartError::DatabaseFileInUse(database)),
        Err(TryLockError::Error(error)) => {
            // SQLite may still be able to use it.
            let database = database.display();
            tracing::warn!(%error, "{database} cannot be locked: a second Runboard on it would not be refused");
            Ok(None)
        }
    }
}

/// Where symbolic links and a relative name lead, also if that file is not made yet. None if its folder is missing.
fn real_path(file: &Path) -> Option<PathBuf> {
    match fs::canonicalize(file) {
        Ok(path) => return Some(path),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(_) => return None,
    }
    let folder =
        Some(file.parent()?).filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match fs::read_link(file) {
        // SQLite makes the file that the link names.
        Ok(target) => real_path(&folder.join(target)),
        Err(_) => Some(fs::canonicalize(folder).ok()?.join(file.file_name()?)),
    }
}

/// Opens the database of `config`, with or without a running server, if a server has ever used it.
///
/// # Errors
/// If there is no such database, or it fails.
pub async fn open_existing(config: &Config) -> Result<Store, StartError> {
    let url = config.database_url.expose_secret();
    if let Some(file) = sqlite_file(url).filter(|file| !file.exists()) {
        return Err(StartError::NoDatabase(file.display().to_string()));
    }
    let what = || {
        sqlite_file(url).map_or_else(|| "the Postgres database".to_owned(), |file| file.display().to_string())
    };
    // Opening it migrates its tables, which only the server may do.
    match store::look(url, INSTALLATION).await? {
        Found::Unused => Err(StartError::NoDatabase(what())),
        Found::OfAnotherVersion => Err(StartError::OtherVersion(what())),
        Found::Usable => Ok(Store::open(url).await?),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_database_without_a_file_or_without_its_folder_is_not_locked() {
        for url in [
            "sqlite::memory:",
            "sqlite://",
            "sqlite:shared?mode=memory&cache=shared",
            "sqlite:///nowhere/at/all/runboard.db?mode=rwc",
            "postgres://runboard@localhost/runboard",
        ] {
            assert!(lock_file(url).expect(url).is_none(), "{url}");
        }
    }

    #[test]
    fn a_link_and_the_file_that_it_leads_to_have_one_lock_also_before_the_file_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("a.db"), folder.path().join("link.db"));
        symlink("a.db", &link).unwrap();
        let url = |path: &Path| format!("sqlite://{}?mode=rwc", path.display());
        for is_made in [false, true] {
            if is_made {
                fs::write(&file, "").unwrap();
            }
            let lock = lock_file(&url(&link)).unwrap().expect("it has a file");
            assert!(matches!(lock_file(&url(&file)), Err(StartError::DatabaseFileInUse(_))), "{is_made}");
            drop(lock);
            assert!(lock_file(&url(&file)).unwrap().is_some(), "it is free again");
        }
    }
}
