//! A geofence made ready for decisions.

use passage_config::{Geofence, GeofenceRules, Shape};
use passage_protocol::FenceId;
use sha2::{Digest, Sha256};

use super::{area::Area, chance::Chance, spots::Spot};

/// A prepared geofence.
pub(super) struct Fence {
    /// Apart, because no decision needs it.
    pub(super) label: Box<Label>,
    pub(super) spot: Spot,
    pub(super) area: Area,
    /// The drawing in which it first stood as it is now.
    pub(super) born: u32,
    /// A fix that is coarser than this says nothing about it, metres.
    coarsest_m: f64,
}

/// By what a geofence is known.
pub(super) struct Label {
    pub(super) id: FenceId,
    /// Tells whether it was drawn anew.
    pub(super) print: String,
}

impl Fence {
    pub(super) fn new(fence: &Geofence, spot: Spot, rules: &GeofenceRules) -> Self {
        let area = Area::new(&fence.shape);
        let radius_m = (area.area_m2 / std::f64::consts::PI).sqrt();
        let coarsest_m = rules.coarsest_radii * radius_m;
        let label = Box::new(Label { id: fence.id.clone(), print: print(&fence.shape) });
        Self { label, spot, area, born: 0, coarsest_m }
    }

    /// Reads a little all over the record.
    pub(super) fn call_for(&self) -> u64 {
        self.coarsest_m.to_bits()
            ^ u64::from(self.born)
            ^ self.area.area_m2.to_bits()
            ^ self.area.bounds.west.to_bits()
            ^ self.area.bounds.east.to_bits()
    }

    /// How likely a phone at this place is inside; `None` when the fix is too coarse to say anything about this fence.
    pub(super) fn chance(&self, lat: f64, lon: f64, accuracy_m: f64) -> Option<Chance> {
        (accuracy_m <= self.coarsest_m).then(|| Chance::of(self.area.inside_m(lat, lon), accuracy_m, self.area.area_m2))
    }

    /// The probability with which a phone comes in, if it is at least `enter_p`. Looks at the cheapest reasons against it first.
    pub(super) fn enters(&self, lat: f64, lon: f64, accuracy_m: f64, enter_p: f64) -> Option<f64> {
        if accuracy_m > self.coarsest_m || Chance::most_to_enter(accuracy_m, self.area.area_m2) < enter_p {
            return None;
        }
        // On the border the odds are even, so a higher threshold is met only inside.
        let inside_m = if enter_p > 0.5 { self.area.depth_m(lat, lon)? } else { self.area.inside_m(lat, lon) };
        let chance = Chance::of(inside_m, accuracy_m, self.area.area_m2);
        Some(chance.enter).filter(|p| *p >= enter_p)
    }
}

/// The same for the same outline, in any process.
fn print(shape: &Shape) -> String {
    let mut hash = Sha256::new();
    let mut number = |n: f64| hash.update(n.to_le_bytes());
    match shape {
        Shape::Circle { centre, radius_m } => [centre.x(), centre.y(), *radius_m].into_iter().for_each(number),
        Shape::Area(area) => {
            for ring in area.iter().flat_map(|p| std::iter::once(p.exterior()).chain(p.interiors())) {
                ring.coords().flat_map(|c| [c.x, c.y]).for_each(&mut number);
            }
        }
        Shape::Corridor { lines, buffer_m } => {
            number(*buffer_m);
            lines.iter().flat_map(|l| l.coords()).flat_map(|c| [c.x, c.y]).for_each(number);
        }
    }
    hex::encode(&hash.finalize()[..8])
}
