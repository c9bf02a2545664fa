//! The envelope that a gateway publishes, and the events in it: the only thing that it ever says about people.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    FenceId, GatewayId, InstallationId, MAX_EVENTS, Millis, Rid, Seq, SeqRange, StaticBeacon, StoreId, VERSION, WireError, check_name,
    check_version,
};

/// A UUIDv7 that the gateway made. Together with (gateway, epoch, seq) it tells a repetition from a fork.
pub type EventId = uuid::Uuid;

/// What a gateway can name. Debug output hides the value: it is personal data.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Subject {
    /// A rotating id of an app, with the window-hint nibble that came with it.
    Rid {
        /// The 8 rotating bytes.
        rid: Rid,
        /// Low 4 bits of the window that the phone believed in.
        hint: u8,
    },
    /// A registered card or fob.
    Beacon(StaticBeacon),
    /// An app that spoke for itself with its token.
    Installation(InstallationId),
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rid { .. } => "Rid(..)",
            Self::Beacon(_) => "Beacon(..)",
            Self::Installation(_) => "Installation(..)",
        })
    }
}

/// How the subject was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// Radio advert of one of our beacons.
    Beacon,
    /// A position of an installation against a geofence.
    Position,
    /// The app said so itself, for example woken by the shop's own beacon.
    App,
}

/// Where an event happened: the radio zone `in` or `front` of the gateway, or a geofence. On the wire one word.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Zone {
    /// Inside the shop, by radio.
    In,
    /// In front of the shop, by radio.
    Front,
    /// A geofence.
    Fence(FenceId),
}

impl From<Zone> for String {
    fn from(zone: Zone) -> String {
        match zone {
            Zone::In => "in".to_owned(),
            Zone::Front => "front".to_owned(),
            Zone::Fence(id) => id.into(),
        }
    }
}

impl TryFrom<String> for Zone {
    type Error = crate::id::BadId;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "in" => Ok(Self::In),
            "front" => Ok(Self::Front),
            _ => text.try_into().map(Self::Fence),
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In => f.write_str("in"),
            Self::Front => f.write_str("front"),
            Self::Fence(id) => id.fmt(f),
        }
    }
}

/// What happened in the zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The subject came in.
    Enter,
    /// The subject is still there; sent at each dwell mark.
    Dwell,
    /// The subject left, or fell silent; `at` and `last` are its last evidence, never the time-out.
    Exit,
}

/// How good the evidence was.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Strength {
    /// Of a beacon, the median RSSI in dBm over the window, and how many sightings it rests on; of an app, the mean of what its phone heard of the
    /// shop's own beacon in this stay, and in how many words it said so.
    Radio {
        /// dBm, negative.
        rssi: i8,
        /// Sightings since the first evidence.
        count: u32,
    },
    /// Probability of being inside (0 to 1) and the accuracy radius in metres.
    Position {
        /// Probability inside the zone.
        p: f32,
        /// 68 % radius in metres.
        accuracy_m: f32,
    },
    /// The phone's own word, without saying how loud it heard the beacon.
    App,
}

/// One fact about one subject in one zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Made by the gateway, unique.
    pub id: EventId,
    /// Number inside the epoch.
    pub seq: Seq,
    /// The store that the zone belongs to.
    pub store: StoreId,
    /// Where.
    pub zone: Zone,
    /// Who, as far as a gateway can tell.
    pub subject: Subject,
    /// How it was noticed.
    pub signal: Signal,
    /// What happened.
    pub phase: Phase,
    /// Business time of the fact at the gateway. Never changed afterwards.
    pub at: Millis,
    /// The gateway's monotonic milliseconds since its boot at the same moment.
    pub mono: i64,
    /// First evidence of this stay.
    pub first: Millis,
    /// Last evidence of this stay so far.
    pub last: Millis,
    /// How good the evidence was.
    pub strength: Strength,
    /// The subject was already inside when first seen: counts for the visit, never triggers.
    #[serde(default, skip_serializing_if = "is_false")]
    pub initial: bool,
    /// The evidence came too late to be a reason for anything but the record.
    #[serde(default, skip_serializing_if = "is_false")]
    pub late: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_false(b: &bool) -> bool {
    !b
}

