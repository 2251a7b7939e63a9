//! Stored files: a folder, written with plain file writes.

use std::path::PathBuf;

use crate::ids::{ImportId, RunId};

/// The folder of stored files.
#[derive(Clone, Debug)]
pub struct Storage {
    root: PathBuf,
}

/// The name of a stored file, relative to the folder: never anything a client said.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(String);

/// A file that is being received. Dropped before it is kept, it is gone.
#[derive(Debug)]
pub struct Incoming {
    _path: PathBuf,
}

impl Key {
    #[must_use]
    pub fn upload(import: ImportId) -> Self {
        Self(format!("uploads/{import}.csv"))
    }

    /// A new random name for an output of `run`.
    #[must_use]
    pub fn output(_run: &RunId) -> Self {
        todo!()
    }

    /// A name as the `step` table has it.
    #[must_use]
    pub fn from_stored(name: String) -> Self {
        Self(name)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Storage {
    /// The path of a stored file.
    #[must_use]
    pub fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.as_str())
    }
}
