//! Stored files that no row of the database names: left by an interruption, or a sign that the database does not
//! belong to the files.
//!
//! A start moves only the files of known interruptions. It checks all files only if many of the newest have no row,
//! which an older copy of the database would lack first. A running server checks all files in chunks ([`sweep`]) and
//! skips those that are being written.
//!
//! In a bucket, where nothing can be moved and others may be writing, a start checks only that the bucket belongs to the
//! database. A running server deletes files without a row once they are old enough, however many they are.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet},
    io,
    time::Duration,
};

use tokio::{task::spawn_blocking, time::sleep};

use super::{StartError, installation::Partner};
use crate::{
    base::{ids::ImportId, time::UnixMillis},
    files::{Folder, Key, Listing, LocalStorage, Moved, ObjectStorage, Storage, UNNAMED_FOR},
    store::{LONGEST_LIST, Store},
};

/// Up to this many unnamed files that no interruption explains do not cast doubt on the database.
const UNSUSPICIOUS: usize = 2;

/// If one in this many files is unnamed, the database is older than the files, or another one.
const SUSPICIOUS_SHARE: usize = 10;

/// The time that the files of a deletion take at most, unless there are very many.
const DELETED_WITHIN: Duration = Duration::from_secs(2);

/// How many uploads of a bucket without a known row are gathered before the rows of all imports are read for them.
const STRUCK_AT_ONCE: usize = 20_000;

/// The pause of a running server between two chunks, so that a check hardly delays requests.
const PAUSE: Duration = Duration::from_millis(10);

/// The files that no row names.
#[derive(Debug, Default)]
pub(super) struct Unnamed {
    /// No interruption explains these: uploads that were not being recorded, and outputs of runs that the database
    /// does not know.
    unexplained: Vec<Key>,
    /// Outputs of interrupted steps: our function was called for their runs.
    of_steps: Vec<Key>,
    /// Files of uploads that are being recorded and of unfinished deletions.
    unfinished: Vec<Key>,
    /// The number of stored files, named and unnamed.
    pub stored: usize,
}

impl Unnamed {
    pub fn into_all(self) -> Vec<Key> {
        [self.unexplained, self.of_steps, self.unfinished].concat()
    }

    fn is_suspicious(&self) -> bool {
        is_suspicious(self.unexplained.len(), self.stored)
    }

    /// Explains those that `later` does not have: they were being deleted.
    fn confirm(&mut self, later: &Self) {
        let still: HashSet<&Key> = later.unexplained.iter().collect();
        self.unexplained.retain(|key| still.contains(key));
    }

    /// The files to move to the quarantine. The unfinished ones are left to the upload or deletion.
    ///
    /// # Errors
    /// When so many are unexplained that the database probably does not belong to the files.
    fn into_left_behind(self) -> Result<Vec<Key>, StartError> {
        if self.is_suspicious() {
            return Err(StartError::FilesWithoutRows {
                unnamed: self.unexplained.len(),
                stored: self.stored,
            });
        }
        Ok([self.unexplained, self.of_steps].concat())
    }
}

/// Makes sure that the database belongs to the files, and quarantines the files of known interruptions. To be called
/// before anything writes files.
///
/// # Errors
/// When the database is older than the files, so that many of them are unnamed.
pub(super) async fn check_at_start(storage: &Storage, store: &Store) -> Result<(), StartError> {
    let Some(local) = storage.local() else { return Ok(()) };
    // Before anything works: a run that misses its file fails for good.
    bring_back_named(storage, store).await?;
    check_newest(storage, local, store).await?;
    let deletions = store.unfinished_deletions().await?;
    let mut keys = of_deletions(&deletions);
    keys.extend(unrecorded(local, store).await?);
    // Their senders got no answer, so no row is missing.
    keys.extend(local.list(Folder::Incoming)?.collect::<Result<Vec<Key>, _>>()?);
    quarantine(local, keys).await?;
    for (import, _) in deletions {
        store.finish_deletion(import).await?;
    }
    Ok(())
}

