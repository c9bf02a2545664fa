//! The shop's wake beacon, wired to the radio that can advertise it, and to the site that knows the brand's UUID.

use std::sync::Arc;

use passage_config::GatewayConfig;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{health::Health, site::Live};

/// Starts to advertise; `None` when the gateway has no wake key, or no Bluetooth of its own.
#[cfg(feature = "ble")]
pub(super) fn start(config: &GatewayConfig, site: Live, health: &Arc<Health>, stop: &CancellationToken) -> Option<JoinHandle<()>> {
    let (Some(secret), passage_config::Radio::Ble(radio)) = (config.wake.beacon.clone(), &config.radio) else { return None };
    let waking = ble::Waking { secret, adapter: radio.adapter.clone(), clock: config.clock.clone(), health: Arc::clone(health), site };
    Some(tokio::spawn(waking.run(stop.clone())))
}

/// This build has no Bluetooth.
#[cfg(not(feature = "ble"))]
pub(super) fn start(_: &GatewayConfig, _: Live, _: &Arc<Health>, _: &CancellationToken) -> Option<JoinHandle<()>> {
    None
}

/// The UUID that the shop of this gateway advertises, by the site of the moment.
#[cfg(feature = "ble")]
fn uuid(config: &GatewayConfig) -> Option<[u8; 16]> {
    let store = config.site.stores.get(config.store.as_ref()?)?;
    config.site.brands.get(&store.brand)?.wake_uuid
}

#[cfg(feature = "ble")]
mod ble {
    use std::{sync::Arc, time::Duration};

    use passage_config::WakeSecret;
    use passage_protocol::Clock;
    use tokio_util::sync::CancellationToken;

    use crate::{health::Health, radio::ble::advertise::Advertiser, site::Live, wake::Schedule};

    /// Not all shops change at the same second.
    const SPREAD_MS: u64 = 30_000;

    /// Keeps the beacon of the site of the moment on the air.
    pub(super) struct Waking {
        pub(super) secret: WakeSecret,
        pub(super) adapter: Option<String>,
        pub(super) clock: Clock,
        pub(super) health: Arc<Health>,
        pub(super) site: Live,
    }

    impl Waking {
        pub(super) async fn run(mut self, stop: CancellationToken) {
            while !stop.is_cancelled() {
                let uuid = super::uuid(&self.site.borrow_and_update().config);
                let over = stop.child_token();
                let advertiser = uuid.map(|uuid| tokio::spawn(self.advertiser(uuid).run(over.clone())));
                self.until_another(uuid, &stop).await;
                over.cancel();
                if let Some(advertiser) = advertiser {
                    let _ = advertiser.await;
                }
            }
        }

        /// Waits for a site with another UUID, or for the stop.
        async fn until_another(&mut self, uuid: Option<[u8; 16]>, stop: &CancellationToken) {
            let another = async {
                // Without anybody who could change it, only the stop is left.
                if self.site.wait_for(|site| super::uuid(&site.config) != uuid).await.map(drop).is_err() {
                    std::future::pending().await
                }
            };
            stop.run_until_cancelled(another).await;
        }

        fn advertiser(&self, uuid: [u8; 16]) -> Advertiser {
            Advertiser {
                beacon: self.secret.beacon(uuid),
                adapter: self.adapter.clone(),
                bus: None,
                clock: self.clock.clone(),
                schedule: Schedule::new(Duration::from_millis(rand::random_range(0..SPREAD_MS))),
                health: Arc::clone(&self.health),
            }
        }
    }
}
