//! Offers: which ones a change of a visit fires, who is in their audience, whether they may be sent, and the words. Everything but [`work`] and [`why`]
//! is pure.

pub mod audience;
pub mod decide;
pub mod decision;
pub mod text;
pub mod trigger;
pub mod why;
pub mod work;

mod evaluate;
mod replay;
mod settle;
mod step;

pub use decide::{Inputs, Verdict, decide};
pub use decision::{Check, Decision, Outcome, Reason};
pub use work::Worker;

use chrono::{DateTime, NaiveDate};
use chrono_tz::Tz;
use passage_protocol::Millis;

/// The store-local day of a point of business time.
pub(crate) fn local_day(at: Millis, zone: Tz) -> NaiveDate {
    DateTime::from_timestamp_millis(at.0).unwrap_or_default().with_timezone(&zone).date_naive()
}
