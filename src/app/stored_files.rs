//! Stored files that no row of the database names.

use std::{collections::HashSet, io};

use super::StartError;
use crate::{
    base::{ids::ImportId, time::UnixMillis},
    files::{Folder, Key, Storage},
    store::{LONGEST_LIST, Store},
};

/// Up to this many unnamed files that no interruption explains do not cast doubt on the database.
const UNSUSPICIOUS: u64 = 2;

/// If one in this many files is unnamed, the database is older than the files, or another one.
const SUSPICIOUS_SHARE: u64 = 10;

/// The result of [`find`].
pub(super) struct Unnamed {
    /// The files that no row names.
    pub keys: Vec<Key>,
    /// How many of them no kill explains: uploads that were not being recorded, and outputs of runs that the
    /// database does not know. Files of an interrupted deletion are explained.
    unexplained: u64,
    /// The number of stored files, without those that were still arriving.
    pub stored: u64,
    /// The deleted imports whose files may be among them.
    deletions: Vec<ImportId>,
}

/// Moves the files that no row names into the quarantine, or refuses the start if they are too many. Before
/// that, files in the quarantine that a row names return to their places.
pub(super) async fn quarantine_unnamed(storage: &Storage, store: &Store) -> Result<(), StartError> {
    bring_back_named(storage, store).await?;
    let Unnamed { mut keys, unexplained, stored, deletions } = find(storage, store).await?;
    if unexplained > UNSUSPICIOUS.max(stored / SUSPICIOUS_SHARE) {
        return Err(StartError::FilesWithoutRows { unnamed: unexplained, stored });
    }
    // Their senders got no answer, so no row is missing.
    keys.extend(storage.list(Folder::Incoming)?.collect::<Result<Vec<Key>, _>>()?);
    if !keys.is_empty() {
        let folder = storage.quarantine(&keys, UnixMillis::now())?;
        tracing::warn!(
            files = keys.len(),
            folder = %folder.display(),
            "files that an interrupted upload, step or delete left are in quarantine, and are deleted after a day"
        );
    }
    for import in deletions {
        store.finish_deletion(import).await?;
    }
    Ok(())
}

/// Returns files from the quarantine that a row names. They were moved there by a start with another
/// database.
pub(super) async fn bring_back_named(storage: &Storage, store: &Store) -> Result<(), StartError> {
    let mut back = 0;
    for moved in storage.quarantined()? {
        for folder in [Folder::Uploads, Folder::Runs] {
            let (unnamed, _) = unnamed(store, folder, moved.list(folder)?).await?;
            for key in moved.list(folder)? {
                let key = key?;
                if !unnamed.contains(key.as_str()) {
                    back += usize::from(storage.bring_back(&moved, &key)?);
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

/// Which of `files`, all of one folder, no row names, and how many files there are. Only the unnamed ones are
/// kept in memory.
async fn unnamed(
    store: &Store,
    folder: Folder,
    mut files: impl Iterator<Item = io::Result<Key>>,
) -> Result<(HashSet<String>, u64), StartError> {
    let (mut unnamed, mut count) = (HashSet::new(), 0);
    while let Some(some) = next_of(&mut files)? {
        count += some.len() as u64;
        let named = match folder {
            Folder::Uploads => {
                let ids: Vec<_> = some.iter().filter_map(Key::import).collect();
                let known = store.imports_among(&ids).await?;
                known.into_iter().map(|import| Key::upload(import).as_str().to_owned()).collect()
            }
            Folder::Incoming | Folder::Runs => store.files_of_runs(&runs_of(&some)).await?,
        };
        unnamed.extend(some.iter().map(|key| key.as_str().to_owned()).filter(|key| !named.contains(key)));
    }
    if folder == Folder::Runs {
        // The names of files contain a run's id only in part if the id is not a ULID, so all steps are
        // checked.
        store.strike_step_files(&mut unnamed).await?;
    }
    Ok((unnamed, count))
}

/// Checks every stored file.
pub(super) async fn find(storage: &Storage, store: &Store) -> Result<Unnamed, StartError> {
    let (uploads, stored_uploads) = unnamed(store, Folder::Uploads, storage.list(Folder::Uploads)?).await?;
    let (outputs, stored_outputs) = unnamed(store, Folder::Runs, storage.list(Folder::Runs)?).await?;
    let deletions = store.unfinished_deletions().await?;
    let of_deletions = deletions.iter().flat_map(|(import, files)| {
        files.iter().cloned().map(Key::from_stored).chain([Key::upload(*import)])
    });
    let being_recorded = storage.being_recorded()?.into_iter().map(Key::upload);
    let explained: HashSet<Key> = being_recorded.chain(of_deletions).collect();
    let mut keys: Vec<Key> = uploads.into_iter().map(Key::from_stored).collect();
    let outputs: Vec<Key> = outputs.into_iter().map(Key::from_stored).collect();
    let mut unexplained = keys.iter().filter(|key| !explained.contains(key)).count();
    for some in outputs.chunks(LONGEST_LIST) {
        let known = store.runs_among(&runs_of(some)).await?;
        let is_known = |key: &Key| key.run().is_some_and(|run| known.contains(run));
        unexplained += some.iter().filter(|key| !explained.contains(key) && !is_known(key)).count();
    }
    keys.extend(outputs);
    let deletions = deletions.into_iter().map(|(import, _)| import).collect();
    let stored = stored_uploads + stored_outputs;
    Ok(Unnamed { keys, unexplained: unexplained as u64, stored, deletions })
}

/// The next [`LONGEST_LIST`] of `files`, or fewer at the end; None after it.
fn next_of(files: &mut impl Iterator<Item = io::Result<Key>>) -> io::Result<Option<Vec<Key>>> {
    let some: Vec<Key> = files.take(LONGEST_LIST).collect::<Result<_, _>>()?;
    Ok((!some.is_empty()).then_some(some))
}

/// The runs whose ids are in the names of `outputs`.
fn runs_of(outputs: &[Key]) -> Vec<String> {
    let runs: HashSet<&str> = outputs.iter().filter_map(Key::run).collect();
    runs.into_iter().map(str::to_owned).collect()
}
