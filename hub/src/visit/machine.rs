//! From evidence to visits. Pure: time, opening hours and new ids come in as arguments.
//!
//! The visits of one member in one store are a function of the set of all evidence: the spans in which she was inside, by whatever source, united;
//! a gap that is too long parts two visits. So the end of one rotating id and the begin of the next, two gateways, a position and an app event make
//! one visit, and late or repeated events change nothing or the right thing. Evidence in front of the store never makes a visit: it joins a visit
//! nearby in time, or stands as a passer-by. Only what was *told* (so that an offer fires once) depends on the order of arrival.

use std::collections::BTreeSet;

use passage_protocol::{Millis, Phase, Signal, Zone};
use uuid::Uuid;

use crate::visit::{
    Evidence, Kind, Label, Reason, RevisedBecause, Source,
    evidence::Place,
    span::{Span, Spans},
    stay::{Rules, Stay, Told, Word, millis},
};

/// The evidence behind a change, as offers judge it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Where.
    pub zone: Zone,
    /// How it was noticed.
    pub signal: Signal,
    /// Last evidence.
    pub at: Millis,
    /// Was inside when first seen.
    pub initial: bool,
    /// Came too late.
    pub late: bool,
    /// She was leaving already.
    pub left: bool,
}

/// What became of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// First evidence in front or nearby; so far a passer-by.
    Passing,
    /// First evidence in a geofence of kind `nearby` of a member who was not inside.
    Near,
    /// First evidence inside.
    Opened,
    /// The dwell reached this mark, in milliseconds.
    Reached(i64),
    /// It is a visit now.
    Qualified,
    /// Nothing was heard for longer than a visit may pause.
    Closed(Label),
    /// A closed visit has other figures than it was closed with: its revision, and why.
    Revised(u32, RevisedBecause),
}

/// A change of one visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisitChange {
    /// Which visit.
    pub visit: Uuid,
    /// What.
    pub what: Change,
    /// Why; `None` when time alone did it.
    pub cause: Option<Cause>,
}

/// The visits of one member in one store that new evidence can touch.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    stays: Vec<Stay>,
    loaded: Vec<Stay>,
    absorbed: Vec<(Uuid, Uuid)>,
}

impl Machine {
    /// Goes on from stored stays: all those whose evidence lies within `gap_joined` of the evidence to come.
    pub fn new(stays: Vec<Stay>) -> Self {
        Self { loaded: stays.clone(), stays, absorbed: Vec::new() }
    }

    /// The visits now.
    pub fn stays(&self) -> &[Stay] {
        &self.stays
    }

    /// The visits that differ from what was loaded.
    pub fn changed(&self) -> impl Iterator<Item = &Stay> {
        self.stays.iter().filter(|s| !self.loaded.contains(s))
    }

    /// Visits that turned out to be part of another one: (which, of which). Their rows go; what refers to them moves.
    pub fn absorbed(&self) -> &[(Uuid, Uuid)] {
        &self.absorbed
    }

    /// Takes one piece of evidence. `new_id` is asked when it begins a visit.
    pub fn apply(&mut self, evidence: &Evidence, rules: &Rules<'_>, new_id: &mut dyn FnMut() -> Uuid) -> Vec<VisitChange> {
        let Some(place) = evidence.place() else { return Vec::new() };
        let mut all = Stay::new(Uuid::nil());
        for stay in &self.stays {
            unite(&mut all, stay, rules);
        }
        insert(&mut all, place, evidence, rules);
        let before = std::mem::take(&mut self.stays);
        for mut part in split(&all, rules) {
            self.inherit(&mut part, &before, new_id);
            self.stays.push(part);
        }
        let Some(stay) = self.stays.iter_mut().find(|stay| holds(stay, place, evidence.span())) else { return Vec::new() };
        measure(stay, place, evidence);
        tell(stay, place, evidence, rules)
    }

    /// Closes what is over at `now`, or says that it was closed with other figures before.
    pub fn due(&mut self, now: Millis, rules: &Rules<'_>) -> Vec<VisitChange> {
        let over = |s: &&mut Stay| s.open && s.closes_at(rules) <= now;
        self.stays.iter_mut().filter(over).filter_map(|stay| close(stay, RevisedBecause::LateEvidence, rules)).collect()
    }

    /// Notes what is known besides the evidence: reasons for which `of` is true are replaced by `reasons`. A closed visit whose figures change by
    /// that is told again.
    pub fn note(
        &mut self,
        visit: Uuid,
        of: impl Fn(Reason) -> bool,
        reasons: &BTreeSet<Reason>,
        because: RevisedBecause,
        rules: &Rules<'_>,
    ) -> Option<VisitChange> {
        let stay = self.stays.iter_mut().find(|s| s.id == visit)?;
        stay.known.retain(|r| !of(*r));
        stay.known.extend(reasons);
        if stay.open { None } else { close(stay, because, rules) }
    }

