//! Sends the gateways their site after an `apply`, and commands. Each hub does it from the database, so it does not matter which one is online; the
//! first that sees a revision decides its bytes, and all publish the same.
//!
//! Parts go first and the manifest last, all retained, so that whoever follows a manifest finds its parts; then the parts of older revisions are taken
//! away. Another connection may be one to a broker that has forgotten what it retained, so everything is said again on each.

use std::{collections::HashMap, sync::Arc, time::Duration};

use passage_config::{HubConfig, SiteGateway, bundle};
use passage_protocol::{
    Clock, GatewayId, Topic, VERSION,
    bundle::parts,
    site::{SiteManifest, digest},
};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{HubKeys, link::Outlet};
use crate::store::{
    Db, StoreError, Tx, config, fleet,
    site::{self, Bundled},
};

/// How often the database is looked at, in machine time. A configuration must be in force everywhere within seconds.
const EVERY: Duration = Duration::from_secs(1);

/// A command that its gateway has not answered is published again after this, in business time as its end.
const AGAIN: Duration = Duration::from_secs(15);

/// Publishes sites and commands.
pub(crate) struct Sites {
    pub(crate) db: Db,
    pub(crate) keys: HubKeys,
    pub(crate) config: watch::Receiver<Arc<HubConfig>>,
    pub(crate) clock: Clock,
    pub(crate) outlet: Outlet,
}

/// What was done so far.
#[derive(Default)]
struct Done {
    /// The applied revision whose bundles were made.
    made: i64,
    /// What each gateway was last told, and on which connection; no revision: that it is not listed any more, or was revoked.
    told: HashMap<GatewayId, (u64, Option<Told>)>,
}

/// A revision, and the one that may be left for it.
type Told = (u64, Option<u64>);

