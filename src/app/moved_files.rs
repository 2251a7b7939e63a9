//! Copies the stored files of a data folder to a bucket, for `runboard move`.

use std::{collections::BTreeSet, io, path::Path};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{StartError, installation::being_filled, stored_files};
use crate::{
    base::{config::BucketConfig, ids::ImportId},
    files::{Folder, INSTALLATION, Key, Storage},
    store::{StepPlace, Store},
};

/// How many files are copied at once. Each takes the memory of two parts of an upload.
const COPIED_AT_ONCE: usize = 8;

/// The files that rows name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopiedFiles {
    /// How many of them the bucket has.
    pub files: u64,
    pub bytes: u64,
    /// How many the bucket had before.
    pub there_before: u64,
    /// How many are not in the folder.
    pub missing: u64,
}

/// What is done with a file.
#[derive(Clone, Copy)]
enum FilePass {
    /// It is copied, unless the bucket has it with the same size: its bytes never change.
    Copy,
    /// The bucket must have it with the same size.
    Check,
}

/// What became of a file of so many bytes.
enum FileOutcome {
    Copied(u64),
    WasThere(u64),
    /// The folder does not have it.
    Missing,
}

/// Copies every file of `storage`, a folder, that a row names to a bucket, which must have no files, or those of an
/// earlier attempt. Afterwards the bucket still belongs to no installation.
///
/// # Errors
/// If the bucket is not free, or a file cannot be copied. A further attempt copies only what is not there.
pub(super) async fn copy_files(
    storage: &Storage,
    store: &Store,
    bucket: &BucketConfig,
    data_dir: &Path,
) -> Result<(Storage, CopiedFiles), StartError> {
    // A file that a row names may be in quarantine.
    stored_files::bring_back_named(storage, store).await?;
    let target = Storage::connect(bucket, data_dir).await?;
    let copying = FileCopy { from: storage, to: &target, store, bucket: bucket.to_string() };
    copying.claim().await?;
    let copied = copying.all(FilePass::Copy).await?;
    let checked = copying.all(FilePass::Check).await?;
    let result = CopiedFiles { there_before: copied.there_before, ..checked };
    Ok((target, result))
}

struct FileCopy<'c> {
    from: &'c Storage,
    to: &'c Storage,
    store: &'c Store,
    /// The bucket, for people.
    bucket: String,
}

impl FileCopy<'_> {
    /// Makes sure that the bucket is free, and marks it, so that no other installation takes it meanwhile.
    async fn claim(&self) -> Result<(), StartError> {
        let database = self.store.setting_if_known(INSTALLATION).await?;
        let mark = being_filled(&database.unwrap_or_default());
        let Some(bucket) = self.to.bucket() else { return Ok(()) };
        match bucket.installation().await.map_err(|error| self.failed(error))? {
            Some(id) if id == mark => Ok(()),
            Some(_) => Err(StartError::BucketOfAnother(self.bucket.clone())),
            None if self.has_files().await.map_err(|error| self.failed(error))? => {
                Err(StartError::BucketWithFiles(self.bucket.clone()))
            }
            None => bucket.set_installation(&mark).await.map_err(|error| self.failed(error)),
        }
    }

    async fn has_files(&self) -> io::Result<bool> {
        for folder in [Folder::Uploads, Folder::Runs] {
            if !self.to.list(folder)?.next(1).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Does the same with every file that a row names.
    async fn all(&self, pass: FilePass) -> Result<CopiedFiles, StartError> {
        let mut sum = CopiedFiles::default();
        let mut last = ImportId::MIN;
        loop {
            let some = self.store.uploads_after(last).await?;
            let Some(end) = some.last().copied() else { break };
            self.some(some.into_iter().map(Key::upload), pass, &mut sum).await?;
            last = end;
        }
        let mut last = StepPlace::default();
        while let Some((names, end)) = self.store.step_files_after(&last).await? {
            let names: BTreeSet<String> = names.into_iter().collect();
            self.some(names.into_iter().map(Key::from_stored), pass, &mut sum).await?;
            last = end;
        }
        Ok(sum)
    }

    async fn some(
        &self,
        keys: impl Iterator<Item = Key>,
        pass: FilePass,
        sum: &mut CopiedFiles,
    ) -> Result<(), StartError> {
        let files = keys.map(|key| self.one(key, pass));
        let mut files = stream::iter(files).buffer_unordered(COPIED_AT_ONCE);
        while let Some(file) = files.try_next().await? {
            let (bytes, was_there) = match file {
                FileOutcome::Copied(bytes) => (bytes, 0),
                FileOutcome::WasThere(bytes) => (bytes, 1),
                FileOutcome::Missing => {
                    sum.missing += 1;
                    continue;
                }
            };
            sum.files += 1;
            sum.bytes = sum.bytes.saturating_add(bytes);
            sum.there_before += was_there;
        }
        if let FilePass::Copy = pass {
            tracing::info!(files = sum.files, bytes = sum.bytes, "in the bucket so far");
        }
        Ok(())
    }

    async fn one(&self, key: Key, pass: FilePass) -> Result<FileOutcome, StartError> {
        let size = match self.from.size(&key).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(FileOutcome::Missing),
            size => size.map_err(|error| self.failed(error))?,
        };
        match self.to.size(&key).await {
            Ok(there) if there == size => return Ok(FileOutcome::WasThere(size)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(self.failed(error)),
            Ok(_) | Err(_) => {}
        }
        match pass {
            FilePass::Copy => {
                let copied = self.from.copy_to(self.to, &key).await;
                copied.map(FileOutcome::Copied).map_err(|error| self.failed(error))
            }
            FilePass::Check => {
                let why = format!("{} is not there with its size", key.object_name());
                Err(self.failed(io::Error::other(why)))
            }
        }
    }

    fn failed(&self, error: io::Error) -> StartError {
        // The answer of a server may have many lines.
        let why = error.to_string().lines().next().unwrap_or_default().trim_end_matches('.').to_owned();
        StartError::FilesNotCopied { bucket: self.bucket.clone(), why }
    }
}
