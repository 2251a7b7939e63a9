//! An observer that reads an import continuously and remembers what was shown.

use std::time::{Duration, Instant};

use runboard::{
    base::ids::ImportId,
    imports::{ImportState, Snapshot},
};

use super::world::World;

const DEADLINE: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(1);

pub struct Witness<'w> {
    world: &'w World,
    pub id: ImportId,
    pub last: Snapshot,
}

impl<'w> Witness<'w> {
    pub async fn of(world: &'w World, id: ImportId) -> Self {
        Self { world, id, last: world.snapshot(id).await }
    }

    /// Observes until `condition` holds, and checks everything that is shown on the way.
    pub async fn watch_until(&mut self, what: &str, condition: impl Fn(&Snapshot) -> bool) {
        let start = Instant::now();
        while !condition(&self.last) {
            assert!(start.elapsed() < DEADLINE, "waited for {what}, last seen: {:?}", self.last);
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.world.snapshot(self.id).await;
            self.compare(&now).await;
            self.last = now;
        }
    }

    pub async fn watch_until_completed(&mut self) {
        self.watch_until("its end", |import| state(import) == ImportState::Completed).await;
    }

    /// Whether one state may follow the other.
    async fn compare(&self, now: &Snapshot) {
        let (from, to) = (state(&self.last), state(now));
        let what = || format!("from {:?}\nto {now:?}", self.last);
        assert!(rank(to) >= rank(from), "{from:?} became {to:?}: {}", what());
        assert!(now.runs.len() <= 1 && now.runs.len() >= self.last.runs.len(), "{}", what());
        let Some(run) = now.runs.first() else { return };
        let all = World::counts();
        if let Some(counts) = run.counts() {
            assert!(counts.processed <= all.0 && counts.failed <= all.1, "{}", what());
        }
        if let Some(before) = self.last.runs.first() {
            assert_eq!(before.row.run_id, run.row.run_id);
            let counts = |run: &runboard::imports::RunSnapshot| {
                run.counts().map(|counts| (counts.processed, counts.failed))
            };
            let (before, after) = (counts(before), counts(run));
            let fell = match (before, after) {
                (Some(before), Some(after)) => after.0 < before.0 || after.1 < before.1,
                (before, after) => before.is_some() && after.is_none(),
            };
            assert!(!fell, "counts fell: {}", what());
        }
        if to == ImportState::Completed {
            let counts = run.counts().map(|counts| (counts.processed, counts.failed));
            assert_eq!(counts, Some(all), "shown as the end: {}", what());
            let runs = self.world.runs(self.id).await;
            assert!(runs.iter().all(|run| run.ended_at.is_some()), "shown before the end: {runs:?}");
        }
    }
}

pub fn state(import: &Snapshot) -> ImportState {
    import.state()
}

/// The order of states while only a proxy misbehaves.
fn rank(state: ImportState) -> u32 {
    match state {
        ImportState::Held | ImportState::Accepted => 0,
        ImportState::Sent | ImportState::NoFunction => 1,
        ImportState::Running => 2,
        ImportState::Completed => 3,
        ImportState::GivenUp
        | ImportState::Lost
        | ImportState::Failed
        | ImportState::Cancelled
        | ImportState::Skipped => {
            panic!("nothing that went wrong was shown as {state:?}")
        }
    }
}
