//! Why a fix did, or did not, change anything: the probability for each fence near it.

use passage_protocol::{FenceId, InstallationId};

use super::{Geofences, chance::Chance};
use crate::position::Fix;

/// Fences farther than so many accuracy radii from a fix are not spoken of.
const NEAR_RADII: f64 = 3.0;

/// What a fix says of one fence. Holds a distance of a person: for the terminal of who asks, never for a log.
#[derive(Debug, Clone, PartialEq)]
pub struct Likely {
    /// Which fence.
    pub fence: FenceId,
    /// Metres to the border; positive inside.
    pub inside_m: f64,
    /// Probability for coming in: never more than the share of the accuracy circle that the fence could fill.
    pub p_enter: f64,
    /// Probability for staying in and for leaving.
    pub p_stay: f64,
    /// Too coarse to decide anything about this fence.
    pub coarse: bool,
    /// A stay in it is open after the fix.
    pub inside: bool,
    /// Fixes outside in a row that have not been enough to leave.
    pub leaving: u32,
}

impl Geofences {
    /// What `fix`, which was just taken, says of each fence near it or occupied by its installation.
    pub fn explain(&mut self, fix: &Fix) -> Vec<Likely> {
        let accuracy_m = fix.accuracy_m.filter(|a| *a > 0.0).unwrap_or(self.world.rules.untold_accuracy_m);
        if !(fix.lat.is_finite() && fix.lon.is_finite()) {
            return Vec::new();
        }
        let stays = self.stays(&fix.installation);
        let near = self.world.fences.iter().filter_map(|fence| {
            let stay = stays.iter().find(|(spot, _)| *spot == fence.spot);
            let reach = fence.area.bounds.widened(NEAR_RADII * accuracy_m);
            if stay.is_none() && !reach.contains(fix.lat, reach.frame(fix.lon)) {
                return None;
            }
            let inside_m = fence.area.inside_m(fix.lat, fix.lon);
            let chance = Chance::of(inside_m, accuracy_m, fence.area.area_m2);
            Some(Likely {
                fence: fence.label.id.clone(),
                inside_m,
                p_enter: chance.enter,
                p_stay: chance.stay,
                coarse: fence.chance(fix.lat, fix.lon, accuracy_m).is_none(),
                inside: stay.is_some(),
                leaving: stay.map_or(0, |(_, leaving)| *leaving),
            })
        });
        near.collect()
    }

    fn stays(&mut self, who: &InstallationId) -> Vec<(super::spots::Spot, u32)> {
        let Some(slot) = self.people.find(who) else { return Vec::new() };
        let Some(person) = self.people.get(slot) else { return Vec::new() };
        person.track.state.stays.iter().map(|s| (s.spot, s.leaving.map_or(0, |l| l.fixes))).collect()
    }
}
