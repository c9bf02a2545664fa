//! A small disk of its own for a test. It needs the right to mount; who may not is told so, because a test that skips itself proves nothing.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A tmpfs that is gone when dropped.
pub struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// Mounts `mib` MiB at a folder that is there.
    pub fn mount(at: &Path, mib: u32) -> Self {
        let disk = Self { at: at.to_owned() };
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={mib}m,mode=700"), "passage-test"]).arg(at));
        disk
    }

    /// Takes every free byte.
    pub fn fill(&self) {
        use std::io::Write as _;
        let mut file = std::fs::File::options().create(true).append(true).open(self.at.join("filler")).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            let block = vec![0x55u8; size];
            while file.write_all(&block).is_ok() {}
        }
    }

    /// Gives them back.
    pub fn free(&self) {
        std::fs::remove_file(self.at.join("filler")).unwrap();
    }

    /// Makes it read-only, or writable again. Nothing may be open for writing on it.
    pub fn read_only(&self, read_only: bool) {
        let option = if read_only { "remount,ro" } else { "remount,rw" };
        run(Command::new("mount").args(["-o", option]).arg(&self.at));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("mount is installed");
    assert!(
        output.status.success(),
        "this test needs a disk that it can fill, and may not mount one: {}. Mend: run it as root, as deploy/test in a container does",
        String::from_utf8_lossy(&output.stderr)
    );
}
