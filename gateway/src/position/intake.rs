//! From bytes to what goes on to the decider. No I/O, and time comes in with the calls.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use passage_config::{GatewayConfig, GeofenceRules, Site};
use passage_protocol::{InstallationId, Millis};

use super::{
    Fate, Fix,
    app::{self, HeardBeacon, ShopBeacons},
    memory::{Marks, Memory},
    owntracks::{self, Ground, Report},
    places::Places,
};

/// Decodes reports, and drops what does not matter.
pub struct Intake {
    /// Replaced as a whole when another site goes in force.
    terrain: RwLock<Terrain>,
    memory: Memory,
    beacons: Arc<dyn ShopBeacons>,
}

struct Terrain {
    places: Arc<Places>,
    max_accuracy_m: f64,
}

impl Terrain {
    fn new(site: Arc<Site>, rules: &GeofenceRules) -> Self {
        let places = Arc::new(Places::new(site, rules.far_m, rules.around_hours));
        Self { places, max_accuracy_m: rules.max_accuracy_m }
    }
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Intake(..)")
    }
}

/// A fix that goes on, with the marks by which it is known when it comes again.
#[derive(Debug)]
pub struct Admitted {
    /// Near a store that is open.
    pub fix: Fix,
    marks: Marks,
}

impl Intake {
    /// For a site. Of the rules, `far_m` and `max_accuracy_m` are used here.
    pub fn new(site: Arc<Site>, rules: &GeofenceRules, beacons: Arc<dyn ShopBeacons>) -> Self {
        Self { terrain: RwLock::new(Terrain::new(site, rules)), memory: Memory::default(), beacons }
    }

    /// Another site is in force. Who was seen before is still remembered.
    pub fn reload(&self, config: &GatewayConfig) {
        let terrain = Terrain::new(Arc::clone(&config.site), &config.geofence);
        *self.terrain.write().unwrap_or_else(PoisonError::into_inner) = terrain;
        self.beacons.reload(config);
    }

    fn terrain(&self) -> RwLockReadGuard<'_, Terrain> {
        self.terrain.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads one OwnTracks payload of `who` that arrived at `now`.
    pub fn read<'a>(&self, body: &'a [u8], who: &InstallationId, now: Millis) -> Result<Report<'a>, Fate> {
        let terrain = self.terrain();
        owntracks::decode(body, who, now, &Ground { places: &terrain.places, max_accuracy_m: terrain.max_accuracy_m })
    }

    /// Lets a fix pass that matters and is new. `fresh`: another gateway may have looked after this installation until now.
    pub fn admit(&self, mut fix: Fix, id: Option<&str>, fresh: bool) -> Result<Admitted, Fate> {
        if let Err(fate) = self.terrain().places.judge(fix.lat, fix.lon, fix.at) {
            if fate == Fate::Far {
                self.memory.went_away(&fix.installation, fix.at);
            }
            return Err(fate);
        }
        let marks = self.memory.marks(&fix, id);
        if self.memory.has_taken(&marks) {
            return Err(Fate::Duplicate);
        }
        fix.fresh = fresh;
        fix.away = if fresh { None } else { self.memory.away(&fix.installation).filter(|away| *away <= fix.at) };
        Ok(Admitted { fix, marks })
    }

    /// Remembers a fix as taken. Before that, the same fix again is not a duplicate.
    pub fn taken(&self, admitted: &Admitted) {
        self.memory.take(&admitted.marks);
    }

    pub(super) fn beacon(&self, heard: &HeardBeacon) -> Result<super::AppEvent, Fate> {
        app::event(heard, self.beacons.as_ref())
    }

    pub(super) fn claim(&self, event: super::AppEvent) -> Result<super::AppEvent, Fate> {
        app::claim(event, self.beacons.as_ref())
    }

    pub(super) fn places(&self) -> Arc<Places> {
        Arc::clone(&self.terrain().places)
    }
}
