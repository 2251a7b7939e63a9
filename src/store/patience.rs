//! Limits how long a statement may take. A Postgres that hangs, or a network that drops packets, never
//! answers, and the kernel reports no error.
//!
//! [`Pool`] and [`Tx`] wrap sqlx's own, and abandon a statement after the patience of the calling task: 30 s
//! in the background, less inside [`within`]. There, one abandoned statement uses up the patience for all
//! that follow, so that a request waits for a hanging database only once. SQLite is a file and limits its own
//! waits.

use std::{
    ops::{Deref, DerefMut},
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{
    StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Any, AnyPool, Either, Error, Execute, Executor, SqlStr, Transaction,
    any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo},
};
use tokio::time::{Instant, timeout};

use super::writers::{WriteTurn, Writers};

/// For background work, which waits for a database that is being restarted.
const IN_BACKGROUND: Duration = Duration::from_secs(30);

tokio::task_local! {
    static PATIENCE: Patience;
}

/// Remembers that a statement was abandoned recently: a connection that is returned to the pool may be the
/// one that it hangs on. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Suspicion(Arc<Mutex<Option<Instant>>>);

/// Longer than an abandoned statement takes to return its connection.
const SUSPECT_FOR: Duration = Duration::from_secs(60);

impl Suspicion {
    fn raise(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    pub(super) fn is_fresh(&self) -> bool {
        let raised = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        raised.is_some_and(|raised| raised.elapsed() < SUSPECT_FOR)
    }
}

/// How long a task waits for a statement. Clones share whether it is used up.
#[derive(Clone, Debug)]
struct Patience {
    statement: Duration,
    is_used_up: Arc<AtomicBool>,
}

/// How to wait for statements on a Postgres.
#[derive(Debug)]
struct Wait {
    patience: Patience,
    suspicion: Suspicion,
}

impl Patience {
    fn new(statement: Duration) -> Self {
        Self { statement, is_used_up: Arc::default() }
    }

    /// The patience of the current task.
    fn here() -> Self {
        PATIENCE.try_with(Self::clone).unwrap_or_else(|_| Self::new(IN_BACKGROUND))
    }

    fn left(&self) -> Duration {
        if self.is_used_up.load(Ordering::Relaxed) { Duration::ZERO } else { self.statement }
    }

    fn use_up(&self) {
        self.is_used_up.store(true, Ordering::Relaxed);
    }
}

impl Wait {
    async fn wait<T>(&self, statement: impl Future<Output = T>) -> Result<T, Error> {
        let mut statement = pin!(statement);
        timeout(self.patience.left(), &mut statement).await.map_err(|_| {
            self.patience.use_up();
            // Must happen before the statement is dropped, which returns its connection.
            self.suspicion.raise();
            Error::PoolTimedOut
        })
    }
}

/// Runs `work`. On a Postgres each of its statements may take as long as `patience`; after one that took
/// longer, no statement is waited for. Spawned tasks have the patience of the background, unless they are
/// wrapped in [`as_here`].
pub async fn within<F: Future>(patience: Duration, work: F) -> F::Output {
    PATIENCE.scope(Patience::new(patience), work).await
}

/// Gives `work`, which will be spawned, the patience of the current task.
pub fn as_here<F: Future>(work: F) -> impl Future<Output = F::Output> {
    PATIENCE.scope(Patience::here(), work)
}

/// Waits for `turn`, which another task has while its statement runs, no longer than for a statement.
pub async fn in_turn<T>(turn: impl Future<Output = T>) -> super::Result<T> {
    let patience = Patience::here();
    timeout(patience.left(), turn).await.map_err(|_| {
        patience.use_up();
        super::Error::NoAnswer
    })
}

/// The connection pool.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    pub(super) pool: AnyPool,
    pub(super) is_postgres: bool,
    pub(super) suspicion: Suspicion,
    pub(super) writers: Writers,
}

/// A write transaction, with its turn among the writers. If it is dropped, its connection rolls it back soon after.
#[derive(Debug)]
pub(super) struct Tx(OpenTx, WriteTurn);

/// The connection that the statements of a [`Tx`] use.
#[derive(Debug)]
pub(super) struct OpenTx {
    tx: Transaction<'static, Any>,
    is_postgres: bool,
    suspicion: Suspicion,
}

/// None: no limit.
fn patience(is_postgres: bool, suspicion: &Suspicion) -> Option<Wait> {
    is_postgres.then(|| Wait { patience: Patience::here(), suspicion: suspicion.clone() })
}

async fn limited<T>(
    patience: Option<Wait>,
    statement: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match patience {
        None => statement.await,
        Some(patience) => patience.wait(statement).await?,
    }
}

