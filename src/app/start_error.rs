//! Why a start is refused.

use std::{io, net::SocketAddr, path::PathBuf};

use crate::{accounts, files::BucketError, inngest, store};

/// Why the server did not start. The text says what to change.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("The data folder {} is in use by another Runboard. Stop it, or set RUNBOARD_DATA_DIR to another folder.", .0.display())]
    InUse(PathBuf),
    #[error("Cannot listen on {address}: {source}. RUNBOARD_ENGINE_LISTEN sets the address.")]
    EngineListen { address: SocketAddr, source: io::Error },
    #[error("The data folder {} cannot be used: {source}. RUNBOARD_DATA_DIR sets it.", path.display())]
    DataDir { path: PathBuf, source: io::Error },
    #[error("Cannot listen on {address}: {source}. RUNBOARD_LISTEN sets the address.")]
    Listen { address: SocketAddr, source: io::Error },
    #[error(
        "The database is not the one of the data folder {}. Set RUNBOARD_DATABASE_URL and RUNBOARD_DATA_DIR as they were; or, after a restore or a move, join the two with `runboard adopt`, which deletes nothing.",
        .0.display()
    )]
    OtherInstallation(PathBuf),
    #[error(
        "The database is empty, but the data folder {} has been used with another one. Set RUNBOARD_DATABASE_URL as it was, or RUNBOARD_DATA_DIR to a new folder; or, after a move, join the two with `runboard adopt`, which deletes nothing.",
        .0.display()
    )]
    EmptyDatabase(PathBuf),
    #[error(
        "The database is not the one of the files in {0}: its imports have their files elsewhere, or these belong to another database. Set RUNBOARD_DATABASE_URL and RUNBOARD_STORAGE_URL as they were; or, after a restore or a move, join the two with `runboard adopt`, which deletes nothing."
    )]
    OtherBucket(String),
    #[error(
        "The database is empty, but the files in {0} have been used with another one. Set RUNBOARD_DATABASE_URL as it was, or RUNBOARD_STORAGE_URL to another bucket or prefix; or, after a move, join the two with `runboard adopt`, which deletes nothing."
    )]
    EmptyDatabaseOfBucket(String),
    #[error("{0}")]
    Bucket(#[from] BucketError),
    #[error(
        "No import in the database names {unnamed} of {stored} stored files: the database may be older than the files. Nothing was moved. Restore the newer database; or keep this one with `runboard adopt`, which sets these files aside and deletes nothing."
    )]
    FilesWithoutRows { unnamed: usize, stored: usize },
    #[error(
        "The database is in use by another Runboard, and was for 15 s. (One whose connection was cut keeps it for up to 20 s.) Stop it, or set RUNBOARD_DATABASE_URL to another database. Several can share one if each has the same RUNBOARD_STORAGE_URL."
    )]
    DatabaseInUse,
    #[error(
        "The database {} is in use by another Runboard, with another data folder. Stop it, or set RUNBOARD_DATABASE_URL to another file. Only a Postgres can be shared by several, and only with a bucket (RUNBOARD_STORAGE_URL).",
        .0.display()
    )]
    DatabaseFileInUse(PathBuf),
    /// To a command. Another folder or database would be no way out.
    #[error(
        "{0} is in use by another Runboard. Stop every Runboard that uses this database, and run the command again. (One whose connection to a Postgres was cut keeps it for up to 20 s.)"
    )]
    NotStopped(String),
    #[error("There is no folder {}. RUNBOARD_DATA_DIR sets it.", .0.display())]
    NoDataDir(PathBuf),
    #[error(
        "No Runboard has been started with {0} yet. Set RUNBOARD_DATA_DIR or RUNBOARD_DATABASE_URL as for the server, or start it once."
    )]
    NoDatabase(String),
    #[error(
        "{0} was last used by another version of Runboard. Start the server of this version with it first."
    )]
    OtherVersion(String),
    #[error("The database cannot be used: {0}")]
    Store(#[from] store::Error),
    #[error(
        "The database is not a SQLite file. Set RUNBOARD_DATA_DIR or RUNBOARD_DATABASE_URL to the one that is moved."
    )]
    NothingToMove,
    #[error("The move failed: {0}.")]
    Copy(#[from] store::CopyError),
    #[error("The present database cannot be used: {0}. RUNBOARD_DATABASE_URL or RUNBOARD_DATA_DIR sets it.")]
    Source(#[source] store::Error),
    #[error("The new database (--to) cannot be used: {0}")]
    Target(#[source] store::Error),
    #[error(
        "The new database (--to) is in use by another Runboard. (One whose connection was cut keeps it for up to 20 s.) Stop it, or move to another database."
    )]
    TargetInUse,
    #[error(
        "The files are in {0} already: --files-to moves those of a data folder. Leave it out, or unset RUNBOARD_STORAGE_URL."
    )]
    FilesInBucket(String),
    #[error("{0} belongs to another installation. Set --files-to to another bucket or prefix.")]
    BucketOfAnother(String),
    #[error("{0} has stored files already. Set --files-to to another bucket or prefix.")]
    BucketWithFiles(String),
    #[error(
        "The files could not all be copied to {bucket}: {why}. Nothing else has changed. Run the command again: it copies what is not there yet."
    )]
    FilesNotCopied { bucket: String, why: String },
    #[error(
        "{0} has only a part of the files: `runboard move --files-to {0}` has not ended. Unset RUNBOARD_STORAGE_URL, and run it again."
    )]
    HalfMoved(String),
    /// The database has its new id, and the files do not.
    #[error("{moved}; finish with `runboard adopt` with {set}. The last step failed: {why}")]
    NotJoined { moved: &'static str, set: &'static str, why: String },
    #[error("The engine cannot be used: {0}")]
    Engine(#[from] inngest::Error),
    #[error("The server cannot start: {0}")]
    Io(#[from] io::Error),
    #[error("Accounts cannot be used: {0}")]
    Accounts(#[from] accounts::Error),
    #[error("The database has an invalid link_key. Remove it; earlier links to files then become invalid.")]
    LinkKey,
    #[error("E-mails cannot be sent: {0}")]
    Mail(#[from] accounts::SmtpSetupError),
    #[error("An address cannot be written as a URL: {0}")]
    Url(#[from] url::ParseError),
}

impl StartError {
    /// The same to a command, which needs all servers stopped.
    pub(super) fn of_command(self) -> Self {
        Self::NotStopped(match self {
            Self::InUse(folder) => format!("The data folder {}", folder.display()),
            Self::DatabaseFileInUse(file) => format!("The database {}", file.display()),
            Self::DatabaseInUse => "The database".to_owned(),
            other => return other,
        })
    }
}