    /// Gives a part its id and what was already told, from the earlier stays whose evidence it holds now.
    fn inherit(&mut self, part: &mut Stay, before: &[Stay], new_id: &mut dyn FnMut() -> Uuid) {
        // Rules that changed since may split a stay; then its id goes to the first part.
        let is_free = |old: &&Stay| !self.stays.iter().any(|s| s.id == old.id) && !self.absorbed.iter().any(|(id, _)| *id == old.id);
        let mut heirs: Vec<&Stay> = before.iter().filter(|old| belongs(old, part)).filter(is_free).collect();
        // A visit that was opened keeps its id before a passer-by does: messages and decisions name it.
        heirs.sort_by_key(|old| (!old.was_inside(), old.id));
        let Some((first, others)) = heirs.split_first() else {
            part.id = new_id();
            return;
        };
        part.id = first.id;
        part.fine = heirs.iter().any(|s| s.fine);
        part.accuracy_m = heirs.iter().filter_map(|s| s.accuracy_m).reduce(f32::min);
        part.rssi = heirs.iter().filter_map(|s| s.rssi).max();
        part.known = heirs.iter().flat_map(|s| s.known.iter().copied()).collect();
        part.told = first.told;
        part.revision = heirs.iter().map(|s| s.revision).max().unwrap_or(0);
        part.revised = first.revised;
        part.passing = heirs.iter().any(|s| s.passing);
        part.opened = heirs.iter().any(|s| s.opened);
        part.near = heirs.iter().any(|s| s.near);
        part.qualified = heirs.iter().any(|s| s.qualified);
        part.watched = heirs.iter().flat_map(|s| s.watched.clone()).collect();
        part.reached_ms = heirs.iter().map(|s| s.reached_ms).max().unwrap_or(0);
        part.open = first.open || !others.is_empty() || !part.has_evidence_of(first);
        self.absorbed.extend(others.iter().map(|s| (s.id, first.id)));
    }
}

fn unite(all: &mut Stay, stay: &Stay, rules: &Rules<'_>) {
    let gap = rules.visit.gap_counted;
    all.beacon.insert_all(&stay.beacon, gap);
    all.app.insert_all(&stay.app, gap);
    all.position.insert_all(&stay.position, gap);
    all.outside.insert_all(&stay.outside, gap);
    all.moments.extend(&stay.moments);
    for (at, level) in &stay.levels {
        hear(all, *at, *level);
    }
    for (first, word) in &stay.words {
        listen(all, *first, *word);
    }
}

fn insert(all: &mut Stay, place: Place, evidence: &Evidence, rules: &Rules<'_>) {
    let (span, gap) = (evidence.span(), rules.visit.gap_counted);
    match place {
        Place::Inside(Kind::Beacon) => {
            all.beacon.insert(span, gap);
            // Who leaves is heard from afar at last; that says nothing about before.
            if evidence.phase != Phase::Exit {
                evidence.weight.above_db.into_iter().for_each(|level| hear(all, span.1, level));
            }
        }
        Place::Inside(Kind::App) => {
            all.app.insert(span, gap);
            if let Some((count, above_db)) = evidence.words().zip(evidence.weight.above_db) {
                listen(all, span.0, Word { count, until: span.1, above_db });
            }
        }
        Place::Inside(Kind::Position) => all.position.insert(span, gap),
        Place::Inside(kind) => {
            all.moments.insert((span.0, kind));
        }
        Place::Nearby | Place::Front => all.outside.insert(span, gap),
    }
}

/// Keeps the louder of two levels of one time.
fn hear(all: &mut Stay, at: Millis, level: i8) {
    let known = all.levels.entry(at).or_insert(level);
    *known = level.max(*known);
}

/// Keeps what an app told last of one of its stays: it rests on the most words.
fn listen(all: &mut Stay, first: Millis, word: Word) {
    let known = all.words.entry(first).or_insert(word);
    *known = word.max(*known);
}

/// Keeps the best measurements inside.
fn measure(stay: &mut Stay, place: Place, evidence: &Evidence) {
    if !matches!(place, Place::Inside(_)) {
        return;
    }
    let accuracy = evidence.accuracy_m().filter(|a| *a > 0.0);
    stay.accuracy_m = stay.accuracy_m.into_iter().chain(accuracy).reduce(f32::min);
    stay.rssi = stay.rssi.max(evidence.rssi());
    stay.fine |= evidence.weight.fine;
}

/// The visits that a set of evidence makes: runs of evidence inside, each with what was seen outside around it, and the runs outside that stand alone.
fn split(all: &Stay, rules: &Rules<'_>) -> Vec<Stay> {
    let gap = rules.visit.gap_joined;
    let visits = all.inside(rules.visit).joined(gap);
    let mut out: Vec<Stay> = visits.iter().map(|hull| part(all, hull)).collect();
    for run in all.outside.joined(gap).iter() {
        let outside = all.outside.within(run);
        match visits.iter().position(|hull| hull.near(run, gap)) {
            Some(i) => out[i].outside.insert_all(&outside, rules.visit.gap_counted),
            None => out.push(Stay { outside, ..Stay::new(Uuid::nil()) }),
        }
    }
    out
}

