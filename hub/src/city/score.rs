//! What was found against what took place.

use std::time::Duration;

use passage_config::VisitRules;
use passage_protocol::Millis;

use super::{
    air::level,
    counter::Moment,
    dice::Dice,
    phones::Means,
    plan::{Outing, Spot, Why},
    report::{Found, Means as Heard, Report, Truth},
    town::{Role, Town},
};
use crate::visit::{Label, stay::millis};

/// A visit of which start and end are so wrong is still the same one.
const SLACK: Duration = Duration::from_secs(120);
/// Below this mean strength, a phone is not in the zone `in` of a gateway (its `enter_dbm`).
const LOUD_DBM: f64 = -75.0;

/// The report of a city.
pub(super) fn score(town: &Town, outings: &[Outing], means: &[Means], moments: &[Moment], found: &[Found]) -> Report {
    let truths: Vec<Truth> = outings.iter().enumerate().map(|(n, o)| truth(town, n, o, means[n], moments)).collect();
    let mut report = Report::new(town.shops.len());
    let mut matched = vec![false; truths.len()];
    for found in found {
        let (which, qualified) = best(&truths, &matched, found);
        report.confuse(which.map(|n| &truths[n]), found.figures.label);
        if found.figures.label != Label::Qualified {
            continue;
        }
        if let Some(n) = qualified {
            matched[n] = true;
            report.hit(town, &truths[n], found);
        } else {
            report.false_alarm(found, which.map(|n| &truths[n]), town);
        }
    }
    for (truth, matched) in truths.iter().zip(matched) {
        report.count(town, truth, matched);
        if truth.qualified && truth.heard.any() && !matched {
            report.explained.missed(town, truth, around(truth, found));
        }
    }
    report
}

/// The stays that were found around an outing.
fn around<'a>(truth: &Truth, found: &'a [Found]) -> impl Iterator<Item = &'a Found> {
    let (person, shop, from, to) = (truth.person, truth.shop, truth.from - SLACK, truth.to + SLACK);
    found.iter().filter(move |f| f.person == person && f.shop == shop && f.figures.span.0 <= to && from <= f.figures.span.1)
}

/// The outing that a stay overlaps most, and the true visit not yet found that it overlaps most.
fn best(truths: &[Truth], matched: &[bool], found: &Found) -> (Option<usize>, Option<usize>) {
    let overlap = |t: &Truth| t.to.min(found.figures.span.1).since(t.from.max(found.figures.span.0));
    let first = truths.partition_point(|t| t.person < found.person);
    let mine = || truths.iter().enumerate().skip(first).take_while(|(_, t)| t.person == found.person).filter(|(_, t)| t.shop == found.shop);
    let near = || mine().filter(|(_, t)| overlap(t) >= -millis(SLACK));
    let any = near().max_by_key(|(_, t)| overlap(t)).map(|(n, _)| n);
    let qualified = near().filter(|(n, t)| t.qualified && !matched[*n]).max_by_key(|(_, t)| overlap(t)).map(|(n, _)| n);
    (any, qualified)
}

fn truth(town: &Town, n: usize, outing: &Outing, means: Means, moments: &[Moment]) -> Truth {
    let rules = &town.site.visit;
    let role = town.people[outing.person].role;
    let is_regular = matches!(role, Role::Staff { shop, .. } | Role::Resident { shop } if shop == outing.shop);
    let dwell_ms = outing.to.since(outing.from);
    let is_visit = outing.why == Why::Visit && outing.spot == Spot::Inside && !is_regular;
    let by_counter = moments.binary_search_by_key(&n, |m| m.outing).is_ok_and(|i| !moments[i].lent);
    Truth {
        person: outing.person,
        shop: outing.shop,
        from: outing.from,
        to: outing.to,
        why: outing.why,
        spot: outing.spot,
        qualified: is_visit && (by_counter || dwell_ms >= millis(rules.min_dwell_beacon)),
        heard: heard(town, n, outing, means, by_counter, rules),
    }
}

/// Which of her devices had the means to be heard for long enough.
fn heard(town: &Town, n: usize, outing: &Outing, means: Means, by_counter: bool, rules: &VisitRules) -> Heard {
    let mut dice = Dice::of(town.seed, "air", n * town.shops.len() + outing.shop);
    let is_loud = level(&town.world.radio, outing.spot, &mut dice) >= LOUD_DBM;
    let on_air = !outing.off && !town.people[outing.person].iphone && is_loud;
    let long = |span: Option<(Millis, Millis)>, least| span.is_some_and(|(from, to)| to.since(from) >= millis(least));
    Heard {
        radio: on_air && listening_ms(town, outing) >= millis(rules.min_dwell_beacon),
        app: long(means.words, rules.min_dwell_beacon),
        position: long(means.fixes, rules.min_dwell_position),
        counter: by_counter,
    }
}

/// For how long of the outing the shop's gateway listened.
fn listening_ms(town: &Town, outing: &Outing) -> i64 {
    let mut at = outing.from;
    let mut heard = 0;
    for (from, to) in &town.shops[outing.shop].outages {
        heard += from.min(&outing.to).since(at).max(0);
        at = at.max(*to);
    }
    heard + outing.to.since(at).max(0)
}
