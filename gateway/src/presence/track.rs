//! What is known of one subject: its latest strengths, and its stay in each zone.

use std::time::Duration;

use passage_config::{PresenceRules, RadioZone};
use passage_protocol::{Millis, Phase, Zone};
use serde::{Deserialize, Serialize};

use super::{
    Report,
    recent::{Median, Recent},
};

/// One subject.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Track {
    /// Last sighting.
    pub seen: Millis,
    /// The sightings of the longest window.
    recent: Recent,
    inside: Area,
    front: Area,
    /// First heard so soon after a cold start that it may have been there before.
    early: bool,
    /// Taken back from disk and not heard since.
    #[serde(skip)]
    pub restored: bool,
    /// The sighting up to which it was last saved.
    #[serde(skip)]
    pub saved: Option<Millis>,
    /// It is in the list of those that changed since the last save.
    #[serde(skip)]
    pub touched: bool,
    /// More than its evidence changed since the last save.
    #[serde(skip)]
    pub moved: bool,
    /// Its entry in the queues.
    #[serde(skip)]
    pub queued: Option<Queued>,
}

/// Where a track waits to be looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Queued {
    /// It is in a zone.
    pub staying: bool,
    /// Never later than [`Track::due`]; sightings since may have made that later.
    pub due: Millis,
}

/// One zone of one subject.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Area {
    stay: Option<Stay>,
    /// Last evidence of the stay before; what came up to here belongs to that one.
    left: Option<Millis>,
    /// The stay before ended although the subject was heard: it is about the border, and has to come back clearly.
    wary: bool,
}

/// One stay, from its first to its last evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stay {
    pub first: Millis,
    pub last: Millis,
    /// Median at the last evidence, dBm.
    pub rssi: i8,
    /// Sightings since the first evidence.
    pub count: u32,
    /// Was already inside when first seen.
    pub initial: bool,
    /// The highest dwell mark that was reported, in milliseconds.
    told: i64,
}

/// One sighting with what it means together with those before.
struct Evidence<'a> {
    at: Millis,
    rssi: i8,
    median: Median,
    recent: &'a Recent,
}

impl Track {
    pub fn new(at: Millis, early: bool) -> Self {
        Self {
            seen: at,
            recent: Recent::default(),
            inside: Area::default(),
            front: Area::default(),
            early,
            restored: false,
            saved: None,
            touched: false,
            moved: false,
            queued: None,
        }
    }

    /// Forgets what was heard, but not where the track is kept.
    pub fn begin_anew(&mut self, at: Millis, early: bool) {
        *self = Self { saved: self.saved, touched: self.touched, moved: self.moved, queued: self.queued, ..Self::new(at, early) };
    }

    /// Takes in one sighting. One that is older than the last counts as if it had come with that one.
    pub fn sight(&mut self, at: Millis, rssi: i8, rules: &PresenceRules, marks: &[i64], report: &mut Report) {
        let at = at.max(self.seen);
        self.recent.push(at, rssi, self.seen, keep(rules));
        self.seen = at;
        let evidence = |limits: &RadioZone| Evidence { at, rssi, median: self.recent.median(limits.window, at), recent: &self.recent };

        let now = evidence(&rules.inside);
        // Whoever was in front for longer than a window before came in under our eyes.
        let seen_coming = self.front.stay.as_ref().map(|stay| stay.first + rules.inside.window);
        let initial = |first: Millis| self.early && seen_coming.is_none_or(|since| first <= since);
        self.inside.weigh(&Zone::In, &rules.inside, &now, initial, marks, report);

        let now =
            Evidence { median: if rules.front.window == rules.inside.window { now.median } else { evidence(&rules.front).median }, ..now };
        if self.front.stay.is_some() || !self.inside.is_held(at, rules.inside.window) {
            let initial = self.early && self.inside.left.is_none();
            self.front.weigh(&Zone::Front, &rules.front, &now, |_| initial, marks, report);
        }
    }

