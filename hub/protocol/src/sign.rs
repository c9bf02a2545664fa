//! Ed25519 signatures of the hubs' common keys. Signed messages carry the key's id; public keys are pinned in `gateway.toml`.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

/// Why a signature was not accepted. Nothing of the message may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No pinned key has this id.
    #[error("the message is signed by a key that is not pinned here")]
    UnknownKey,
    /// The signature does not fit the message.
    #[error("the signature does not fit the message")]
    Wrong,
    /// The key or signature text is not base64 of the right length.
    #[error("a key or signature is not base64 of the right length")]
    Malformed,
}

/// A signing key of the hubs. Debug output hides it.
#[derive(Clone)]
pub struct Signing(SigningKey);

impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signing({})", self.key_id())
    }
}

impl Signing {
    /// The key with these 32 secret bytes.
    pub fn from_bytes(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// The secret bytes, to be stored sealed.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// First 8 bytes of SHA-256 of the public key, as hex.
    pub fn key_id(&self) -> String {
        key_id(&self.0.verifying_key())
    }

    /// The public key as base64, as it stands in `gateway.toml`.
    pub fn public(&self) -> String {
        STANDARD.encode(self.0.verifying_key().as_bytes())
    }

    /// Signs `domain`, a zero byte and `message`.
    pub fn sign(&self, domain: &str, message: &[u8]) -> String {
        STANDARD.encode(self.0.sign(&framed(domain, message)).to_bytes())
    }
}

/// The public keys that a gateway trusts. Clones share what is added later.
#[derive(Debug, Clone, Default)]
pub struct Pinned(Arc<RwLock<BTreeMap<String, VerifyingKey>>>);

impl Pinned {
    /// Pins keys given as base64.
    pub fn from_base64<'a>(keys: impl IntoIterator<Item = &'a str>) -> Result<Self, SignatureError> {
        let pinned = Self::default();
        for text in keys {
            pinned.add(text)?;
        }
        Ok(pinned)
    }

    /// Pins one more key, given as base64, for all clones. False: it was pinned already.
    ///
    /// # Errors
    /// The text is no key.
    pub fn add(&self, text: &str) -> Result<bool, SignatureError> {
        let bytes = STANDARD.decode(text).map_err(|_| SignatureError::Malformed)?;
        let bytes = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| SignatureError::Malformed)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| SignatureError::Malformed)?;
        let mut pinned = self.0.write().unwrap_or_else(PoisonError::into_inner);
        Ok(pinned.insert(key_id(&key), key).is_none())
    }

    /// Checks that the pinned key `key` signed `message` under `domain`.
    pub fn verify(&self, domain: &str, message: &[u8], key: &str, sig: &str) -> Result<(), SignatureError> {
        let key = *self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).ok_or(SignatureError::UnknownKey)?;
        let sig = STANDARD.decode(sig).map_err(|_| SignatureError::Malformed)?;
        let sig = Signature::from_slice(&sig).map_err(|_| SignatureError::Malformed)?;
        key.verify_strict(&framed(domain, message), &sig).map_err(|_| SignatureError::Wrong)
    }
}

fn key_id(key: &VerifyingKey) -> String {
    hex::encode(&Sha256::digest(key.as_bytes())[..8])
}

fn framed(domain: &str, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(domain.len() + 1 + message.len());
    out.extend_from_slice(domain.as_bytes());
    out.push(0);
    out.extend_from_slice(message);
    out
}
