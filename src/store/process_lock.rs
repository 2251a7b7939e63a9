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
     THEN CAST(1 AS BIGINT) ELSE CAST(0 AS BIGINT) END";

/// The lock of a database. Dropped, it is free.
#[derive(Debug)]
pub struct ProcessLock {
    /// None for SQLite, whose file is in the locked data folder.
    postgres: Option<AnyConnectOptions>,
    connection: Option<AnyConnection>,
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
        let mut lock =
            Self { postgres, connection: None, held: watch::Sender::new(true), is_loss_told: false };
        let Some(options) = &lock.postgres else { return Ok(Some(lock)) };
        let deadline = Instant::now() + within;
        loop {
            let answer_within = deadline.saturating_duration_since(Instant::now()).max(ANSWER_WITHIN);
            let answer = timeout(answer_within, try_lock(options)).await.map_err(|_| Error::NoAnswer)?;
            if let Some(connection) = answer? {
                lock.connection = Some(connection);
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

    /// One look. Returns whether the lock is held.
    pub async fn check(&mut self) -> bool {
        let Some(options) = &self.postgres else { return true };
        if let Some(connection) = &mut self.connection {
            match timeout(ANSWER_WITHIN, connection.ping()).await {
                Ok(Ok(())) => return true,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the connection that holds the database's lock broke")
                }
                Err(_) => tracing::warn!("the connection that holds the database's lock does not answer"),
            }
            self.connection = None;
            self.held.send_replace(false);
        }
        match timeout(ANSWER_WITHIN, try_lock(options)).await {
            Ok(Ok(Some(connection))) => {
                tracing::info!("the database's lock is held again");
                self.connection = Some(connection);
                self.held.send_replace(true);
                self.is_loss_told = false;
                return true;
            }
            Ok(Ok(None)) if !self.is_loss_told => {
                self.is_loss_told = true;
                tracing::error!("another Runboard has taken this database: this one starts no runs");
            }
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the database's lock could not be taken again yet"),
            Err(_) => tracing::warn!("the database's lock could not be taken again yet: no answer"),
        }
        false
    }
}

/// A connection that holds the lock; None if another one does.
async fn try_lock(options: &AnyConnectOptions) -> Result<Option<AnyConnection>> {
    let mut connection = options.connect().await?;
    sqlx::raw_sql(SETUP).execute(&mut connection).await?;
    let is_held: i64 = sqlx::query_scalar(TRY_LOCK).fetch_one(&mut connection).await.map_err(Error::from)?;
    Ok((is_held == 1).then_some(connection))
}
