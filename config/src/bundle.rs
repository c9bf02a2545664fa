//! The site of one gateway, from what the files say to [`passage_protocol::Bundle`], and back on the other side.
//!
//! What a hub makes has passed all checks of the files. The gateway looks again at whatever could break its machines: a signature says who wrote
//! it, not that it is sound.

mod check;
mod make;
mod read;

use std::{sync::Arc, time::Duration};

use passage_protocol::StoreId;

pub use make::make;
pub use read::read;

use crate::model::{GatewayConfig, GeofenceRules, PresenceRules, Site};

/// Why a bundle is not used. The text holds no value of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBundle {
    /// Something in it cannot be.
    #[error("its {0} cannot be")]
    Wrong(&'static str),
    /// It is for a gateway that hangs elsewhere.
    #[error(
        "it is for {theirs}, and this gateway's file says {own}. Mend: correct `store` in gateway.toml, or in gateways/ of the hub's site, and apply that"
    )]
    OtherStore {
        /// Where the hub has it.
        theirs: String,
        /// Where its own file has it.
        own: String,
    },
}

/// What a bundle says.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// The shop that the gateway hangs in; `None` for a position gateway.
    pub store: Option<StoreId>,
    /// Stores, geofences and namespaces; no offers, campaigns or articles.
    pub site: Site,
    /// When a beacon is inside.
    pub presence: PresenceRules,
    /// When a position is inside.
    pub geofence: GeofenceRules,
    /// Stays at which a dwell is reported.
    pub dwell_marks: Vec<Duration>,
}

impl GatewayConfig {
    /// This configuration with the site of a bundle in it.
    ///
    /// # Errors
    /// The bundle is for another shop.
    pub fn with_site(&self, delivered: Delivered) -> Result<Self, BadBundle> {
        if delivered.store != self.store {
            let name = |store: Option<&StoreId>| store.map_or_else(|| "no shop".to_owned(), |s| format!("the shop \"{s}\""));
            return Err(BadBundle::OtherStore { theirs: name(delivered.store.as_ref()), own: name(self.store.as_ref()) });
        }
        let Delivered { site, presence, geofence, dwell_marks, .. } = delivered;
        Ok(Self { site: Arc::new(site), presence, geofence, dwell_marks, ..self.clone() })
    }
}

#[cfg(test)]
mod tests;
