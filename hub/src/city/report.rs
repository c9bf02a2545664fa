//! The figures of a city, and how they are printed.

use std::{collections::BTreeMap, fmt};

use passage_gateway::Change;
use passage_protocol::{GatewayId, Millis};

use super::{
    explain::Explained,
    plan::{Spot, Why},
    town::Town,
};
use crate::visit::{Figures, Kind, Label};

/// An event on its way.
pub(super) struct Told {
    pub arrives: Millis,
    pub person: usize,
    pub shop: usize,
    pub gateway: GatewayId,
    pub change: Change,
}

/// A stay that was found.
pub(super) struct Found {
    pub person: usize,
    pub shop: usize,
    pub figures: Figures,
    pub kinds: Vec<Kind>,
    pub revision: u32,
    /// What is known of it, for people.
    pub evidence: String,
}

/// An outing as it was.
pub(super) struct Truth {
    pub person: usize,
    pub shop: usize,
    pub from: Millis,
    pub to: Millis,
    pub why: Why,
    pub spot: Spot,
    pub qualified: bool,
    pub heard: Means,
}

/// By what a visit could be heard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Means {
    pub radio: bool,
    pub app: bool,
    pub position: bool,
    pub counter: bool,
}

impl Means {
    pub fn any(self) -> bool {
        self.radio || self.app || self.position || self.counter
    }

    pub fn words(self) -> Vec<&'static str> {
        let all = [(self.radio, "beacon"), (self.app, "app"), (self.position, "position"), (self.counter, "counter")];
        all.into_iter().filter(|(has, _)| *has).map(|(_, word)| word).collect()
    }
}

/// Visits of one group.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    /// True qualified visits.
    pub took_place: usize,
    /// Those that could be heard.
    pub could_be_heard: usize,
    /// Those of them that were found.
    pub heard_found: usize,
    /// Qualified visits that were found and took place.
    pub right: usize,
    /// Qualified visits that were found and did not take place.
    pub wrong: usize,
    /// Errors of the dwell of those that are right, milliseconds.
    errors: Vec<i64>,
}

impl Tally {
    /// Share of the found visits that took place.
    pub fn precision(&self) -> f64 {
        ratio(self.right, self.right + self.wrong)
    }

    /// Share of the visits that could be heard which were found.
    pub fn recall(&self) -> f64 {
        ratio(self.heard_found, self.could_be_heard)
    }

    /// Share of all visits that could be heard.
    pub fn capture(&self) -> f64 {
        ratio(self.could_be_heard, self.took_place)
    }

    /// Median error of the dwell in seconds.
    pub fn dwell_error_s(&self) -> f64 {
        let mut errors = self.errors.clone();
        errors.sort_unstable();
        errors.get(errors.len() / 2).map_or(0.0, |ms| super::dice::real(*ms) / 1000.0)
    }

    fn row(&self, name: &str) -> String {
        format!(
            "{name:<22} {:>7} {:>7} {:>7.3} {:>7} {:>6} {:>9.4} {:>7.4} {:>8.1}",
            self.took_place,
            self.could_be_heard,
            self.capture(),
            self.right,
            self.wrong,
            self.precision(),
            self.recall(),
            self.dwell_error_s()
        )
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { super::dice::real(part as i64) / super::dice::real(whole as i64) }
}

/// The figures of a city.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Of all visits.
    pub all: Tally,
    /// By what the visits are known, or could have been heard.
    pub sources: BTreeMap<String, Tally>,
    /// By shop.
    pub shops: Vec<Tally>,
    /// By kind of phone.
    pub phones: BTreeMap<&'static str, Tally>,
    /// What stays were, and what they were taken for.
    pub labels: BTreeMap<(&'static str, &'static str), usize>,
    /// What false visits were.
    pub false_visits: BTreeMap<String, usize>,
    /// Visits that were told again.
    pub revised: usize,
    /// Events that the gateways made.
    pub events: usize,
    /// What was missed or wrong, and why.
    pub explained: Explained,
}

impl Report {
    pub(super) fn new(shops: usize) -> Self {
        Self {
            all: Tally::default(),
            sources: BTreeMap::new(),
            shops: vec![Tally::default(); shops],
            phones: BTreeMap::new(),
            labels: BTreeMap::new(),
            false_visits: BTreeMap::new(),
            revised: 0,
            events: 0,
            explained: Explained::default(),
        }
    }

    pub(super) fn hit(&mut self, town: &Town, truth: &Truth, found: &Found) {
        let error = (found.figures.dwell_ms - truth.to.since(truth.from)).abs();
        self.revised += usize::from(found.revision > 0);
        self.each(town, found.person, found.shop, &sources(&found.kinds), |tally| {
            tally.right += 1;
            tally.errors.push(error);
        });
    }

