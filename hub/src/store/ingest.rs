//! Events as they are stored.

use passage_protocol::{GatewayId, Millis, Phase, Seq, Signal, StoreId, Strength, Zone};

use crate::{
    args,
    identity::MemberId,
    store::{Row, StoreError, Tx},
};

/// An event as ingest stored it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// Its id.
    pub id: String,
    /// The gateway that reported it.
    pub gateway: GatewayId,
    /// The epoch of that gateway's outbox.
    pub epoch: String,
    /// Number inside the epoch.
    pub seq: Seq,
    /// The store that the zone belongs to.
    pub store: StoreId,
    /// Where.
    pub zone: Zone,
    /// `rid`, `beacon` or `installation`.
    pub subject_kind: String,
    /// How it was noticed.
    pub signal: Signal,
    /// What happened.
    pub phase: Phase,
    /// Business time as the gateway had it.
    pub at: Millis,
    /// The same, corrected when the gateway did not trust its clock.
    pub at_corrected: Millis,
    /// First evidence of the stay, corrected likewise.
    pub first: Millis,
    /// Last evidence of the stay so far, corrected likewise.
    pub last: Millis,
    /// How good the evidence was.
    pub strength: Strength,
    /// Already inside when first seen: never triggers.
    pub initial: bool,
    /// Too late to be a reason for anything but the record.
    pub late: bool,
    /// When the hub stored it.
    pub received_at: Millis,
    /// Whose; `None` while nobody is known for the subject.
    pub member: Option<MemberId>,
}

macro_rules! columns {
    () => {
        "id, gateway, epoch, seq, store, zone, subject_kind, signal, phase, at, at_corrected, first_at, last_at, strength, initial, late, \
         received_at, member"
    };
}

impl StoredEvent {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.text(0)?,
            gateway: row.text(1)?.try_into().map_err(|_| StoreError::Corrupt("gateway id"))?,
            epoch: row.text(2)?,
            seq: u64::try_from(row.int(3)?).map_err(|_| StoreError::Corrupt("seq"))?,
            store: row.text(4)?.try_into().map_err(|_| StoreError::Corrupt("store id"))?,
            zone: row.text(5)?.try_into().map_err(|_| StoreError::Corrupt("zone"))?,
            subject_kind: row.text(6)?,
            signal: word(row.text(7)?, "signal")?,
            phase: word(row.text(8)?, "phase")?,
            at: row.millis(9)?,
            at_corrected: row.millis(10)?,
            first: row.millis(11)?,
            last: row.millis(12)?,
            strength: serde_json::from_str(&row.text(13)?).map_err(|_| StoreError::Corrupt("strength"))?,
            initial: row.flag(14)?,
            late: row.flag(15)?,
            received_at: row.millis(16)?,
            member: row.opt_int(17)?.map(MemberId),
        })
    }
}

/// Reads an enum in its wire word.
fn word<T: serde::de::DeserializeOwned>(text: String, what: &'static str) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(text)).map_err(|_| StoreError::Corrupt(what))
}

/// The event with this id.
pub async fn event(tx: &mut Tx, id: &str) -> Result<Option<StoredEvent>, StoreError> {
    let row = tx.fetch_optional(concat!("SELECT ", columns!(), " FROM event WHERE id = $1"), args![id]).await?;
    row.as_ref().map(StoredEvent::from_row).transpose()
}