/// Refuses a database that lacks the rows of the newest files. Looks for those of at most [`LONGEST_LIST`] uploads and
/// as many outputs; only if many are missing does it check every file.
async fn check_newest(storage: &Storage, local: &LocalStorage, store: &Store) -> Result<(), StartError> {
    let unfinished = unfinished(storage, store).await?;
    let uploads = newest(local, Folder::Uploads).await?;
    let imports: Vec<_> = uploads.iter().filter_map(Key::import).collect();
    let imports = store.imports_among(&imports).await?;
    let outputs = newest(local, Folder::Runs).await?;
    let runs = store.runs_among(&runs_of(&outputs)).await?;
    let is_explained = |key: &Key| {
        unfinished.contains(&key.object_name())
            || key.import().is_some_and(|import| imports.contains(&import))
            || key.run().is_some_and(|run| runs.contains(run))
    };
    let newest = [uploads, outputs];
    let are_suspicious = |is_unexplained: &dyn Fn(&Key) -> bool| {
        let unexplained = |newest: &[Key]| newest.iter().filter(|key| is_unexplained(key)).count();
        newest.iter().any(|newest| is_suspicious(unexplained(newest), newest.len()))
    };
    if !are_suspicious(&|key| !is_explained(key)) {
        return Ok(());
    }
    // The name of an output contains a run's id only in part if the id is not a ULID. The steps name it all the same.
    let all = find(storage, store, None, Duration::ZERO).await?;
    let unexplained: HashSet<&Key> = all.unexplained.iter().collect();
    if are_suspicious(&|key| unexplained.contains(key)) {
        return Err(StartError::FilesWithoutRows { unnamed: all.unexplained.len(), stored: all.stored });
    }
    Ok(())
}

/// Whether so many of `stored` files are unexplained that the database probably does not belong to them.
fn is_suspicious(unexplained: usize, stored: usize) -> bool {
    unexplained > UNSUSPICIOUS.max(stored / SUSPICIOUS_SHARE)
}

/// The files of `folder` whose names are the last in order, at most [`LONGEST_LIST`]. Names begin with an id that
/// begins with a time, except the outputs of runs whose ids are not ULIDs.
async fn newest(local: &LocalStorage, folder: Folder) -> io::Result<Vec<Key>> {
    let files = local.list(folder)?;
    let reading = spawn_blocking(move || {
        let mut newest = BinaryHeap::new();
        for file in files {
            newest.push(Reverse(file?.as_str().to_owned()));
            if newest.len() > LONGEST_LIST {
                newest.pop();
            }
        }
        Ok(newest.into_iter().map(|Reverse(name)| Key::from_stored(name)).collect())
    });
    reading.await.map_err(io::Error::other)?
}

/// Checks every stored file, and quarantines those that no row names and that are not being written. Those of a bucket
/// are deleted if they are old enough, and so are its unfinished uploads. Can be dropped at any point.
///
/// # Errors
/// When so many are unnamed that the database probably does not belong to the folder, or when the bucket belongs to
/// another one. Then nothing is moved or deleted.
pub async fn sweep(storage: &Storage, store: &Store) -> Result<(), StartError> {
    match (storage.local(), storage.bucket()) {
        (Some(local), _) => sweep_folder(storage, local, store).await,
        (None, Some(bucket)) => sweep_bucket(storage, bucket, store).await,
        (None, None) => Ok(()),
    }
}

async fn sweep_folder(storage: &Storage, local: &LocalStorage, store: &Store) -> Result<(), StartError> {
    let mut unnamed = find(storage, store, None, PAUSE).await?;
    if unnamed.is_suspicious() {
        // Rows are deleted before their files, so a deletion of many files looks the same for a moment.
        sleep(DELETED_WITHIN).await;
        unnamed.confirm(&find(storage, store, None, PAUSE).await?);
    }
    quarantine(local, unnamed.into_left_behind()?).await
}

