//! From what was told to visits: the hub's own machine, learning and doubts, in memory and without anybody's identity to look up.

use std::collections::{BTreeMap, BTreeSet};

use passage_config::{FenceKind, PresenceRules, VisitRules};
use passage_protocol::{Millis, Zone};
use uuid::Uuid;

use super::{
    counter::Moment,
    report::{Found, Told},
    town::{Role, Town, ZONE},
};
use crate::visit::{
    Evidence, Machine, Reason, RevisedBecause, Rules, Source, Stay,
    doubt::{Placed, Proof, doubts},
    regular::{Past, Place, Regular, learn},
    span::{Span, Spans},
    stay::millis,
    weigh,
};

/// A label is renewed when it was learned so long ago.
const RENEW_MS: i64 = 86_400_000;

/// All stays that were found.
pub(super) fn visits(town: &Town, told: Vec<Told>, moments: &[Moment]) -> Vec<Found> {
    let mut all: BTreeMap<(usize, usize), Vec<(Millis, Evidence)>> = BTreeMap::new();
    for told in told {
        all.entry((told.person, told.shop)).or_default().push((told.arrives, evidence(town, told)));
    }
    for moment in moments {
        all.entry((moment.person, moment.shop)).or_default().push((moment.arrives, Evidence::counter(moment.kind, moment.at)));
    }
    let mut ledgers: BTreeMap<usize, Vec<(usize, Ledger<'_>)>> = BTreeMap::new();
    for ((person, shop), mut evidence) in all {
        evidence.sort_by_key(|(arrives, _)| *arrives);
        let mut ledger = Ledger::new(town, person, shop);
        evidence.iter().for_each(|(arrives, evidence)| ledger.take(evidence, *arrives));
        ledger.close(Millis(town.end().0 + 30 * RENEW_MS));
        ledgers.entry(person).or_default().push((shop, ledger));
    }
    ledgers.into_iter().flat_map(|(person, ledgers)| settled(town, person, ledgers)).collect()
}

fn evidence(town: &Town, told: Told) -> Evidence {
    let change = told.change;
    let fence_kind = matches!(change.zone, Zone::Fence(_)).then_some(FenceKind::Store);
    let weight = weigh(&change.strength, &PresenceRules::default(), Some(town.world.phones.fence_m));
    Evidence {
        weight,
        source: Source::Gateway { gateway: told.gateway, zone: change.zone, fence_kind, signal: change.signal, strength: change.strength },
        phase: change.phase,
        first: change.first,
        last: change.last,
        initial: change.initial,
        late: change.late,
    }
}

/// The stays of one member in one shop.
struct Ledger<'a> {
    town: &'a Town,
    visit: VisitRules,
    listed: bool,
    stays: Vec<Stay>,
    regular: Option<Regular>,
    learned: Millis,
    ids: u128,
}

impl<'a> Ledger<'a> {
    fn new(town: &'a Town, person: usize, shop: usize) -> Self {
        let listed = town.people[person].role == Role::Staff { shop, listed: true };
        let ids = u128::try_from(person * town.shops.len() + shop).unwrap_or(0) << 32;
        Self { town, visit: town.site.visit, listed, stays: Vec::new(), regular: None, learned: Millis(0), ids }
    }

    fn take(&mut self, evidence: &Evidence, now: Millis) {
        self.close(now);
        let span = evidence.span();
        let town = self.town;
        let open = |at| town.is_open(at);
        let rules = Rules { visit: &self.visit, marks: &[], open: &open };
        let reach = rules.visit.gap_joined;
        let (near, far): (Vec<Stay>, Vec<Stay>) =
            std::mem::take(&mut self.stays).into_iter().partition(|s| s.hull().is_some_and(|hull| hull.near(span, reach)));
        let (mut machine, mut ids) = (Machine::new(near), self.ids);
        machine.apply(evidence, &rules, &mut || {
            ids += 1;
            Uuid::from_u128(ids)
        });
        self.ids = ids;
        self.stays = far;
        self.stays.extend(machine.stays().iter().cloned());
    }

    /// Closes what is over, and learns from it.
    fn close(&mut self, now: Millis) {
        let town = self.town;
        let open = |at| town.is_open(at);
        let rules = Rules { visit: &self.visit, marks: &[], open: &open };
        let is_over = |s: &Stay| s.open && s.closes_at(&rules) <= now;
        if !self.stays.iter().any(is_over) {
            return;
        }
        let mut machine = Machine::new(std::mem::take(&mut self.stays));
        machine.due(now, &rules);
        self.stays = machine.stays().to_vec();
        self.learn(now);
    }

    fn learn(&mut self, now: Millis) {
        let grace = self.visit.hours_grace;
        let town = self.town;
        let open = |at: Millis| town.is_open(at) || town.is_open(at + grace) || town.is_open(at - grace);
        if now.since(self.learned) >= RENEW_MS {
            let past: Vec<Past> = self.stays.iter().filter_map(|s| past(s, &self.visit)).collect();
            if let Some(regular) = learn(&past, now, Place { timezone: ZONE, open: &open }, &self.visit.regulars) {
                self.regular = Some(regular);
                self.learned = now;
            }
        }
        if !self.listed && self.regular.is_none() {
            return;
        }
        let notes: Vec<(Uuid, BTreeSet<Reason>)> = self.stays.iter().map(|s| (s.id, self.reasons(s))).collect();
        for (id, reasons) in notes {
            self.note(id, Reason::is_regular, &reasons, RevisedBecause::Regular);
        }
    }

