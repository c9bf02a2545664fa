//! Contacts with the brand, and what was bought. Both keep their raw identifier in keyed form; the person is resolved when they are read.

pub mod import;
pub mod row;
pub mod table;
pub mod till;

use std::str::FromStr;

use passage_protocol::{Millis, StoreId};

use crate::identity::{IdentifierKind, Key, member::words};

words! {
    /// What kind of contact it was.
    TouchKind {
        /// Saw an ad or a page.
        View = "view",
        /// Stayed with it.
        Engaged = "engaged",
        /// Clicked.
        Click = "click",
        /// Opened a mail.
        Open = "open",
        /// Was sent a mail or an SMS.
        Send = "send",
        /// Scanned a code.
        Qr = "qr",
        /// Called.
        Call = "call",
        /// Put something into the basket.
        Basket = "basket",
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
    /// `social`, `email`, ... as the source said.
    pub channel: Option<String>,
    /// Product looked at.
    pub sku: Option<String>,
    /// Size looked at.
    pub size: Option<String>,
    /// Kind of the identifier.
    pub identifier_kind: IdentifierKind,
    /// The identifier, keyed.
    pub identifier: Key,
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
