//! The folder of the outbox, and what waits in it.

use std::{
    fs::{File, remove_file},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use passage_config::Outbox;
use passage_protocol::Millis;
use rustix::fs::{StatVfsMountFlags, statvfs};

use super::finding::Finding;
use crate::outbox::look::Look;

/// With less, SQLite can hardly work.
const ALMOST_FULL: u64 = 16 << 20;
/// A durable write takes some ms on a good card.
const SLOW: Duration = Duration::from_millis(500);
/// Events that wait longer than this show that something is wrong.
const OLD: Duration = Duration::from_secs(3600);

/// What the disk says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// The folder that `data` names.
    pub folder: PathBuf,
    /// It is there.
    pub exists: bool,
    pub is_read_only: bool,
    /// Bytes that this user may still write.
    pub free: u64,
    /// How long a small durable write took, or why it failed.
    pub write: Result<Duration, String>,
}

/// Writes a small file into the folder, or, before the first start, into the nearest folder above that is there.
///
/// # Errors
/// The file system tells nothing.
pub(super) fn gather(folder: &Path) -> io::Result<Facts> {
    let there = folder.ancestors().find(|ancestor| ancestor.is_dir()).unwrap_or(Path::new("."));
    let told = statvfs(there)?;
    Ok(Facts {
        folder: folder.to_owned(),
        exists: there == folder,
        is_read_only: told.f_flag.contains(StatVfsMountFlags::RDONLY),
        free: told.f_bavail.saturating_mul(told.f_frsize),
        write: write(there).map_err(|e| e.to_string()),
    })
}

fn write(folder: &Path) -> io::Result<Duration> {
    let path = folder.join(format!(".passage-doctor-{}", hex::encode(rand::random::<[u8; 6]>())));
    let start = Instant::now();
    let result = File::create_new(&path).and_then(|mut file| {
        file.write_all(&[0; 4096])?;
        file.sync_data()
    });
    let took = start.elapsed();
    let removed = if result.is_ok() || path.exists() { remove_file(&path) } else { Ok(()) };
    result.and(removed).map(|()| took)
}

/// Judges the disk.
pub(super) fn judge(facts: &io::Result<Facts>, bounds: &Outbox) -> Finding {
    const CHECK: &str = "disk";
    let facts = match facts {
        Ok(facts) => facts,
        Err(e) => return Finding::wrong(CHECK, format!("the file system of `data` tells nothing: {e}"), "correct `data` in gateway.toml"),
    };
    let folder = facts.folder.display();
    if facts.is_read_only {
        let what = format!("the file system of {folder} is read-only; the kernel does that when a card fails");
        return Finding::wrong(CHECK, what, "look at `dmesg`, and replace the card before it loses more");
    }
    let took = match &facts.write {
        Ok(took) => *took,
        Err(why) if facts.free < ALMOST_FULL => {
            return Finding::wrong(
                CHECK,
                format!("the disk of {folder} is full: {why}"),
                "free space; `du -x / | sort -n | tail` shows what fills it",
            );
        }
        Err(why) => {
            let mend =
                format!("run this as the user of the gateway's service; `chown` {folder} to that user, or correct `data` in gateway.toml");
            return Finding::wrong(CHECK, format!("nothing can be written in {folder}: {why}"), mend);
        }
    };
    let mib = facts.free >> 20;
    if facts.free < ALMOST_FULL {
        return Finding::wrong(
            CHECK,
            format!("only {mib} MiB are free for {folder}"),
            "free space; `du -x / | sort -n | tail` shows what fills it",
        );
    }
    if facts.free < bounds.max_bytes {
        let most = bounds.max_bytes >> 20;
        let what = format!("{mib} MiB are free for {folder}, but the outbox may grow to {most} MiB in a long outage");
        return Finding::warning(CHECK, what, "free space, or lower outbox.max_bytes in gateway.toml");
    }
    if took > SLOW {
        let what = format!("a durable write into {folder} took {} ms", took.as_millis());
        return Finding::warning(CHECK, what, "look what else writes to the disk; a card that is slow all the time will soon fail");
    }
    let new = if facts.exists { "" } else { " (made at the first start)" };
    Finding::ok(CHECK, format!("{folder}{new}: {mib} MiB free, a durable write takes {} ms", took.as_millis()))
}

