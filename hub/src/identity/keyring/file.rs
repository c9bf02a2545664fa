//! The key file on the disk: made once, changed whole, read again when it has changed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use super::ring::Ring;

/// Reads the key file.
pub(super) fn read(file: &Path) -> io::Result<Ring> {
    let bad = |why| {
        let mend = "Mend: take the file that this database was written with from your safe copy";
        io::Error::new(io::ErrorKind::InvalidData, format!("{} {why}. {mend}", file.display()))
    };
    Ring::parse(&fs::read(file)?).map_err(bad)
}

/// Reads the key file, or makes it with mode 0600.
pub(super) fn read_or_create(file: &Path) -> io::Result<Ring> {
    match read(file) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let secret: [u8; 32] = rand::random();
            // One that is there already stays.
            put(file, &secret, |draft| match fs::hard_link(draft, file) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                linked => linked,
            })?;
            read(file)
        }
        read => read,
    }
}

/// Puts another ring into the place of the one on the disk, whole or not at all.
pub(super) fn replace(file: &Path, ring: &Ring) -> io::Result<()> {
    put(file, ring.to_text().as_bytes(), |draft| fs::rename(draft, file))
}

fn put(file: &Path, bytes: &[u8], place: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let folder = file.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let draft = folder.join(format!(".{}.new", uuid::Uuid::now_v7()));
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let placed = out.write_all(bytes).and_then(|()| out.sync_all()).and_then(|()| place(&draft));
    if draft.exists() {
        fs::remove_file(&draft)?;
    }
    placed?;
    // Without its entry in the folder the database would be sealed with a secret that a power cut takes away.
    File::open(folder)?.sync_all()
}
