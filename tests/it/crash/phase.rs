//! The phase of a server, determined from its data on disk.

use std::{collections::HashSet, fs, path::Path};

use sqlx::{AnyPool, Row, any::AnyPoolOptions};

use crate::support::database;

/// A phase that a kill can hit. Several imports can be in different phases at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    UploadInFlight,
    /// Recorded, and not confirmed by the engine.
    EventUnsent,
    RunQueued,
    /// A step has written files that no commit names.
    StepAtWork,
    /// A step is committed, and the next one has not begun.
    BetweenSteps,
    WaitingForRetry,
    /// The request to cancel is recorded, the end of the run is not.
    CancelUnderWay,
    Idle,
}

impl Phase {
    pub const ALL: [Self; 8] = [
        Self::UploadInFlight,
        Self::EventUnsent,
        Self::RunQueued,
        Self::StepAtWork,
        Self::BetweenSteps,
        Self::WaitingForRetry,
        Self::CancelUnderWay,
        Self::Idle,
    ];
}

const COUNTS: &str = "SELECT \
    (SELECT COUNT(*) FROM outbox) AS unsent, \
    (SELECT COUNT(*) FROM engine_run WHERE ended_at IS NULL) AS unended, \
    (SELECT COUNT(*) FROM engine_run WHERE ended_at IS NULL AND lease IS NULL AND status = 'Scheduled') AS queued, \
    (SELECT COUNT(*) FROM engine_run r WHERE ended_at IS NULL AND attempt = 0 AND \
        EXISTS (SELECT 1 FROM step s WHERE s.run_id = r.run_id) AND (lease IS NULL OR \
        (SELECT COUNT(*) FROM step s WHERE s.run_id = r.run_id) > \
        (SELECT COUNT(*) FROM engine_step e WHERE e.run_id = r.run_id))) AS between_steps, \
    (SELECT COUNT(*) FROM engine_run WHERE ended_at IS NULL AND lease IS NULL AND attempt > 0) AS waiting, \
    (SELECT COUNT(*) FROM import i JOIN engine_run r ON r.event_id = i.event_id \
        LEFT JOIN run ON run.run_id = r.run_id \
        WHERE i.cancel_requested_at IS NOT NULL AND run.ended_at IS NULL) AS cancelling";

/// The database and the files of a data folder, for reading.
pub struct OnDisk<'d> {
    data: &'d Path,
    pub database: AnyPool,
}

impl<'d> OnDisk<'d> {
    /// Reads the data of a running server.
    pub async fn beside(data: &'d Path) -> Self {
        Self::open(data, data).await
    }

    /// Reads the data of a killed server. A SQLite file is first copied to `copy`, so that the next server finds
    /// the original unchanged.
    pub async fn after(data: &'d Path, copy: &Path) -> Self {
        if database::is_postgres() {
            return Self::beside(data).await;
        }
        database::copy(data, copy);
        Self::open(data, copy).await
    }

    async fn open(data: &'d Path, of: &Path) -> Self {
        sqlx::any::install_default_drivers();
        let url = database::url(of).replace("?mode=rwc", "?mode=ro");
        let database = AnyPoolOptions::new().max_connections(1).connect(&url).await.unwrap();
        Self { data, database }
    }

    /// All current phases.
    pub async fn phases(&self) -> Vec<Phase> {
        let counts = sqlx::query(COUNTS).fetch_one(&self.database).await.unwrap();
        let any = |column: &str| counts.get::<i64, _>(column) > 0;
        let named = self.step_files().await;
        let at_work = self.files("runs").iter().any(|file| !named.contains(file));
        let going_on = [
            (Phase::UploadInFlight, !self.files("incoming").is_empty()),
            (Phase::EventUnsent, any("unsent")),
            (Phase::RunQueued, any("queued")),
            (Phase::StepAtWork, at_work && any("unended")),
            (Phase::BetweenSteps, any("between_steps")),
            (Phase::WaitingForRetry, any("waiting")),
            (Phase::CancelUnderWay, any("cancelling")),
        ];
        let going_on: Vec<Phase> =
            going_on.into_iter().filter(|(_, is)| *is).map(|(phase, _)| phase).collect();
        if going_on.is_empty() && !any("unended") { vec![Phase::Idle] } else { going_on }
    }

    /// The files that steps name.
    pub async fn step_files(&self) -> HashSet<String> {
        let names = "SELECT processed_file AS file FROM step WHERE processed_file IS NOT NULL UNION ALL \
                     SELECT failed_file FROM step WHERE failed_file IS NOT NULL UNION ALL \
                     SELECT raw_file FROM step WHERE raw_file IS NOT NULL";
        sqlx::query_scalar(names).fetch_all(&self.database).await.unwrap().into_iter().collect()
    }

    /// The keys of the stored files of one kind.
    pub fn files(&self, folder: &str) -> HashSet<String> {
        let entries = fs::read_dir(self.data.join("files").join(folder)).unwrap();
        entries.map(|entry| format!("{folder}/{}", entry.unwrap().file_name().display())).collect()
    }
}
