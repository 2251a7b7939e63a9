//! Why a start is refused.

use std::{io, net::SocketAddr, path::PathBuf};

use crate::{accounts, inngest, store};

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
    #[error("The database is not the one of the data folder {}. RUNBOARD_DATABASE_URL and RUNBOARD_DATA_DIR belong together: set both as they were, or start with a new folder and a new database.", .0.display())]
    OtherInstallation(PathBuf),
    #[error("The database cannot be used: {0}")]
    Store(#[from] store::Error),
    #[error("The engine cannot be used: {0}")]
    Engine(#[from] inngest::Error),
    #[error("The server cannot start: {0}")]
    Io(#[from] io::Error),
    #[error("Accounts cannot be used: {0}")]
    Accounts(#[from] accounts::Error),
    #[error(
        "The database has a link_key that is not one. Remove it; links to files made before then no longer hold."
    )]
    LinkKey,
    #[error("An address cannot be written as a URL: {0}")]
    Url(#[from] url::ParseError),
}
