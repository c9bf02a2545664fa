//! What the tills of a city know of its members.

use passage_protocol::Millis;

use super::{
    dice::{Dice, real, whole},
    plan::{Outing, Why},
    town::Town,
};
use crate::visit::{Kind, stay::millis};

/// A ticket or a pickup with somebody's identifier.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub arrives: Millis,
    /// Whose identifier it was.
    pub person: usize,
    pub shop: usize,
    pub kind: Kind,
    pub at: Millis,
    /// The outing of the one who held it.
    pub outing: usize,
    pub lent: bool,
}

/// All moments at the counters.
pub(super) fn moments(town: &Town, outings: &[Outing]) -> Vec<Moment> {
    let world = &town.world.counter;
    let mut out = Vec::new();
    for (n, outing) in outings.iter().enumerate().filter(|(_, o)| o.why == Why::Visit) {
        let mut dice = Dice::of(town.seed, "till", n);
        let buys = dice.chance(world.buys) && dice.chance(world.card);
        let picks_up = dice.chance(world.pickups);
        let lent = dice.chance(world.lent);
        let someone = dice.below(town.people.len());
        let before_leaving = whole(dice.between(20.0, 180.0) * 1000.0).min(outing.to.since(outing.from) / 2);
        let at = Millis(outing.to.0 - before_leaving + whole(dice.normal() * real(millis(world.skew))));
        // The tills send their tickets at night.
        let arrives = Millis(at.0 + whole(dice.between(2.0, 12.0) * 3_600_000.0));
        let person = if lent { someone } else { outing.person };
        let mut say = |kind, person, lent| out.push(Moment { arrives, person, shop: outing.shop, kind, at, outing: n, lent });
        if buys {
            say(Kind::Till, person, lent);
        }
        if picks_up {
            say(Kind::Pickup, outing.person, false);
        }
    }
    out
}
