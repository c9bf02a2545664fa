//! The key with which one installation's OwnTracks app encrypts its reports. It is derived, so that a hub, which hands it out, and any number of
//! position gateways, which open the reports, need one common secret and no table.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::InstallationId;

/// Least characters of a position secret.
pub const LEAST_SECRET: usize = 32;

/// The common secret of hubs and position gateways. Debug output hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct PositionSecret(Vec<u8>);

impl fmt::Debug for PositionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PositionSecret(..)")
    }
}

impl PositionSecret {
    /// The secret with this text; `None` when it is shorter than [`LEAST_SECRET`].
    pub fn new(text: &str) -> Option<Self> {
        (text.chars().count() >= LEAST_SECRET).then(|| Self(text.as_bytes().to_vec()))
    }

    /// The secret key that goes into the app: 32 printable characters, which are the 32 bytes of a secretbox key as they stand. They carry the
    /// first 192 bits of HMAC-SHA256(secret, "owntracks" | installation) in base64url.
    pub fn owntracks_key(&self, installation: &InstallationId) -> String {
        #[expect(clippy::expect_used, reason = "HMAC-SHA256 accepts every key length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes any key length");
        mac.update(b"owntracks");
        mac.update(installation.as_str().as_bytes());
        URL_SAFE_NO_PAD.encode(&mac.finalize().into_bytes()[..24])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a secret of at least thirty-two characters";

    #[test]
    fn a_key_has_32_printable_characters_and_belongs_to_one_installation_and_secret() {
        let (secret, other) = (PositionSecret::new(SECRET).unwrap(), PositionSecret::new(&SECRET.to_uppercase()).unwrap());
        let (camille, bruno) = ("phone-of-camille".parse().unwrap(), "phone-of-bruno".parse().unwrap());
        let key = secret.owntracks_key(&camille);
        assert_eq!(key.len(), 32);
        assert!(key.bytes().all(|b| b.is_ascii_graphic()));
        assert_eq!(key, secret.owntracks_key(&camille));
        assert_ne!(key, secret.owntracks_key(&bruno));
        assert_ne!(key, other.owntracks_key(&camille));
    }

    #[test]
    fn the_derivation_never_changes() {
        // From Python: base64.urlsafe_b64encode(hmac.digest(secret, b"owntracks" + b"phone-of-camille", "sha256")[:24])
        let key = PositionSecret::new(SECRET).unwrap().owntracks_key(&"phone-of-camille".parse().unwrap());
        assert_eq!(key, "l2rR2dGnOQ2JM8Cu905pUcKaIrmgrnKm");
    }

    #[test]
    fn a_short_secret_is_none_and_debug_output_hides_it() {
        assert!(PositionSecret::new("short").is_none());
        assert!(!format!("{:?}", PositionSecret::new(SECRET)).contains("secret of"));
    }
}
