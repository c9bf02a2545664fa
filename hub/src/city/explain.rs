//! Why a city's report is not perfect: what was missed and what was wrong, by cause.

use std::{collections::BTreeMap, fmt};

use passage_protocol::Millis;

use super::{
    report::{Found, Truth, class, sources},
    town::{Role, Town},
};
use crate::visit::stay::millis;

/// Examples of each cause that are printed.
const EXAMPLES: usize = 4;

/// Everything that was missed or wrong.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Explained {
    causes: BTreeMap<String, Vec<String>>,
}

impl Explained {
    /// A qualified visit that did not take place.
    pub(super) fn wrong(&mut self, town: &Town, found: &Found, truth: Option<&Truth>) {
        let cause = format!("wrong: {}, {}, known by {}", what(truth), phone(town, found.person), sources(&found.kinds).join("+"));
        self.add(cause, format!("{}; in truth {}", seen(found, town), truth.map_or_else(String::new, |t| was(t, town))));
    }

    /// A visit that could be heard and was not found. `found` are the stays around it that were found.
    pub(super) fn missed<'a>(&mut self, town: &Town, truth: &Truth, found: impl Iterator<Item = &'a Found>) {
        let all: Vec<&Found> = found.collect();
        let taken = all.iter().map(|f| {
            let reasons: Vec<&str> = f.figures.reasons.iter().map(|r| r.word()).collect();
            if reasons.is_empty() { "another visit".to_owned() } else { reasons.join("+") }
        });
        let mut taken: Vec<String> = taken.collect();
        taken.sort();
        taken.dedup();
        let taken = if taken.is_empty() { "nothing was told".to_owned() } else { taken.join(", ") };
        let could = truth.heard.words().join("+");
        let examples: Vec<String> = all.iter().map(|f| seen(f, town)).collect();
        self.add(
            format!("missed: {}, {}, could be heard by {could}: {taken}", what(Some(truth)), phone(town, truth.person)),
            format!("{}; found {}", was(truth, town), examples.join(" and ")),
        );
    }

    fn add(&mut self, cause: String, example: String) {
        self.causes.entry(cause).or_default().push(example);
    }
}

/// What somebody was there for, and who she is.
fn what(truth: Option<&Truth>) -> &'static str {
    class(truth)
}

fn phone(town: &Town, person: usize) -> String {
    let person = &town.people[person];
    let role = match person.role {
        Role::Customer => "",
        Role::Staff { .. } => " of staff",
        Role::Resident { .. } => " of a resident",
        Role::Neighbour { .. } => " of a neighbour",
    };
    format!("{}{role}", if person.iphone { "iPhone" } else { "Android" })
}

fn was(truth: &Truth, town: &Town) -> String {
    format!("{} from {} to {}", class(Some(truth)), clock(truth.from, town), clock(truth.to, town))
}

fn seen(found: &Found, town: &Town) -> String {
    let span = found.figures.span;
    format!(
        "person {} in shop {} from {} to {}, dwell {} s, {}, {}",
        found.person,
        found.shop,
        clock(span.0, town),
        clock(span.1, town),
        found.figures.dwell_ms / 1000,
        found.figures.label.word(),
        found.evidence
    )
}

/// Day of the city and local time.
fn clock(at: Millis, town: &Town) -> String {
    let day = town.days.partition_point(|d| *d <= at).saturating_sub(1);
    let seconds = at.since(town.days[day]) / millis(std::time::Duration::from_secs(1));
    format!("{day}d{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut causes: Vec<(&String, &Vec<String>)> = self.causes.iter().collect();
        causes.sort_by_key(|(cause, examples)| (std::cmp::Reverse(examples.len()), *cause));
        for (cause, examples) in causes {
            writeln!(f, "{:>5}  {cause}", examples.len())?;
            examples.iter().take(EXAMPLES).try_for_each(|example| writeln!(f, "         {example}"))?;
        }
        Ok(())
    }
}
