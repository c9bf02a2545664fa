//! The two ways of the apps' reports, over HTTP and over the broker, wired to one desk.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use passage_config::GatewayConfig;
use passage_protocol::sign::Pinned;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::Input;
use crate::{
    health::Health,
    outbox::Outbox,
    position::{Bound, Broker, Counters, DenyBook, Desk, DeskParts, ListenError, PATIENCE, Server, group::Group, wakes},
    site::Live,
};

/// How often the log tells what became of the positions.
const TELL_EVERY: Duration = Duration::from_secs(3_600);

/// What takes positions; nothing of it in a gateway that takes none.
pub(super) struct Positioning {
    /// What follows the site.
    following: Option<(Arc<Desk>, Live)>,
    server: Option<Bound>,
    broker: Option<Broker>,
    counters: Arc<Counters>,
}

impl Positioning {
    /// Opens the address and restores the deny list.
    pub(super) async fn open(
        config: &GatewayConfig,
        site: Live,
        saved: &[(String, Vec<u8>, Vec<u8>)],
        pinned: &Pinned,
        inputs: &mpsc::Sender<Input>,
        outbox: &Outbox,
        health: &Arc<Health>,
    ) -> Result<Self, ListenError> {
        let counters = Arc::clone(&health.positions);
        if config.position_listen.is_none() && !config.positions.mqtt {
            return Ok(Self { following: None, server: None, broker: None, counters });
        }
        let group = &config.positions.group;
        let desk = Arc::new(Desk::new(DeskParts {
            site: Arc::clone(&config.site),
            rules: &config.geofence,
            positions: &config.positions,
            beacons: wakes::beacons(config, health),
            group: (!group.is_empty()).then(|| Arc::new(Group::new(config.id.clone(), group.clone()))),
            denied: Arc::new(DenyBook::restored(saved)),
            inputs: inputs.clone(),
            counters: Arc::clone(&counters),
        }));
        let server = match config.position_listen {
            Some(listen) => {
                let (clock, desk) = (config.clock.clone(), Arc::clone(&desk));
                let server = Server { listen, pinned: pinned.clone(), clock, desk, patience: PATIENCE };
                Some(server.bind().await?)
            }
            None => None,
        };
        let broker = Broker {
            id: config.id.clone(),
            mqtt: config.mqtt.clone(),
            topic: config.positions.mqtt.then(|| config.positions.topic.clone()),
            pinned: pinned.clone(),
            clock: config.clock.clone(),
            desk: Arc::clone(&desk),
            outbox: outbox.clone(),
        };
        Ok(Self { following: Some((desk, site)), server, broker: Some(broker), counters })
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.server.as_ref().map(Bound::local_addr)
    }

    pub(super) fn start(self, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
        let server = self.server.map(|s| tokio::spawn(s.run(stop.clone())));
        let broker = self.broker.map(|b| tokio::spawn(b.run(stop.clone())));
        let telling = self.following.is_some().then(|| tokio::spawn(tell(self.counters, stop.clone())));
        let following = self.following.map(|(desk, site)| tokio::spawn(follow(desk, site, stop.clone())));
        server.into_iter().chain(broker).chain(following).chain(telling).collect()
    }
}

/// Tells now and then, in numbers alone, what became of the positions.
async fn tell(counters: Arc<Counters>, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(TELL_EVERY)).await.is_some() {
        let told: Vec<String> = counters.all().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{name} {count}")).collect();
        tracing::info!("positions since the start: {}", if told.is_empty() { "none".to_owned() } else { told.join(", ") });
    }
}

/// Hands each new site to the desk.
async fn follow(desk: Arc<Desk>, mut site: Live, stop: CancellationToken) {
    while let Some(Ok(())) = stop.run_until_cancelled(site.changed()).await {
        let now = site.borrow_and_update().clone();
        desk.reload(&now.config);
    }
}
