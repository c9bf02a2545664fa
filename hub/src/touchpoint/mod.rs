//! Contacts with the brand, and what was bought. Both keep their raw identifier in keyed form; the person is resolved when they are read.

pub mod import;
pub mod intake;
pub mod member_link;
pub mod parquet;
pub mod profile;
pub mod row;
pub mod table;
pub mod tags;
pub mod tally;
pub mod till;
pub mod totals;
pub mod writer;

use std::str::FromStr;

use passage_protocol::{Millis, StoreId};

use crate::identity::{IdentifierKind, Key, member::words};

words! {
    /// What kind of contact it was.
    TouchKind {
        /// Saw an ad or a page of an article.
        View = "view",
        /// Stayed with it: played a video, liked, shared, commented.
        Engaged = "engaged",
        /// Clicked.
        Click = "click",
        /// Opened a mail.
        Open = "open",
        /// Was sent a mail or an SMS.
        Send = "send",
        /// Wants no more mails from this list.
        Unsubscribe = "unsubscribe",
        /// Scanned a code.
        Qr = "qr",
        /// Called.
        Call = "call",
        /// Looked at a page of the site.
        Page = "page",
        /// Put something into the basket.
        Basket = "basket",
        /// Ordered.
        Order = "order",
        /// Ordered, to fetch it in a shop.
        ClickCollect = "click_collect",
        /// Fetched an order.
        Pickup = "pickup",
        /// Brought or sent something back.
        Return = "return",
        /// A till ticket, told by a system that keeps no lines.
        Ticket = "ticket",
        /// Asked the after-sales service.
        Support = "support",
        /// Tried something on.
        Fitting = "fitting",
        /// A seller advised her.
        Assist = "assist",
        /// Wrote a review.
        Review = "review",
        /// Used the loyalty programme.
        Loyalty = "loyalty",
        /// Saw a block of the site that puts an offer forward.
        OnsiteBlock = "onsite_block",
    }
}

impl TouchKind {
    /// True if a campaign can reach somebody by it. Having been sent something is no exposure, and what she does in the shop or on the site by herself is
    /// part of her way but nobody's advertising.
    pub fn is_exposure(self) -> bool {
        matches!(self, Self::View | Self::Engaged | Self::Click | Self::Open | Self::Qr | Self::Call | Self::OnsiteBlock)
    }
}

/// Any contact with the brand.
#[derive(Debug, Clone, PartialEq)]
pub struct Touchpoint {
    /// Idempotency key: the source's name and its own key, `site/4711`.
    pub id: String,
    /// When.
    pub at: Millis,
    /// What.
    pub kind: TouchKind,
    /// With which it is an exposure.
    pub campaign: Option<String>,
    /// `paid-social`, `email`, ... as the source said, or by the channel rules.
    pub channel: Option<String>,
    /// Product looked at.
    pub sku: Option<String>,
    /// Size looked at.
    pub size: Option<String>,
    /// Kind of the identifier.
    pub identifier_kind: IdentifierKind,
    /// The identifier, keyed.
    pub identifier: Key,
    /// The rest.
    pub detail: Detail,
}

/// What only some touchpoints say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Detail {
    /// The utm_source, or the host of the referrer.
    pub source: Option<String>,
    /// The utm_medium.
    pub medium: Option<String>,
    /// Name and value of the ad platform's click id, `gclid=..`.
    pub click_id: Option<String>,
    /// Category of the product, when the source tells it.
    pub category: Option<String>,
    /// Where it happened.
    pub store: Option<String>,
    /// Which side of a test she saw.
    pub variant: Option<String>,
    /// How it ended: of a call, a support case, a review.
    pub outcome: Option<String>,
    /// Keyed hash of the order's number: orders, pickups, returns and calls meet by it.
    pub order: Option<Key>,
    /// Amount in cents.
    pub cents: Option<i64>,
}

/// A till ticket of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purchase {
    /// Number of the ticket, unique per store.
    pub ticket: String,
    /// When.
    pub at: Millis,
    /// Where.
    pub store: StoreId,
    /// Sku and cents of each line.
    pub lines: Vec<(String, i64)>,
}

impl Purchase {
    /// Cents of all lines.
    pub fn total_cents(&self) -> i64 {
        self.lines.iter().map(|l| l.1).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tracking_plan_knows_every_kind() {
        let words: Vec<&str> = TouchKind::ALL.iter().map(|kind| kind.word()).collect();
        let mut planned = passage_config::TOUCH_KINDS.to_vec();
        planned.sort_unstable();
        let mut sorted = words.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, planned);
    }
}