async fn sweep_bucket(storage: &Storage, bucket: &ObjectStorage, store: &Store) -> Result<(), StartError> {
    // Another database may have been joined with it since the start.
    Partner::Bucket(bucket).still_belongs_to(store).await?;
    let until = UnixMillis::wall().minus(UNNAMED_FOR);
    match bucket.abort_unfinished(until).await? {
        0 => {}
        uploads => tracing::warn!(uploads, "deleted the parts of uploads that a killed process began"),
    }
    // Who has joined the wrong database with it has the same time to find that out.
    if bucket.installed_at().await?.is_some_and(|at| at >= until) {
        return Ok(());
    }
    let unnamed = find(storage, store, Some(until), PAUSE).await?;
    let keys = [unnamed.unexplained, unnamed.of_steps].concat();
    let files = keys.len();
    storage.remove_all(keys).await?;
    if files > 0 {
        tracing::warn!(files, "deleted files that an interrupted upload, step or delete left");
    }
    Ok(())
}

async fn quarantine(local: &LocalStorage, keys: Vec<Key>) -> Result<(), StartError> {
    let local = local.clone();
    let moving = spawn_blocking(move || local.quarantine(&keys, UnixMillis::now()));
    if let Some(Moved { folder, files }) = moving.await.map_err(io::Error::other)?? {
        tracing::warn!(
            files,
            folder = %folder.display(),
            "files that an interrupted upload, step or delete left are in quarantine, and are deleted after a day"
        );
    }
    Ok(())
}

