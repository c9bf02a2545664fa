//! Tells the gateways what was taken back: installations that ended, because a member deleted them or withdrew `presence`, and tokens that were
//! replaced before their time. Each hub does it from the database, so it does not matter which one took the call.

use std::{collections::HashMap, time::Duration};

use passage_protocol::{Clock, Denied, DenyList, GatewayId, Topic};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{HubKeys, link::Outlet};
use crate::store::{
    Db, StoreError,
    people::{self, installation},
    progress,
};

/// How often the database is looked at, in machine time. A withdrawal must be in force within 60 s.
const EVERY: Duration = Duration::from_secs(2);
/// Ended installations stay on the list for so long, in business time. Their tokens live a day, but the key of their encrypted reports has no end;
/// a gateway that was away for longer still reports nobody whom the hub would know.
const LISTED: Duration = Duration::from_secs(30 * 86_400);

/// Publishes the deny list to every gateway that ever said hello.
pub(crate) struct Denial {
    pub(crate) db: Db,
    pub(crate) keys: HubKeys,
    pub(crate) clock: Clock,
    pub(crate) outlet: Outlet,
}

/// The connection and the change of people that a gateway was last told of.
type Told = HashMap<GatewayId, (u64, people::Version)>;

impl Denial {
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut told = Told::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                outcome = self.round(&mut told) => if let Err(e) = outcome {
                    warn!(error = %e, "the deny list could not be read; trying again");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    async fn round(&self, told: &mut Told) -> Result<(), StoreError> {
        // Another connection may be one to a broker that has forgotten what was retained.
        let Some(generation) = self.outlet.generation() else { return Ok(()) };
        let mut tx = self.db.begin_read().await?;
        let version = people::version(&mut tx).await?;
        let mut waiting = progress::gateways(&mut tx).await?;
        waiting.retain(|gateway| told.get(gateway) != Some(&(generation, version)));
        if waiting.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let denied = installation::denied(&mut tx, now - LISTED, now).await?;
        drop(tx);
        for gateway in waiting {
            if denied.is_empty() || self.say(&gateway, version, &denied) {
                told.insert(gateway, (generation, version));
            }
        }
        Ok(())
    }

    /// False when the way out is clogged; then it is said again.
    fn say(&self, gateway: &GatewayId, version: people::Version, denied: &[Denied]) -> bool {
        let revision = u64::try_from(version).unwrap_or(0);
        let parts = DenyList::parts(gateway, revision, denied, self.keys.signing());
        parts.iter().all(|list| self.outlet.publish(&Topic::SiteDeny(gateway.clone(), list.part), true, list.to_vec()))
    }
}
