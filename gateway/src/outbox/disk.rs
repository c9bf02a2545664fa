//! How much room the disk has. SQLite needs some to delete: a disk that the outbox itself has filled to the last byte could never be emptied again.

use std::path::Path;

use rustix::fs::statvfs;

/// So much stays free: what SQLite's log may hold, and as much again to fold it into the file.
const FLOOR: u64 = 8 << 20;

/// Free bytes below which no event is written.
fn floor(size: u64) -> u64 {
    FLOOR.min(size / 4)
}

/// True if an event may be written in `dir`. A file system that tells nothing is asked by writing.
pub(super) fn has_room(dir: &Path) -> bool {
    statvfs(dir).is_ok_and(|told| {
        let unit = told.f_frsize;
        told.f_blocks == 0 || told.f_bavail.saturating_mul(unit) >= floor(told.f_blocks.saturating_mul(unit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_disk_is_not_all_floor() {
        assert_eq!(floor(8 << 20), 2 << 20);
        assert_eq!(floor(1 << 40), FLOOR);
    }
}
