//! Follows the imports that other replicas watch and users ask for here: each change that is told is read from the
//! database.

mod read;

use std::{collections::HashMap, pin::pin, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Imports, Shared, Snapshot,
    snapshot::Unrecorded,
    told::{self, ImportChanged, TellAgain},
};
use crate::{
    base::ids::{ImportId, UserId},
    replicas::{Heard, HeardOrCurrent, Listener},
    store,
};

/// The pause before a database that does not answer is asked again, and how long a statement may take.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);
const READ_WITHIN: Duration = Duration::from_secs(3);
/// A replica that misses messages asks the watchers at most this often, because all of them answer.
const TELL_AGAIN_EVERY: Duration = Duration::from_secs(10);
/// So many imports are told again at once, and the pause until the next ones.
const TOLD_AT_ONCE: usize = 200;
const TOLD_EVERY: Duration = Duration::from_millis(100);

/// How long those who ask first for the imports of a user wait until their watchers have told what only they know.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// What was told of an import since it was last read.
#[derive(Debug, Default)]
struct Told {
    /// The number of its last change that is in the database.
    recorded: Option<u64>,
    unrecorded: Option<Unrecorded>,
}

/// The number of the change with which a user is followed, and until when the watchers may tell what only they know.
type Added = (u64, Instant);

/// What must be read.
#[derive(Debug, Default)]
struct Unread {
    imports: HashMap<(UserId, ImportId), Told>,
    /// The users who are followed from now on.
    owners: HashMap<UserId, Added>,
    /// Messages were missed: all that is followed, watched or being sent here must be read. The number of that.
    all: Option<u64>,
}

impl Unread {
    fn is_empty(&self) -> bool {
        self.imports.is_empty() && self.owners.is_empty() && self.all.is_none()
    }

    /// Adds what was told before.
    fn join(&mut self, earlier: Self) {
        self.all = self.all.max(earlier.all);
        for (owner, added) in earlier.owners {
            let later = self.owners.entry(owner).or_insert(added);
            *later = added.max(*later);
        }
        for (key, told) in earlier.imports {
            let later = self.imports.entry(key).or_default();
            later.recorded = later.recorded.max(told.recorded);
            later.unrecorded = later.unrecorded.take().or(told.unrecorded);
        }
    }
}

impl Imports {
    /// Follows what the others tell until the server stops.
    pub(super) async fn follow(
        self,
        mut changes: Listener<ImportChanged>,
        mut requests: Listener<TellAgain>,
    ) {
        let shared = &self.shared;
        let stopping = shared.tasks.stopping();
        let mut unread = Unread::default();
        // When the watchers are asked, and when they were asked last.
        let mut asks_at: Option<Instant> = None;
        let mut asked_at: Option<Instant> = None;
        // The users whose imports are loaded, and not all told.
        let mut untold: HashMap<UserId, Added> = HashMap::new();
        loop {
            // What arrives during a read is noted at once, so that readers wait for it.
            let batch = std::mem::take(&mut unread);
            let mut reading = pin!(store::within(READ_WITHIN, shared.read_again(batch)));
            let (mut is_read, mut resumes_at) = (false, None);
            while !is_read || resumes_at.is_some() || unread.is_empty() {
                let gives_up_at = untold.values().map(|(_, until)| *until).min();
                tokio::select! {
                    () = stopping.cancelled() => return,
                    heard = changes.next_or_current() => {
                        let heard = match heard {
                            HeardOrCurrent::Heard(heard) => heard,
                            HeardOrCurrent::Current(at) => {
                                shared.snapshots.freshness().set_current(at);
                                continue;
                            }
                        };
                        if heard == Heard::Missed {
                            let earliest = asked_at.map_or_else(Instant::now, |asked| asked + TELL_AGAIN_EVERY);
                            asks_at.get_or_insert(earliest);
                        }
                        shared.note(&mut unread, heard);
                    }
                    heard = requests.next() => {
                        let owner = match heard {
                            Heard::Told(TellAgain { owner }) => owner,
                            Heard::Missed => None,
                        };
                        let watched = shared.snapshots.watched(owner);
                        if !watched.is_empty() {
                            shared.tasks.spawn(self.clone().tell_again(watched));
                        }
                    }
                    added = shared.snapshots.owners().next_added() => {
                        for (owner, change) in added {
                            unread.owners.insert(owner, (change, Instant::now() + TOLD_WITHIN));
                            shared.snapshots.expect_told(owner);
                            // An answer is noted after this, so it is shown with the imports or after them.
                            shared.replicas.bus().tell(&TellAgain { owner: Some(owner) });
                        }
                    }
                    () = sleep_until(gives_up_at.unwrap_or_else(Instant::now)), if gives_up_at.is_some() => {
                        shared.show_told(&mut untold);
                    }
                    () = sleep_until(asks_at.unwrap_or_else(Instant::now)), if asks_at.is_some() => {
                        (asks_at, asked_at) = (None, Some(Instant::now()));
                        shared.replicas.bus().tell(&TellAgain { owner: None });
                    }
                    left = &mut reading, if !is_read => {
                        is_read = true;
                        unread.join(left.again);
                        untold.extend(left.loaded);
                        shared.show_told(&mut untold);
                        if let Some((failed, error)) = left.failed {
                            tracing::warn!(%error, "imports of other replicas cannot be read");
                            unread.join(failed);
                            resumes_at = Some(Instant::now() + ASK_AGAIN_AFTER);
                        }
                    }
                    // What is told meanwhile is noted.
                    () = sleep_until(resumes_at.unwrap_or_else(Instant::now)), if resumes_at.is_some() => {
                        resumes_at = None;
                    }
                }
            }
        }
    }