    pub(super) fn false_alarm(&mut self, found: &Found, truth: Option<&Truth>, town: &Town) {
        let sources = sources(&found.kinds);
        self.explained.wrong(town, found, truth);
        *self.false_visits.entry(format!("{} by {}", class(truth), sources.join("+"))).or_default() += 1;
        self.each(town, found.person, found.shop, &sources, |tally| tally.wrong += 1);
    }

    pub(super) fn count(&mut self, town: &Town, truth: &Truth, found: bool) {
        if !truth.qualified {
            return;
        }
        let heard = truth.heard.any();
        self.each(town, truth.person, truth.shop, &truth.heard.words(), |tally| {
            tally.took_place += 1;
            tally.could_be_heard += usize::from(heard);
            tally.heard_found += usize::from(heard && found);
        });
    }

    pub(super) fn confuse(&mut self, truth: Option<&Truth>, label: Label) {
        *self.labels.entry((class(truth), label.word())).or_default() += 1;
    }

    fn each(&mut self, town: &Town, person: usize, shop: usize, sources: &[&'static str], mut note: impl FnMut(&mut Tally)) {
        note(&mut self.all);
        note(&mut self.shops[shop]);
        note(self.phones.entry(if town.people[person].iphone { "iPhone" } else { "Android" }).or_default());
        for source in sources {
            note(self.sources.entry((*source).to_owned()).or_default());
        }
        if let [only] = sources {
            note(self.sources.entry(format!("{only} alone")).or_default());
        }
    }
}

pub(super) fn sources(kinds: &[Kind]) -> Vec<&'static str> {
    let word = |kind: &Kind| match kind {
        Kind::Beacon => "beacon",
        Kind::App => "app",
        Kind::Position => "position",
        Kind::Till | Kind::Card | Kind::Pickup | Kind::Fitting => "counter",
    };
    let mut words: Vec<&'static str> = kinds.iter().map(word).collect();
    words.dedup();
    words
}

/// What an outing was, in a word.
pub(super) fn class(truth: Option<&Truth>) -> &'static str {
    match truth {
        None => "nobody there",
        Some(t) => match (t.why, t.spot) {
            (Why::Visit, _) if t.qualified => "visit",
            (Why::Visit, _) => "too short, or regular",
            (Why::Work, _) => "staff",
            (Why::Home, _) => "resident",
            (Why::Passing, Spot::Pavement) => "on the pavement",
            (Why::Passing, _) => "next door",
        },
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = format!(
            "{:<22} {:>7} {:>7} {:>7} {:>7} {:>6} {:>9} {:>7} {:>8}",
            "", "visits", "heard", "capture", "right", "wrong", "precision", "recall", "dwell ±s"
        );
        writeln!(f, "{head}\n{}", self.all.row("all"))?;
        writeln!(f, "\nby source (of visits that could be heard so, and of visits that are known so)")?;
        self.sources.iter().try_for_each(|(name, tally)| writeln!(f, "{}", tally.row(name)))?;
        writeln!(f, "\nby phone")?;
        self.phones.iter().try_for_each(|(name, tally)| writeln!(f, "{}", tally.row(name)))?;
        writeln!(f, "\nby shop")?;
        self.shops.iter().enumerate().try_for_each(|(n, tally)| writeln!(f, "{}", tally.row(&format!("shop-{n:04}"))))?;
        self.labels(f)?;
        for (what, n) in &self.false_visits {
            writeln!(f, "  wrong: {n:>5}  {what}")?;
        }
        writeln!(f, "\n{} events; {} visits were revised after they were closed", self.events, self.revised)?;
        writeln!(f, "{MEANING}")
    }
}

impl Report {
    fn labels(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nwhat stays were, and what they were taken for")?;
        write!(f, "{:<22}", "")?;
        Label::ALL.iter().try_for_each(|label| write!(f, " {:>12}", label.word()))?;
        writeln!(f)?;
        let classes: std::collections::BTreeSet<&str> = self.labels.keys().map(|(class, _)| *class).collect();
        for class in classes {
            write!(f, "{class:<22}")?;
            for label in Label::ALL {
                write!(f, " {:>12}", self.labels.get(&(class, label.word())).copied().unwrap_or(0))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// What the words of the table mean.
const MEANING: &str = "\
visits: true qualified visits: in the shop in opening hours, of a member who neither works nor lives there, for at least 120 s or with something
  bought or picked up with her identifier.
heard: those that could be heard, because at least one of these is true: her phone was on the air and on average loud enough for the zone `in` while
  the gateway listened for 120 s; her woken app spoke twice at least 120 s apart; two fixes finer than half the geofence lay at least 300 s apart; her
  card or order was in hand at the counter. capture = heard / visits.
right, wrong: qualified visits that were found and took place, or did not. precision = right / (right + wrong); recall = found of heard / heard.";