/// Returns files from the quarantine that a row names. They were moved there while another database was in use.
pub(super) async fn bring_back_named(storage: &Storage, store: &Store) -> Result<(), StartError> {
    let Some(local) = storage.local() else { return Ok(()) };
    let mut back = 0;
    for moved in local.quarantined()? {
        for folder in [Folder::Uploads, Folder::Runs] {
            let (unnamed, _) = unnamed(storage, store, folder, moved.list(folder)?, Duration::ZERO).await?;
            let mut files = moved.list(folder)?;
            loop {
                let some = files.next(LONGEST_LIST).await?;
                if some.is_empty() {
                    break;
                }
                for key in some.iter().filter(|key| !unnamed.contains(key.as_str())) {
                    back += usize::from(local.bring_back(&moved, key)?);
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

/// Checks every stored file, or those of a bucket that were last written before `until`, with a `pause` between chunks.
/// Skips files that this process is writing.
pub(super) async fn find(
    storage: &Storage,
    store: &Store,
    until: Option<UnixMillis>,
    pause: Duration,
) -> Result<Unnamed, StartError> {
    let list = |folder| match (storage.bucket(), until) {
        (Some(bucket), Some(until)) => Ok(bucket.list_old(folder, until)),
        _ => storage.list(folder),
    };
    let checked = async |folder| unnamed(storage, store, folder, list(folder)?, pause).await;
    let (uploads, stored_uploads) = checked(Folder::Uploads).await?;
    let (outputs, stored_outputs) = checked(Folder::Runs).await?;
    // Read after the rows, which a deletion removes in the transaction that records it. It may be finished by now.
    let unfinished = unfinished(storage, store).await?;
    let mut found = Unnamed { stored: stored_uploads + stored_outputs, ..Unnamed::default() };
    let keys = |names: HashSet<String>| names.into_iter().map(Key::from_stored);
    for key in keys(uploads) {
        let is_unfinished = unfinished.contains(&key.object_name());
        let of = if is_unfinished { &mut found.unfinished } else { &mut found.unexplained };
        of.push(key);
    }
    for some in keys(outputs).collect::<Vec<_>>().chunks(LONGEST_LIST) {
        let known = store.runs_among(&runs_of(some)).await?;
        for key in some {
            let of = if unfinished.contains(&key.object_name()) {
                &mut found.unfinished
            } else if key.run().is_some_and(|run| known.contains(run)) {
                &mut found.of_steps
            } else {
                &mut found.unexplained
            };
            of.push(key.clone());
        }
    }
    Ok(found)
}

/// The files of uploads that are being recorded and of unfinished deletions, as [`Key::object_name`] gives their names.
async fn unfinished(storage: &Storage, store: &Store) -> Result<HashSet<String>, StartError> {
    let mut keys = of_deletions(&store.unfinished_deletions().await?);
    if let Some(local) = storage.local() {
        keys.extend(local.being_recorded()?.into_iter().map(Key::upload));
    }
    Ok(keys.iter().map(Key::object_name).collect())
}

/// The uploads whose recording was interrupted.
async fn unrecorded(local: &LocalStorage, store: &Store) -> Result<Vec<Key>, StartError> {
    let mut keys = Vec::new();
    for some in local.being_recorded()?.chunks(LONGEST_LIST) {
        let known = store.imports_among(some).await?;
        keys.extend(some.iter().filter(|import| !known.contains(import)).copied().map(Key::upload));
    }
    Ok(keys)
}

/// The files of deleted imports.
fn of_deletions(deletions: &[(ImportId, Vec<String>)]) -> Vec<Key> {
    let of = |(import, files): &(ImportId, Vec<String>)| {
        files.iter().cloned().map(Key::from_stored).chain([Key::upload(*import)]).collect::<Vec<_>>()
    };
    deletions.iter().flat_map(of).collect()
}

/// Which of `files`, all of one folder, no row names, and how many files there are. Only the unnamed ones are
/// kept in memory.
async fn unnamed(
    storage: &Storage,
    store: &Store,
    folder: Folder,
    mut files: Listing,
    pause: Duration,
) -> Result<(HashSet<String>, usize), StartError> {
    let (mut unnamed, mut count) = (HashSet::new(), 0);
    let mut struck = 0;
    loop {
        let mut some = files.next(LONGEST_LIST).await?;
        if some.is_empty() {
            break;
        }
        // Checked before the rows are read: a file that is no longer pending has its row by then.
        some.retain(|key| !storage.is_pending(key));
        count += some.len();
        let named = match folder {
            // The names of uploads in a bucket have only a part of the import's id.
            Folder::Uploads if storage.bucket().is_some() => HashSet::new(),
            Folder::Uploads => {
                let ids: Vec<_> = some.iter().filter_map(Key::import).collect();
                let known = store.imports_among(&ids).await?;
                known.into_iter().map(|import| Key::upload(import).as_str().to_owned()).collect()
            }
            Folder::Incoming | Folder::Runs => store.files_of_runs(&runs_of(&some)).await?,
        };
        unnamed.extend(some.iter().map(|key| key.as_str().to_owned()).filter(|key| !named.contains(key)));
        if folder == Folder::Uploads && storage.bucket().is_some() && unnamed.len() >= struck + STRUCK_AT_ONCE
        {
            strike_uploads(store, &mut unnamed).await?;
            struck = unnamed.len();
        }
        sleep(pause).await;
    }
    match folder {
        Folder::Uploads if storage.bucket().is_some() => strike_uploads(store, &mut unnamed).await?,
        // The names of files contain a run's id only in part if the id is not a ULID, so all steps are
        // checked.
        Folder::Runs => store.strike_step_files(&mut unnamed).await?,
        Folder::Incoming | Folder::Uploads => {}
    }
    Ok((unnamed, count))
}

/// Removes from `names` those of uploads in a bucket that have a row. Reads every import once, in chunks.
async fn strike_uploads(store: &Store, names: &mut HashSet<String>) -> Result<(), StartError> {
    let mut last = ImportId::MIN;
    while !names.is_empty() {
        let some = store.uploads_after(last).await?;
        let Some(end) = some.last().copied() else { break };
        for import in some {
            names.remove(&Key::upload(import).object_name());
        }
        last = end;
    }
    Ok(())
}

/// The runs whose ids are in the names of `outputs`.
fn runs_of(outputs: &[Key]) -> Vec<String> {
    let runs: HashSet<&str> = outputs.iter().filter_map(Key::run).collect();
    runs.into_iter().map(str::to_owned).collect()
}
