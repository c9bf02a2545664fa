//! The hub's secrets: one file, apart from the database. Everything that makes stored values unreadable comes from it.

mod file;
mod ring;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hmac::{Hmac, Mac};
use passage_protocol::WakeMaster;
use sha2::Sha256;

use self::ring::Ring;
use crate::identity::{IdentifierKind, MemberId, platform};

/// Keyed HMAC-SHA256 of a canonical identifier. It cannot be searched out without the hub's secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub [u8; 32]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Why a sealed value could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Sealed with a secret that this hub does not hold.
    #[error("the value is sealed with another key (its key id is not the one of this hub's key file)")]
    OtherKey,
    /// Damaged, or moved from another place.
    #[error("the sealed value is damaged or belongs elsewhere")]
    Damaged,
}

/// The secrets and what is derived from them. Clones share the keys that values are sealed with. Debug output hides all.
#[derive(Clone)]
pub struct Keyring {
    index: [u8; 32],
    wake: WakeMaster,
    seals: Arc<Seals>,
}

struct Seals {
    file: Option<PathBuf>,
    ring: RwLock<Arc<Ring>>,
    /// When the file was looked at last because of a value with an unknown key.
    looked: Mutex<Option<Instant>>,
}

/// Least machine time between two looks at the file because of unknown keys.
const LOOK: Duration = Duration::from_secs(1);

/// A key that values are sealed with, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealKeyInfo {
    /// The first 4 bytes of each value that was sealed with it.
    pub id: [u8; 4],
    /// Machine time in milliseconds since which it seals what is written; `None` if it only opens.
    pub active: Option<i64>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({})", hex::encode(self.ring().active().id))
    }
}

impl Keyring {
    /// Reads the key file, or makes it with mode 0600 when it is not there. Processes that make it at the same moment end up with the same one.
    pub fn load_or_create(file: &Path) -> io::Result<Self> {
        Ok(Self::of(file::read_or_create(file)?, Some(file.to_owned())))
    }

    /// The keyring of a secret.
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self::of(Ring::from_secret(secret), None)
    }

    fn of(ring: Ring, file: Option<PathBuf>) -> Self {
        let (index, wake) = (ring.index, WakeMaster::from_bytes(ring.wake));
        let seals = Seals { file, ring: RwLock::new(Arc::new(ring)), looked: Mutex::new(None) };
        Self { index, wake, seals: Arc::new(seals) }
    }

    fn ring(&self) -> Arc<Ring> {
        // The ring is replaced whole, so one that another thread left behind is whole.
        self.seals.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the key file again; `true` if it has changed. Keys that were added, made active or retired count from then on.
    pub fn reload(&self) -> io::Result<bool> {
        let Some(file) = &self.seals.file else { return Ok(false) };
        let read = file::read(file)?;
        if read.index != self.index {
            let why = "the key file is another database's now; the hub goes on with the keys that it has. Mend: put the old file back";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let changed = *self.ring() != read;
        if changed {
            *self.seals.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
        }
        Ok(changed)
    }

    /// The keys that values are sealed with, oldest first.
    pub fn seal_keys(&self) -> Vec<SealKeyInfo> {
        self.ring().seals.iter().map(|s| SealKeyInfo { id: s.id, active: s.active }).collect()
    }

    /// Adds a key to the file that opens values but seals none yet; for hubs on several machines, which must all have it before it is used.
    pub fn add_key(&self) -> io::Result<[u8; 4]> {
        self.change(|ring| ring.add(rand::random()))
    }

    /// Makes the newest key the one that seals, and returns it. `now` is machine time in milliseconds.
    pub fn activate_newest(&self, now: i64) -> io::Result<[u8; 4]> {
        self.change(|ring| {
            ring.activate_newest(now);
            ring.active().id
        })
    }

    /// Destroys a key. Whatever is still sealed with it, also in old backups, can never be opened again.
    pub fn retire_key(&self, id: [u8; 4]) -> io::Result<()> {
        self.change(|ring| ring.seals.retain(|s| s.id != id || s.active.is_some()))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Ring) -> T) -> io::Result<T> {
        let Some(file) = &self.seals.file else { return Err(io::Error::other("these keys are in no file")) };
        let mut ring = file::read(file)?;
        let done = change(&mut ring);
        file::replace(file, &ring)?;
        self.reload()?;
        Ok(done)
    }

    /// The key under which an identifier in its canonical form is stored.
    pub fn identifier(&self, kind: IdentifierKind, canonical: &str) -> Key {
        Key(mac(&self.index, &[kind.word().as_bytes(), b"\0", canonical.as_bytes()]))
    }

    /// The keys under which partners may know the holder of an address or number who have only its hash, in either platform's form.
    pub fn aliases(&self, kind: IdentifierKind, canonical: &str) -> Vec<(IdentifierKind, Key)> {
        let (hashed, forms) = match kind {
            IdentifierKind::Email => (IdentifierKind::EmailSha256, platform::email_forms(canonical)),
            IdentifierKind::Phone => (IdentifierKind::PhoneSha256, platform::phone_forms(canonical)),
            _ => return Vec::new(),
        };
        forms.hashes().into_iter().map(|hash| (hashed, self.identifier(hashed, hash))).collect()
    }

    /// The master of the shops' wake beacons. It opens nothing that is stored, so a position gateway may hold it.
    pub fn wake(&self) -> &WakeMaster {
        &self.wake
    }

    /// A keyed hash for any other purpose, kept apart by `label`: hold-out buckets, send keys.
    pub fn hash(&self, label: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut all: Vec<&[u8]> = vec![b"hash\0", label.as_bytes()];
        let lengths: Vec<[u8; 8]> = parts.iter().map(|p| (p.len() as u64).to_be_bytes()).collect();
        for (part, length) in parts.iter().zip(&lengths) {
            all.push(length);
            all.push(part);
        }
        mac(&self.index, &all)
    }

    /// Seals a value with XChaCha20-Poly1305 and the active key. `context` names its place and must be given again to open it.
    /// Form: 4 bytes key id, 24 bytes nonce, ciphertext with tag.
    pub fn seal(&self, context: &str, plain: &[u8]) -> Vec<u8> {
        let (ring, nonce) = (self.ring(), rand::random::<[u8; 24]>());
        let key = ring.active();
        // Encryption of a short value in memory has no way to fail.
        let sealed = XChaCha20Poly1305::new(&key.key.into())
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: context.as_bytes() })
            .unwrap_or_default();
        [key.id.as_slice(), &nonce, &sealed].concat()
    }

    /// Opens what [`Keyring::seal`] sealed under the same `context`, with whichever key it was.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let (id, rest) = sealed.split_at_checked(4).ok_or(OpenError::Damaged)?;
        let key = self.key(id).ok_or(OpenError::OtherKey)?;
        let (nonce, body) = rest.split_at_checked(24).ok_or(OpenError::Damaged)?;
        let nonce = <[u8; 24]>::try_from(nonce).map_err(|_| OpenError::Damaged)?;
        XChaCha20Poly1305::new(&key.into())
            .decrypt(&XNonce::from(nonce), Payload { msg: body, aad: context.as_bytes() })
            .map_err(|_| OpenError::Damaged)
    }

    /// The key with this id; one that is not known may have been added to the file since.
    fn key(&self, id: &[u8]) -> Option<[u8; 32]> {
        let known = |ring: &Ring| ring.find(id).map(|s| s.key);
        known(&self.ring()).or_else(|| {
            self.look_again();
            known(&self.ring())
        })
    }

    fn look_again(&self) {
        let mut looked = self.seals.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.is_none_or(|at| at.elapsed() >= LOOK) {
            *looked = Some(Instant::now());
            if let Err(error) = self.reload() {
                tracing::warn!(%error, "the key file could not be read again");
            }
        }
    }

    /// Seals the number that SMS of a member go to; it opens as hers only.
    pub fn seal_number(&self, member: MemberId, e164: &str) -> Vec<u8> {
        self.seal(&number_of(member), e164.as_bytes())
    }

    /// Opens [`Keyring::seal_number`], and what versions before it sealed without naming the member.
    pub fn open_number(&self, member: MemberId, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        match self.open(&number_of(member), sealed) {
            Err(OpenError::Damaged) => self.open("phone", sealed),
            opened => opened,
        }
    }
}

