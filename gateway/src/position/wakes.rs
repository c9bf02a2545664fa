//! The wake beacons of our shops, as the desk asks for them.

use std::sync::{Arc, Mutex, PoisonError};

use passage_config::{AppEvents, GatewayConfig};
use passage_protocol::Phase;

use super::{
    Fate,
    app::{HeardBeacon, NoBeacons, ShopBeacons},
};
use crate::{
    health::Health,
    wake::{Proven, Refusal, Wakes},
};

/// Raised when an installation was proven to be in two distant shops at once. It stays, for a person to look at.
pub const FLAG: &str = "wake-in-two-places";

/// The shops' beacons by their keys.
struct Proofs {
    wakes: Mutex<Wakes>,
    app_events: AppEvents,
    health: Arc<Health>,
}

/// What the configuration of a gateway can prove.
pub fn beacons(config: &GatewayConfig, health: &Arc<Health>) -> Arc<dyn ShopBeacons> {
    let Some(check) = &config.wake.check else { return Arc::new(NoBeacons) };
    let wakes = Mutex::new(Wakes::new(&config.site, check, config.presence.inside.leave_dbm));
    Arc::new(Proofs { wakes, app_events: config.app_events, health: Arc::clone(health) })
}

impl ShopBeacons for Proofs {
    fn prove(&self, heard: &HeardBeacon) -> Result<Proven, Fate> {
        let times: Vec<_> = [Some(heard.at), heard.or_at].into_iter().flatten().collect();
        let mut wakes = self.wakes.lock().unwrap_or_else(PoisonError::into_inner);
        let judged = match heard.phase {
            Phase::Exit => wakes.exit(&heard.installation, &heard.woken, &times),
            Phase::Enter | Phase::Dwell => wakes.enter(&heard.installation, &heard.woken, &times, heard.now),
        };
        judged.map_err(|refusal| match refusal {
            Refusal::Stranger => Fate::UnknownRegion,
            Refusal::Unproven | Refusal::Ambiguous => Fate::WakeUnproven,
            Refusal::Guessing => Fate::WakeGuessing,
            Refusal::TwoPlaces => {
                self.health.flag(FLAG, true);
                Fate::WakeTwoPlaces
            }
        })
    }

    fn reload(&self, config: &GatewayConfig) {
        if let Some(check) = &config.wake.check {
            let mut wakes = self.wakes.lock().unwrap_or_else(PoisonError::into_inner);
            wakes.reload(&config.site, check, config.presence.inside.leave_dbm);
        }
    }

    fn believes_claims(&self) -> bool {
        self.app_events == AppEvents::Claimed
    }
}
