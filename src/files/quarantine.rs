//! Stored files that no row names are moved aside, never deleted at once.
//!
//! A file without a row is left by a kill, or shows that the database is not the one that the files belong
//! to. The quarantine gives an operator a day to tell the two apart: a file that a row names again, after the
//! right database was restored, returns to its place.

use std::{fs, io, path::PathBuf, time::Duration};

use super::{
    Folder, Key,
    folder::{list, make_folder},
    key::{INCOMING, RUNS, UPLOADS},
    listing::Listing,
    local::LocalStorage,
};
use crate::base::time::UnixMillis;

const QUARANTINE: &str = "quarantine";

/// How long a file stays in the quarantine.
pub const QUARANTINED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// One move into the quarantine.
#[derive(Debug)]
pub struct Quarantined {
    folder: PathBuf,
    at: UnixMillis,
}

/// The files of one move, and their new folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    pub folder: PathBuf,
    pub files: usize,
}

impl LocalStorage {
    /// The moves in the quarantine. Entries whose name is not a time are skipped. Blocks.
    pub fn quarantined(&self) -> io::Result<Vec<Quarantined>> {
        let entries = match fs::read_dir(self.root().join(QUARANTINE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut moves = Vec::new();
        for entry in entries {
            let entry = entry?;
            if let Some(at) = entry.file_name().to_str().and_then(UnixMillis::from_rfc3339) {
                moves.push(Quarantined { folder: entry.path(), at });
            }
        }
        Ok(moves)
    }

    /// Moves `key` back to its place before the quarantine. Returns false and moves nothing if a file is
    /// there already. Blocks.
    pub fn bring_back(&self, from: &Quarantined, key: &Key) -> io::Result<bool> {
        let place = self.path(key);
        match fs::hard_link(from.folder.join(key.as_str()), &place) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            // Some file systems have no hard links.
            Err(_) if !place.exists() => fs::rename(from.folder.join(key.as_str()), &place)?,
            Err(error) => return Err(error),
            Ok(()) => fs::remove_file(from.folder.join(key.as_str()))?,
        }
        Ok(true)
    }

    /// Moves those of `keys` that exist into a new folder of the quarantine. The folder is named after the time of
    /// the move, because a rename keeps a file's own time. None if no file exists. Blocks.
    pub fn quarantine(&self, keys: &[Key], now: UnixMillis) -> io::Result<Option<Moved>> {
        self.move_aside(keys, &format!("{QUARANTINE}/{}", stamp(now)))
    }

    /// Does the same with a new folder beside the others, from which Runboard never deletes them. Blocks.
    pub fn set_aside(&self, keys: &[Key], now: UnixMillis) -> io::Result<Option<Moved>> {
        self.move_aside(keys, &format!("set-aside-{}", stamp(now)))
    }

    fn move_aside(&self, keys: &[Key], folder: &str) -> io::Result<Option<Moved>> {
        let mut moved = Moved { folder: self.root().join(folder), files: 0 };
        for key in keys {
            let place = self.path(key);
            // The file may have been deleted since it was listed.
            if !place.try_exists()? {
                continue;
            }
            if moved.files == 0 {
                for sub_folder in [INCOMING, UPLOADS, RUNS] {
                    make_folder(&moved.folder.join(sub_folder))?;
                }
            }
            match fs::rename(place, moved.folder.join(key.as_str())) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                renamed => {
                    renamed?;
                    moved.files += 1;
                }
            }
        }
        Ok((moved.files > 0).then_some(moved))
    }

    /// Deletes the moves that have been in the quarantine for [`QUARANTINED_FOR`]. Returns their number.
    /// Blocks.
    pub fn sweep_quarantine(&self, now: UnixMillis) -> io::Result<usize> {
        let mut swept = 0;
        for moved in self.quarantined()? {
            if moved.is_over(now) {
                fs::remove_dir_all(moved.folder)?;
                swept += 1;
            }
        }
        Ok(swept)
    }
}

impl Quarantined {
    /// Whether a sweep at `now` deletes it.
    #[must_use]
    pub fn is_over(&self, now: UnixMillis) -> bool {
        now.since(self.at) >= QUARANTINED_FOR
    }

    /// The files of this move that were in `folder`. Blocks.
    pub fn list(&self, folder: Folder) -> io::Result<Listing> {
        Ok(Listing::of_files(list(&self.folder, folder)?))
    }
}

/// RFC 3339 without characters that are special in other programs.
fn stamp(at: UnixMillis) -> String {
    at.to_string().replace(['-', ':'], "")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::base::ids::ImportId;

    #[test]
    fn the_quarantine_counts_from_the_move_not_from_when_a_file_was_written() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let storage = LocalStorage::open(folder.path().to_owned()).expect("a folder of stored files");
        let upload = Key::upload(ImportId::generate());
        let path = storage.path(&upload);
        let file = fs::File::create(&path).expect("an upload");
        file.set_modified(std::time::UNIX_EPOCH).expect("a time long ago");
        let moved_at = UnixMillis(1_795_466_651_123);
        let gone = Key::upload(ImportId::generate());
        let moved = storage.quarantine(&[gone.clone(), upload.clone()], moved_at).expect("the move");
        let Some(Moved { folder: to, files: 1 }) = moved else { panic!("{moved:?}") };
        assert_eq!(storage.quarantine(&[gone], moved_at).expect("nothing to move"), None);
        assert!(!path.exists() && to.join(upload.as_str()).exists(), "{}", to.display());
        for made in [to.join(UPLOADS), to.clone(), folder.path().join(QUARANTINE)] {
            let mode = fs::metadata(&made).expect("a folder that was made").permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{}", made.display());
        }
        fs::create_dir(folder.path().join("quarantine/an-operators-own")).expect("another entry");

        let sweep = |after: Duration| storage.sweep_quarantine(moved_at.plus(after)).expect("a sweep");
        assert_eq!(sweep(QUARANTINED_FOR - Duration::from_millis(1)), 0);
        // A clock that was set back.
        assert_eq!(storage.sweep_quarantine(moved_at.minus(QUARANTINED_FOR * 2)).expect("a sweep"), 0);
        assert!(to.join(upload.as_str()).exists());
        assert_eq!(sweep(QUARANTINED_FOR), 1);
        assert!(!to.exists() && folder.path().join("quarantine/an-operators-own").exists());
    }
}
