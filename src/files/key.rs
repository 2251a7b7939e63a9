//! The names of stored files.

use ulid::Ulid;

use crate::base::ids::{ImportId, RunId};

pub(super) const INCOMING: &str = "incoming";
pub(super) const UPLOADS: &str = "uploads";
pub(super) const RUNS: &str = "runs";

/// The characters of an import's id that say when it was made.
const TIME_CHARS: usize = 10;

/// How many characters of a run's id an output's name contains: a whole ULID.
const RUN_ID_CHARS: usize = 26;

/// The name of a stored file, relative to the folder. Never contains client input.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(String);

impl Key {
    #[must_use]
    pub fn upload(import: ImportId) -> Self {
        Self(format!("{UPLOADS}/{import}.csv"))
    }

    /// A new random name for an output of `run`. It contains the run's id, so that an operator can identify
    /// the file, but only its letters and digits: an engine's ids may contain anything.
    #[must_use]
    pub fn output(run: &RunId) -> Self {
        let run: String =
            run.as_str().chars().filter(char::is_ascii_alphanumeric).take(RUN_ID_CHARS).collect();
        Self(format!("{RUNS}/{run}-{}", Ulid::new()))
    }

    /// The import whose upload this is, read from the name.
    #[must_use]
    pub fn import(&self) -> Option<ImportId> {
        self.0.strip_prefix(UPLOADS)?.strip_prefix('/')?.strip_suffix(".csv")?.parse().ok()
    }

    /// The name of the object that has this file: that of an upload without the time in the import's id, which is not
    /// known before the upload has arrived whole.
    #[must_use]
    pub fn object_name(&self) -> String {
        match self.import() {
            Some(import) => format!("{UPLOADS}/{}.csv", &import.to_string()[TIME_CHARS..]),
            None => self.0.clone(),
        }
    }

    /// The last part of the name.
    pub(super) fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The part of an output's name that comes from its run's id.
    #[must_use]
    pub fn run(&self) -> Option<&str> {
        let (run, _) = self.0.strip_prefix(RUNS)?.strip_prefix('/')?.split_once('-')?;
        Some(run)
    }

    /// A name read from the database.
    #[must_use]
    pub fn from_stored(name: String) -> Self {
        Self(name)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
