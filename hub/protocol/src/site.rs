//! What a hub tells a gateway: the signed site manifest with its parts, and signed commands that expire.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    GatewayId, Millis, WireError, check_version,
    sign::{Pinned, SignatureError, Signing},
};

/// Most parts of a site; each has at most [`crate::MAX_PAYLOAD`] bytes.
pub const MAX_PARTS: u32 = 64;
/// A gateway refuses a command that is good for longer than this, so that what it must remember has an end.
pub const LONGEST_COMMAND: Duration = Duration::from_secs(24 * 3600);

/// The payload of `passage/v1/gateway/{id}/site/manifest`, retained. A lower revision than the one in force is refused unless `rollback` names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteManifest {
    /// Protocol version.
    pub v: u8,
    /// The gateway it is for.
    pub gateway: GatewayId,
    /// Ascending number of the configuration.
    pub revision: u64,
    /// SHA-256 of all parts joined, as hex.
    pub sha256: String,
    /// How many parts lie under `site/part/{revision}/{n}`, `n` from 0.
    pub parts: u32,
    /// The revision that may be left for this lower one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<u64>,
    /// Id of the signing key.
    pub key: String,
    /// Signature over this manifest with an empty `sig`.
    pub sig: String,
}

/// The payload of `passage/v1/gateway/{id}/command`, not retained. A gateway carries it out once: it remembers the id until it expires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Protocol version.
    pub v: u8,
    /// The gateway it is for.
    pub gateway: GatewayId,
    /// Unique, so that a repetition is recognised.
    pub id: uuid::Uuid,
    /// Business time after which it must not be carried out.
    pub expires: Millis,
    /// What to do.
    pub action: Action,
    /// Id of the signing key.
    pub key: String,
    /// Signature over this command with an empty `sig`.
    pub sig: String,
}

/// What a command asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// Publish the state at once.
    ReportState,
    /// Restart the radio.
    RestartRadio,
}

/// Not the name of an action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a gateway can be told to `report-state` or to `restart-radio`")]
pub struct BadAction;

impl Action {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::ReportState, Self::RestartRadio];

    /// As it is written on the wire and on a command line.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::ReportState => "report-state",
            Self::RestartRadio => "restart-radio",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Action {
    type Err = BadAction;

    fn from_str(text: &str) -> Result<Self, BadAction> {
        Self::ALL.into_iter().find(|action| action.as_str() == text).ok_or(BadAction)
    }
}

macro_rules! signed {
    ($($name:ident, $what:literal, $domain:literal);*) => {$(
        impl $name {
            /// Reads the JSON form. It must not be believed before [`Self::verify`].
            pub fn from_slice(bytes: &[u8]) -> Result<Self, WireError> {
                let message: Self = crate::read($what, bytes)?;
                check_version(message.v)?;
                message.check()?;
                Ok(message)
            }

            /// The JSON form.
            pub fn to_vec(&self) -> Vec<u8> {
                serde_json::to_vec(self).unwrap_or_default()
            }

            /// The same message signed by `key`.
            #[must_use]
            pub fn signed(mut self, key: &Signing) -> Self {
                self.key = key.key_id();
                self.sig = String::new();
                self.sig = key.sign($domain, &self.to_vec());
                self
            }

            /// Checks the signature against the pinned keys.
            pub fn verify(&self, pinned: &Pinned) -> Result<(), SignatureError> {
                let unsigned = Self { sig: String::new(), ..self.clone() };
                pinned.verify($domain, &unsigned.to_vec(), &self.key, &self.sig)
            }
        }
    )*};
}
signed!(SiteManifest, "site manifest", "passage/v1/site"; Command, "command", "passage/v1/command");

impl SiteManifest {
    fn check(&self) -> Result<(), WireError> {
        let is_digest = self.sha256.len() == 64 && self.sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !(1..=MAX_PARTS).contains(&self.parts) || !is_digest || self.revision == 0 || i64::try_from(self.revision).is_err() {
            return Err(WireError::Contract("a site manifest has 1 to 64 parts, a digest in hex, and a revision from 1"));
        }
        Ok(())
    }
}

impl Command {
    fn check(&self) -> Result<(), WireError> {
        if self.id.is_nil() { Err(WireError::Contract("a command has an id")) } else { Ok(()) }
    }
}

/// SHA-256 of joined parts as hex, as it stands in the manifest.
pub fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hex::encode(hash.finalize())
}
