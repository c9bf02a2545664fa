//! Who it was: members, their consents, their keyed identifiers, and the ids that their phones show.

pub mod consent;
pub mod crm;
pub mod graph;
pub mod import;
pub mod key_watch;
pub mod keyring;
pub mod ledger;
pub mod member;
pub mod normalise;
pub mod onboard;
pub mod page;
pub mod phone;
pub mod platform;
pub mod resolver;
pub mod tables;

pub use keyring::{Key, Keyring};
pub use member::{AgeBand, Consents, Destination, IdentifierKind, MemberId, Profile, Purpose};
pub use resolver::Resolver;
