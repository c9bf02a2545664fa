//! A made-up city with the truth behind it: people with phones go in and out of shops, the gateways' own machines (presence and geofence) hear what
//! they can, and the hub's own visit machine makes visits of it. How many of them took place, and how many that took place were found, is the report.
//!
//! Same world, same seed, same city. A world is a file of parameters; every key has a default ([`passage_config::World`]).
//!
//! **A true qualified visit** is a stay in a shop, in opening hours, of a member who neither works nor lives there, of at least `min_dwell_beacon` or
//! with something bought or picked up with her identifier.
//! **It could be heard** when at least one of these is true:
//! * her phone was on the air, on average loud enough for the gateway's zone `in`, while the gateway listened for `min_dwell_beacon` of the stay;
//! * her iPhone woke the app, and its first and last word lie at least `min_dwell_beacon` apart;
//! * two fixes in the shop, finer than half the geofence, lie at least `min_dwell_position` apart;
//! * somebody at the counter had her card or her order in hand.

mod air;
mod counter;
mod dice;
mod explain;
mod phones;
mod plan;
mod report;
mod resolve;
mod score;
mod shops;
mod town;

use passage_config::World;
use passage_protocol::Millis;

pub use explain::Explained;
pub use report::{Report, Tally};

use dice::{Dice, whole};
use plan::{Outing, Spot};
use shops::Replay;
use town::Town;

/// Lives the weeks of a city, and compares what was found with what took place.
pub fn live(world: &World, seed: u64) -> Report {
    let town = Town::new(world, seed);
    let outings = plan::plan(&town);
    let replays = replays(&town, &outings);
    let (mut told, means) = phones::listen(&town, &outings);
    for shop in 0..town.shops.len() {
        told.extend(shops::listen(&town, shop, &outings, &replays));
    }
    let moments = counter::moments(&town, &outings);
    let events = told.len();
    let found = resolve::visits(&town, told, &moments);
    let mut report = score::score(&town, &outings, &means, &moments, &found);
    report.events = events;
    report
}

/// Ids that somebody records in a shop and plays in another town, while they are good.
fn replays(town: &Town, outings: &[Outing]) -> Vec<Replay> {
    let is_good = |o: &&Outing| o.spot == Spot::Inside && !o.off && !town.people[o.person].iphone;
    let victims: Vec<&Outing> = outings.iter().filter(is_good).collect();
    let mut dice = Dice::of(town.seed, "replay", 0);
    let copies = (0..town.world.people.replays).filter_map(|_| {
        let victim = victims.get(dice.below(victims.len()))?;
        let shop = dice.below(town.shops.len());
        let from = Millis(victim.from.0 + 300_000 + whole(dice.share() * 600_000.0));
        let to = Millis(from.0 + 600_000);
        (shop != victim.shop).then_some(Replay { shop, person: victim.person, recorded: victim.from, from, to })
    });
    copies.collect()
}

#[cfg(test)]
mod tests;
