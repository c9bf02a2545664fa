//! The site that comes from the hub: stores, geofences, namespaces, rules and dwell marks of this gateway.
//!
//! ```text
//! manifest -> rule (signed? for us? not older?) -> collect (its parts, in any order) -> check -> outbox file -> in force
//! ```
//!
//! Nothing of it counts before all of it is there, fits the signed digest, could be read, and is on the disk. What does not pass changes nothing:
//! the last good one stays in force, also over a restart without a network, and the flag `site-refused` tells the hub.

mod collect;
mod keeper;
pub mod last_good;
mod rule;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use passage_config::{
    GatewayConfig,
    bundle::{self, BadBundle},
};
use passage_protocol::{Bundle, WireError, sign::SignatureError};
use tokio::sync::watch;

pub use self::{
    collect::{Collected, Collector, Piece},
    keeper::Keeper,
    rule::{Held, judge},
};

/// Raised while the newest thing that came in for our site was refused; the log says why.
pub const REFUSED: &str = "site-refused";
/// Raised while the site should come from the hub and none has come yet: nobody is recognised.
pub const NONE_YET: &str = "no-site";

/// What the machines work with: a gateway's configuration with the site of the moment in it.
#[derive(Debug, Clone)]
pub struct InForce {
    /// Revision of the hub's site; 0 when it came from files, or none has come yet.
    pub revision: u64,
    /// Digest of its parts, as its manifest has it; empty without one.
    pub sha256: String,
    /// Site and rules, and everything that the gateway's own file says.
    pub config: GatewayConfig,
}

/// Where every stage sees what is in force.
pub type Live = watch::Receiver<Arc<InForce>>;

impl InForce {
    /// What the files say. With `site_from_hub`, that is an empty site.
    pub fn of_files(config: &GatewayConfig) -> Self {
        Self { revision: 0, sha256: String::new(), config: config.clone() }
    }

    /// What a packed bundle says, whose digest was compared with its manifest.
    ///
    /// # Errors
    /// It cannot be read, or is not for a gateway that hangs here.
    pub fn of_bundle(own: &GatewayConfig, revision: u64, sha256: &str, packed: &[u8]) -> Result<Self, Refusal> {
        let delivered = bundle::read(&Bundle::unpack(packed)?)?;
        Ok(Self { revision, sha256: sha256.to_owned(), config: own.with_site(delivered)? })
    }

    /// True when no beacon and no place is known.
    pub fn is_empty(&self) -> bool {
        self.config.site.stores.is_empty()
    }
}

/// Why something that came in for our site was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Not a manifest, or not a bundle.
    #[error("{0}")]
    Unreadable(#[from] WireError),
    /// For another gateway.
    #[error("it is for another gateway. Mend: look who may write to the site topics of this one")]
    Foreign,
    /// Not by a hub that we know.
    #[error("{0}. Mend: if the hub is yours, put its public key into `hub_keys` of gateway.toml; if not, look who writes to the broker")]
    Signature(#[from] SignatureError),
    /// A lower revision that no rollback allows.
    #[error(
        "its revision {0} is lower than {1}, which is in force. Mend: if the hub's database was restored from an older copy, \
         `passage-hub gateway rollback ID {1}` signs the way back"
    )]
    Older(u64, u64),
    /// The same revision with other content.
    #[error(
        "it is another site with the number {0} of the one in force. Mend: `passage-hub apply` again, or, if the hub's database was restored, \
         `passage-hub gateway rollback ID {0}`"
    )]
    Other(u64),
    /// The parts do not fit the manifest.
    #[error("the parts of revision {0} do not fit its signed digest; they are asked for again")]
    Damaged(u64),
    /// The content would break this gateway.
    #[error("{0}")]
    Bad(#[from] BadBundle),
}
