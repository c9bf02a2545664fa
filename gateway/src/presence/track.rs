//! What is known of one subject: its latest strengths, and its stay in each zone.

use std::collections::VecDeque;

use passage_config::{PresenceRules, RadioZone};
use passage_protocol::{Millis, Phase, Zone};
use serde::{Deserialize, Serialize};

use super::{Report, millis};

/// Most sightings that the median looks at; at ten a second, those of the last 12 s.
const SAMPLES: usize = 128;

/// One subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Track {
    /// Last sighting.
    pub seen: Millis,
    /// Time and strength of the sightings in the window, oldest first.
    recent: VecDeque<(Millis, i8)>,
    inside: Area,
    front: Area,
    /// The sighting up to which it was last saved as being in a zone.
    #[serde(skip)]
    pub saved: Option<Millis>,
}

/// One zone of one subject.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Area {
    stay: Option<Stay>,
    /// Last evidence of the stay before; what came up to here belongs to that one.
    left: Option<Millis>,
}

/// One stay, from its first to its last evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stay {
    pub first: Millis,
    pub last: Millis,
    /// Median at the last evidence, dBm.
    pub rssi: i8,
    /// Sightings since the first evidence.
    pub count: u32,
    /// The highest dwell mark that was reported, in milliseconds.
    told: i64,
}

/// One sighting with what it means together with those before.
struct Evidence<'a> {
    at: Millis,
    rssi: i8,
    /// The weaker and the stronger median; they differ when the window holds an even number of sightings.
    median: (i8, i8),
    /// Enough sightings in the window for the median to decide something.
    enough: bool,
    recent: &'a VecDeque<(Millis, i8)>,
}

impl Track {
    pub fn new(at: Millis) -> Self {
        Self { seen: at, recent: VecDeque::new(), inside: Area::default(), front: Area::default(), saved: None }
    }

    pub fn sight(&mut self, at: Millis, rssi: i8, rules: &PresenceRules, marks: &[i64], report: &mut Report) {
        if at < self.seen - rules.window {
            self.close(report);
            *self = Self { saved: self.saved, ..Self::new(at) };
        }
        let at = at.max(self.seen);
        self.expire(at, rules, report);
        self.seen = at;
        self.remember(at, rssi, rules);
        let evidence = Evidence {
            at,
            rssi,
            median: median(&self.recent),
            enough: self.recent.len() >= usize::try_from(rules.enter_sightings).unwrap_or(usize::MAX),
            recent: &self.recent,
        };
        self.inside.weigh(&Zone::In, &rules.inside, &evidence, true, marks, report);
        let may_come_to_front = self.inside.stay.is_none();
        self.front.weigh(&Zone::Front, &rules.front, &evidence, may_come_to_front, marks, report);
    }

    /// Closes the stays whose last evidence lies back by the silence or more.
    pub fn expire(&mut self, now: Millis, rules: &PresenceRules, report: &mut Report) {
        for (zone, area) in [(Zone::In, &mut self.inside), (Zone::Front, &mut self.front)] {
            if area.stay.as_ref().is_some_and(|stay| now >= stay.last + rules.silence) {
                area.close(zone, report);
            }
        }
    }

    /// Closes every stay at its last evidence.
    pub fn close(&mut self, report: &mut Report) {
        self.inside.close(Zone::In, report);
        self.front.close(Zone::Front, report);
    }

    /// When time alone changes something.
    pub fn due(&self, rules: &PresenceRules) -> Millis {
        let stays = [&self.inside, &self.front].into_iter().filter_map(|area| area.stay.as_ref());
        // Without a stay, the track means nothing once its sightings have left the window.
        stays.map(|stay| stay.last + rules.silence).min().unwrap_or(Millis((self.seen + rules.window).0.saturating_add(1)))
    }

    /// True when forgetting the track changes nothing.
    pub fn is_over(&self, now: Millis, rules: &PresenceRules) -> bool {
        !self.is_staying() && self.due(rules) <= now
    }

    pub fn is_staying(&self) -> bool {
        self.inside.stay.is_some() || self.front.stay.is_some()
    }

    pub fn is_inside(&self) -> bool {
        self.inside.stay.is_some()
    }

    fn remember(&mut self, at: Millis, rssi: i8, rules: &PresenceRules) {
        while self.recent.front().is_some_and(|(earlier, _)| at.since(*earlier) > millis(rules.window)) {
            self.recent.pop_front();
        }
        if self.recent.len() >= SAMPLES {
            self.recent.pop_front();
        }
        self.recent.push_back((at, rssi));
    }
}

impl Area {
    fn weigh(&mut self, zone: &Zone, limits: &RadioZone, now: &Evidence, may_enter: bool, marks: &[i64], report: &mut Report) {
        match &mut self.stay {
            Some(stay) => {
                // Too few sightings for a median: a strong one keeps the stay, a weak one decides nothing.
                let stays = if now.enough { now.median.1 >= limits.leave_dbm } else { now.rssi >= limits.leave_dbm };
                if stays {
                    stay.last = now.at;
                    stay.rssi = now.median.0;
                    stay.count = stay.count.saturating_add(1);
                    stay.dwell(zone, marks, report);
                } else if now.enough {
                    self.close(zone.clone(), report);
                }
            }
            None if may_enter && now.enough && now.median.0 >= limits.enter_dbm => self.open(zone, limits, now, marks, report),
            None => {}
        }
    }

    /// The stay begins with the first sighting of the window that is strong enough to enter and belongs to no earlier stay.
    fn open(&mut self, zone: &Zone, limits: &RadioZone, now: &Evidence, marks: &[i64], report: &mut Report) {
        let is_first = |(at, rssi): &&(Millis, i8)| *rssi >= limits.enter_dbm && self.left.is_none_or(|left| *at > left);
        let Some(&(first, _)) = now.recent.iter().find(is_first) else { return };
        let count = now.recent.iter().filter(|(at, _)| *at >= first).count();
        let mut stay = Stay { first, last: now.at, rssi: now.median.0, count: u32::try_from(count).unwrap_or(u32::MAX), told: 0 };
        report.push(zone.clone(), Phase::Enter, &stay);
        stay.dwell(zone, marks, report);
        self.stay = Some(stay);
    }

    fn close(&mut self, zone: Zone, report: &mut Report) {
        if let Some(stay) = self.stay.take() {
            self.left = Some(stay.last);
            report.push(zone, Phase::Exit, &stay);
        }
    }
}

impl Stay {
    /// Reports the highest mark that the evidence has passed since the last report.
    fn dwell(&mut self, zone: &Zone, marks: &[i64], report: &mut Report) {
        let dwell = self.last.since(self.first);
        let passed = marks.iter().copied().take_while(|&mark| mark <= dwell).last();
        if let Some(mark) = passed.filter(|&mark| mark > self.told) {
            self.told = mark;
            report.push(zone.clone(), Phase::Dwell, self);
        }
    }
}

/// The two strengths in the middle, the weaker one first. To enter, the weaker must do; to stay, the stronger is enough: what is in doubt
/// changes nothing.
fn median(recent: &VecDeque<(Millis, i8)>) -> (i8, i8) {
    let mut strengths: Vec<i8> = recent.iter().map(|(_, rssi)| *rssi).collect();
    strengths.sort_unstable();
    let at = |index: usize| strengths.get(index).copied().unwrap_or(i8::MIN);
    (at(strengths.len().saturating_sub(1) / 2), at(strengths.len() / 2))
}