/// Judges what waits for a hub.
pub(super) fn judge_outbox(look: &Result<Option<Look>, String>, bounds: &Outbox, now: Millis) -> Finding {
    const CHECK: &str = "outbox";
    let look = match look {
        Ok(Some(look)) => look,
        Ok(None) => return Finding::ok(CHECK, "none yet; it is made at the first start"),
        Err(why) => {
            let mend = "if the gateway runs, its log says more; a damaged outbox is set aside at the next start";
            return Finding::warning(CHECK, format!("it cannot be read: {why}"), mend);
        }
    };
    let Some(oldest) = look.oldest else { return Finding::ok(CHECK, "empty: a hub has stored every event") };
    let age = Duration::from_millis(u64::try_from(now.since(oldest)).unwrap_or(0));
    let what = format!("{} events in {} KiB wait for a hub, the oldest for {}", look.events, look.bytes.div_ceil(1024), spoken(age));
    if look.bytes > bounds.max_bytes / 10 * 9 {
        return Finding::wrong(
            CHECK,
            format!("{what}; it is nearly full, and the oldest will be evicted"),
            "mend the way to the hub, see the lines of broker and hub",
        );
    }
    if age > OLD {
        return Finding::warning(CHECK, what, "see the lines of broker and hub; an event leaves only when a hub has stored it");
    }
    Finding::ok(CHECK, what)
}

fn spoken(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::finding::State, *};

    const MIB: u64 = 1 << 20;
    const NOW: Millis = Millis(1_795_165_200_000);

    #[test]
    fn the_disk_must_be_writable_have_room_and_be_fast() {
        let good =
            Facts { folder: "data".into(), exists: true, is_read_only: false, free: 4096 * MIB, write: Ok(Duration::from_millis(4)) };
        let denied = || Err("Permission denied".to_owned());
        let cases = [
            (good.clone(), State::Ok, "4096 MiB free"),
            (Facts { exists: false, ..good.clone() }, State::Ok, "first start"),
            (Facts { is_read_only: true, write: denied(), ..good.clone() }, State::Wrong, "read-only"),
            (Facts { write: denied(), ..good.clone() }, State::Wrong, "Permission denied"),
            (Facts { write: Err("No space left".into()), free: 0, ..good.clone() }, State::Wrong, "full"),
            (Facts { free: 3 * MIB, ..good.clone() }, State::Wrong, "only 3 MiB"),
            (Facts { free: 100 * MIB, ..good.clone() }, State::Warning, "256 MiB"),
            (Facts { write: Ok(Duration::from_secs(2)), ..good.clone() }, State::Warning, "2000 ms"),
        ];
        for (facts, state, what) in cases {
            let finding = judge(&Ok(facts), &Outbox::default());
            assert!(finding.state == state && finding.what.contains(what), "{finding}");
        }
        assert_eq!(judge(&Err(io::Error::other("gone")), &Outbox::default()).state, State::Wrong);
    }

    #[test]
    fn what_waits_in_the_outbox_is_told_with_its_age() {
        let look = |events, bytes, age: u64| {
            let oldest = (events > 0).then(|| NOW - Duration::from_secs(age));
            Ok(Some(Look {
                epoch: "e".into(),
                next: 9,
                first: 1,
                events,
                bytes,
                oldest,
                reserved: 9,
                ranges: vec![],
                gone: vec![],
                dead: 0,
            }))
        };
        let cases = [
            (Ok(None), State::Ok, "none yet"),
            (look(0, 0, 0), State::Ok, "every event"),
            (look(3, 900, 5), State::Ok, "3 events in 1 KiB wait for a hub, the oldest for 5 s"),
            (look(3, 900, 7_300), State::Warning, "2 h"),
            (look(900_000, 250 * MIB, 9 * 86_400), State::Wrong, "nearly full"),
            (Err("database disk image is malformed".to_owned()), State::Warning, "malformed"),
        ];
        for (look, state, what) in cases {
            let finding = judge_outbox(&look, &Outbox::default(), NOW);
            assert!(finding.state == state && finding.what.contains(what), "{finding}");
        }
    }

    #[test]
    fn the_folder_is_tried_and_nothing_is_left_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let facts = gather(&folder.path().join("not/yet/there")).unwrap();
        assert!(!facts.exists && !facts.is_read_only && facts.free > 0 && facts.write.is_ok(), "{facts:?}");
        assert!(gather(folder.path()).unwrap().exists);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
