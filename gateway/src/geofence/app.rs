//! Stays by the app's own word: an enter, more enters as dwell evidence, an exit.

use std::collections::HashSet;

use passage_protocol::{Millis, Phase, Signal};

use super::{
    spots::Spot,
    stay::{Stay, Teller},
    world::{World, after},
};
use crate::position::AppEvent;

/// How long a departure is remembered, so that an older enter that was overtaken by it does not begin a stay.
const LEFT_FOR_MS: i64 = 3_600_000;

/// What one installation's app said of its zones.
#[derive(Default)]
pub(super) struct Words(pub(super) Vec<Word>);

pub(super) struct Word {
    pub(super) spot: Spot,
    pub(super) stay: Option<Stay>,
    /// The last departure.
    pub(super) left: Option<Millis>,
}

/// The last moment that a time may mean: the apps' times are whole seconds, cut off, and those of others are not.
fn at_latest(at: Millis) -> Millis {
    if at.0 % 1000 == 0 { after(at, 999) } else { at }
}

impl Words {
    /// Takes one word about the zone at `spot`.
    pub(super) fn hear(&mut self, world: &World, event: &AppEvent, spot: Spot, now: Millis, teller: &mut Teller<'_>) {
        let late = now.since(event.at) > world.times.fresh;
        let word = self.of(spot);
        match (event.phase, &mut word.stay) {
            (Phase::Exit, stay) => {
                word.left = word.left.max(Some(event.at));
                // A departure that is older than the arrival belongs to an earlier stay. In one second, the order of arriving here decides.
                if let Some(mut over) = stay.take_if(|s| at_latest(event.at) >= s.first) {
                    over.last = over.last.max(event.at);
                    word.left = word.left.max(Some(over.last));
                    teller.exit(&over, late);
                }
            }
            (_, Some(stay)) => {
                stay.alive = stay.alive.max(now);
                stay.loudness.take(event.rssi);
                if stay.extend(event.at, &world.marks) {
                    teller.tell(stay, Phase::Dwell, event.at, late);
                }
            }
            (_, None) if word.left.is_some_and(|left| event.at <= left) => {}
            (_, empty) => {
                let mut stay = Stay::begin(spot, Signal::App, event.at);
                // Silence counts from hearing: the word that ends the stay may be next in the same queue.
                stay.alive = now.max(event.at);
                stay.loudness.take(event.rssi);
                teller.tell(&stay, Phase::Enter, event.at, late);
                *empty = Some(stay);
            }
        }
    }

    /// Ends the stays that fell silent, and forgets old departures.
    pub(super) fn advance(&mut self, world: &World, now: Millis, teller: &mut Teller<'_>) {
        for word in &mut self.0 {
            if let Some(over) = word.stay.take_if(|s| after(s.alive, world.times.silence) <= now) {
                teller.exit(&over, false);
                word.left = word.left.max(Some(over.last));
            }
        }
        self.0.retain(|w| w.stay.is_some() || w.left.is_some_and(|left| after(left, LEFT_FOR_MS) > now));
    }

    /// Ends the stays in zones that are there no more.
    pub(super) fn end_in(&mut self, gone: &HashSet<Spot>, teller: &mut Teller<'_>) {
        for word in self.0.iter_mut().filter(|word| gone.contains(&word.spot)) {
            if let Some(over) = word.stay.take() {
                teller.exit(&over, false);
                word.left = word.left.max(Some(over.last));
            }
        }
    }

    /// When silence will end a stay.
    pub(super) fn due(&self, world: &World) -> Option<Millis> {
        self.0.iter().filter_map(|w| w.stay.as_ref()).map(|s| after(s.alive, world.times.silence)).min()
    }

    /// Last word on anything.
    pub(super) fn last(&self) -> Option<Millis> {
        self.0.iter().filter_map(|w| w.stay.as_ref().map(|s| s.last).max(w.left)).max()
    }

    fn of(&mut self, spot: Spot) -> &mut Word {
        let index = self.0.iter().position(|w| w.spot == spot).unwrap_or_else(|| {
            self.0.push(Word { spot, stay: None, left: None });
            self.0.len() - 1
        });
        &mut self.0[index]
    }
}
