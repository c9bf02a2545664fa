//! From evidence to visits. Pure: time, opening hours and new ids come in as arguments.
//!
//! The visits of one member in one store are a function of the set of all evidence: the spans in which she was inside, by whatever source, united;
//! a gap that is too long parts two visits. So the end of one rotating id and the begin of the next, two gateways, a position and an app event make
//! one visit, and late or repeated events change nothing or the right thing. Evidence in front of the store never makes a visit: it joins a visit
//! nearby in time, or stands as a passer-by. Only what was *told* (so that an offer fires once) depends on the order of arrival.

use passage_config::FenceKind;
use passage_protocol::{GatewayId, Millis, Phase, Signal, Zone};
use uuid::Uuid;

use crate::visit::{
    Label,
    span::{Span, Spans},
    stay::{Rules, Stay, millis},
};

/// An event, as far as visits care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Radio zone or geofence.
    pub zone: Zone,
    /// Kind of the geofence; `None` for radio zones, app events, and geofences that no configuration knows any more.
    pub fence_kind: Option<FenceKind>,
    /// How it was noticed.
    pub signal: Signal,
    /// Which gateway noticed it. Several may hang in one store.
    pub gateway: GatewayId,
    /// Came, still there, left.
    pub phase: Phase,
    /// First evidence.
    pub first: Millis,
    /// Last evidence.
    pub last: Millis,
    /// Was inside when first seen.
    pub initial: bool,
    /// Came too late to be a reason for anything but the record.
    pub late: bool,
}

/// Where a piece of evidence puts the member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Precise,
    Position,
    Nearby,
    Front,
}

impl Evidence {
    fn place(&self) -> Option<Place> {
        match (&self.zone, self.signal, self.fence_kind) {
            (Zone::In, Signal::Beacon | Signal::App, _) | (_, Signal::App, Some(FenceKind::Store)) => Some(Place::Precise),
            (Zone::In, Signal::Position, _) | (_, Signal::Position | Signal::Beacon, Some(FenceKind::Store)) => Some(Place::Position),
            (_, _, Some(FenceKind::Nearby)) => Some(Place::Nearby),
            (Zone::Front, ..) => Some(Place::Front),
            (Zone::Fence(_), _, None) => None,
        }
    }

    fn span(&self) -> Span {
        Span(self.first.min(self.last), self.first.max(self.last))
    }

    /// The stay at its gateway: the end of one at a gateway says nothing about those at others.
    fn watch(&self) -> String {
        format!("{} {} {}", self.gateway, self.zone, self.first)
    }
}

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
        let set = match place {
            Place::Precise => &mut all.precise,
            Place::Position => &mut all.position,
            Place::Nearby | Place::Front => &mut all.outside,
        };
        set.insert(evidence.span(), rules.visit.gap_counted);
        let before = std::mem::take(&mut self.stays);
        for mut part in split(&all, rules) {
            self.inherit(&mut part, &before, rules, new_id);
            self.stays.push(part);
        }
        self.stays
            .iter_mut()
            .find(|stay| holds(stay, place, evidence.span()))
            .map(|stay| tell(stay, place, evidence, rules))
            .unwrap_or_default()
    }

    /// Closes what is over at `now`.
    pub fn due(&mut self, now: Millis, rules: &Rules<'_>) -> Vec<VisitChange> {
        let over = |s: &&mut Stay| s.open && s.closes_at(rules) <= now;
        self.stays
            .iter_mut()
            .filter(over)
            .map(|stay| {
                stay.open = false;
                VisitChange { visit: stay.id, what: Change::Closed(stay.figures(rules).label), cause: None }
            })
            .collect()
    }

    /// Gives a part its id and what was already told, from the earlier stays whose evidence it holds now.
    fn inherit(&mut self, part: &mut Stay, before: &[Stay], rules: &Rules<'_>, new_id: &mut dyn FnMut() -> Uuid) {
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
        part.passing = heirs.iter().any(|s| s.passing);
        part.opened = heirs.iter().any(|s| s.opened);
        part.near = heirs.iter().any(|s| s.near);
        part.qualified = heirs.iter().any(|s| s.qualified);
        part.watched = heirs.iter().flat_map(|s| s.watched.clone()).collect();
        part.reached_ms = heirs.iter().map(|s| s.reached_ms).max().unwrap_or(0);
        let same = others.is_empty() && first.figures(rules).span == part.figures(rules).span;
        part.open = first.open || !same;
        self.absorbed.extend(others.iter().map(|s| (s.id, first.id)));
    }
}

