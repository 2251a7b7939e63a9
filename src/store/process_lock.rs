//! Ensures that one process works on a Postgres database, or only processes that share it: those that hold its advisory
//! lock.
//!
//! The lock belongs to a separate connection that no pool may close. Postgres releases it when that
//! connection ends, so that a killed process never blocks the next one.

use std::{str::FromStr, time::Duration};

use sqlx::{AnyConnection, ConnectOptions, Connection, any::AnyConnectOptions};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Error, Result, abandoned::notice_loss, is_postgres};

/// How often a waiting process tries to take the lock, and how often its holder checks it.
const ASK_EVERY: Duration = Duration::from_millis(250);
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// A database that does not answer within this time is considered lost: it may have released the lock.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Schemas of one database have separate locks.
const TRY_LOCK: &str = "SELECT CASE WHEN \
     pg_try_advisory_lock(hashtextextended('runboard process ' || current_schema(), 0)) \
     THEN CAST(pg_backend_pid() AS BIGINT) END";
const TRY_LOCK_SHARED: &str = "SELECT CASE WHEN \
     pg_try_advisory_lock_shared(hashtextextended('runboard process ' || current_schema(), 0)) \
     THEN CAST(pg_backend_pid() AS BIGINT) END";
/// Postgres shows a lock's number as two halves.
const HOLDER: &str = "SELECT CAST(pid AS BIGINT) FROM pg_locks WHERE locktype = 'advisory' AND granted \
     AND objsubid = 1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
     AND (CAST(classid AS BIGINT) << 32 | CAST(objid AS BIGINT)) = \
         hashtextextended('runboard process ' || current_schema(), 0)";

/// Who else may have the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    Nobody,
    /// Nobody, and the waiting process is a command: sharing would not help it.
    NobodyForCommand,
    /// Others that share it too.
    Replicas,
}

impl Sharing {
    /// The setting comes first: without it, a second replica that somebody has just started would wait in vain.
    fn why_it_waits(self) -> &'static str {
        match self {
            Self::Nobody => {
                "another Runboard uses the database. To share it, set RUNBOARD_STORAGE_URL to the same bucket at both \
                 (here it is not set)"
            }
            Self::NobodyForCommand => {
                "another Runboard uses the database, and this command needs all of them stopped"
            }
            Self::Replicas => {
                "another Runboard has the database for itself. To share it, set RUNBOARD_STORAGE_URL there as it is set \
                 here"
            }
        }
    }
}

/// The result of a check of the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockState {
    Held,
    /// The server still holds it for a broken connection of this process.
    KeptForLostConnection,
    /// Another process holds it.
    Taken,
    /// The server did not answer.
    Unknown,
}

/// The result of an attempt to take the lock.
enum Attempt {
    /// The connection that now holds it, and the id of its server process.
    Taken(AnyConnection, i64),
    /// The id of the server process that holds it; None if it was released in between.
    HeldBy(Option<i64>),
}

/// The lock of a database; released on drop.
#[derive(Debug)]
pub struct ProcessLock {
    /// None for SQLite, whose file has a lock of its own (`app/database.rs`).
    postgres: Option<AnyConnectOptions>,
    sharing: Sharing,
    connection: Option<AnyConnection>,
    /// The id of the server process whose connection holds the lock, or held it last.
    backend: i64,
    held: watch::Sender<bool>,
    /// Whether the loss was logged.
    is_loss_told: bool,
}

