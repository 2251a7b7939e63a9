//! Opens the database at start: takes its lock, and checks whether a server has used it.

use std::time::Duration;

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

/// The lock of the database, held by its own task and released last.
pub(super) struct DatabaseLock {
    keeper: Tasks,
    held: watch::Receiver<bool>,
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
        let lock = ProcessLock::take(url, sharing, within).await?.ok_or(StartError::DatabaseInUse)?;
        let (keeper, held) = (Tasks::on_this_runtime(), lock.held());
        keeper.spawn(lock.keep(keeper.stopping().clone()));
        Ok((Self { keeper, held }, Store::open_with(url, pool).await?))
    }

    /// Whether the lock is held, and notice of changes.
    pub fn held(&self) -> watch::Receiver<bool> {
        self.held.clone()
    }

    pub async fn release(self) {
        self.keeper.stop(RELEASE_GRACE).await;
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