fn unite(all: &mut Stay, stay: &Stay, rules: &Rules<'_>) {
    let gap = rules.visit.gap_counted;
    all.precise.insert_all(&stay.precise, gap);
    all.position.insert_all(&stay.position, gap);
    all.outside.insert_all(&stay.outside, gap);
}

/// The visits that a set of evidence makes: runs of evidence inside, each with what was seen outside around it, and the runs outside that stand alone.
fn split(all: &Stay, rules: &Rules<'_>) -> Vec<Stay> {
    let gap = rules.visit.gap_joined;
    let visits = all.inside(rules.visit).joined(gap);
    let mut out: Vec<Stay> = visits
        .iter()
        .map(|hull| Stay { precise: all.precise.within(hull), position: all.position.within(hull), ..Stay::new(Uuid::nil()) })
        .collect();
    for run in all.outside.joined(gap).iter() {
        let outside = all.outside.within(run);
        match visits.iter().position(|hull| hull.near(run, gap)) {
            Some(i) => out[i].outside.insert_all(&outside, rules.visit.gap_counted),
            None => out.push(Stay { outside, ..Stay::new(Uuid::nil()) }),
        }
    }
    out
}

/// True if an earlier stay is part of `part`: by its evidence inside or, without any, by that outside.
fn belongs(old: &Stay, part: &Stay) -> bool {
    let held = |old: &Spans, part: &Spans| old.hull().is_some_and(|o| part.iter().any(|p| p.0 <= o.0 && o.0 <= p.1));
    if old.was_inside() {
        held(&old.precise, &part.precise) || held(&old.position, &part.position)
    } else {
        held(&old.outside, &part.outside)
    }
}

fn holds(stay: &Stay, place: Place, span: Span) -> bool {
    let set = match place {
        Place::Precise => &stay.precise,
        Place::Position => &stay.position,
        Place::Nearby | Place::Front => &stay.outside,
    };
    set.iter().any(|s| s.holds(span))
}

