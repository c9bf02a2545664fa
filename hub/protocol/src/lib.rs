//! What a Passage gateway and a Passage hub say to each other.
//!
//! Topics, envelopes, acks, states and site manifests are plain data with one JSON form each; golden files of every version stay under
//! `tests/golden`. Nothing in this crate decides anything and nothing does I/O, apart from reading the wall clock in [`time::Clock`].

pub mod ack;
pub mod beacon;
pub mod bundle;
pub mod deny;
pub mod event;
pub mod fleet;
pub mod id;
pub mod position;
pub mod radio;
pub mod rid;
pub mod seq;
pub mod sign;
pub mod site;
pub mod state;
pub mod time;
pub mod token;
pub mod topic;
pub mod wake;

pub use ack::Ack;
pub use beacon::StaticBeacon;
pub use bundle::Bundle;
pub use deny::{Denied, DenyList};
pub use event::{Envelope, Event, EventId, Gone, GoneReason, Phase, Signal, Strength, Subject, Zone};
pub use fleet::Invitation;
pub use id::{FenceId, GatewayId, HubId, InstallationId, StoreId};
pub use position::PositionSecret;
pub use radio::{PositionCounters, RadioCounters, RadioRestarts};
pub use rid::{ChainKey, Rid};
pub use seq::{Seq, SeqRange, SeqSet};
pub use state::{GatewayState, Hello, HubState, MAX_COMMANDS};
pub use time::{Clock, Correction, Millis};
pub use token::PositionToken;
pub use topic::Topic;
pub use wake::{WakeId, WakeKey, WakeMaster};

/// The protocol version that this crate writes. Readers accept [`OLDEST_READ`] to this one.
pub const VERSION: u8 = 1;
/// The oldest version that a hub still reads.
pub const OLDEST_READ: u8 = 1;
/// Most events in one envelope.
pub const MAX_EVENTS: usize = 200;
/// Largest payload of any message in bytes.
pub const MAX_PAYLOAD: usize = 64 * 1024;

/// Why a payload was refused.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The bytes are not the JSON that this topic carries. The text never repeats a value of the payload.
    #[error("not a valid {what}: {why}")]
    Malformed {
        /// The message kind, such as `envelope`.
        what: &'static str,
        /// Where and why, without values.
        why: String,
    },
    /// The payload is larger than [`MAX_PAYLOAD`].
    #[error("{0} bytes are more than the {MAX_PAYLOAD} a message may have")]
    TooLarge(usize),
    /// The message was written by a version that this side does not read.
    #[error("protocol version {0} is not read here (this side reads {OLDEST_READ} to {VERSION})")]
    Version(u8),
    /// A rule of the contract is broken, for example an empty envelope.
    #[error("{0}")]
    Contract(&'static str),
}

/// Reads one message, bounded in size; the error never repeats a value of the payload.
pub(crate) fn read<'a, T: serde::Deserialize<'a>>(what: &'static str, bytes: &'a [u8]) -> Result<T, WireError> {
    if bytes.len() > MAX_PAYLOAD {
        return Err(WireError::TooLarge(bytes.len()));
    }
    serde_json::from_slice(bytes).map_err(|e| WireError::Malformed { what, why: locate(&e) })
}

/// Place and class of a JSON error. serde's own text is left out because it may quote a value.
fn locate(e: &serde_json::Error) -> String {
    let class = match e.classify() {
        serde_json::error::Category::Io => "unreadable",
        serde_json::error::Category::Syntax => "broken JSON",
        serde_json::error::Category::Data => "a field is missing, unknown or of the wrong kind",
        serde_json::error::Category::Eof => "it ends too early",
    };
    format!("{class} at line {}, column {}", e.line(), e.column())
}

/// Checks a version number against what this side reads.
pub(crate) fn check_version(v: u8) -> Result<(), WireError> {
    if (OLDEST_READ..=VERSION).contains(&v) { Ok(()) } else { Err(WireError::Version(v)) }
}

/// Checks an epoch or boot id: 1 to 40 visible ASCII characters, so that every database and log can hold it.
pub(crate) fn check_name(name: &str) -> Result<(), WireError> {
    let fits = (1..=40).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
    if fits { Ok(()) } else { Err(WireError::Contract("epoch and boot have 1 to 40 visible ASCII characters")) }
}
