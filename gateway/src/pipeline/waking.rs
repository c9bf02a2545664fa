//! The shop's wake beacon, wired to the radio that can advertise it.

use std::sync::Arc;

use passage_config::GatewayConfig;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::health::Health;

/// Starts to advertise; `None` when the gateway has no wake key, or no Bluetooth of its own.
#[cfg(feature = "ble")]
pub(super) fn start(config: &GatewayConfig, health: &Arc<Health>, stop: &CancellationToken) -> Option<JoinHandle<()>> {
    use std::time::Duration;

    use passage_config::Radio;

    use crate::{radio::ble::advertise::Advertiser, wake::Schedule};

    /// Not all shops change at the same second.
    const SPREAD_MS: u64 = 30_000;

    let (Some(beacon), Radio::Ble(radio)) = (config.wake.beacon.clone(), &config.radio) else { return None };
    let advertiser = Advertiser {
        beacon,
        adapter: radio.adapter.clone(),
        bus: None,
        clock: config.clock.clone(),
        schedule: Schedule::new(Duration::from_millis(rand::random_range(0..SPREAD_MS))),
        health: Arc::clone(health),
    };
    Some(tokio::spawn(advertiser.run(stop.clone())))
}

/// This build has no Bluetooth.
#[cfg(not(feature = "ble"))]
pub(super) fn start(_: &GatewayConfig, _: &Arc<Health>, _: &CancellationToken) -> Option<JoinHandle<()>> {
    None
}
