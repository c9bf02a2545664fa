//! Who it was: members, their consents, their keyed identifiers, and the ids that their phones show.

pub mod keyring;
pub mod member;

pub use keyring::{Key, Keyring};
pub use member::{Consents, Destination, IdentifierKind, MemberId, Profile, Purpose};
