//! Stored files that no row of the database names.

use std::{collections::HashSet, io};

use super::StartError;
use crate::{
    source::{Folder, Key, Storage},
    store::{self, LONGEST_LIST, Store},
    time::UnixMillis,
};

/// Up to so many files without a row, and without a trace of what was interrupted, say nothing of the database.
const UNSUSPICIOUS: u64 = 2;

/// One file in so many without a row: the database is older than the files, or another one.
const SUSPICIOUS_SHARE: u64 = 10;

/// What [`find`] found.
pub(super) struct Unnamed {
    /// The files that no row names.
    pub keys: Vec<Key>,
    /// How many of these no kill explains: uploads that were not being recorded, and outputs of runs that the
    /// database has never heard of. A deletion that was interrupted explains its own.
    unexplained: u64,
    /// All stored files, but those that were still arriving.
    pub stored: u64,
}

/// Moves the files that no row names into the quarantine, or refuses the start if they are too many. Before
/// that, those in the quarantine that a row names go back to their places.
pub(super) async fn quarantine_unnamed(storage: &Storage, store: &Store) -> Result<(), StartError> {
    bring_back_named(storage, store).await?;
    let deletions = store.unfinished_deletions().await?;
    let Unnamed { mut keys, unexplained, stored } = find(storage, store).await?;
    if unexplained > UNSUSPICIOUS.max(stored / SUSPICIOUS_SHARE) {
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
    for (import, _) in deletions {
        store.finish_deletion(import).await?;
    }
    Ok(())
}

/// Brings back from the quarantine what a row names: the database that moved it there was not the right one.
pub(super) async fn bring_back_named(storage: &Storage, store: &Store) -> Result<(), StartError> {
    let mut back = 0;
    for moved in storage.quarantined()? {
        for folder in [Folder::Uploads, Folder::Runs] {
            let mut files = moved.list(folder)?;
            while let Some(some) = next_of(&mut files)? {
                let unnamed = unnamed(store, folder, some.clone()).await?;
                let mut unnamed: HashSet<String> =
                    unnamed.iter().map(|key| key.as_str().to_owned()).collect();
                if folder == Folder::Runs {
                    store.strike_step_files(&mut unnamed).await?;
                }
                for key in some.iter().filter(|key| !unnamed.contains(key.as_str())) {
                    back += usize::from(storage.bring_back(&moved, key)?);
                }
            }
        }
    }
    if back > 0 {
        tracing::warn!(
            files = back,
            "the database names files that were in quarantine: they are back in place"
        );
    }
    Ok(())
}

/// Which of `keys`, at most [`LONGEST_LIST`] of one folder, no row names.
async fn unnamed(store: &Store, folder: Folder, keys: Vec<Key>) -> store::Result<Vec<Key>> {
    if folder == Folder::Uploads {
        let ids: Vec<_> = keys.iter().filter_map(Key::import).collect();
        let known = store.imports_among(&ids).await?;
        return Ok(keys
            .into_iter()
            .filter(|key| key.import().is_none_or(|id| !known.contains(&id)))
            .collect());
    }
    let named = store.files_of_runs(&runs_of(&keys)).await?;
    let mut rest: HashSet<String> = keys.iter().map(|key| key.as_str().to_owned()).collect();
    rest.retain(|key| !named.contains(key));
    Ok(rest.into_iter().map(Key::from_stored).collect())
}

/// Looks at every stored file. Only the names that no row has are kept in memory.
pub(super) async fn find(storage: &Storage, store: &Store) -> Result<Unnamed, StartError> {
    let mut stored = 0;
    let (mut uploads, mut outputs) = (Vec::new(), HashSet::new());
    for folder in [Folder::Uploads, Folder::Runs] {
        let mut files = storage.list(folder)?;
        while let Some(some) = next_of(&mut files)? {
            stored += some.len() as u64;
            let unnamed = unnamed(store, folder, some).await?;
            match folder {
                Folder::Runs => outputs.extend(unnamed.into_iter().map(|key| key.as_str().to_owned())),
                _ => uploads.extend(unnamed),
            }
        }
    }
    // A run's id that is no ULID is not repeated whole in the names of its files.
    store.strike_step_files(&mut outputs).await?;
    let outputs: Vec<Key> = outputs.into_iter().map(Key::from_stored).collect();
    let mut explained: HashSet<Key> = storage.being_recorded()?.into_iter().map(Key::upload).collect();
    for (import, files) in store.unfinished_deletions().await? {
        explained.extend(files.into_iter().map(Key::from_stored).chain([Key::upload(import)]));
    }
    let mut unexplained = uploads.iter().filter(|key| !explained.contains(key)).count();
    for some in outputs.chunks(LONGEST_LIST) {
        let known = store.runs_among(&runs_of(some)).await?;
        let is_known = |key: &Key| key.run().is_some_and(|run| known.contains(run));
        unexplained += some.iter().filter(|key| !explained.contains(key) && !is_known(key)).count();
    }
    uploads.extend(outputs);
    Ok(Unnamed { keys: uploads, unexplained: unexplained as u64, stored })
}

/// The next [`LONGEST_LIST`] of `files`, or fewer at the end; None behind it.
fn next_of(files: &mut impl Iterator<Item = io::Result<Key>>) -> io::Result<Option<Vec<Key>>> {
    let some: Vec<Key> = files.take(LONGEST_LIST).collect::<Result<_, _>>()?;
    Ok((!some.is_empty()).then_some(some))
}

/// The runs whose ids the names of `outputs` repeat.
fn runs_of(outputs: &[Key]) -> Vec<String> {
    let runs: HashSet<&str> = outputs.iter().filter_map(Key::run).collect();
    runs.into_iter().map(str::to_owned).collect()
}
