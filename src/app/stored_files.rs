//! Stored files that no row of the database names.

use std::collections::HashSet;

use super::StartError;
use crate::{
    source::{Folder, Key, Storage},
    store::{self, LONGEST_LIST, Store},
    time::UnixMillis,
};

/// Up to so many files without a row say nothing of the database: a kill leaves the uploads that had arrived
/// and were not recorded, and the files of an import that was being deleted.
const LEFT_BY_A_KILL: u64 = 8;

/// One file in so many without a row: the database is older than the files, or another one.
const SUSPICIOUS_SHARE: u64 = 10;

/// What [`find`] found.
pub(super) struct Unnamed {
    /// The files that no row names.
    pub keys: Vec<Key>,
    /// How many of these no kill explains: uploads without an import, and outputs of runs that the database
    /// has never heard of.
    unexplained: u64,
    /// All stored files, but those that were still arriving.
    pub stored: u64,
}

/// Moves the files that no row names into the quarantine, or refuses the start if they are too many.
pub(super) async fn quarantine_unnamed(storage: &Storage, store: &Store) -> Result<(), StartError> {
    let Unnamed { mut keys, unexplained, stored } = find(storage, store).await?;
    if unexplained > LEFT_BY_A_KILL.max(stored / SUSPICIOUS_SHARE) {
        return Err(StartError::FilesWithoutRows { unnamed: unexplained, stored });
    }
    // Their senders had no answer, so that no row is missing.
    keys.extend(storage.list(Folder::Incoming)?.collect::<Result<Vec<Key>, _>>()?);
    if !keys.is_empty() {
        let folder = storage.quarantine(&keys, UnixMillis::now())?;
        tracing::warn!(
            files = keys.len(),
            folder = %folder.display(),
            "files that an interrupted upload, step or delete left are in quarantine, and are deleted after a day"
        );
    }
    Ok(())
}

/// Looks at every stored file. Only the names that no row has are kept in memory.
pub(super) async fn find(storage: &Storage, store: &Store) -> Result<Unnamed, StartError> {
    let mut stored = 0;
    let mut uploads = Vec::new();
    for_some(storage, Folder::Uploads, &mut stored, async |some| {
        let ids: Vec<_> = some.iter().filter_map(Key::import).collect();
        let known = store.imports_among(&ids).await?;
        uploads.extend(some.into_iter().filter(|key| key.import().is_none_or(|id| !known.contains(&id))));
        Ok(())
    })
    .await?;
    let mut outputs = HashSet::new();
    for_some(storage, Folder::Runs, &mut stored, async |some| {
        let named = store.files_of_runs(&runs_of(&some)).await?;
        outputs.extend(some.iter().map(|key| key.as_str().to_owned()).filter(|key| !named.contains(key)));
        Ok(())
    })
    .await?;
    // A run's id that is no ULID is not repeated whole in the names of its files.
    store.strike_step_files(&mut outputs).await?;
    let outputs: Vec<Key> = outputs.into_iter().map(Key::from_stored).collect();
    let mut unexplained = uploads.len();
    for some in outputs.chunks(LONGEST_LIST) {
        let known = store.runs_among(&runs_of(some)).await?;
        unexplained += some.iter().filter(|key| key.run().is_none_or(|run| !known.contains(run))).count();
    }
    uploads.extend(outputs);
    Ok(Unnamed { keys: uploads, unexplained: unexplained as u64, stored })
}

/// Passes the files of `folder` on, some at a time, and counts them.
async fn for_some(
    storage: &Storage,
    folder: Folder,
    stored: &mut u64,
    mut pass: impl AsyncFnMut(Vec<Key>) -> store::Result<()>,
) -> Result<(), StartError> {
    let mut files = storage.list(folder)?;
    loop {
        let some: Vec<Key> = files.by_ref().take(LONGEST_LIST).collect::<Result<_, _>>()?;
        if some.is_empty() {
            return Ok(());
        }
        *stored += some.len() as u64;
        pass(some).await?;
    }
}

/// The runs whose ids the names of `outputs` repeat.
fn runs_of(outputs: &[Key]) -> Vec<String> {
    let runs: HashSet<&str> = outputs.iter().filter_map(Key::run).collect();
    runs.into_iter().map(str::to_owned).collect()
}
