//! Where somebody is, seen from the gateway.

use std::time::Duration;

use passage_protocol::Millis;

/// Metres at which a phone comes into, and goes out of, hearing.
const FAR: f64 = 40.0;
/// How long it takes from there to the door and back.
const APPROACH: Duration = Duration::from_secs(30);
/// Metres from the gateway of somebody in the shop.
const IN_SHOP: f64 = 2.0;
/// Metres of somebody on the pavement.
const PAVEMENT: f64 = 7.0;

/// One time in hearing of a gateway: from when to when, and how far away.
#[derive(Debug, Clone, PartialEq)]
pub struct Walk {
    /// First moment in hearing.
    pub arrives: Millis,
    /// Last moment in hearing.
    pub leaves: Millis,
    /// Metres at times after the arrival, ascending; straight lines between them, and the last one holds on.
    pub distance: Vec<(Duration, f64)>,
}

impl Walk {
    /// Comes from the street, is in the shop, and goes away again. A stay of less than a minute is spent walking.
    pub fn visit(arrives: Millis, leaves: Millis) -> Self {
        Self::to(arrives, leaves, IN_SHOP)
    }

    /// Stops on the pavement in front of the shop and goes on.
    pub fn pass_by(arrives: Millis, leaves: Millis) -> Self {
        Self::to(arrives, leaves, PAVEMENT)
    }

    /// Stands at one distance all the time.
    pub fn stand(arrives: Millis, leaves: Millis, metres: f64) -> Self {
        Self { arrives, leaves, distance: vec![(Duration::ZERO, metres)] }
    }

    /// Comes to within `metres`, stays, and goes away.
    fn to(arrives: Millis, leaves: Millis, metres: f64) -> Self {
        let stay = Duration::from_millis(u64::try_from(leaves.since(arrives)).unwrap_or(0));
        let approach = APPROACH.min(stay / 2);
        Self { arrives, leaves, distance: vec![(Duration::ZERO, FAR), (approach, metres), (stay - approach, metres), (stay, FAR)] }
    }

    /// Metres from the gateway at a time. Without any point, 1 m.
    pub fn distance_at(&self, at: Millis) -> f64 {
        let after = Duration::from_millis(u64::try_from(at.since(self.arrives)).unwrap_or(0));
        let next = self.distance.partition_point(|(time, _)| *time <= after);
        let before = next.checked_sub(1).and_then(|index| self.distance.get(index));
        match (before, self.distance.get(next)) {
            (Some((from, a)), Some((to, b))) => a + (b - a) * (after - *from).as_secs_f64() / (*to - *from).as_secs_f64(),
            (Some((_, metres)), None) | (None, Some((_, metres))) => *metres,
            (None, None) => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visit_comes_near_stays_and_goes() {
        let walk = Walk::visit(Millis::from_secs(1000), Millis::from_secs(1600));
        let at = |secs| walk.distance_at(Millis::from_secs(secs));
        assert!((at(1000) - 40.0).abs() < 1e-9);
        assert!((at(1015) - 21.0).abs() < 1e-9);
        assert!((at(1030) - 2.0).abs() < 1e-9 && (at(1570) - 2.0).abs() < 1e-9);
        assert!((at(1600) - 40.0).abs() < 1e-9 && (at(9999) - 40.0).abs() < 1e-9);
    }

    #[test]
    fn an_empty_or_very_short_walk_has_a_distance_too() {
        assert!(Walk { arrives: Millis(0), leaves: Millis(1), distance: Vec::new() }.distance_at(Millis(1)).is_finite());
        assert!(Walk::visit(Millis(0), Millis(0)).distance_at(Millis(0)).is_finite());
        assert!(Walk::visit(Millis(5), Millis(0)).distance_at(Millis(3)).is_finite());
    }
}
