//! Whether the database belongs to the stored files: both have the same random id, which the first start generates. It
//! is the setting [`INSTALLATION`] of the database, and the file or object of that name.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use ulid::Ulid;

use super::StartError;
use crate::{
    base::config::Config,
    files::{INSTALLATION, ObjectStorage, Storage},
    store::Store,
};

/// A new random id.
pub(super) fn new_id() -> String {
    Ulid::new().to_string()
}

/// In place of an id in a bucket that gets the files of the installation with this id, until it has all of them.
pub(super) fn being_filled(id: &str) -> String {
    format!("files of {id} are being moved here")
}

/// What the database has as its partner.
#[derive(Clone, Copy, Debug)]
pub(super) enum Partner<'p> {
    /// The data folder, with the stored files in it.
    Folder(&'p Path),
    /// The bucket of the stored files. The data folder then has none, and a new one does as well.
    Bucket(&'p ObjectStorage),
}

impl<'p> Partner<'p> {
    pub(super) fn of(config: &'p Config, storage: &'p Storage) -> Self {
        storage.bucket().map_or(Self::Folder(&config.data_dir), Self::Bucket)
    }

    /// Refuses a database that does not belong to the files: its imports would lack their files, and the files their
    /// imports.
    pub(super) async fn check(self, store: &Store) -> Result<(), StartError> {
        let in_database = store.setting_if_known(INSTALLATION).await?;
        match (self.id().await?, in_database) {
            (Some(files), Some(database)) if files == database => Ok(()),
            (Some(files), Some(database)) if files == being_filled(&database) => Err(self.half_moved()),
            (Some(_), None) => Err(self.without_database()),
            (None, None) => self.join(store).await,
            // A first start was interrupted between writing the two ids, or files are to be kept elsewhere before there
            // are any.
            (None, Some(_)) if store.count_imports().await? == 0 => self.join(store).await,
            (None | Some(_), Some(_)) => Err(self.with_another_database()),
        }
    }

    /// Refuses a database that does not have the id of the files, even if the files have none.
    pub(super) async fn still_belongs_to(self, store: &Store) -> Result<(), StartError> {
        match self.id().await? == store.setting_if_known(INSTALLATION).await? {
            true => Ok(()),
            false => Err(self.with_another_database()),
        }
    }

    /// Gives the files and the database a new common id. Their former partners do not have it.
    pub(super) async fn join(self, store: &Store) -> Result<(), StartError> {
        let id = new_id();
        // The database first, because files with an id refuse a database without one.
        store.change_setting(INSTALLATION, &id).await?;
        self.write(&id).await
    }

    /// Gives the files the id that the database has already.
    pub(super) async fn write(self, id: &str) -> Result<(), StartError> {
        match self {
            Self::Folder(data_dir) => write_id(data_dir, id),
            Self::Bucket(bucket) => Ok(bucket.set_installation(id).await?),
        }
    }

    async fn id(self) -> Result<Option<String>, StartError> {
        match self {
            Self::Folder(data_dir) => id_in(data_dir),
            Self::Bucket(bucket) => Ok(bucket.installation().await?),
        }
    }

    fn without_database(self) -> StartError {
        match self {
            Self::Folder(data_dir) => StartError::EmptyDatabase(data_dir.to_owned()),
            Self::Bucket(bucket) => StartError::EmptyDatabaseOfBucket(bucket.name().to_owned()),
        }
    }

    fn half_moved(self) -> StartError {
        match self {
            Self::Folder(data_dir) => StartError::OtherInstallation(data_dir.to_owned()),
            Self::Bucket(bucket) => StartError::HalfMoved(bucket.name().to_owned()),
        }
    }

    fn with_another_database(self) -> StartError {
        match self {
            Self::Folder(data_dir) => StartError::OtherInstallation(data_dir.to_owned()),
            Self::Bucket(bucket) => StartError::OtherBucket(bucket.name().to_owned()),
        }
    }
}

fn id_in(data_dir: &Path) -> Result<Option<String>, StartError> {
    match fs::read_to_string(data_dir.join(INSTALLATION)) {
        Ok(id) => Ok(Some(id.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StartError::DataDir { path: data_dir.to_owned(), source }),
    }
}

/// Writes the id atomically, also across a power failure.
fn write_id(data_dir: &Path, id: &str) -> Result<(), StartError> {
    let write = || {
        let new = data_dir.join("installation.new");
        let mut file = File::create(&new)?;
        file.write_all(id.as_bytes())?;
        file.sync_all()?;
        fs::rename(new, data_dir.join(INSTALLATION))?;
        File::open(data_dir)?.sync_all()
    };
    write().map_err(|source| StartError::DataDir { path: data_dir.to_owned(), source })
}
