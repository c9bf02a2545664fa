//! Which key belongs to whom. Pure: links come in, components, slices and refusals come out; the log and its present reading are in the database.
//!
//! A link says that a key is a member's. Strong keys (CRM number, card, address, number) join the members that hold them into one person; weak keys
//! (cookie, device) only attach to a person, and change hands when another one identifies herself on them. Links are taken in the order of their
//! time and id, so the order in which they arrive does not matter.

mod build;
mod rules;

use passage_protocol::Millis;

pub use build::{Built, Graph, Slice};
pub use rules::{Counts, Rules};

use crate::identity::{IdentifierKind, Key, MemberId};

/// A key with its kind.
pub type Node = (IdentifierKind, Key);

/// One statement of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name in the log; decides between links of one moment.
    pub id: u128,
    /// The key.
    pub node: Node,
    /// Whose it is.
    pub member: MemberId,
    /// When it was said first.
    pub at: Millis,
    /// When it was said last.
    pub last_at: Millis,
    /// In which context a CRM number counts; numbers of different contexts may be one person's.
    pub context: String,
    /// The member grants `match`.
    pub may_match: bool,
}

/// Why a link ties nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// Both sides have a CRM number of one context, and not the same.
    TwoCrmIds,
    /// The person would have more keys of a kind than one can have.
    TooMany,
    /// The value is on the block list.
    Blocked,
    /// The value stood for too many persons: a shared phone, a family's address, a switchboard.
    Shared,
    /// The person would have more keys than anybody has.
    TooLarge,
    /// One of the members does not grant `match`.
    NoConsent,
    /// The key is another person's and cannot change hands.
    OtherMember,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::TwoCrmIds, Self::TooMany, Self::Blocked, Self::Shared, Self::TooLarge, Self::NoConsent, Self::OtherMember];

    /// The word in the database.
    pub fn word(self) -> &'static str {
        match self {
            Self::TwoCrmIds => "two-crm-ids",
            Self::TooMany => "too-many",
            Self::Blocked => "blocked",
            Self::Shared => "shared",
            Self::TooLarge => "too-large",
            Self::NoConsent => "no-consent",
            Self::OtherMember => "other-member",
        }
    }

    /// What a person reads.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::TwoCrmIds => "both members have a CRM number, and not the same: two persons are never joined",
            Self::TooMany => "the person has as many keys of this kind as one person can have",
            Self::Blocked => "the value is on the block list of hub.toml",
            Self::Shared => "the value stood for too many persons and joins nobody any more",
            Self::TooLarge => "the person would have more keys than anybody has",
            Self::NoConsent => "one of the members does not grant `match`",
            Self::OtherMember => "the key belongs to another person, and keys of this kind do not change hands",
        }
    }

    /// The refusal behind a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.word() == word)
    }
}

/// True for keys that change hands: two persons may use one browser or tablet, one after the other.
pub fn changes_hands(kind: IdentifierKind) -> bool {
    matches!(kind, IdentifierKind::Cookie | IdentifierKind::Device)
}

/// True for keys that may be tied only to a member who grants `match`. The others name what she shows in the shop.
pub fn needs_match(kind: IdentifierKind) -> bool {
    use IdentifierKind::{Beacon, CrmId, Installation, LoyaltyCard};
    !matches!(kind, CrmId | LoyaltyCard | Installation | Beacon)
}

#[cfg(test)]
mod tests;
