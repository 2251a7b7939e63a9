//! Room on the disk that the files are on.

use std::{io, path::Path};

/// What files leave free, in bytes. The database is on the same disk unless an operator put it
/// elsewhere; with this much it can go on recording what became of a step that found no room.
pub const RESERVE: u64 = 64 << 20;

/// Fails as a full disk does ([`io::ErrorKind::StorageFull`]) if `bytes` more in `folder` would leave
/// less than [`RESERVE`]. Asks the file system, which takes microseconds on a local one. Nothing is set
/// aside: two that ask at once may be granted the same room, and one of them is then refused later.
pub(super) fn ensure(folder: &Path, bytes: u64) -> io::Result<()> {
    let disk = rustix::fs::statvfs(folder)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < bytes.saturating_add(RESERVE) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_disk_has_room_for_everything() {
        let folder = std::env::temp_dir();
        assert!(ensure(&folder, 0).is_ok(), "a machine that builds this has some room");
        assert_eq!(ensure(&folder, u64::MAX).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
