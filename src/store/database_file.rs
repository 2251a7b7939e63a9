//! Checks whether a SQLite database's file is still in place.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    str::FromStr,
};

use sqlx::sqlite::SqliteConnectOptions;

use super::{Error, Result, is_postgres};

/// The file of an open SQLite database. If it is deleted or replaced, SQLite keeps accepting writes that no
/// later start will read, so they must be refused.
#[derive(Clone, Debug)]
pub(super) struct DatabaseFile {
    /// None for Postgres and for a database in memory.
    file: Option<(PathBuf, FileId)>,
}

/// Device and inode.
type FileId = (u64, u64);

impl DatabaseFile {
    /// The file of the open database at `url`.
    pub(super) fn of(url: &str) -> io::Result<Self> {
        let Some(path) = sqlite_file(url) else { return Ok(Self { file: None }) };
        let id = file_id(&path)?;
        Ok(Self { file: Some((path, id)) })
    }

    /// Fails if the file was deleted or replaced.
    pub(super) fn check(&self) -> Result<()> {
        let Some((path, id)) = &self.file else { return Ok(()) };
        match file_id(path) {
            Ok(now) if now == *id => Ok(()),
            Ok(_) => Err(Error::Gone { path: path.clone(), why: "another file is in its place".to_owned() }),
            Err(error) => Err(Error::Gone { path: path.clone(), why: error.to_string() }),
        }
    }
}

/// The file of the SQLite database at `url`; None if the database has no file.
#[must_use]
pub fn sqlite_file(url: &str) -> Option<PathBuf> {
    if is_postgres(url) || url.contains(":memory:") || url.contains("mode=memory") {
        return None;
    }
    let options = SqliteConnectOptions::from_str(url).ok()?;
    Some(options.get_filename().to_owned())
}

fn file_id(path: &Path) -> io::Result<FileId> {
    let file = fs::metadata(path)?;
    Ok((file.dev(), file.ino()))
}
