//! Follows the imports that other replicas watch and users ask for here: each change that is told is read from the
//! database.

mod load;
mod read;

use std::{collections::HashMap, pin::pin, time::Duration};

use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Imports, Shared,
    snapshot::Unrecorded,
    told::{ImportChanged, TellAgain, TellOwner},
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
const TOLD_AT_ONCE: usize = 50;
const TOLD_EVERY: Duration = Duration::from_millis(25);

/// What was told of an import since it was last read.
#[derive(Debug, Default)]
struct Told {
    /// The number of its last change that is in the database.
    recorded: Option<u64>,
    unrecorded: Option<Unrecorded>,
}

/// What must be read.
#[derive(Debug, Default)]
struct Unread {
    imports: HashMap<(UserId, ImportId), Told>,
    /// Messages were missed: all that is followed, watched or being sent here must be read. The number of that.
    all: Option<u64>,
}

impl Unread {
    fn is_empty(&self) -> bool {
        self.imports.is_empty() && self.all.is_none()
    }

    /// Adds imports of which nothing was told.
    fn add(&mut self, imports: impl IntoIterator<Item = (UserId, ImportId)>) {
        for key in imports {
            self.imports.entry(key).or_default().recorded.get_or_insert(0);
        }
    }

    /// Adds what was told before.
    fn join(&mut self, earlier: Self) {
        self.all = self.all.max(earlier.all);
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
        mut requests_for_owners: Listener<TellOwner>,
    ) {
        let shared = &self.shared;
        let stopping = shared.tasks.stopping();
        let mut unread = Unread::default();
        // When the watchers are asked, and when they were asked last.
        let mut asks_at: Option<Instant> = None;
        let mut asked_at: Option<Instant> = None;
        loop {
            // What arrives during a read is noted at once, so that readers wait for it.
            let batch = std::mem::take(&mut unread);
            let mut reading = pin!(store::within(READ_WITHIN, shared.read_again(batch)));
            let (mut is_read, mut resumes_at) = (false, None);
            while !is_read || resumes_at.is_some() || unread.is_empty() {
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
                    _ = requests.next() => shared.tell_again(&self, None),
                    heard = requests_for_owners.next() => match heard {
                        Heard::Told(TellOwner { owner }) => shared.tell_again(&self, Some(owner)),
                        // The asker goes on without what was not told.
                        Heard::Missed => {}
                    },
                    () = sleep_until(asks_at.unwrap_or_else(Instant::now)), if asks_at.is_some() => {
                        (asks_at, asked_at) = (None, Some(Instant::now()));
                        shared.replicas.bus().tell(&TellAgain {});
                    }
                    left = &mut reading, if !is_read => {
                        is_read = true;
                        unread.join(left.again);
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

    /// Tells what only this replica knows of those of these imports that it watches.
    async fn tell_watched(self, keys: Vec<(UserId, ImportId)>) {
        for some in keys.chunks(TOLD_AT_ONCE) {
            self.shared.snapshots.tell_watched(some);
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
    /// The database is away.
    failed: Option<(Unread, store::Error)>,
}

impl Shared {
    fn note(&self, unread: &mut Unread, heard: Heard<ImportChanged>) {
        match heard {
            Heard::Told(ImportChanged { owner, import, .. }) if !self.must_know(owner, import) => {}
            Heard::Told(ImportChanged { owner, import, is_recorded: false, unrecorded: None }) => {
                // Of so many runs that it fits no message.
                self.snapshots.set_told(owner, import);
            }
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

    /// Has the watches of this replica told again, of the imports of `owner` or of all.
    fn tell_again(&self, imports: &Imports, owner: Option<UserId>) {
        let watched = self.snapshots.watched(owner);
        if !watched.is_empty() {
            self.tasks.spawn(imports.clone().tell_watched(watched));
        }
    }
}
