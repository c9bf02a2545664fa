//! The deny list: installations whose tokens or keys a position gateway must no longer take, although they would still be valid.
//!
//! A list is made of positive facts. A gateway unites what it has heard, so a part that is lost or repeated takes nothing back.

use serde::{Deserialize, Serialize};

use crate::{
    GatewayId, InstallationId, MAX_PAYLOAD, Millis, VERSION, WireError, check_version,
    sign::{Pinned, SignatureError, Signing},
};

const DOMAIN: &str = "passage/v1/deny";
/// Most entries in one part: 90 bytes each at the longest, within [`MAX_PAYLOAD`].
pub const MAX_DENIED: usize = 700;

/// One installation that is denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denied {
    /// Which.
    pub installation: InstallationId,
    /// Tokens that expire before this are refused: they were taken back, and the app holds a newer one. Left out when the installation has ended:
    /// then nothing of it is taken, whatever it shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Millis>,
}

/// The payload of `passage/v1/gateway/{id}/site/deny/{part}`, retained. A gateway refuses a part whose revision is lower than the last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenyList {
    /// Protocol version.
    pub v: u8,
    /// The gateway it is for.
    pub gateway: GatewayId,
    /// Ascending number of the change of people that it tells of.
    pub revision: u64,
    /// Which part, from 0.
    pub part: u32,
    /// At most [`MAX_DENIED`].
    pub denied: Vec<Denied>,
    /// Id of the signing key.
    pub key: String,
    /// Signature over this list with an empty `sig`.
    pub sig: String,
}

impl DenyList {
    /// The parts for one gateway, signed. There is at least one, which may be empty.
    pub fn parts(gateway: &GatewayId, revision: u64, denied: &[Denied], key: &Signing) -> Vec<Self> {
        let mut chunks: Vec<&[Denied]> = denied.chunks(MAX_DENIED).collect();
        if chunks.is_empty() {
            chunks.push(&[]);
        }
        (0..).zip(chunks).map(|(part, denied)| Self::signed(gateway.clone(), revision, part, denied.to_vec(), key)).collect()
    }

    fn signed(gateway: GatewayId, revision: u64, part: u32, denied: Vec<Denied>, key: &Signing) -> Self {
        let mut list = Self { v: VERSION, gateway, revision, part, denied, key: key.key_id(), sig: String::new() };
        list.sig = key.sign(DOMAIN, &list.to_vec());
        list
    }

    /// Reads the JSON form. It must not be believed before [`Self::verify`].
    pub fn from_slice(bytes: &[u8]) -> Result<Self, WireError> {
        let list: Self = crate::read("deny list", bytes)?;
        check_version(list.v)?;
        if list.denied.len() > MAX_DENIED {
            return Err(WireError::Contract("a part of a deny list has at most 700 entries"));
        }
        Ok(list)
    }

    /// The JSON form, at most [`MAX_PAYLOAD`] bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        debug_assert!(bytes.len() <= MAX_PAYLOAD, "a part is larger than a message");
        bytes
    }

    /// Checks the signature against the pinned keys.
    pub fn verify(&self, pinned: &Pinned) -> Result<(), SignatureError> {
        let unsigned = Self { sig: String::new(), ..self.clone() };
        pinned.verify(DOMAIN, &unsigned.to_vec(), &self.key, &self.sig)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(n: usize) -> Denied {
        // As long as an id can be.
        Denied { installation: format!("i-{n:038}").parse().unwrap(), until: Some(Millis(i64::MAX)) }
    }

    #[test]
    fn a_long_list_goes_in_parts_that_fit_and_are_signed() {
        let key = Signing::from_bytes(&[5; 32]);
        let pinned = Pinned::from_base64([key.public().as_str()]).unwrap();
        let all: Vec<Denied> = (0..MAX_DENIED * 2 + 1).map(denied).collect();
        let parts = DenyList::parts(&"gw-position".parse().unwrap(), 7, &all, &key);
        assert_eq!(parts.iter().map(|p| p.part).collect::<Vec<_>>(), [0, 1, 2]);
        for part in &parts {
            let bytes = part.to_vec();
            assert!(bytes.len() <= MAX_PAYLOAD, "{}", bytes.len());
            let read = DenyList::from_slice(&bytes).unwrap();
            assert_eq!(read, *part);
            read.verify(&pinned).unwrap();
        }
        assert_eq!(parts.into_iter().flat_map(|p| p.denied).collect::<Vec<_>>(), all);
    }

    #[test]
    fn a_changed_list_does_not_verify() {
        let key = Signing::from_bytes(&[5; 32]);
        let pinned = Pinned::from_base64([key.public().as_str()]).unwrap();
        let mut list = DenyList::parts(&"gw-position".parse().unwrap(), 7, &[denied(1)], &key).remove(0);
        list.denied.clear();
        assert_eq!(list.verify(&pinned), Err(SignatureError::Wrong));
    }
}
