//! What the replicas tell each other of an import.

use serde::{Deserialize, Serialize};

use super::{Snapshot, snapshot::Unrecorded};
use crate::{
    base::ids::{ImportId, UserId},
    replicas::{Bus, Message},
};

/// An import has changed on the replica that tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportChanged {
    pub owner: UserId,
    pub import: ImportId,
    /// Whether the database says more than before, or that the import is gone.
    pub is_recorded: bool,
    /// What only the teller knows.
    pub unrecorded: Option<Unrecorded>,
}

impl Message for ImportChanged {
    const TOPIC: &'static str = "imports.changed";
}

/// The teller has missed messages: all watchers tell again what only they know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TellAgain {}

impl Message for TellAgain {
    const TOPIC: &'static str = "imports.tell-again";
}

/// The teller follows the imports of this user from now on: their watchers tell again what only they know. A topic of its
/// own, because the version before answers [`TellAgain`] for all imports; it does not answer this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TellOwner {
    pub owner: UserId,
}

impl Message for TellOwner {
    const TOPIC: &'static str = "imports.tell-owner";
}

/// Tells that an import is new here, or gone.
pub(super) fn recorded(bus: &Bus, owner: UserId, import: ImportId) {
    bus.tell(&ImportChanged { owner, import, is_recorded: true, unrecorded: None });
}

/// The same, and this replica reads it again, too.
pub(super) fn recorded_for_all(bus: &Bus, owner: UserId, import: ImportId) {
    bus.tell_all(&ImportChanged { owner, import, is_recorded: true, unrecorded: None });
}

/// Tells the difference of two states of an import.
pub(super) fn change(bus: &Bus, before: &Snapshot, now: &Snapshot) {
    let is_recorded = !now.is_recorded_as(before);
    let unrecorded = now.unrecorded();
    if is_recorded || unrecorded != before.unrecorded() {
        tell(bus, now, is_recorded, Some(unrecorded));
    }
}

/// Tells what only its watcher knows of an import.
pub(super) fn unrecorded(bus: &Bus, now: &Snapshot) {
    tell(bus, now, false, Some(now.unrecorded()));
}

fn tell(bus: &Bus, now: &Snapshot, is_recorded: bool, unrecorded: Option<Unrecorded>) {
    let mut told = ImportChanged { owner: now.row.owner, import: now.row.id, is_recorded, unrecorded };
    if !bus.tell(&told) {
        // Of so many runs that only the database can say it.
        told.unrecorded = None;
        bus.tell(&told);
    }
}
