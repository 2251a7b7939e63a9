//! Free space on the disk of the stored files.

use std::{io, path::Path};

/// The bytes that stored files leave free. The database is usually on the same disk, and needs this space to
/// record the result of a step that found no room.
pub const RESERVE: u64 = 64 << 20;

/// Fails with a full disk ([`io::ErrorKind::StorageFull`]) if `bytes` more in `folder` would leave less than
/// [`RESERVE`] free. Queries the file system, which takes microseconds on a local one. Nothing is reserved:
/// two callers may be granted the same space, and one of them fails later.
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