    /// Closes the stays that have waited long enough for evidence.
    pub fn expire(&mut self, now: Millis, rules: &PresenceRules, report: &mut Report) {
        for (zone, area, limits) in [(Zone::In, &mut self.inside, &rules.inside), (Zone::Front, &mut self.front, &rules.front)] {
            if area.due(self.seen, limits).is_some_and(|due| due <= now) {
                area.wary = area.is_weak(self.seen, limits);
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
        let stays = [self.inside.due(self.seen, &rules.inside), self.front.due(self.seen, &rules.front)];
        // Without a stay, the track means nothing once its sightings have left the window.
        stays.into_iter().flatten().min().unwrap_or(Millis((self.seen + keep(rules)).0.saturating_add(1)))
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

    /// Moves all that is known by `step` milliseconds: the same stay on a clock that was set.
    pub fn shift(&mut self, step: i64) {
        self.recent.shift(step);
        let areas = [&mut self.inside, &mut self.front].into_iter();
        let of_areas =
            areas.flat_map(|Area { stay, left, .. }| left.iter_mut().chain(stay.iter_mut().flat_map(|s| [&mut s.first, &mut s.last])));
        for at in of_areas.chain([&mut self.seen]) {
            at.0 = at.0.saturating_add(step);
        }
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.recent.heap_bytes()
    }
}

/// How long sightings are of use.
pub(super) fn keep(rules: &PresenceRules) -> Duration {
    rules.inside.window.max(rules.front.window)
}

impl Area {
    fn weigh(
        &mut self,
        zone: &Zone,
        limits: &RadioZone,
        now: &Evidence,
        initial: impl Fn(Millis) -> bool,
        marks: &[i64],
        report: &mut Report,
    ) {
        let enough = now.median.count >= usize::try_from(limits.enter_sightings).unwrap_or(usize::MAX);
        let threshold = self.threshold(limits);
        match &mut self.stay {
            Some(stay) => {
                // In doubt she stays: of two strengths in the middle the stronger counts, and without enough for a median the sighting itself.
                let strength = if enough { now.median.stronger } else { now.rssi };
                if strength >= limits.leave_dbm {
                    stay.rssi = now.median.weaker;
                    stay.count = stay.count.saturating_add(1);
                    // The median stays high for half a window after she has gone, so the last evidence is a sighting that is strong itself.
                    if now.rssi >= limits.leave_dbm {
                        stay.last = now.at;
                        stay.dwell(zone, marks, report);
                    }
                }
            }
            None if enough && now.median.middle() >= threshold => self.open(zone, limits, now, initial, marks, report),
            None => {}
        }
    }

    /// The stay begins with the first sighting of the window that is strong enough to enter and belongs to no earlier stay.
    fn open(
        &mut self,
        zone: &Zone,
        limits: &RadioZone,
        now: &Evidence,
        initial: impl Fn(Millis) -> bool,
        marks: &[i64],
        report: &mut Report,
    ) {
        let new = now.recent.within(limits.window, now.at).take_while(|(at, _)| self.left.is_none_or(|left| *at > left));
        let new = new.enumerate().map(|(newer, (at, rssi))| (newer + 1, at, rssi));
        let Some((count, first, _)) = new.filter(|(.., rssi)| *rssi >= limits.enter_dbm).last() else { return };
        let initial = self.left.is_none() && initial(first);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let mut stay = Stay { first, last: now.at, rssi: now.median.weaker, count, initial, told: 0 };
        report.push(zone.clone(), Phase::Enter, &stay);
        stay.dwell(zone, marks, report);
        self.stay = Some(stay);
    }

    /// True while the latest evidence of a stay is not older than the window.
    fn is_held(&self, now: Millis, window: Duration) -> bool {
        self.stay.as_ref().is_some_and(|stay| stay.last + window >= now)
    }

    /// What it takes to enter, dBm: half the gap between entering and leaving more for who left about the border.
    fn threshold(&self, limits: &RadioZone) -> i8 {
        let more = if self.wary { limits.enter_dbm.saturating_sub(limits.leave_dbm) / 2 } else { 0 };
        limits.enter_dbm.saturating_add(more)
    }

    /// True if the stay ends, or ended, by `hold` and not by `silence`.
    fn is_weak(&self, seen: Millis, limits: &RadioZone) -> bool {
        self.stay.as_ref().is_some_and(|stay| stay.last + limits.hold < seen + limits.silence)
    }

    /// When the stay is over if nothing speaks for it until then.
    fn due(&self, seen: Millis, limits: &RadioZone) -> Option<Millis> {
        self.stay.as_ref().map(|stay| (seen + limits.silence).min(stay.last + limits.hold))
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