/// What is new about a stay after this evidence; each change is told once in its life.
fn tell(stay: &mut Stay, place: Place, evidence: &Evidence, rules: &Rules<'_>) -> Vec<VisitChange> {
    let inside = matches!(place, Place::Precise | Place::Position);
    if inside && evidence.phase == Phase::Exit {
        stay.watched.remove(&evidence.watch());
    } else if inside {
        let seen = stay.watched.entry(evidence.watch()).or_insert(evidence.span());
        *seen = seen.hull(evidence.span());
    }
    // Another gateway may hear her still, or have heard her after this one.
    let heard_later = stay.inside(rules.visit).hull().is_some_and(|all| evidence.span().1 < all.1);
    let left = evidence.phase == Phase::Exit && !stay.is_watched(evidence.span().1) && !heard_later;
    let cause = Cause {
        zone: evidence.zone.clone(),
        signal: evidence.signal,
        at: evidence.span().1,
        initial: evidence.initial,
        late: evidence.late,
        left,
    };
    let mut out = Vec::new();
    let mut say = |what| out.push(VisitChange { visit: stay.id, what, cause: Some(cause.clone()) });
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
    if !stay.opened {
        stay.opened = true;
        say(Change::Opened);
    }
    let figures = stay.figures(rules);
    for mark in rules.marks.iter().map(|m| millis(*m)).filter(|m| stay.reached_ms < *m && *m <= figures.dwell_ms) {
        say(Change::Reached(mark));
    }
    stay.reached_ms = stay.reached_ms.max(figures.dwell_ms);
    if figures.label == Label::Qualified && !stay.qualified {
        stay.qualified = true;
        say(Change::Qualified);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use passage_config::VisitRules;
    use proptest::prelude::*;

    use super::*;
    use crate::visit::stay::Figures;

    const MIN: i64 = 60_000;

    fn visit_rules() -> VisitRules {
        let minutes = |m: u64| Duration::from_secs(m * 60);
        VisitRules {
            min_dwell_beacon: minutes(2),
            min_dwell_position: minutes(5),
            gap_counted: minutes(15),
            gap_joined: minutes(30),
            max_visit: minutes(240),
            hours_grace: minutes(15),
        }
    }

    /// Open from 60 to 600 minutes.
    fn open(at: Millis) -> bool {
        (60 * MIN..600 * MIN).contains(&at.0)
    }

    fn with_rules<T>(marks: &[Duration], f: impl FnOnce(&Rules<'_>) -> T) -> T {
        f(&Rules { visit: &visit_rules(), marks, open: &open })
    }

    fn evidence(kind: u8, first: i64, last: i64) -> Evidence {
        let fence = |id: &str| Zone::Fence(id.parse().unwrap());
        let (zone, fence_kind, signal) = match kind {
            0 => (Zone::In, None, Signal::Beacon),
            1 => (Zone::In, None, Signal::App),
            2 => (fence("shop"), Some(FenceKind::Store), Signal::Position),
            3 => (Zone::Front, None, Signal::Beacon),
            _ => (fence("around"), Some(FenceKind::Nearby), Signal::Position),
        };
        Evidence {
            zone,
            fence_kind,
            signal,
            gateway: "gw-1".parse().unwrap(),
            phase: Phase::Dwell,
            first: Millis(first),
            last: Millis(last),
            initial: false,
            late: false,
        }
    }

    fn ids() -> impl FnMut() -> Uuid {
        let mut n = 0_u128;
        move || {
            n += 1;
            Uuid::from_u128(n)
        }
    }

    /// Applies all at once; the figures in order of time, and what was told.
    fn play(all: &[Evidence], marks: &[Duration]) -> (Vec<Figures>, Vec<Change>) {
        with_rules(marks, |rules| {
            let (mut machine, mut ids, mut told) = (Machine::default(), ids(), Vec::new());
            for e in all {
                told.extend(machine.apply(e, rules, &mut ids).into_iter().map(|c| c.what));
            }
            (figures(machine.stays(), rules), told)
        })
    }

    fn figures(stays: &[Stay], rules: &Rules<'_>) -> Vec<Figures> {
        let mut out: Vec<Figures> = stays.iter().map(|s| s.figures(rules)).collect();
        out.sort_by_key(|f| (f.span, f.dwell_ms));
        out
    }

    fn one(all: &[Evidence]) -> Figures {
        let (figures, _) = play(all, &[]);
        assert_eq!(figures.len(), 1, "{figures:?}");
        figures[0]
    }

    #[test]
    fn two_minutes_by_beacon_are_a_visit_and_two_minutes_by_position_are_not() {
        assert_eq!(one(&[evidence(0, 100 * MIN, 102 * MIN)]).label, Label::Qualified);
        assert_eq!(one(&[evidence(0, 100 * MIN, 102 * MIN - 1)]).label, Label::PasserBy);
        assert_eq!(one(&[evidence(2, 100 * MIN, 104 * MIN)]).label, Label::PasserBy);
        assert_eq!(one(&[evidence(2, 100 * MIN, 105 * MIN)]).label, Label::Qualified);
    }

    #[test]
    fn segments_of_a_rotating_id_are_one_visit_and_its_gaps_count_up_to_a_quarter_of_an_hour() {
        let f = one(&[evidence(0, 100 * MIN, 110 * MIN), evidence(0, 113 * MIN, 120 * MIN), evidence(0, 135 * MIN, 140 * MIN)]);
        assert_eq!((f.span, f.dwell_ms), (Span(Millis(100 * MIN), Millis(140 * MIN)), 40 * MIN));
        // 20 minutes belong to the visit without counting.
        let f = one(&[evidence(0, 100 * MIN, 110 * MIN), evidence(0, 130 * MIN, 140 * MIN)]);
        assert_eq!((f.span, f.dwell_ms), (Span(Millis(100 * MIN), Millis(140 * MIN)), 20 * MIN));
        // 31 minutes make two visits.
        assert_eq!(play(&[evidence(0, 100 * MIN, 110 * MIN), evidence(0, 141 * MIN, 150 * MIN)], &[]).0.len(), 2);
    }

    #[test]
    fn beacon_position_and_app_make_one_visit() {
        let f = one(&[evidence(2, 100 * MIN, 103 * MIN), evidence(0, 102 * MIN, 108 * MIN), evidence(1, 112 * MIN, 112 * MIN)]);
        assert_eq!((f.span, f.dwell_ms, f.label), (Span(Millis(100 * MIN), Millis(112 * MIN)), 12 * MIN, Label::Qualified));
    }

    #[test]
    fn a_member_who_was_only_in_front_is_a_passer_by_and_nothing_opens() {
        let (figures, told) = play(&[evidence(3, 100 * MIN, 130 * MIN), evidence(4, 101 * MIN, 120 * MIN)], &[]);
        assert_eq!((figures.len(), figures[0].label, figures[0].dwell_ms), (1, Label::PasserBy, 0));
        assert_eq!(told, [Change::Passing, Change::Near]);
    }

    #[test]
    fn who_passes_by_and_then_enters_keeps_the_record_and_opens_once() {
        let marks = [Duration::from_secs(120), Duration::from_secs(600)];
        let all = [
            evidence(3, 95 * MIN, 96 * MIN),
            evidence(0, 100 * MIN, 100 * MIN),
            evidence(0, 100 * MIN, 102 * MIN),
            evidence(0, 100 * MIN, 102 * MIN),
            evidence(0, 100 * MIN, 111 * MIN),
        ];
        let (figures, told) = play(&all, &marks);
        assert_eq!((figures.len(), figures[0].span.0), (1, Millis(100 * MIN)));
        assert_eq!(told, [Change::Passing, Change::Opened, Change::Reached(2 * MIN), Change::Qualified, Change::Reached(10 * MIN)]);
    }

    #[test]
    fn hours_with_grace_and_the_longest_visit_decide_the_label() {
        assert_eq!(one(&[evidence(0, 30 * MIN, 44 * MIN)]).label, Label::OutOfHours);
        assert_eq!(one(&[evidence(0, 30 * MIN, 45 * MIN)]).label, Label::Qualified);
        assert_eq!(one(&[evidence(0, 614 * MIN, 640 * MIN)]).label, Label::Qualified);
        assert_eq!(one(&[evidence(0, 616 * MIN, 640 * MIN)]).label, Label::OutOfHours);
        assert_eq!(one(&[evidence(0, 100 * MIN, 340 * MIN)]).label, Label::Qualified);
        assert_eq!(one(&[evidence(0, 100 * MIN, 341 * MIN)]).label, Label::Suspect);
        // Open only in the middle of the stay.
        assert_eq!(one(&[evidence(2, 590 * MIN, 700 * MIN)]).label, Label::Qualified);
    }

    #[test]
    fn a_visit_closes_when_nothing_was_heard_for_half_an_hour_and_late_evidence_amends_it_without_opening_it_again_for_offers() {
        with_rules(&[], |rules| {
            let (mut machine, mut ids) = (Machine::default(), ids());
            machine.apply(&evidence(0, 100 * MIN, 110 * MIN), rules, &mut ids);
            assert!(machine.due(Millis(140 * MIN - 1), rules).is_empty());
            let closed = machine.due(Millis(140 * MIN), rules);
            assert_eq!(closed[0].what, Change::Closed(Label::Qualified));
            assert!(machine.due(Millis(141 * MIN), rules).is_empty());
            let told = machine.apply(&evidence(0, 120 * MIN, 125 * MIN), rules, &mut ids);
            assert!(told.is_empty(), "{told:?}");
            assert!(machine.stays()[0].open);
            // A repetition of known evidence opens nothing.
            machine.due(Millis(160 * MIN), rules);
            machine.apply(&evidence(0, 120 * MIN, 125 * MIN), rules, &mut ids);
            assert!(!machine.stays()[0].open);
        });
    }

    #[test]
    fn evidence_that_bridges_two_visits_makes_them_one_and_says_which_was_absorbed() {
        with_rules(&[], |rules| {
            let (mut machine, mut ids) = (Machine::default(), ids());
            machine.apply(&evidence(0, 100 * MIN, 105 * MIN), rules, &mut ids);
            machine.apply(&evidence(0, 150 * MIN, 155 * MIN), rules, &mut ids);
            assert_eq!(machine.stays().len(), 2);
            let told = machine.apply(&evidence(0, 120 * MIN, 130 * MIN), rules, &mut ids);
            assert!(told.is_empty(), "nothing is told twice: {told:?}");
            assert_eq!(machine.stays().len(), 1);
            assert_eq!(machine.absorbed(), [(Uuid::from_u128(2), Uuid::from_u128(1))]);
        });
    }

    #[test]
    fn a_geofence_that_no_configuration_knows_is_no_evidence() {
        let unknown = Evidence { fence_kind: None, ..evidence(2, 100 * MIN, 120 * MIN) };
        assert_eq!(play(&[unknown], &[]), (vec![], vec![]));
    }

    fn any_evidence() -> impl Strategy<Value = Evidence> {
        (0_u8..5, 0_i64..700, 0_i64..25).prop_map(|(kind, at, length)| evidence(kind, at * MIN, (at + length) * MIN))
    }

    proptest! {
        #[test]
        fn the_visits_do_not_depend_on_the_order_of_arrival(
            all in prop::collection::vec(any_evidence(), 1..14).prop_flat_map(|v| (Just(v.clone()), Just(v).prop_shuffle())),
            repeated in 0_usize..14, closing in 0_usize..14,
        ) {
            let (mut ordered, shuffled) = all;
            ordered.sort_by_key(|e| e.last);
            let expected = play(&ordered, &[]).0;
            with_rules(&[], |rules| {
                // The second time through rows: only those within reach are loaded, as JSON; one is repeated; visits are closed in between.
                let (mut rows, mut ids) = (Vec::<String>::new(), ids());
                let again = shuffled[repeated % shuffled.len()].clone();
                for (i, e) in shuffled.iter().chain([&again]).enumerate() {
                    let stays: Vec<Stay> = rows.iter().map(|r| serde_json::from_str(r).unwrap()).collect();
                    let (near, far): (Vec<Stay>, Vec<Stay>) =
                        stays.into_iter().partition(|s| s.hull().unwrap().near(e.span(), rules.visit.gap_joined));
                    let mut machine = Machine::new(near);
                    machine.apply(e, rules, &mut ids);
                    if i >= closing {
                        machine.due(Millis(i64::MAX), rules);
                    }
                    rows = far.iter().chain(machine.stays()).map(|s| serde_json::to_string(s).unwrap()).collect();
                }
                let stays: Vec<Stay> = rows.iter().map(|r| serde_json::from_str(r).unwrap()).collect();
                let ids: std::collections::BTreeSet<Uuid> = stays.iter().map(|s| s.id).collect();
                prop_assert_eq!(ids.len(), stays.len(), "every visit has its own id");
                prop_assert_eq!(figures(&stays, rules), expected);
                Ok(())
            })?;
        }

        #[test]
        fn dwell_is_the_union_of_evidence_and_counted_gaps_and_never_exceeds_the_stay(all in prop::collection::vec(any_evidence(), 1..14)) {
            let got = play(&all, &[]).0;
            for f in &got {
                prop_assert!(0 <= f.dwell_ms && f.dwell_ms <= f.span.length());
            }
            // Oracle: walk over all inside evidence in order of its begin.
            let mut inside: Vec<Span> = all.iter().filter(|e| matches!(e.place(), Some(Place::Precise | Place::Position))).map(Evidence::span).collect();
            inside.sort();
            let mut expected: Vec<(Span, i64)> = Vec::new();
            for s in inside {
                match expected.last_mut().filter(|(v, _)| s.0.since(v.1) <= 30 * MIN) {
                    Some((v, dwell)) => {
                        let gap = s.0.since(v.1);
                        *dwell += (s.1.since(v.1)).max(0) - if gap > 15 * MIN { gap } else { 0 };
                        *v = v.hull(s);
                    }
                    None => expected.push((s, s.length())),
                }
            }
            let visits: Vec<(Span, i64)> = with_rules(&[], |rules| {
                let (mut machine, mut ids) = (Machine::default(), ids());
                all.iter().for_each(|e| { machine.apply(e, rules, &mut ids); });
                let mut v: Vec<(Span, i64)> = machine.stays().iter().filter(|s| s.was_inside())
                    .map(|s| s.figures(rules)).map(|f| (f.span, f.dwell_ms)).collect();
                v.sort();
                v
            });
            prop_assert_eq!(visits, expected);
        }

        #[test]
        fn a_change_is_told_at_most_once_per_visit(all in prop::collection::vec(any_evidence(), 1..14)) {
            let marks = [Duration::from_secs(180), Duration::from_secs(600)];
            with_rules(&marks, |rules| {
                let (mut machine, mut ids) = (Machine::default(), ids());
                let told: Vec<(Uuid, Change)> =
                    all.iter().flat_map(|e| machine.apply(e, rules, &mut ids)).map(|c| (c.visit, c.what)).collect();
                for (i, change) in told.iter().enumerate() {
                    prop_assert!(!told[..i].contains(change), "{:?} twice", change);
                }
                Ok(())
            })?;
        }
    }
}
