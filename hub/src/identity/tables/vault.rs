//! Very many keys by slot, outside of the process's memory. The first 260,000 stay in memory; the others go, in pieces that are sealed under a key
//! that only this process holds, into a file that has no name any more. Whoever finds its blocks on the disk later finds noise.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};

/// 32 secret bytes.
pub(super) type Secret = [u8; 32];

/// Keys in one piece.
pub(super) const PIECE: usize = 4096;
/// So many pieces stay in memory: 8 MiB.
const IN_MEMORY: usize = 64;
/// Nonce, keys, tag.
const RECORD: usize = 24 + PIECE * 32 + 16;

/// The keys.
pub(super) struct Vault {
    pieces: Vec<Option<Vec<Secret>>>,
    keys: usize,
    file: Option<(File, XChaCha20Poly1305)>,
    in_memory: usize,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vault of {} keys", self.keys)
    }
}

impl Default for Vault {
    fn default() -> Self {
        Self { pieces: Vec::new(), keys: 0, file: None, in_memory: IN_MEMORY }
    }
}

impl Vault {
    /// How many pieces they are in.
    pub(super) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Adds a key behind the last; `folder` is where the file is made when it is needed.
    pub(super) fn push(&mut self, key: Secret, folder: &Path) -> io::Result<()> {
        if self.keys.is_multiple_of(PIECE) {
            self.pieces.push(Some(Vec::with_capacity(PIECE)));
        }
        if let Some(Some(open)) = self.pieces.last_mut() {
            open.push(key);
            self.keys += 1;
        }
        if self.keys.is_multiple_of(PIECE) {
            self.put_away(self.pieces.len() - 1, folder)?;
        }
        Ok(())
    }

    /// One key.
    pub(super) fn get(&self, slot: usize) -> io::Result<Secret> {
        let mut piece = Vec::new();
        self.read(slot / PIECE, &mut piece)?;
        piece.get(slot % PIECE).copied().ok_or_else(|| damaged("no such slot"))
    }

    /// Replaces one key.
    pub(super) fn set(&mut self, slot: usize, key: Secret) -> io::Result<()> {
        let (n, place) = (slot / PIECE, slot % PIECE);
        if let Some(Some(piece)) = self.pieces.get_mut(n) {
            piece[place] = key;
            return Ok(());
        }
        let mut piece = Vec::new();
        self.read(n, &mut piece)?;
        piece[place] = key;
        self.seal(n, &piece)
    }

    /// The keys of piece `n` into `out`.
    pub(super) fn read(&self, n: usize, out: &mut Vec<Secret>) -> io::Result<()> {
        out.clear();
        match (self.pieces.get(n), &self.file) {
            (Some(Some(piece)), _) => out.extend_from_slice(piece),
            (Some(None), Some((file, cipher))) => {
                let mut record = vec![0; RECORD];
                file.read_exact_at(&mut record, offset(n))?;
                let (nonce, body) = record.split_at(24);
                let nonce = XNonce::try_from(nonce).map_err(|_| damaged("nonce"))?;
                let open = cipher.decrypt(&nonce, Payload { msg: body, aad: &name(n) }).map_err(|_| damaged("its seal is broken"))?;
                out.extend(open.as_chunks::<32>().0);
            }
            _ => return Err(damaged("no such piece")),
        }
        Ok(())
    }

    /// Moves a full piece out of memory. Without a disk to write to it stays where it is.
    fn put_away(&mut self, n: usize, folder: &Path) -> io::Result<()> {
        if n < self.in_memory {
            return Ok(());
        }
        if self.file.is_none() {
            match nameless(folder) {
                Ok(file) => self.file = Some((file, XChaCha20Poly1305::new(&rand::random::<Secret>().into()))),
                Err(error) => {
                    tracing::warn!(%error, folder = %folder.display(), "keys of installations stay in memory: no file can be made in this folder");
                    self.in_memory = usize::MAX;
                    return Ok(());
                }
            }
        }
        let Some(piece) = self.pieces.get_mut(n).and_then(Option::take) else { return Ok(()) };
        let sealed = self.seal(n, &piece);
        if sealed.is_err() {
            self.pieces[n] = Some(piece);
        }
        sealed
    }

    fn seal(&self, n: usize, piece: &[Secret]) -> io::Result<()> {
        let Some((file, cipher)) = &self.file else { return Err(damaged("no file")) };
        let nonce: [u8; 24] = rand::random();
        let plain = Payload { msg: piece.as_flattened(), aad: &name(n) };
        let sealed = cipher.encrypt(&XNonce::from(nonce), plain).map_err(|_| damaged("it cannot be sealed"))?;
        file.write_all_at(&[nonce.as_slice(), &sealed].concat(), offset(n))
    }
}

fn offset(n: usize) -> u64 {
    (n * RECORD) as u64
}

fn name(n: usize) -> [u8; 8] {
    (n as u64).to_be_bytes()
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the file of keys of this process is damaged: {what}"))
}

/// A file that nobody can open by its name, because it has none.
fn nameless(folder: &Path) -> io::Result<File> {
    let path = folder.join(format!(".keys-{}.tmp", uuid::Uuid::new_v4().simple()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> Secret {
        let mut key = [0xab; 32];
        key[..8].copy_from_slice(&n.to_be_bytes());
        key
    }

    fn check(vault: &Vault, keys: usize) {
        let mut all = Vec::new();
        for n in 0..vault.pieces() {
            let mut piece = Vec::new();
            vault.read(n, &mut piece).unwrap();
            all.extend(piece);
        }
        assert_eq!(all.len(), keys);
        assert!(all.iter().enumerate().all(|(n, k)| *k == key(n)));
    }

    #[test]
    fn what_goes_to_the_file_comes_back_and_lies_there_sealed_without_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut vault = Vault { in_memory: 1, ..Vault::default() };
        let keys = 3 * PIECE + 5;
        (0..keys).for_each(|n| vault.push(key(n), folder.path()).unwrap());
        check(&vault, keys);
        for slot in [7, PIECE + 7, 3 * PIECE + 2] {
            vault.set(slot, [9; 32]).unwrap();
            assert_eq!(vault.get(slot).unwrap(), [9; 32]);
            vault.set(slot, key(slot)).unwrap();
        }
        check(&vault, keys);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let (file, _) = vault.file.as_ref().unwrap();
        let mut raw = vec![0; 3 * RECORD];
        file.read_exact_at(&mut raw[RECORD..], RECORD as u64).unwrap();
        assert!(!raw.windows(8).any(|w| w == [0xab; 8]), "no key is readable");
        file.write_all_at(&[0], RECORD as u64 + 100).unwrap();
        assert!(vault.get(PIECE).is_err(), "a damaged piece is an error and no wrong key");
    }

    #[test]
    fn without_a_folder_to_write_to_they_stay_in_memory() {
        let mut vault = Vault { in_memory: 0, ..Vault::default() };
        let keys = 2 * PIECE;
        (0..keys).for_each(|n| vault.push(key(n), Path::new("/nonexistent")).unwrap());
        check(&vault, keys);
    }
}
