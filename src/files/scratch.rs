//! Temporary files on the local disk, for what must be read in any order.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use ulid::Ulid;

use super::{folder::make_folder, room};

/// The name of their folder in the data folder.
const FOLDER: &str = "scratch";

/// The folder of temporary files. They have no names, so they are gone when they are closed, even by a kill.
#[derive(Clone, Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Creates the folder in `data_dir`, and empties it of names that a killed process could not remove. Blocks.
    pub(super) fn open(data_dir: &Path) -> io::Result<Self> {
        let folder = data_dir.join(FOLDER);
        make_folder(&folder)?;
        for entry in fs::read_dir(&folder)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(Self(folder))
    }

    /// A new empty file. Fails with a full disk unless there is room for `bytes`. Blocks.
    pub(super) fn file(&self, bytes: u64) -> io::Result<File> {
        room::ensure(&self.0, bytes)?;
        let path = self.0.join(Ulid::new().to_string());
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        fs::remove_file(path)?;
        Ok(file)
    }
}
