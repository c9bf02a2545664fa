//! Stays of members in stores, assembled from all evidence.

pub mod machine;
pub mod span;
pub mod stay;

pub use machine::{Cause, Change, Evidence, Machine, VisitChange};
pub use stay::{Rules, Stay};

use passage_protocol::{Millis, StoreId};
use uuid::Uuid;

use crate::identity::{MemberId, member::words};

use std::str::FromStr;

words! {
    /// What a stay turned out to be. Reports add up over all labels.
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
}
