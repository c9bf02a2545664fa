//! Key and certificates on the disk: whole or not at all.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use super::EnrolError;

/// The authority's certificate.
pub const CA: &str = "ca.crt";
/// This gateway's certificate.
pub const CERT: &str = "gateway.crt";
/// This gateway's key.
pub const KEY: &str = "gateway.key";

/// Finds out before the invitation is used up.
pub(super) fn writable(folder: &Path) -> Result<(), EnrolError> {
    let probe = folder.join(".gateway.probe");
    let tried = fs::create_dir_all(folder).and_then(|()| fs::write(&probe, b"")).and_then(|()| fs::remove_file(&probe));
    tried.map_err(|source| failed(folder, source))
}

pub(super) fn write(folder: &Path, name: &str, text: &str, mode: u32) -> Result<(), EnrolError> {
    replace(&folder.join(name), text, mode)
}

/// Puts `text` in the place of a file.
pub(super) fn replace(file: &Path, text: &str, mode: u32) -> Result<(), EnrolError> {
    let folder = file.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let draft = folder.join(format!(".{name}.new"));
    let written = || -> io::Result<()> {
        match fs::remove_file(&draft) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        fs::rename(&draft, file)?;
        // Without its entry in the folder, a power cut takes the file away.
        fs::File::open(folder)?.sync_all()
    };
    written().map_err(|source| failed(file, source))
}

fn failed(file: &Path, source: io::Error) -> EnrolError {
    EnrolError::File { file: file.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_readable_by_its_owner_alone_even_over_an_old_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(KEY), "old").unwrap();
        write(dir.path(), KEY, "new", 0o600).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join(KEY)).unwrap(), "new");
        assert_eq!(fs::metadata(dir.path().join(KEY)).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left");
    }
}
