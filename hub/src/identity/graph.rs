//! Which key belongs to whom. Pure rules; the log and its present reading are in the database.

use std::time::Duration;

use crate::identity::{IdentifierKind, MemberId};

/// Touchpoints of a weak key count for its member from this long before the link on: longer ago, somebody else may have used the device.
pub const RETRO: Duration = Duration::from_secs(30 * 86_400);

/// What happens when a key is to be tied to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attach {
    /// It becomes hers.
    New,
    /// It is hers already.
    Already,
    /// It belongs to somebody else. Two persons are never joined; the conflict is recorded for a person to look at.
    OtherMember(MemberId),
    /// She has as many keys of this kind as one person can have.
    TooMany,
}

impl Attach {
    /// The word in the database for a refusal.
    pub fn refusal(self) -> Option<&'static str> {
        match self {
            Self::New | Self::Already => None,
            Self::OtherMember(_) => Some("other-member"),
            Self::TooMany => Some("too-many"),
        }
    }
}

/// True for keys that name a device and not a person: they attach to a person and never join two.
pub fn is_weak(kind: IdentifierKind) -> bool {
    matches!(kind, IdentifierKind::Cookie | IdentifierKind::Installation | IdentifierKind::Beacon)
}

/// Most keys of a kind that one person holds.
pub fn limit(kind: IdentifierKind) -> i64 {
    match kind {
        IdentifierKind::CrmId => 1,
        IdentifierKind::LoyaltyCard | IdentifierKind::Beacon => 3,
        IdentifierKind::Phone => 4,
        IdentifierKind::Email => 5,
        // Re-installing the app makes a new one each time.
        IdentifierKind::Installation => 200,
        IdentifierKind::Cookie => 50,
    }
}

/// Decides on tying a key of `kind`, held by `holder` so far, to `member`, who holds `held` keys of that kind.
pub fn attach(kind: IdentifierKind, holder: Option<MemberId>, member: MemberId, held: i64) -> Attach {
    match holder {
        Some(holder) if holder == member => Attach::Already,
        Some(other) => Attach::OtherMember(other),
        None if held >= limit(kind) => Attach::TooMany,
        None => Attach::New,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_ever_moves_from_one_person_to_another() {
        for kind in IdentifierKind::ALL {
            assert_eq!(attach(*kind, Some(MemberId(1)), MemberId(2), 0), Attach::OtherMember(MemberId(1)));
            assert_eq!(attach(*kind, Some(MemberId(2)), MemberId(2), 1000), Attach::Already);
            assert_eq!(attach(*kind, None, MemberId(2), limit(*kind)), Attach::TooMany);
            assert_eq!(attach(*kind, None, MemberId(2), limit(*kind) - 1), Attach::New);
        }
    }
}