impl ProcessLock {
    /// Takes the lock of the database at `url`. Waits at most `within`, so that an earlier process can end.
    /// None: another process holds it, and does not share it.
    pub async fn take(url: &str, sharing: Sharing, within: Duration) -> Result<Option<Self>> {
        sqlx::any::install_default_drivers();
        let postgres = is_postgres(url).then(|| AnyConnectOptions::from_str(url)).transpose()?;
        let mut lock = Self {
            postgres,
            sharing,
            connection: None,
            backend: 0,
            held: watch::Sender::new(true),
            is_loss_told: false,
        };
        let Some(options) = &lock.postgres else { return Ok(Some(lock)) };
        let deadline = Instant::now() + within;
        let mut is_waiting = false;
        loop {
            let answer_within = deadline.saturating_duration_since(Instant::now()).max(ANSWER_WITHIN);
            let answer =
                timeout(answer_within, try_lock(options, sharing)).await.map_err(|_| Error::NoAnswer)?;
            if let Attempt::Taken(connection, backend) = answer? {
                (lock.connection, lock.backend) = (Some(connection), backend);
                return Ok(Some(lock));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            if !std::mem::replace(&mut is_waiting, true) {
                let (why, seconds) = (sharing.why_it_waits(), within.as_secs());
                tracing::info!("{why}. Waiting up to {seconds} s until the other one ends");
            }
            sleep(ASK_EVERY).await;
        }
    }

    /// Whether the lock is held: false from the loss of its connection until it is taken again.
    #[must_use]
    pub fn held(&self) -> watch::Receiver<bool> {
        self.held.subscribe()
    }

    /// Checks the lock, and takes it again after a loss, until `stopping`. Then releases it.
    pub async fn keep(mut self, stopping: CancellationToken) {
        if self.postgres.is_none() {
            return stopping.cancelled().await;
        }
        while stopping.run_until_cancelled(sleep(CHECK_EVERY)).await.is_some() {
            if stopping.run_until_cancelled(self.check()).await.is_none() {
                break;
            }
        }
        if let Some(connection) = self.connection.take() {
            // A server that does not answer still sees the connection end.
            let _ = timeout(ANSWER_WITHIN, connection.close()).await;
        }
    }

    /// Checks the lock once. Takes a lost lock again if it is free.
    pub async fn check(&mut self) -> LockState {
        let Some(options) = &self.postgres else { return LockState::Held };
        if let Some(connection) = &mut self.connection {
            match timeout(ANSWER_WITHIN, connection.ping()).await {
                Ok(Ok(())) => return LockState::Held,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the connection that holds the database's lock broke")
                }
                Err(_) => tracing::warn!("the connection that holds the database's lock does not answer"),
            }
            self.connection = None;
            self.held.send_replace(false);
        }
        match timeout(ANSWER_WITHIN, try_lock(options, self.sharing)).await {
            Ok(Ok(Attempt::Taken(connection, backend))) => {
                tracing::info!("the database's lock is held again");
                (self.connection, self.backend) = (Some(connection), backend);
                self.held.send_replace(true);
                self.is_loss_told = false;
                LockState::Held
            }
            Ok(Ok(Attempt::HeldBy(Some(backend)))) if backend != self.backend => {
                if !std::mem::replace(&mut self.is_loss_told, true) {
                    tracing::error!("another Runboard has taken this database: this one starts no runs");
                }
                LockState::Taken
            }
            Ok(Ok(Attempt::HeldBy(_))) => {
                tracing::warn!("the database still keeps its lock for the connection that broke");
                LockState::KeptForLostConnection
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the database's lock could not be taken again yet");
                LockState::Unknown
            }
            Err(_) => {
                tracing::warn!("the database's lock could not be taken again yet: no answer");
                LockState::Unknown
            }
        }
    }
}

async fn try_lock(options: &AnyConnectOptions, sharing: Sharing) -> Result<Attempt> {
    let mut connection = options.connect().await?;
    notice_loss(&mut connection).await?;
    let try_lock = match sharing {
        Sharing::Nobody | Sharing::NobodyForCommand => TRY_LOCK,
        Sharing::Replicas => TRY_LOCK_SHARED,
    };
    let own: Option<i64> = sqlx::query_scalar(try_lock).fetch_one(&mut connection).await?;
    if let Some(own) = own {
        return Ok(Attempt::Taken(connection, own));
    }
    Ok(Attempt::HeldBy(sqlx::query_scalar(HOLDER).fetch_optional(&mut connection).await?))
}
