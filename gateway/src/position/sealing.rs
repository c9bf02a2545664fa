//! OwnTracks' `encrypted` payloads: libsodium's secretbox, XSalsa20-Poly1305, as base64 of nonce (24), tag (16) and ciphertext.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use crypto_secretbox::{
    Key, Nonce, XSalsa20Poly1305,
    aead::{Aead, KeyInit},
};
use passage_protocol::{GatewayId, InstallationId, PositionSecret};
use sha2::{Digest, Sha256};

const NONCE: usize = 24;
/// Apps differ in whether they pad.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// Opens and seals with the key of each installation.
#[derive(Debug, Clone)]
pub(super) struct Sealing(PositionSecret);

impl Sealing {
    pub(super) fn new(secret: PositionSecret) -> Self {
        Self(secret)
    }

    /// The plain payload; `None` when it was not sealed with the key of `who`.
    pub(super) fn open(&self, who: &InstallationId, data: &str) -> Option<Vec<u8>> {
        let bytes = BASE64.decode(data.trim()).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>()?;
        self.cipher(who)?.decrypt(&Nonce::from(*nonce), sealed).ok()
    }

    /// The whole `encrypted` object that holds `plain`.
    pub(super) fn seal(&self, who: &InstallationId, plain: &[u8]) -> Option<String> {
        let nonce: [u8; NONCE] = rand::random();
        let sealed = self.cipher(who)?.encrypt(&Nonce::from(nonce), plain).ok()?;
        let data = BASE64.encode([nonce.as_slice(), &sealed].concat());
        Some(serde_json::json!({ "_type": "encrypted", "data": data }).to_string())
    }

    /// The name of a gateway's session at the broker: always the same, and known only to who has the secret, so that nobody else takes it over.
    pub(super) fn session(&self, gateway: &GatewayId) -> Option<String> {
        let key = self.0.owntracks_key(&gateway.as_str().parse().ok()?);
        let digest = Sha256::new().chain_update("positions session").chain_update(key).finalize();
        Some(hex::encode(&digest[..8]))
    }

    fn cipher(&self, who: &InstallationId) -> Option<XSalsa20Poly1305> {
        let key = self.0.owntracks_key(who);
        // The app pads its secret with zeros to 32 bytes; ours has 32.
        let key: [u8; 32] = key.as_bytes().try_into().ok()?;
        Some(XSalsa20Poly1305::new(&Key::from(key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealing() -> Sealing {
        Sealing::new(PositionSecret::new("a secret of at least thirty-two characters").unwrap())
    }

    #[test]
    fn what_one_installation_seals_no_other_opens() {
        let (camille, bruno) = ("phone-of-camille".parse().unwrap(), "phone-of-bruno".parse().unwrap());
        let object: serde_json::Value = serde_json::from_str(&sealing().seal(&camille, b"{}").unwrap()).unwrap();
        let data = object["data"].as_str().unwrap();
        assert_eq!(sealing().open(&camille, data).as_deref(), Some(&b"{}"[..]));
        assert_eq!(sealing().open(&camille, data.trim_end_matches('=')).as_deref(), Some(&b"{}"[..]));
        assert_eq!(sealing().open(&bruno, data), None);
        let mut bent = data.to_owned().into_bytes();
        bent[40] = if bent[40] == b'A' { b'B' } else { b'A' };
        assert_eq!(sealing().open(&camille, std::str::from_utf8(&bent).unwrap()), None);
        for short in ["", "AAAA", "not base64!", &data[..30]] {
            assert_eq!(sealing().open(&camille, short), None, "{short}");
        }
    }

    #[test]
    fn a_box_that_libsodium_made_opens() {
        // crypto_secretbox_easy of libsodium 1.0.18 with the nonce 0, 1, .. 23 and the key of this installation.
        let data = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXPa2SkFJpAOmeV57JPGVJyVMQuKSF/EYB\
                    BPBE32S5XC+G2ZJSbqRBKZ1wA0OOUozoSxmd51YeCl9yqJnWPIJBbB9sTLeZ+HyE\
                    wWRiQKFTlF5iJTyS/yOKWD9t9cQk";
        let plain = sealing().open(&"phone-of-camille".parse().unwrap(), data).unwrap();
        assert_eq!(plain, br#"{"_type":"location","lat":48.856613,"lon":2.352222,"tst":1795183200,"acc":12}"#);
    }
}
