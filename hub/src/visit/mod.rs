//! Stays of members in stores, assembled from all evidence.

pub mod doubt;
pub mod evidence;
pub mod judge;
pub mod machine;
pub mod regular;
mod score;
pub mod span;
pub mod state;
pub mod stay;

pub use evidence::{Evidence, Kind, Source, Weight, weigh};
pub use judge::{Confidence, Figures, Reason, RevisedBecause};
pub use machine::{Cause, Change, Machine, VisitChange};
pub use state::State;
pub use stay::{Rules, Stay};

use passage_protocol::{Millis, StoreId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::identity::{MemberId, member::words};

use std::str::FromStr;

words! {
    /// What a stay turned out to be. Reports add up over all labels.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    Label {
        /// A visit: dwell reached, in opening hours, nobody of the staff.
        Qualified = "qualified",
        /// Not long enough, or only in front.
        PasserBy = "passer-by",
        /// Works there.
        Staff = "staff",
        /// Lives there.
        Resident = "resident",
        /// Outside opening hours.
        OutOfHours = "out-of-hours",
        /// Longer than any visit, or contradicted.
        Suspect = "suspect",
    }
}

/// One member's stay in one store.
#[derive(Debug, Clone, PartialEq)]
pub struct Visit {
    /// Unique.
    pub id: Uuid,
    /// Who.
    pub member: MemberId,
    /// Where.
    pub store: StoreId,
    /// First evidence inside.
    pub start: Millis,
    /// Last evidence inside.
    pub end: Millis,
    /// Counted milliseconds: last minus first evidence, less gaps that do not count.
    pub dwell_ms: i64,
    /// What it is so far.
    pub label: Label,
    /// More evidence may still come.
    pub open: bool,
    /// How it is known, and how well.
    pub proof: Proof,
}

/// How a visit is known, and how well.
#[derive(Debug, Clone, PartialEq)]
pub struct Proof {
    /// By what, in the order of [`Kind`].
    pub kinds: Vec<Kind>,
    /// The best 68 % radius of a position, in metres.
    pub accuracy_m: Option<f64>,
    /// How much it can be relied on.
    pub confidence: Confidence,
    /// Why it is not, or not yet, a qualified visit; empty for one that is.
    pub reasons: Vec<Reason>,
    /// The rules by which it was judged: that of the machine, and the revision of the configuration.
    pub rules: String,
    /// How often it was told again with other figures after it was closed.
    pub revision: u32,
    /// Why the last time.
    pub revised: Option<RevisedBecause>,
}