    /// Tells what only this replica knows of imports that it watches.
    async fn tell_again(self, watched: Vec<Arc<Snapshot>>) {
        for some in watched.chunks(TOLD_AT_ONCE) {
            for import in some {
                told::unrecorded(self.shared.replicas.bus(), import);
            }
            if self.shared.tasks.stopping().run_until_cancelled(sleep(TOLD_EVERY)).await.is_none() {
                return;
            }
        }
    }
}

/// What a read has left over.
#[derive(Default)]
struct Left {
    /// Changed here meanwhile: to be read again at once.
    again: Unread,
    /// The users whose imports are loaded.
    loaded: HashMap<UserId, Added>,
    /// The database is away.
    failed: Option<(Unread, store::Error)>,
}

impl Shared {
    fn note(&self, unread: &mut Unread, heard: Heard<ImportChanged>) {
        match heard {
            Heard::Told(ImportChanged { owner, import, .. }) if !self.must_know(owner, import) => {}
            Heard::Told(ImportChanged { owner, import, is_recorded, unrecorded }) => {
                let recorded = is_recorded.then(|| self.snapshots.freshness().mark(owner, Some(import)));
                let told = unread.imports.entry((owner, import)).or_default();
                told.recorded = recorded.or(told.recorded);
                told.unrecorded = unrecorded.or(told.unrecorded.take());
            }
            Heard::Missed => unread.all = Some(self.snapshots.freshness().mark_all()),
        }
    }

    /// Whether what is told of an import must be read. An import whose event is being sent here may have been cancelled.
    /// What is passed over is in the database, because a change is told once it is recorded: it is read when its owner is
    /// asked for, and once a watch of it begins here (`Imports::watch`). A watcher that begins with a new import is told to
    /// look at it by the replica that has cancelled or deleted it (`News::Look`).
    fn must_know(&self, owner: UserId, import: ImportId) -> bool {
        self.snapshots.owners().contains(owner)
            || self.snapshots.is_watched(import)
            || self.sending().contains_key(&import)
    }

    /// Lets those go on who wait for what the watchers tell, once that is told or does not come.
    fn show_told(&self, untold: &mut HashMap<UserId, Added>) {
        let now = Instant::now();
        let told = untold.extract_if(|owner, (_, until)| *until <= now || self.snapshots.is_told(*owner));
        told.for_each(|(owner, (change, _))| self.snapshots.freshness().clear(owner, None, change));
    }
}
