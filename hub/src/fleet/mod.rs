//! Which machines belong to the fleet: the authority that issues their certificates, invitations and enrolment, revocation, and the files of the
//! broker. The database is the one place where it is kept, so every hub issues, refuses and drops alike.

mod authority;
pub mod broker;
mod enrolment;
mod invite;
mod listener;
mod standing;
mod watch;

use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) use authority::CONTEXT as AUTHORITY_CONTEXT;
pub use authority::{Authority, AuthorityError, Issued};
pub use enrolment::{Enrolment, FleetError};
pub use invite::{Refused, Wish, invite, revoke};
pub use standing::{Standing, out_within, standing};
pub use watch::Watch;

/// Machine time in milliseconds since 1970. Certificates and invitations end by it, whatever the business clock says.
#[expect(clippy::disallowed_methods, reason = "certificates end by the machine's clock")]
pub fn machine_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