impl Sites {
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut done = Done::default();
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(every.tick()).await.is_some() {
            let Some(outcome) = stop.run_until_cancelled(self.round(&mut done)).await else { return };
            if let Err(e) = outcome {
                warn!(error = %e, "sites and commands of the gateways could not be read; trying again");
            }
        }
    }

    async fn round(&self, done: &mut Done) -> Result<(), StoreError> {
        // Without a connection, nothing can be said, and another hub may be there to say it.
        let Some(generation) = self.outlet.generation() else { return Ok(()) };
        self.commands().await?;
        let config = Arc::clone(&self.config.borrow());
        if config.applied == 0 {
            return Ok(());
        }
        if done.made != config.applied {
            self.make(&config).await?;
            done.made = config.applied;
        }
        self.tell(&config, generation, &mut done.told).await
    }

    /// Publishes each command that waits for its gateway.
    async fn commands(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let since = now - AGAIN;
        for (id, gateway, payload) in site::pending(&self.db, now, since).await? {
            if !site::claim(&self.db, &id, now, since).await? {
                continue;
            }
            if self.outlet.publish(&Topic::Command(gateway.clone()), false, payload) {
                info!(%gateway, command = %id, "command published");
            } else {
                site::unclaim(&self.db, &id).await?;
            }
        }
        Ok(())
    }

    /// Makes what each listed gateway gets, and stores it where it is another than before.
    async fn make(&self, config: &HubConfig) -> Result<(), StoreError> {
        let mut tx = self.db.begin_read().await?;
        let newest = site::newest(&mut tx).await?;
        drop(tx);
        let revision = u64::try_from(config.applied).unwrap_or(0);
        let site = Arc::clone(&config.site);
        let changed = tokio::task::spawn_blocking(move || {
            let is_behind = |id: &GatewayId| newest.get(id).is_none_or(|n| n.revision < revision);
            let behind = site.gateways.iter().filter(|(id, _)| is_behind(id));
            behind.filter_map(|(id, gateway)| packed(&site, id, gateway, revision, newest.get(id))).collect::<Vec<_>>()
        });
        let Ok(changed) = changed.await else { return Ok(()) };
        if changed.is_empty() {
            return Ok(());
        }
        let mut tx = self.db.begin().await?;
        for (gateway, bundled, packed) in changed {
            site::insert(&mut tx, &gateway, &bundled, packed).await?;
        }
        tx.commit().await
    }

    /// Publishes what is new on this connection.
    async fn tell(
        &self,
        config: &HubConfig,
        generation: u64,
        told: &mut HashMap<GatewayId, (u64, Option<Told>)>,
    ) -> Result<(), StoreError> {
        let mut tx = self.db.begin_read().await?;
        let newest = site::newest(&mut tx).await?;
        let rollbacks = site::rollbacks(&mut tx).await?;
        let barred = fleet::barred(&mut tx).await?;
        // Only the newest configuration knows who is not listed any more.
        let knows_all = config.applied == config::newest_revision(&self.db).await?;
        for (gateway, bundled) in newest {
            let is_barred = barred.contains(&gateway);
            let is_listed = config.site.gateways.contains_key(&gateway) && !is_barred;
            let rollback = rollbacks.get(&gateway).copied().filter(|held| *held >= bundled.revision);
            let word = is_listed.then_some((bundled.revision, rollback));
            if told.get(&gateway) == Some(&(generation, word)) || !(is_listed || is_barred || knows_all) {
                continue;
            }
            let others = site::others(&mut tx, &gateway, bundled.revision).await?;
            let is_said = match word {
                Some((_, rollback)) => self.publish(&mut tx, &gateway, &bundled, rollback).await? && self.take_away(&gateway, &others),
                None => self.withdraw(&gateway, &bundled, &others),
            };
            if is_said {
                told.insert(gateway, (generation, word));
            }
        }
        Ok(())
    }

    /// Parts first, manifest last. False when the way out is clogged; then it is said again.
    async fn publish(&self, tx: &mut Tx, gateway: &GatewayId, bundled: &Bundled, rollback: Option<u64>) -> Result<bool, StoreError> {
        let Some(packed) = site::packed(tx, gateway, bundled.revision).await? else { return Ok(false) };
        let part =
            |(n, bytes): (u32, &[u8])| self.outlet.publish(&Topic::SitePart(gateway.clone(), bundled.revision, n), true, bytes.to_vec());
        let are_out = (0..).zip(parts(&packed)).all(part);
        let manifest = SiteManifest {
            v: VERSION,
            gateway: gateway.clone(),
            revision: bundled.revision,
            sha256: bundled.sha256.clone(),
            parts: bundled.parts,
            rollback,
            key: String::new(),
            sig: String::new(),
        };
        let manifest = manifest.signed(self.keys.signing()).to_vec();
        let is_out = are_out && self.outlet.publish(&Topic::SiteManifest(gateway.clone()), true, manifest);
        if is_out {
            info!(%gateway, revision = bundled.revision, "site published");
        }
        Ok(is_out)
    }

    /// The broker needs not keep the parts of other revisions.
    fn take_away(&self, gateway: &GatewayId, others: &[(u64, u32)]) -> bool {
        let topics = others.iter().flat_map(|(revision, parts)| (0..*parts).map(|n| Topic::SitePart(gateway.clone(), *revision, n)));
        topics.into_iter().all(|topic| self.outlet.publish(&topic, true, Vec::new()))
    }

    /// A gateway that is not listed any more, or was revoked, is told nothing; what it has stays with it.
    fn withdraw(&self, gateway: &GatewayId, bundled: &Bundled, others: &[(u64, u32)]) -> bool {
        self.outlet.publish(&Topic::SiteManifest(gateway.clone()), true, Vec::new())
            && self.take_away(gateway, &[(bundled.revision, bundled.parts)])
            && self.take_away(gateway, others)
    }
}

/// What a gateway gets, if that is another thing than before.
fn packed(
    site: &passage_config::Site,
    id: &GatewayId,
    gateway: &SiteGateway,
    revision: u64,
    before: Option<&Bundled>,
) -> Option<(GatewayId, Bundled, Vec<u8>)> {
    let bundle = bundle::make(site, gateway);
    let content = hex::encode(Sha256::digest(bundle.to_vec()));
    if before.is_some_and(|b| b.content == content) {
        return None;
    }
    match bundle.pack() {
        Ok(packed) => {
            let count = u32::try_from(parts(&packed).len()).unwrap_or(u32::MAX);
            let bundled = Bundled { revision, content, sha256: digest([packed.as_slice()]), parts: count };
            Some((id.clone(), bundled, packed))
        }
        Err(e) => {
            error!(gateway = %id, "the site is too large for this gateway, which keeps the one it has: {e}. Mend: give its geofences fewer corners");
            None
        }
    }
}
