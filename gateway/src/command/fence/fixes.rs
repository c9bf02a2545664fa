//! Plays fixes through the very machine that runs in a gateway, and tells what it decides.

use std::{
    collections::{BTreeMap, HashMap},
    io::Write,
    time::Duration,
};

use passage_config::{FenceKind, Geofence, GeofenceRules, PlainFences, Site};
use passage_protocol::{FenceId, InstallationId, Millis, Strength, Subject, Zone};
use serde_json::{Value, json};

use super::line::{Report, Skipped};
use crate::{
    Change,
    geofence::{Crossing, Geofences, Likely, Outcome},
    position::Fix,
};

/// The machine with the names of a file.
pub(super) struct Player {
    pub(super) machine: Geofences,
    rules: GeofenceRules,
    /// As the file calls them.
    pub(super) fences: HashMap<FenceId, String>,
    installations: BTreeMap<String, InstallationId>,
    names: HashMap<InstallationId, String>,
    now: Millis,
    lines: u64,
    told: u64,
    left_out: LeftOut,
}

/// Lines that hold no fix for the machine, by reason: see [`Skipped`].
#[derive(Default)]
struct LeftOut {
    unreadable: u64,
    ignored: u64,
    old: u64,
    future: u64,
}

impl LeftOut {
    fn count(&mut self, why: Skipped) {
        let count = match why {
            Skipped::Poison => &mut self.unreadable,
            Skipped::Ignored => &mut self.ignored,
            Skipped::Old => &mut self.old,
            Skipped::Future => &mut self.future,
        };
        *count += 1;
    }
}

impl Player {
    pub(super) fn new(fences: &PlainFences, rules: GeofenceRules) -> anyhow::Result<Self> {
        let (site, names) = site(fences)?;
        Ok(Self {
            machine: Geofences::new(&site, rules, site.dwell_marks()),
            rules,
            fences: names,
            installations: BTreeMap::new(),
            names: HashMap::new(),
            now: Millis(0),
            lines: 0,
            told: 0,
            left_out: LeftOut::default(),
        })
    }

    /// Plays one line. What cannot be read is counted, and the next line is read.
    pub(super) fn line(&mut self, line: &[u8], explain: bool, out: &mut impl Write) -> anyhow::Result<()> {
        self.lines += 1;
        let fix = match Report::read(line) {
            Ok(report) => {
                self.now = self.now.max(report.arrived);
                report.fix(self.installation(&report.who)?, self.now)
            }
            Err(skipped) => Err(skipped),
        };
        let fix = match fix {
            Ok(fix) => fix,
            Err(why) => {
                self.left_out.count(why);
                return Ok(());
            }
        };
        let mut changes = Vec::new();
        self.machine.advance(self.now, &mut changes);
        let outcome = self.machine.fix(&fix, self.now, &mut changes);
        if explain {
            let likely = self.machine.explain(&fix);
            writeln!(out, "{}", self.explained(&fix, outcome, &likely))?;
        }
        self.tell(&changes, out)?;
        for crossing in self.machine.crossed() {
            writeln!(out, "{}", self.crossing(&fix, crossing))?;
        }
        Ok(())
    }

    /// Lets time pass until every open stay has ended by silence.
    pub(super) fn finish(&mut self, out: &mut impl Write) -> anyhow::Result<()> {
        let mut changes = Vec::new();
        self.machine.advance(self.now + self.rules.silence * 2 + Duration::from_secs(60), &mut changes);
        self.tell(&changes, out)
    }

    /// What was read and what was not, in one line.
    pub(super) fn summary(&self) -> String {
        let counts = self.machine.counts();
        format!(
            "{} lines, {} decisions; decided nothing at their time: {} coarse, {} double, {} too late, {} put into the past, {} jumps; {} no fix, \
             {} unreadable, {} of long ago, {} from the future; {} times a fence was crossed between two fixes",
            self.lines,
            self.told,
            counts.coarse,
            counts.duplicates,
            counts.late,
            counts.amended,
            counts.jumps,
            self.left_out.ignored,
            self.left_out.unreadable,
            self.left_out.old,
            self.left_out.future,
            self.machine.crossings(),
        )
    }

