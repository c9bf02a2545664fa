//! Which offers a change of a visit fires.

use std::time::Duration;

use passage_config::{Offer, Site, Store, Trigger};

use crate::visit::{Change, stay::millis};

/// The live offers of a store that `change` fires, highest priority first, ties by id.
pub fn fired<'a>(site: &'a Site, store: &Store, change: Change) -> Vec<&'a Offer> {
    let mut offers: Vec<&Offer> = of_store(site, store).filter(|o| fits(o.on, change)).collect();
    offers.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.id.cmp(&b.id)));
    offers
}

/// The dwell marks that matter in a store, ascending.
pub fn marks(site: &Site, store: &Store) -> Vec<Duration> {
    let dwell = |o: &Offer| if let Trigger::Dwell(d) = o.on { Some(d) } else { None };
    let mut marks: Vec<Duration> = of_store(site, store).filter_map(dwell).collect();
    marks.sort();
    marks.dedup();
    marks
}

/// The word for a trigger in decisions: `enter`, `dwell 180 s`, `near`.
pub fn word(on: Trigger) -> String {
    match on {
        Trigger::Enter => "enter".to_owned(),
        Trigger::Dwell(d) => format!("dwell {} s", d.as_secs()),
        Trigger::Near => "near".to_owned(),
    }
}

fn of_store<'a>(site: &'a Site, store: &Store) -> impl Iterator<Item = &'a Offer> {
    site.offers.values().filter(|o| o.live && o.brand == store.brand && o.stores.contains(&store.id))
}

fn fits(on: Trigger, change: Change) -> bool {
    match (on, change) {
        (Trigger::Enter, Change::Opened) | (Trigger::Near, Change::Near) => true,
        (Trigger::Dwell(d), Change::Reached(ms)) => millis(d) == ms,
        _ => false,
    }
}
