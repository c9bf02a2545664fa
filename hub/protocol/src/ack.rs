//! The hub's word that events are stored. It is the most dangerous message of the system: a gateway deletes on it. So it is signed.

use serde::{Deserialize, Serialize};

use crate::{
    GatewayId, Millis, Seq, SeqRange, SeqSet, VERSION, WireError, check_name, check_version,
    sign::{Pinned, SignatureError, Signing},
};

const DOMAIN: &str = "passage/v1/ack";
/// Most missing ranges in one ack; with more, `max` is lower.
pub const MAX_MISSING: usize = 64;

/// The payload of `passage/v1/gateway/{id}/ack`: every seq up to `max` outside `missing` is stored.
///
/// Acks are positive facts: a gateway unites them in any order, from any hub. `missing` is also a request: rows that are still held are sent
/// at once, the rest is answered by [`crate::Gone`] records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ack {
    /// Protocol version.
    pub v: u8,
    /// The gateway it is for; must equal the id in the topic.
    pub gateway: GatewayId,
    /// The epoch that the seqs belong to.
    pub epoch: String,
    /// Highest seq that this ack speaks of; 0 when nothing is stored yet.
    pub max: Seq,
    /// Seqs up to `max` that are not stored, ascending, at most 64 ranges.
    pub missing: Vec<SeqRange>,
    /// Events per second that the gateway may send from its backlog.
    pub backlog_rate: u32,
    /// Business time of the hub when it signed. A gateway whose clock nobody has set takes it, but never goes back for it: an old ack can be
    /// played again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Millis>,
    /// Id of the signing key.
    pub key: String,
    /// Signature over this ack with an empty `sig`.
    pub sig: String,
}

impl Ack {
    /// A signed ack without the hub's time, see [`Ack::signed_at`].
    pub fn signed(gateway: GatewayId, epoch: String, max: Seq, missing: Vec<SeqRange>, backlog_rate: u32, key: &Signing) -> Self {
        Self::signed_at(None, gateway, epoch, max, missing, backlog_rate, key)
    }

    /// A signed ack. With more than 64 missing ranges, `max` is lowered so that the first 64 tell the whole truth.
    pub fn signed_at(
        at: Option<Millis>,
        gateway: GatewayId,
        epoch: String,
        max: Seq,
        missing: Vec<SeqRange>,
        backlog_rate: u32,
        key: &Signing,
    ) -> Self {
        let mut top = max;
        let mut missing = SeqSet::from_iter(missing).ranges().to_vec();
        if let Some(first_left_out) = missing.get(MAX_MISSING) {
            top = top.min(first_left_out.from.saturating_sub(1));
            missing.truncate(MAX_MISSING);
        }
        let mut ack = Self { v: VERSION, gateway, epoch, max: top, missing, backlog_rate, at, key: key.key_id(), sig: String::new() };
        ack.sig = key.sign(DOMAIN, &ack.to_vec());
        ack
    }

    /// Reads an ack. It must not be believed before [`Ack::verify`].
    pub fn from_slice(bytes: &[u8]) -> Result<Self, WireError> {
        let ack: Self = crate::read("ack", bytes)?;
        check_version(ack.v)?;
        if ack.missing.len() > MAX_MISSING {
            return Err(WireError::Contract("an ack names at most 64 missing ranges"));
        }
        check_name(&ack.epoch)?;
        Ok(ack)
    }

    /// The JSON form.
    pub fn to_vec(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Checks the signature against the pinned keys.
    pub fn verify(&self, pinned: &Pinned) -> Result<(), SignatureError> {
        let unsigned = Self { sig: String::new(), ..self.clone() };
        pinned.verify(DOMAIN, &unsigned.to_vec(), &self.key, &self.sig)
    }

    /// The seqs that this ack says are stored, ascending.
    pub fn stored(&self) -> Vec<SeqRange> {
        self.missing.iter().copied().collect::<SeqSet>().missing_up_to(self.max)
    }
}