/// The place of a number: whose it is, and in which column it stands.
fn number_of(member: MemberId) -> String {
    format!("destination {}", member.0)
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC-SHA256 accepts every key length")]
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).expect("HMAC takes any key length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_start_together_make_one_key_file_and_hold_the_same_secret() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys/hub.key");
        let start = std::sync::Barrier::new(8);
        let make = || {
            start.wait();
            Keyring::load_or_create(&file).unwrap().hash("same", &[])
        };
        let hashes: Vec<[u8; 32]> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(hashes.iter().all(|h| *h == hashes[0]));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path().join("keys")).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn values_of_both_keys_open_while_a_key_is_replaced_and_other_processes_learn_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hub.key");
        let (one, two) = (Keyring::load_or_create(&file).unwrap(), Keyring::load_or_create(&file).unwrap());
        let (ana, eva) = (MemberId(1), MemberId(2));
        let (before, hash) = (one.seal_number(ana, "+33612345678"), one.hash("x", &[]));
        one.add_key().unwrap();
        one.activate_newest(1).unwrap();
        let after = one.seal_number(ana, "+33612345678");
        assert_ne!(before[..4], after[..4]);
        for ring in [&one, &two, &Keyring::load_or_create(&file).unwrap()] {
            assert_eq!(ring.hash("x", &[]), hash, "what is found by a keyed hash is found on");
            for sealed in [&before, &after] {
                assert_eq!(ring.open_number(ana, sealed).unwrap(), b"+33612345678");
                assert_eq!(ring.open_number(eva, sealed), Err(OpenError::Damaged), "it is hers only");
            }
        }
        one.retire_key(before[..4].try_into().unwrap()).unwrap();
        two.reload().unwrap();
        for ring in [&one, &two] {
            assert_eq!(ring.open_number(ana, &before), Err(OpenError::OtherKey));
            assert!(ring.open_number(ana, &after).is_ok());
        }
        assert_eq!(one.open_number(ana, &one.seal("phone", b"old")).unwrap(), b"old", "what an older version sealed");
    }
}