/// Returns the rows that arrive in time. A late row ends the stream with an error.
fn limited_rows<'e, T: Send + 'e>(
    patience: Option<Wait>,
    rows: BoxStream<'e, Result<T, Error>>,
) -> BoxStream<'e, Result<T, Error>> {
    let Some(patience) = patience else { return rows };
    let patience = Arc::new(patience);
    let next = move |rows: Option<BoxStream<'e, Result<T, Error>>>| {
        let patience = Arc::clone(&patience);
        async move {
            let mut rows = rows?;
            match patience.wait(rows.next()).await {
                Ok(row) => Some((row?, Some(rows))),
                Err(late) => Some((Err(late), None)),
            }
        }
    };
    stream::unfold(Some(rows), next).boxed()
}

impl Pool {
    /// Begins a write transaction. On SQLite it takes the write lock at once, so that it cannot fail later because
    /// another program wrote in between.
    pub(super) async fn begin_write(&self) -> Result<Tx, Error> {
        let turn = self.writers.turn(IN_BACKGROUND).await?;
        let begin = async {
            if self.is_postgres {
                self.pool.begin().await
            } else {
                self.pool.begin_with("BEGIN IMMEDIATE").await
            }
        };
        let tx = limited(patience(self.is_postgres, &self.suspicion), begin).await?;
        Ok(Tx(OpenTx { tx, is_postgres: self.is_postgres, suspicion: self.suspicion.clone() }, turn))
    }

    /// Executes one statement that writes.
    pub(super) async fn write<'q>(
        &self,
        statement: impl Execute<'q, Any> + 'q,
    ) -> Result<AnyQueryResult, Error> {
        let _turn = self.writers.turn(IN_BACKGROUND).await?;
        self.execute(statement).await
    }
}

impl Tx {
    pub(super) async fn commit(self) -> Result<(), Error> {
        let Self(OpenTx { tx, is_postgres, suspicion }, _turn) = self;
        limited(patience(is_postgres, &suspicion), tx.commit()).await
    }
}

impl Deref for Tx {
    type Target = OpenTx;

    fn deref(&self) -> &OpenTx {
        &self.0
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut OpenTx {
        &mut self.0
    }
}

/// Forwards the statements of `$executor` to `$inner`, within the patience of the task.
macro_rules! executor {
    ($executor:ty, $self:ident => $inner:expr) => {
        impl<'c> Executor<'c> for $executor {
            type Database = Any;

            fn fetch_many<'e, 'q: 'e, E>(
                $self,
                query: E,
            ) -> BoxStream<'e, Result<Either<AnyQueryResult, AnyRow>, Error>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Any>,
            {
                limited_rows(patience($self.is_postgres, &$self.suspicion), $inner.fetch_many(query))
            }

            fn fetch_optional<'e, 'q: 'e, E>(
                $self,
                query: E,
            ) -> BoxFuture<'e, Result<Option<AnyRow>, Error>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Any>,
            {
                Box::pin(limited(patience($self.is_postgres, &$self.suspicion), $inner.fetch_optional(query)))
            }

            fn prepare_with<'e>(
                $self,
                sql: SqlStr,
                parameters: &'e [AnyTypeInfo],
            ) -> BoxFuture<'e, Result<AnyStatement, Error>>
            where
                'c: 'e,
            {
                Box::pin(limited(patience($self.is_postgres, &$self.suspicion), $inner.prepare_with(sql, parameters)))
            }

            fn describe<'e>(
                $self,
                sql: SqlStr,
            ) -> BoxFuture<'e, Result<sqlx::Describe<Any>, Error>>
            where
                'c: 'e,
            {
                Box::pin(limited(patience($self.is_postgres, &$self.suspicion), $inner.describe(sql)))
            }
        }
    };
}

executor!(&'c Pool, self => (&self.pool));
executor!(&'c mut OpenTx, self => (&mut *self.tx));

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const PATIENT_FOR: Duration = Duration::from_secs(3);

    async fn hangs() -> bool {
        limited(patience(true, &Suspicion::default()), pending::<Result<(), Error>>()).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_once_for_a_database_that_hangs_however_many_statements_it_makes() {
        let start = Instant::now();
        within(PATIENT_FOR, async {
            assert!(hangs().await && hangs().await);
            assert!(
                limited_rows(
                    patience(true, &Suspicion::default()),
                    stream::pending::<Result<(), Error>>().boxed()
                )
                .next()
                .await
                .unwrap()
                .is_err()
            );
            let spawned = tokio::spawn(as_here(async { hangs().await && hangs().await }));
            assert!(spawned.await.unwrap());
            // A result that is ready is returned.
            assert!(limited(patience(true, &Suspicion::default()), ready(Ok(()))).await.is_ok());
        })
        .await;
        assert_eq!(start.elapsed(), PATIENT_FOR);
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_that_answers_late_each_time_is_waited_for_each_time() {
        let late = async || {
            tokio::time::sleep(PATIENT_FOR - Duration::from_secs(1)).await;
            Ok(())
        };
        within(PATIENT_FOR, async {
            for _ in 0..3 {
                limited(patience(true, &Suspicion::default()), late()).await.unwrap();
            }
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn in_the_background_each_statement_has_its_time() {
        let start = Instant::now();
        assert!(hangs().await && hangs().await);
        assert_eq!(start.elapsed(), 2 * IN_BACKGROUND);
    }
}
