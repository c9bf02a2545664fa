//! Whose an id is, in eight bytes.

use crate::identity::MemberId;

/// Whose an installation or beacon is: a member, and to whom she grants `presence`, as the resolver numbers that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner(u64);

impl Owner {
    /// Bits of the number of a group of grants.
    const BITS: u32 = 24;
    /// In place of the grants, where an installation has ended.
    const ENDED: u32 = (1 << Self::BITS) - 1;

    /// A member and the number of her grants.
    pub fn new(member: MemberId, grants: u32) -> Self {
        Self((member.0.unsigned_abs() << Self::BITS) | u64::from(grants.min(Self::ENDED - 1)))
    }

    /// Who.
    pub fn member(self) -> MemberId {
        MemberId(i64::try_from(self.0 >> Self::BITS).unwrap_or(0))
    }

    /// The number of her grants.
    pub fn grants(self) -> u32 {
        u32::try_from(self.0 & u64::from(Self::ENDED)).unwrap_or(Self::ENDED)
    }

    /// The same, after its end.
    pub(super) fn ended(self) -> Self {
        Self(self.0 | u64::from(Self::ENDED))
    }

    pub(super) fn has_ended(self) -> bool {
        self.grants() == Self::ENDED
    }
}