impl Event {
    /// The rules that need no other knowledge. An event that breaks one would spoil its whole envelope.
    ///
    /// # Errors
    /// Tells the rule.
    pub fn check(&self) -> Result<(), WireError> {
        if !is_seq(self.seq) {
            return Err(WireError::Contract("seqs count from 1 and fit 63 bits"));
        }
        [self.at, self.first, self.last].into_iter().try_for_each(check_time)?;
        if self.first > self.last {
            return Err(WireError::Contract("the first evidence of an event is not after its last"));
        }
        self.subject.check()?;
        match self.strength {
            // JSON can write numbers that become infinite here and could not be written again.
            Strength::Position { p, accuracy_m } if !p.is_finite() || !accuracy_m.is_finite() => {
                Err(WireError::Contract("probability and accuracy are finite"))
            }
            _ => Ok(()),
        }
    }
}

impl Subject {
    fn check(&self) -> Result<(), WireError> {
        match self {
            Self::Rid { hint, .. } if *hint > 0x0f => Err(WireError::Contract("a window hint has 4 bits")),
            Self::Beacon(beacon) if !beacon.is_well_formed() => {
                Err(WireError::Contract("the ids of a beacon are lower-case hex digits of the length that its kind has"))
            }
            _ => Ok(()),
        }
    }
}

fn is_seq(seq: Seq) -> bool {
    seq > 0 && i64::try_from(seq).is_ok()
}

/// Times lie between 1970 and 9999, so that arithmetic and calendars never overflow.
fn check_time(at: Millis) -> Result<(), WireError> {
    if (0..=253_402_300_799_999).contains(&at.0) { Ok(()) } else { Err(WireError::Contract("times lie between 1970 and 9999")) }
}

/// Why seqs will never be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GoneReason {
    /// Dropped by the bound on bytes or age.
    Evicted,
    /// A hub had acked it, so the gateway deleted it.
    AckedBefore,
    /// Reserved in a block, but the gateway stopped before using it.
    NeverWritten,
    /// No broker takes it, or it is no event; the gateway keeps it among its dead letters.
    Undeliverable,
}

/// A range of seqs that the gateway accounts for but cannot deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gone {
    /// Which seqs.
    pub range: SeqRange,
    /// Why.
    pub reason: GoneReason,
}

/// The payload of `passage/v1/gateway/{id}/event`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// Protocol version.
    pub v: u8,
    /// The sender; must equal the id in the topic.
    pub gateway: GatewayId,
    /// Random id of the outbox file.
    pub epoch: String,
    /// Random id of this run of the gateway.
    pub boot: String,
    /// Business time of sending.
    pub sent_at: Millis,
    /// Monotonic milliseconds since boot at sending.
    pub sent_mono: i64,
    /// True if the gateway trusts the clock that the times of these events were read from. If not, a hub corrects them by their age: by `sent_mono` less
    /// `mono`, and where that is negative by `sent_at` less `at`.
    pub synced: bool,
    /// 1 to 200 events; may be empty only when `gone` is not.
    pub events: Vec<Event>,
    /// Seqs that will never come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<Gone>,
    /// Reserved for a signature of the gateway over the envelope without this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sig: Option<String>,
}

impl Envelope {
    /// Reads an envelope and checks the rules that need no other knowledge.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, WireError> {
        let envelope: Self = crate::read("envelope", bytes)?;
        check_version(envelope.v)?;
        if envelope.events.is_empty() && envelope.gone.is_empty() {
            return Err(WireError::Contract("an envelope carries at least one event or gone record"));
        }
        if envelope.events.len() > MAX_EVENTS {
            return Err(WireError::Contract("an envelope carries at most 200 events"));
        }
        check_name(&envelope.epoch)?;
        check_name(&envelope.boot)?;
        check_time(envelope.sent_at)?;
        envelope.events.iter().try_for_each(Event::check)?;
        if envelope.gone.iter().any(|g| !is_seq(g.range.from) || !is_seq(g.range.to)) {
            return Err(WireError::Contract("seqs count from 1 and fit 63 bits"));
        }
        Ok(envelope)
    }

    /// The JSON form.
    pub fn to_vec(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// An envelope of the present version without a signature.
    pub fn new(gateway: GatewayId, epoch: String, boot: String) -> Self {
        Self {
            v: VERSION,
            gateway,
            epoch,
            boot,
            sent_at: Millis(0),
            sent_mono: 0,
            synced: true,
            events: Vec::new(),
            gone: Vec::new(),
            sig: None,
        }
    }
}
