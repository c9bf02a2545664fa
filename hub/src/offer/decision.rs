//! What a decision is: the record that answers "why did, or didn't, this member get that offer".

use std::str::FromStr;

use passage_protocol::{Millis, StoreId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::identity::{MemberId, member::words};

words! {
    /// Why an offer was refused, in the order in which it is checked; the first that fails names the decision.
    Reason {
        /// No consent to offers by SMS.
        NoSmsConsent = "no-sms-consent",
        /// No phone number.
        NoNumber = "no-number",
        /// The number said STOP.
        Suppressed = "suppressed",
        /// She was inside already when she was first seen, so nobody knows when she came.
        Initial = "initial",
        /// The evidence came too late to be a reason for anything but the record.
        Late = "late",
        /// She was leaving already.
        Left = "left",
        /// The evidence is not fresh any more.
        StaleEvidence = "stale-evidence",
        /// Her rotating id was heard in a distant store as well: it was copied, and nobody can tell where she is.
        Replayed = "replayed",
        /// The store is closed.
        StoreClosed = "store-closed",
        /// Outside the days and times of the offer or of the sender.
        OutsideHours = "outside-hours",
        /// The audience asks for online behaviour, which she did not allow to be joined.
        NoMatchConsent = "no-match-consent",
        /// The offer speaks of products, which she did not allow.
        NoPersonaliseConsent = "no-personalise-consent",
        /// Not exposed to the campaign, or not often enough.
        NotExposed = "not-exposed",
        /// No product looked at often enough and not bought.
        NotViewed = "not-viewed",
        /// In the group that never gets this offer and is compared. Checked before the caps, so that both groups are drawn from the same people.
        HeldOut = "held-out",
        /// As many messages today as are allowed.
        CapDay = "cap-day",
        /// As many messages in 7 days as are allowed.
        CapWeek = "cap-week",
        /// As many messages in 30 days as are allowed.
        CapMonth = "cap-month",
        /// This visit has its message.
        OnePerVisit = "one-per-visit",
        /// The text asks for something that is not known, such as a size.
        TextIncomplete = "text-incomplete",
        /// The text needs more parts than the offer allows.
        TooLong = "too-long",
        /// Another offer of the same trigger has a higher priority.
        OtherOfferWon = "other-offer-won",
        /// This very message exists already.
        AlreadySent = "already-sent",
    }
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The message was planned.
    Send,
    /// It was not, for this reason.
    Refuse(Reason),
}

impl Outcome {
    /// `send`, or the name of the refusal.
    pub fn word(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Refuse(reason) => reason.word(),
        }
    }

    /// Reads [`Outcome::word`]; `None` when it is not one.
    pub fn from_word(word: &str) -> Option<Self> {
        if word == "send" { Some(Self::Send) } else { Reason::from_str(word).ok().map(Self::Refuse) }
    }
}

/// How one check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// Nothing against the offer.
    Pass,
    /// Against it.
    Fail,
    /// Does not apply, or could not be judged because of an earlier failure.
    Skip,
}

/// One check of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Name of the refusal that it guards.
    pub check: String,
    /// How it ended.
    pub outcome: Mark,
    /// What was found, in plain words.
    pub detail: String,
}

/// One evaluation of one offer with its reasons.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Unique.
    pub id: Uuid,
    /// About whom.
    pub member: MemberId,
    /// In whose name.
    pub brand: String,
    /// In whose legal name.
    pub entity: String,
    /// Which offer.
    pub offer: String,
    /// Where.
    pub store: StoreId,
    /// `enter`, `dwell 180 s` or `near`.
    pub trigger: String,
    /// The visit or passer-by record that triggered it.
    pub visit: Option<Uuid>,
    /// When.
    pub at: Millis,
    /// What.
    pub result: Outcome,
    /// Every check, in order.
    pub checks: Vec<Check>,
    /// [`passage_config::Site::revision`] in force.
    pub revision: String,
}
