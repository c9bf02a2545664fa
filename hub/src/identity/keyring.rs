//! The hub's secret: one file of 32 bytes, apart from the database. Everything that makes stored values unreadable is derived from it.

use std::{fmt, io, path::Path};

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hmac::{Hmac, Mac};
use passage_protocol::WakeMaster;
use sha2::Sha256;

use crate::identity::IdentifierKind;

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

/// The secret and what is derived from it. Debug output hides it.
#[derive(Clone)]
pub struct Keyring {
    index: [u8; 32],
    seal: [u8; 32],
    wake: WakeMaster,
    id: [u8; 4],
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({})", hex::encode(self.id))
    }
}

impl Keyring {
    /// Reads the key file, or makes it with mode 0600 when it is not there. Processes that make it at the same moment end up with the same one.
    pub fn load_or_create(file: &Path) -> io::Result<Self> {
        let bytes = match std::fs::read(file) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                write_private(file, &rand::random())?;
                std::fs::read(file)?
            }
            read => read?,
        };
        let secret = <[u8; 32]>::try_from(bytes.as_slice())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("{} does not hold 32 bytes", file.display())))?;
        Ok(Self::from_secret(&secret))
    }

    /// The keyring of a secret.
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        let id = mac(secret, &[b"passage key id"]);
        Self {
            index: mac(secret, &[b"passage index"]),
            seal: mac(secret, &[b"passage seal"]),
            wake: WakeMaster::from_bytes(mac(secret, &[b"passage wake"])),
            id: [id[0], id[1], id[2], id[3]],
        }
    }

    /// The key under which an identifier in its canonical form is stored.
    pub fn identifier(&self, kind: IdentifierKind, canonical: &str) -> Key {
        Key(mac(&self.index, &[kind.word().as_bytes(), b"\0", canonical.as_bytes()]))
    }

    /// The key under which an order's number is stored.
    pub fn order(&self, number: &str) -> Key {
        Key(self.hash("order", &[number.as_bytes()]))
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

    /// Seals a value with XChaCha20-Poly1305. `context` names its place and must be given again to open it.
    /// Form: 4 bytes key id, 24 bytes nonce, ciphertext with tag.
    pub fn seal(&self, context: &str, plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; 24] = rand::random();
        // Encryption of a short value in memory has no way to fail.
        let sealed = XChaCha20Poly1305::new(&self.seal.into())
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: context.as_bytes() })
            .unwrap_or_default();
        [self.id.as_slice(), &nonce, &sealed].concat()
    }

    /// Opens what [`Keyring::seal`] sealed under the same `context`.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let (id, rest) = sealed.split_at_checked(4).ok_or(OpenError::Damaged)?;
        if id != self.id {
            return Err(OpenError::OtherKey);
        }
        let (nonce, body) = rest.split_at_checked(24).ok_or(OpenError::Damaged)?;
        let nonce = <[u8; 24]>::try_from(nonce).map_err(|_| OpenError::Damaged)?;
        XChaCha20Poly1305::new(&self.seal.into())
            .decrypt(&XNonce::from(nonce), Payload { msg: body, aad: context.as_bytes() })
            .map_err(|_| OpenError::Damaged)
    }
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC-SHA256 accepts every key length")]
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).expect("HMAC takes any key length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Puts the secret into its place whole or not at all; one that is there already stays.
fn write_private(file: &Path, secret: &[u8; 32]) -> io::Result<()> {
    use std::{
        fs::{self, File, OpenOptions},
        io::Write,
        os::unix::fs::OpenOptionsExt,
    };
    let folder = file.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let draft = folder.join(format!(".{}.new", uuid::Uuid::now_v7()));
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let linked = out.write_all(secret).and_then(|()| out.sync_all()).and_then(|()| fs::hard_link(&draft, file));
    fs::remove_file(&draft)?;
    match linked {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        // Without its entry in the folder the database would be sealed with a secret that a power cut takes away.
        _ => File::open(folder)?.sync_all(),
    }
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
}