    fn installation(&mut self, who: &str) -> anyhow::Result<InstallationId> {
        if let Some(known) = self.installations.get(who) {
            return Ok(known.clone());
        }
        let id: InstallationId = format!("installation-{}", self.installations.len()).parse()?;
        self.installations.insert(who.to_owned(), id.clone());
        self.names.insert(id.clone(), who.to_owned());
        Ok(id)
    }

    fn tell(&mut self, changes: &[Change], out: &mut impl Write) -> anyhow::Result<()> {
        for change in changes {
            self.told += 1;
            writeln!(out, "{}", self.decision(change))?;
        }
        Ok(())
    }

    fn decision(&self, change: &Change) -> Value {
        let fence = match &change.zone {
            Zone::Fence(id) => self.fences.get(id).map_or("", String::as_str),
            _ => "",
        };
        let who = match &change.subject {
            Subject::Installation(id) => self.names.get(id).map_or("", String::as_str),
            _ => "",
        };
        let (p, accuracy_m) = match change.strength {
            Strength::Position { p, accuracy_m } => (rounded(f64::from(p)), rounded(f64::from(accuracy_m))),
            _ => (1.0, 0.0),
        };
        json!({
            "phase": change.phase, "fence": fence, "installation": who, "at": seconds(change.at),
            "first": seconds(change.first), "last": seconds(change.last), "dwell_s": seconds(Millis(change.last.since(change.first))),
            "p": p, "accuracy_m": accuracy_m, "initial": change.initial, "late": change.late,
        })
    }

    /// Told like a decision, but it is none: nobody was seen inside.
    fn crossing(&self, fix: &Fix, crossing: &Crossing) -> Value {
        json!({
            "phase": "cross", "fence": self.fences.get(&crossing.fence), "installation": self.names.get(&fix.installation),
            "at": seconds(crossing.to), "first": seconds(crossing.from), "last": seconds(crossing.to),
            "p": rounded(crossing.p), "accuracy_m": rounded(crossing.accuracy_m),
        })
    }

    fn explained(&self, fix: &Fix, outcome: Outcome, likely: &[Likely]) -> Value {
        let fences: Vec<Value> = likely
            .iter()
            .map(|l| {
                json!({
                    "fence": self.fences.get(&l.fence), "inside_m": rounded(l.inside_m), "p_enter": rounded(l.p_enter),
                    "p_stay": rounded(l.p_stay), "too_coarse": l.coarse, "inside": l.inside, "leaving": l.leaving,
                })
            })
            .collect();
        let crossed = self.machine.crossed().iter();
        let crossed: Vec<Value> = crossed.map(|c| json!({ "fence": self.fences.get(&c.fence), "p": rounded(c.p) })).collect();
        json!({
            "fix": self.lines, "installation": self.names.get(&fix.installation), "at": seconds(fix.at), "arrived": seconds(self.now), "ahead_s": fix.ahead_ms / 1000,
            "accuracy_m": fix.accuracy_m, "outcome": word(outcome), "fences": fences, "crossed": crossed,
        })
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Decided => "decided",
        Outcome::Amended => "amended",
        Outcome::Coarse => "too coarse",
        Outcome::Duplicate => "double",
        Outcome::Late => "too late",
        Outcome::Jump => "held: a jump",
        Outcome::NoRoom => "no room",
    }
}

/// A site that holds nothing but the fences, and their names in the file.
pub(super) fn site(fences: &PlainFences) -> anyhow::Result<(Site, HashMap<FenceId, String>)> {
    let mut site = Site::default();
    let mut names = HashMap::new();
    for (i, fence) in fences.fences.iter().enumerate() {
        // Ids in a file may be anything; in the machine they have the form of a topic.
        let id: FenceId = format!("fence-{i:08}").parse()?;
        names.insert(id.clone(), fence.id.clone());
        let geofence = Geofence { id: id.clone(), store: "any-store".parse()?, kind: FenceKind::Store, shape: fence.shape.clone() };
        site.geofences.insert(id, geofence);
    }
    Ok((site, names))
}

fn rounded(n: f64) -> f64 {
    (n * 1e4).round() / 1e4
}

/// Seconds, with a fraction only where there is one.
fn seconds(at: Millis) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a few thousand years")]
    if at.0 % 1000 == 0 { json!(at.0 / 1000) } else { json!(at.0 as f64 / 1000.0) }
}
