//! What was on the air.

use std::{collections::BTreeMap, time::Duration};

use passage_protocol::{Millis, Rid};

use crate::scenario::{App, Content, Scenario, What};

/// One id of one app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnAir {
    /// Its first advert.
    pub first: Millis,
    /// Its last advert.
    pub last: Millis,
    /// How many there were.
    pub adverts: usize,
}

/// Every id that the apps of a scenario advertise within `time` from its start. Adverts that the scenario itself loses do not count.
pub fn on_air(scenario: &Scenario, start: Millis, time: Duration) -> BTreeMap<Rid, OnAir> {
    let mut all: BTreeMap<Rid, OnAir> = BTreeMap::new();
    for step in scenario.timeline(start).take_while(|step| step.at < time) {
        let What::Advert(advert) = step.what else { continue };
        let Some(Content::App(app)) = scenario.phones.get(advert.phone).map(|phone| &phone.content) else { continue };
        let key = app.key(advert.instance, start);
        let at = start + step.at;
        let Some(rid) = App::rid(&key, app.window(at, &key)) else { continue };
        let entry = all.entry(rid).or_insert(OnAir { first: at, last: at, adverts: 0 });
        entry.last = at;
        entry.adverts += 1;
    }
    all
}