/// The evidence inside that lies in `hull`.
fn part(all: &Stay, hull: Span) -> Stay {
    Stay {
        beacon: all.beacon.within(hull),
        app: all.app.within(hull),
        words: all.words.range(hull.0..=hull.1).map(|(first, word)| (*first, *word)).collect(),
        levels: all.levels.range(hull.0..=hull.1).map(|(at, level)| (*at, *level)).collect(),
        position: all.position.within(hull),
        moments: all.moments.iter().copied().filter(|(at, _)| hull.holds(Span(*at, *at))).collect(),
        ..Stay::new(Uuid::nil())
    }
}

/// True if an earlier stay is part of `part`: by its evidence inside or, without any, by that outside.
fn belongs(old: &Stay, part: &Stay) -> bool {
    let held = |old: &Spans, part: &Spans| old.hull().is_some_and(|o| part.iter().any(|p| p.0 <= o.0 && o.0 <= p.1));
    if old.was_inside() {
        let sets = [(&old.beacon, &part.beacon), (&old.app, &part.app), (&old.position, &part.position)];
        sets.into_iter().any(|(old, part)| held(old, part)) || old.moments.iter().any(|m| part.moments.contains(m))
    } else {
        held(&old.outside, &part.outside)
    }
}

fn holds(stay: &Stay, place: Place, span: Span) -> bool {
    let set = match place {
        Place::Inside(Kind::Beacon) => &stay.beacon,
        Place::Inside(Kind::App) => &stay.app,
        Place::Inside(Kind::Position) => &stay.position,
        Place::Inside(kind) => return stay.moments.contains(&(span.0, kind)),
        Place::Nearby | Place::Front => &stay.outside,
    };
    set.iter().any(|s| s.holds(span))
}

/// Closes a stay. The first time it is told as closed; later, if its figures are others than those that were told, as revised.
fn close(stay: &mut Stay, because: RevisedBecause, rules: &Rules<'_>) -> Option<VisitChange> {
    stay.open = false;
    let figures = stay.figures(rules);
    let now = Told::from(&figures);
    let what = match stay.told.replace(now) {
        None => Change::Closed(figures.label),
        Some(before) if before == now => return None,
        Some(_) => {
            stay.revision += 1;
            stay.revised = Some(because);
            Change::Revised(stay.revision, because)
        }
    };
    Some(VisitChange { visit: stay.id, what, cause: None })
}

/// What is new about a stay after this evidence; each change is told once in its life.
fn tell(stay: &mut Stay, place: Place, evidence: &Evidence, rules: &Rules<'_>) -> Vec<VisitChange> {
    watch(stay, place, evidence);
    let cause = cause(stay, evidence, rules);
    let mut out = Vec::new();
    let mut say = |what| out.push(VisitChange { visit: stay.id, what, cause: cause.clone() });
    if !stay.was_inside() {
        if !stay.passing {
            stay.passing = true;
            say(Change::Passing);
        }
        if place == Place::Nearby && !stay.near {
            stay.near = true;
            say(Change::Near);
        }
        return out;
    }
    let figures = stay.figures(rules);
    // What the counter knows opens nothing: an offer waits for the phone.
    if cause.is_some() {
        if !stay.opened {
            stay.opened = true;
            say(Change::Opened);
        }
        for mark in rules.marks.iter().map(|m| millis(*m)).filter(|m| stay.reached_ms < *m && *m <= figures.dwell_ms) {
            say(Change::Reached(mark));
        }
        stay.reached_ms = stay.reached_ms.max(figures.dwell_ms);
    }
    if figures.label == Label::Qualified && !stay.qualified {
        stay.qualified = true;
        say(Change::Qualified);
    }
    out
}

/// Follows the stays that gateways have not ended yet.
fn watch(stay: &mut Stay, place: Place, evidence: &Evidence) {
    let (Place::Inside(_), Some(watch)) = (place, evidence.watch()) else { return };
    if evidence.phase == Phase::Exit {
        stay.watched.remove(&watch);
    } else {
        let seen = stay.watched.entry(watch).or_insert(evidence.span());
        *seen = seen.hull(evidence.span());
    }
}

/// The evidence as offers judge it; the counter's is none of their business.
fn cause(stay: &Stay, evidence: &Evidence, rules: &Rules<'_>) -> Option<Cause> {
    let Source::Gateway { zone, signal, .. } = &evidence.source else { return None };
    // Another gateway may hear her still, or have heard her after this one.
    let heard_later = stay.inside(rules.visit).hull().is_some_and(|all| evidence.span().1 < all.1);
    let left = evidence.phase == Phase::Exit && !stay.is_watched(evidence.span().1) && !heard_later;
    Some(Cause { zone: zone.clone(), signal: *signal, at: evidence.span().1, initial: evidence.initial, late: evidence.late, left })
}

#[cfg(test)]
mod tests;
