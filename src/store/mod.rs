//! All SQL, with one text for SQLite and Postgres.
//!
//! One file per subject, each an `impl Store` block. Rules for a text that works on both databases: integers,
//! booleans (0/1) and times are BIGINT; JSON and ids are TEXT; sums are cast back to BIGINT; placeholders are
//! `$1`, `$2`; no `SELECT *`.

mod abandoned;
mod about_file;
pub mod accounts;
pub mod api_tokens;
mod arriving;
pub mod assets;
mod choices;
mod copy;
mod database_file;
pub mod delete;
pub mod deliveries;
pub mod ended_mail;
pub mod engine;
pub mod executions;
mod files;
mod found;
pub mod guest_links;
mod held;
pub mod history;
pub mod idempotency;
mod import_state;
pub mod imports;
pub mod last_choices;
pub mod mail;
mod migrate;
mod notifications;
pub mod one_time_links;
pub mod outbox;
mod patience;
mod process_lock;
mod program_age;
pub mod quota;
mod rates;
pub mod record;
mod replicas;
pub mod roles;
pub mod runs;
mod search_name;
pub mod sessions;
mod settings;
pub mod steps;
mod turn;
pub mod webhooks;
mod writers;

use std::{
    path::PathBuf,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::{
    AnyConnection, Connection,
    any::{AnyConnectOptions, AnyPoolOptions},
};
use tokio::time::timeout;

pub use self::{
    copy::{CopiedTable, CopyError, copy_rows},
    database_file::sqlite_file,
    files::StepPlace,
    found::{Found, look},
    notifications::Notifications,
    patience::{as_here, in_turn, within},
    process_lock::{LockState, ProcessLock, Sharing},
    replicas::{LIVES_FOR, Renewed, ReplicaConnection},
};
use self::{
    database_file::DatabaseFile,
    migrate::migrate,
    patience::{Pool, Suspicion, Tx},
    writers::Writers,
};
use crate::base::{config::DatabasePool, ids::RunId};

/// The database.
#[derive(Clone, Debug)]
pub struct Store {
    pool: Pool,
    is_postgres: bool,
    file: DatabaseFile,
    /// Names the leases of this process; None while it has none.
    replica: Arc<Mutex<Option<Arc<str>>>>,
}

/// A database error. Its text is for the log, not for people.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}", in_words(.0))]
    Database(#[from] sqlx::Error),
    #[error("the database could not be brought up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error("it does not answer")]
    NoAnswer,
    #[error(
        "another program uses its tables, and did for 15 s, so that they could not be brought up to date"
    )]
    TablesInUse,
    #[error(
        "a newer version of Runboard has changed its tables (migration {migration:04}) so that this version cannot use them. Start that version, or a newer one"
    )]
    TooOld { migration: i64 },
    #[error("another Runboard brings its tables up to date, and did for a minute")]
    TablesChange,
    /// The database did not confirm a commit: the changes may have been applied, or may still be.
    #[error("the database did not confirm a commit: {0}")]
    InDoubt(#[source] sqlx::Error),
    /// The database's file was deleted or replaced while it was open.
    #[error("the database {} is gone: {why}", path.display())]
    Gone { path: PathBuf, why: String },
    /// A row contains a value that this version cannot read.
    #[error("the table {table} has a row that cannot be read: {why}")]
    Corrupt { table: &'static str, why: String },
}

/// What an operator can change is said in their words.
fn in_words(error: &sqlx::Error) -> String {
    let tls = match error {
        sqlx::Error::Tls(why) => Some(why.to_string()),
        sqlx::Error::Io(why) => {
            why.get_ref().and_then(|why| why.downcast_ref::<rustls::Error>()).map(ToString::to_string)
        }
        _ => None,
    };
    match tls {
        Some(why) => format!("TLS failed, for which `sslmode` in its address asks: {why}"),
        None => format!("the database failed: {error}"),
    }
}

impl Error {
    /// Whether the database has no space left.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        let (Self::Database(sqlx::Error::Database(error)) | Self::InDoubt(sqlx::Error::Database(error))) =
            self
        else {
            return false;
        };
        // SQLite's SQLITE_FULL, and SQLITE_IOERR_SHMSIZE if the index of its log cannot grow; Postgres's
        // disk_full.
        matches!(error.code().as_deref(), Some("13" | "4874" | "53100"))
    }

    /// Whether the database refuses the data: the same statement will always fail.
    #[must_use]
    pub fn is_of_the_data(&self) -> bool {
        let Self::Database(sqlx::Error::Database(error)) = self else { return false };
        let Some(code) = error.code() else { return false };
        // Postgres's codes have five characters. These are its classes for data, constraints and limits.
        if code.len() == 5 {
            return ["22", "23", "54"].iter().any(|class| code.starts_with(class));
        }
        code.parse::<u32>().is_ok_and(|code| OF_THE_DATA.contains(&(code & 0xff)))
    }
}

/// SQLite's SQLITE_TOOBIG, SQLITE_CONSTRAINT and SQLITE_MISMATCH. Extended codes use the higher bytes.
const OF_THE_DATA: [u32; 3] = [18, 19, 20];

