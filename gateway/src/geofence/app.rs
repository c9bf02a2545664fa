//! Stays by the app's own word: an enter, more enters as dwell evidence, an exit.

use std::time::Duration;

use passage_protocol::{InstallationId, Millis, Phase, Signal, StoreId, Zone};
use serde::{Deserialize, Serialize};

use super::stay::Stay;
use crate::{Change, position::AppEvent};

/// Words older than this on arrival never trigger anything.
const FRESH_MS: i64 = 180_000;
/// How long a departure is remembered, so that an older enter that was overtaken by it does not begin a stay.
const LEFT_FOR: Duration = Duration::from_secs(3600);

/// What one installation's app said of its zones.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Words(Vec<Word>);

#[derive(Clone, Serialize, Deserialize)]
struct Word {
    store: StoreId,
    zone: Zone,
    stay: Option<Stay>,
    /// The last departure.
    left: Option<Millis>,
}

impl Words {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes one word.
    pub(super) fn hear(&mut self, event: &AppEvent, marks: &[i64], now: Millis, out: &mut Vec<Change>) {
        let who = &event.installation;
        let late = now.since(event.at) > FRESH_MS;
        let word = self.of(event);
        match (event.phase, &mut word.stay) {
            (Phase::Exit, stay) => {
                word.left = word.left.max(Some(event.at));
                // A departure that is older than the arrival belongs to an earlier stay.
                if let Some(mut over) = stay.take_if(|s| event.at >= s.first) {
                    over.last = over.last.max(event.at);
                    out.push(over.exit(who, late));
                }
            }
            (_, Some(stay)) => {
                stay.alive = stay.alive.max(now);
                if stay.extend(event.at, marks) {
                    out.push(stay.change(who, Phase::Dwell, event.at, late));
                }
            }
            (_, None) if word.left.is_some_and(|left| event.at <= left) => {}
            (_, empty) => {
                let mut stay = Stay::begin(event.store.clone(), event.zone.clone(), Signal::App, event.at);
                // Silence counts from hearing: the word that ends the stay may be next in the same queue.
                stay.alive = now.max(event.at);
                out.push(stay.change(who, Phase::Enter, event.at, late));
                *empty = Some(stay);
            }
        }
    }

    /// Ends the stays that fell silent, and forgets old departures.
    pub(super) fn advance(&mut self, who: &InstallationId, silence: Duration, now: Millis, out: &mut Vec<Change>) {
        for word in &mut self.0 {
            if let Some(over) = word.stay.take_if(|s| s.alive + silence <= now) {
                out.push(over.exit(who, false));
                word.left = word.left.max(Some(over.last));
            }
        }
        self.0.retain(|w| w.stay.is_some() || w.left.is_some_and(|left| left + LEFT_FOR > now));
    }

    /// When silence will end a stay.
    pub(super) fn due(&self, silence: Duration) -> Option<Millis> {
        self.0.iter().filter_map(|w| w.stay.as_ref()).map(|s| s.alive + silence).min()
    }

    /// Last word on anything.
    pub(super) fn last(&self) -> Option<Millis> {
        self.0.iter().filter_map(|w| w.stay.as_ref().map(|s| s.last).max(w.left)).max()
    }

    fn of(&mut self, event: &AppEvent) -> &mut Word {
        let found = self.0.iter().position(|w| w.store == event.store && w.zone == event.zone);
        let index = found.unwrap_or_else(|| {
            self.0.push(Word { store: event.store.clone(), zone: event.zone.clone(), stay: None, left: None });
            self.0.len() - 1
        });
        &mut self.0[index]
    }
}