    fn reasons(&self, stay: &Stay) -> BTreeSet<Reason> {
        let learned = self.regular.and_then(|r| r.reason_at(stay.hull()?.0));
        self.listed
            .then_some(Reason::StaffListed)
            .into_iter()
            .chain(learned)
            .chain(stay.known.iter().copied().filter(|r| r.is_regular()))
            .collect()
    }

    fn note(&mut self, id: Uuid, of: impl Fn(Reason) -> bool, reasons: &BTreeSet<Reason>, because: RevisedBecause) {
        let town = self.town;
        let open = |at| town.is_open(at);
        let rules = Rules { visit: &self.visit, marks: &[], open: &open };
        let Some(at) = self.stays.iter().position(|s| s.id == id) else { return };
        let mut machine = Machine::new(vec![self.stays.swap_remove(at)]);
        machine.note(id, of, reasons, because, &rules);
        self.stays.extend(machine.stays().iter().cloned());
    }
}

fn past(stay: &Stay, rules: &VisitRules) -> Option<Past> {
    let inside = stay.inside(rules);
    Some(Past { span: inside.hull()?, dwell_ms: inside.length() })
}

/// The stays of one member, after they were held against each other.
fn settled(town: &Town, person: usize, mut ledgers: Vec<(usize, Ledger<'_>)>) -> Vec<Found> {
    let rules = town.site.visit;
    let mut placed: Vec<Placed<'_>> =
        ledgers.iter().flat_map(|(shop, ledger)| ledger.stays.iter().filter_map(|s| place(town, *shop, s, &rules))).collect();
    placed.sort_by_key(|p| p.span);
    let mut found: BTreeMap<Uuid, BTreeSet<Reason>> = BTreeMap::new();
    for group in near_in_time(&placed) {
        for (id, reasons) in doubts(group, &rules.contradictions) {
            found.entry(id).or_default().extend(reasons);
        }
    }
    for (_, ledger) in &mut ledgers {
        let ids: Vec<Uuid> = ledger.stays.iter().map(|s| s.id).filter(|id| found.contains_key(id)).collect();
        for id in ids {
            ledger.note(id, Reason::is_contradiction, &found[&id], RevisedBecause::Contradiction);
        }
    }
    let open = |at| town.is_open(at);
    let rules = Rules { visit: &rules, marks: &[], open: &open };
    let of = |(shop, ledger): (usize, Ledger<'_>)| ledger.stays.into_iter().map(move |stay| (shop, stay)).collect::<Vec<_>>();
    ledgers
        .into_iter()
        .flat_map(of)
        .map(|(shop, stay)| Found {
            person,
            shop,
            figures: stay.figures(&rules),
            kinds: stay.kinds(),
            revision: stay.revision,
            evidence: evidence_of(&stay),
        })
        .collect()
}

fn place<'a>(town: &'a Town, shop: usize, stay: &Stay, rules: &VisitRules) -> Option<Placed<'a>> {
    let span = stay.inside(rules).hull()?;
    Some(Placed { id: stay.id, store: &town.shops[shop].store, at: town.shops[shop].at, span, proof: Proof::of(stay) })
}

/// What a stay rests on, in minutes and dBm.
fn evidence_of(stay: &Stay) -> String {
    let minutes = |what: &str, spans: &Spans| {
        (!spans.is_empty()).then(|| format!("{what} {}x{:.1}", spans.iter().count(), super::dice::real(spans.length()) / 60_000.0))
    };
    let sets = [("beacon", &stay.beacon), ("app", &stay.app), ("position", &stay.position)];
    let mut all: Vec<String> = sets.into_iter().filter_map(|(what, spans)| minutes(what, spans)).collect();
    all.extend(minutes("outside", &stay.outside));
    all.extend(stay.rssi.map(|rssi| format!("loudest {rssi}")));
    if !stay.levels.is_empty() {
        all.push(format!("levels {:?}", stay.levels.values().collect::<Vec<_>>()));
    }
    if !stay.words.is_empty() {
        all.push(format!("words {:?}", stay.words.values().map(|w| (w.count, w.above_db)).collect::<Vec<_>>()));
    }
    all.extend(stay.moments.iter().map(|(_, kind)| kind.word().to_owned()));
    all.join(", ")
}

/// Runs of stays with less than half a day between them: no contradiction reaches farther.
fn near_in_time<'a, 'b>(placed: &'b [Placed<'a>]) -> impl Iterator<Item = &'b [Placed<'a>]> {
    let mut last = placed.first().map_or(Span(Millis(0), Millis(0)), |p| p.span);
    let mut starts = vec![0];
    for (i, p) in placed.iter().enumerate() {
        if p.span.0.since(last.1) > millis(std::time::Duration::from_secs(43_200)) {
            starts.push(i);
            last = p.span;
        }
        last = last.hull(p.span);
    }
    starts.push(placed.len());
    starts.windows(2).map(|w| &placed[w[0]..w[1]]).collect::<Vec<_>>().into_iter()
}
