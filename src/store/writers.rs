//! The queue of SQLite's writers.
//!
//! SQLite has one writer at a time. The others retry after pauses, in no order, so that one of many can wait for
//! seconds. Here each write waits in a queue, and takes a connection, which readers need too, when its turn comes.
//! Postgres schedules its writers itself.

use std::{sync::Arc, time::Duration};

use sqlx::Error;
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::timeout,
};

/// Clones share the queue.
#[derive(Clone, Debug)]
pub(super) struct Writers {
    queue: Option<Arc<Mutex<()>>>,
}

/// The right to write; dropping it ends the turn.
#[derive(Debug)]
pub(super) struct WriteTurn {
    _place: Option<OwnedMutexGuard<()>>,
}

impl Writers {
    pub(super) fn new(is_postgres: bool) -> Self {
        Self { queue: (!is_postgres).then(Arc::default) }
    }

    /// Waits for a turn: first come, first served.
    pub(super) async fn turn(&self, patience: Duration) -> Result<WriteTurn, Error> {
        let Some(queue) = &self.queue else { return Ok(WriteTurn { _place: None }) };
        let place = timeout(patience, Arc::clone(queue).lock_owned());
        Ok(WriteTurn { _place: Some(place.await.map_err(|_| Error::PoolTimedOut)?) })
    }
}
