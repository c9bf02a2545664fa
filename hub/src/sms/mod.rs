//! From a planned message to a phone, and back with receipts and STOP.
//!
//! A message whose outcome nobody can know is shown as `unknown` and never repeated: `writing` is committed before the first byte leaves, and only
//! an outcome that is known to be "not accepted" is tried again.

pub mod check;
pub mod inbound;
pub mod msisdn;
pub mod provider;
pub mod receipt;
pub mod sandbox;
pub mod segment;
pub mod sender;
pub mod smpp;
pub mod state;

pub use msisdn::Msisdn;
pub use provider::{Outcome, Provider, Submit};
pub use sandbox::Sandbox;
pub use sender::Sender;

use std::str::FromStr;

use passage_protocol::{Millis, StoreId};
use uuid::Uuid;

use crate::identity::{Destination, MemberId, member::words};

words! {
    /// Where a message is. Only `not sent` outcomes are ever tried again; an unknown one is shown and never repeated.
    MessageState {
        /// Decided, not yet taken by a sender.
        Planned = "planned",
        /// A sender holds it under a lease.
        Claimed = "claimed",
        /// Committed before the bytes leave. After a crash this becomes `unknown`.
        Writing = "writing",
        /// The SMSC has it.
        Accepted = "accepted",
        /// The phone has it.
        Delivered = "delivered",
        /// The SMSC or the phone refused it for good.
        Failed = "failed",
        /// Its time was over.
        Expired = "expired",
        /// Nobody can know whether it left.
        Unknown = "unknown",
        /// A check just before sending forbade it: consent, STOP, hours, offer withdrawn.
        Suppressed = "suppressed",
    }
}

/// A message that the offer stage wants sent, written in the transaction of its decision.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Unique; our reference.
    pub id: Uuid,
    /// Hash over (offer, destination, store, store-local day, n). One message per key, ever.
    pub send_key: [u8; 32],
    /// The decision behind it.
    pub decision: Uuid,
    /// To whom.
    pub member: MemberId,
    /// In whose name.
    pub brand: String,
    /// In whose legal name.
    pub entity: String,
    /// Which offer.
    pub offer: String,
    /// The campaign that the SMS itself is a touch of.
    pub campaign: Option<String>,
    /// The visit that triggered it; `None` for `near`.
    pub visit: Option<Uuid>,
    /// The store that triggered it.
    pub store: StoreId,
    /// Where to.
    pub destination: Destination,
    /// What.
    pub text: String,
    /// Alphanumeric sender or short code.
    pub sender: String,
    /// Evidence that triggered it.
    pub trigger_at: Millis,
    /// When it was decided.
    pub planned_at: Millis,
    /// No byte leaves after this.
    pub deadline: Millis,
    /// Milliseconds that the SMSC may try.
    pub validity_ms: i64,
}

/// A message of the past, as caps and "one per visit" see it.
#[derive(Debug, Clone)]
pub struct PastMessage {
    /// Our reference.
    pub id: Uuid,
    /// In whose name.
    pub brand: String,
    /// In whose legal name.
    pub entity: String,
    /// Which offer.
    pub offer: String,
    /// When it was planned.
    pub at: Millis,
    /// Where.
    pub store: StoreId,
    /// Which visit.
    pub visit: Option<Uuid>,
    /// Its fate so far. Failed, expired and suppressed ones do not count against caps.
    pub state: MessageState,
}
