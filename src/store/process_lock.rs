//! One process works on a Postgres database: the one that holds its advisory lock.
//!
//! The lock belongs to a connection of its own, which no pool may close. Postgres gives it up when that
//! connection ends, so that a process that was killed never blocks the next one.

use std::{str::FromStr, time::Duration};

use sqlx::{AnyConnection, ConnectOptions, Connection, any::AnyConnectOptions};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Error, Result, is_postgres};

/// How often a process that waits for the lock asks for it, and how often its holder makes sure of it.
const ASK_EVERY: Duration = Duration::from_millis(250);
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// A database that does not answer within this is taken for lost: it may have given the lock away.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A connection that broke without a word would keep the lock for two hours; the server must notice within
/// 20 s. Schemas of one database are independent.
const SETUP: &str =
    "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3";
const TRY_LOCK: &str = "SELECT CASE WHEN \
     pg_try_advisory_lock(hashtextextended('runboard process ' || current_schema(), 0)) \
     THEN CAST(pg_backend_pid() AS BIGINT) END";
/// Postgres shows the two halves of a lock's number.
const HOLDER: &str = "SELECT CAST(pid AS BIGINT) FROM pg_locks WHERE locktype = 'advisory' AND granted \
     AND objsubid = 1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
     AND (CAST(classid AS BIGINT) << 32 | CAST(objid AS BIGINT)) = \
         hashtextextended('runboard process ' || current_schema(), 0)";

/// What a look at the lock has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockState {
    Held,
    /// The server still keeps it for a connection of this process that broke.
    KeptForLostConnection,
    /// Another process holds it.
    Taken,
    /// The server did not answer.
    Unknown,
}

/// What came of an attempt to take the lock.
enum Attempt {
    /// The connection that holds it now, and the server's process of that.
    Taken(AnyConnection, i64),
    /// The server's process of the connection that holds it; None if it was given up just now.
    HeldBy(Option<i64>),
}

/// The lock of a database. Dropped, it is free.
#[derive(Debug)]
pub struct ProcessLock {
    /// None for SQLite, whose file is in the locked data folder.
    postgres: Option<AnyConnectOptions>,
    connection: Option<AnyConnection>,
    /// The server's process of the connection that holds the lock, or held it last.
    backend: i64,
    held: watch::Sender<bool>,
    /// The loss was logged.
    is_loss_told: bool,
}

impl ProcessLock {
    /// Takes the lock of the database at `url`, and waits for it no longer than `within`, as long as an earlier
    /// process may take to end. None: another process holds it.
    pub async fn take(url: &str, within: Duration) -> Result<Option<Self>> {
        sqlx::any::install_default_drivers();
        let postgres = is_postgres(url).then(|| AnyConnectOptions::from_str(url)).transpose()?;
        let mut lock = Self {
            postgres,
            connection: None,
            backend: 0,
            held: watch::Sender::new(true),
            is_loss_told: false,
        };
        let Some(options) = &lock.postgres else { return Ok(Some(lock)) };
        let deadline = Instant::now() + within;
        loop {
            let answer_within = deadline.saturating_duration_since(Instant::now()).max(ANSWER_WITHIN);
            let answer = timeout(answer_within, try_lock(options)).await.map_err(|_| Error::NoAnswer)?;
            if let Attempt::Taken(connection, backend) = answer? {
                (lock.connection, lock.backend) = (Some(connection), backend);
                return Ok(Some(lock));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            sleep(ASK_EVERY).await;
        }
    }

    /// Whether the lock is held: false from when its connection is lost until it is taken again.
    #[must_use]
    pub fn held(&self) -> watch::Receiver<bool> {
        self.held.subscribe()
    }

    /// Makes sure of the lock, and takes it again when it was lost, until `stopping`. Gives it up then.
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
            // A server that does not answer sees the connection end all the same.
            let _ = timeout(ANSWER_WITHIN, connection.close()).await;
        }
    }

    /// One look. A lock that was lost is taken again if it is free.
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
        match timeout(ANSWER_WITHIN, try_lock(options)).await {
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

async fn try_lock(options: &AnyConnectOptions) -> Result<Attempt> {
    let mut connection = options.connect().await?;
    sqlx::raw_sql(SETUP).execute(&mut connection).await?;
    let own: Option<i64> = sqlx::query_scalar(TRY_LOCK).fetch_one(&mut connection).await?;
    if let Some(own) = own {
        return Ok(Attempt::Taken(connection, own));
    }
    Ok(Attempt::HeldBy(sqlx::query_scalar(HOLDER).fetch_optional(&mut connection).await?))
}