/// Whether `error` says that the database is unavailable: it does not answer in time, cannot be reached, or
/// is starting or stopping.
#[must_use]
pub fn is_away(error: &(dyn std::error::Error + 'static)) -> bool {
    let error = match error.downcast_ref::<Error>() {
        Some(Error::Database(error) | Error::InDoubt(error)) => Some(error),
        Some(Error::Gone { .. } | Error::NoAnswer) => return true,
        _ => error.downcast_ref::<sqlx::Error>(),
    };
    match error {
        Some(sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_)) => true,
        // Postgres's classes 57P (the server stops or starts) and 08 (connections), 53300 (too many connections), 25P03
        // and 55P03 (a transaction was idle, or waited for a lock, for too long); SQLite's SQLITE_CANTOPEN.
        Some(sqlx::Error::Database(error)) => error.code().is_some_and(|code| {
            code.starts_with("57P")
                || code.starts_with("08")
                || ["53300", "25P03", "55P03", "14"].contains(&&*code)
        }),
        _ => false,
    }
}

pub type Result<T> = std::result::Result<T, Error>;

/// How long a connection may take to prove that it works.
const PROVES_ITSELF_WITHIN: Duration = Duration::from_secs(2);
/// A connection that was used more recently than this is assumed to work.
const FRESH_FOR: Duration = Duration::from_secs(1);

impl Store {
    /// Connects to `url` (`sqlite:...` or `postgres:...`) and migrates.
    pub async fn open(url: &str) -> Result<Self> {
        Self::open_with(url, DatabasePool::default()).await
    }

    pub async fn open_with(url: &str, limits: DatabasePool) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let is_postgres = is_postgres(url);
        let suspicion = Suspicion::default();
        let suspects = suspicion.clone();
        let pool = AnyPoolOptions::new()
            // This test costs a round trip for each statement. The test below runs only for doubtful
            // connections.
            .test_before_acquire(false)
            .max_connections(limits.connections)
            .acquire_timeout(limits.acquire_within)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if is_postgres {
                        abandoned::limit(connection).await?;
                    } else {
                        // FULL: an import that was confirmed must survive a power failure.
                        let pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                                       PRAGMA busy_timeout = 10000; PRAGMA foreign_keys = ON;";
                        sqlx::raw_sql(pragmas).execute(connection).await?;
                    }
                    Ok(())
                })
            })
            // On a full disk SQLite ends a transaction by itself, and sqlx does not notice.
            .before_acquire(move |connection, meta| {
                Box::pin(async move {
                    if is_postgres && meta.idle_for > FRESH_FOR {
                        prove(connection).await?;
                    }
                    Ok(!connection.is_in_transaction())
                })
            })
            // A connection whose statement was abandoned may never answer again. It is closed to free its
            // place.
            .after_release(move |connection, _| {
                let is_suspect = suspects.is_fresh();
                Box::pin(async move {
                    if is_suspect {
                        prove(connection).await?;
                    }
                    Ok(true)
                })
            })
            .connect_with(AnyConnectOptions::from_str(url)?)
            .await?;
        migrate(&pool, is_postgres).await?;
        let file = DatabaseFile::of(url).map_err(sqlx::Error::Io)?;
        let pool = Pool { pool, is_postgres, suspicion, writers: Writers::new(is_postgres) };
        let store = Self { pool, is_postgres, file, replica: Arc::default() };
        store.fold_names().await?;
        Ok(store)
    }

    /// From now on leases that this process takes are those of the replica `id`.
    pub fn set_replica(&self, id: Option<Arc<str>>) {
        *self.replica.lock().unwrap_or_else(PoisonError::into_inner) = id;
    }

    /// The lease of this replica, with which what it watches is recorded.
    #[must_use]
    pub fn replica(&self) -> Option<Arc<str>> {
        self.replica.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn begin_write(&self) -> Result<Tx> {
        Ok(self.pool.begin_write().await?)
    }

    /// A write transaction of one run, serialised with all others of that run: whether a run has ended, and
    /// the sums of its steps, must not change between or during its statements.
    async fn begin_write_of(&self, run: &RunId) -> Result<Tx> {
        self.begin_write_locked(run.as_str()).await
    }

    /// A write transaction that is serialised with all others of that name.
    async fn begin_write_locked(&self, name: &str) -> Result<Tx> {
        let mut tx = self.begin_write().await?;
        if self.is_postgres {
            // SQLite has only one writer at a time.
            sqlx::query("SELECT 1 FROM (SELECT pg_advisory_xact_lock(hashtextextended($1, 0))) AS locked")
                .bind(name)
                .execute(&mut *tx)
                .await?;
        }
        Ok(tx)
    }

    /// Whether the database answers, and its file is in place.
    pub async fn ping(&self) -> Result<()> {
        self.file.check()?;
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    pub async fn close(&self) {
        self.pool.pool.close().await;
    }
}

/// Whether a connection answers in time.
async fn prove(connection: &mut AnyConnection) -> std::result::Result<(), sqlx::Error> {
    timeout(PROVES_ITSELF_WITHIN, connection.ping()).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// The most ids in one `IN (...)`. SQLite allows 32,766 placeholders in a statement, Postgres 65,535.
pub const LONGEST_LIST: usize = 500;

/// `$1, $2, ...`: placeholders for `count` values.
fn placeholders(count: usize) -> String {
    (1..=count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres")
}

/// Counts of records and bytes stay far below the maximum of BIGINT.
fn to_bigint(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The error for an unreadable row of `import`, or of a table that refers to one.
fn corrupt_import(why: impl std::fmt::Display) -> Error {
    Error::Corrupt { table: "import", why: why.to_string() }
}
