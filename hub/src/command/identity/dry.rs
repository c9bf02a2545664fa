//! `passage-hub identity try`: what the rules make of a file, without a database.

use std::{collections::BTreeMap, fmt, fs::File, io::BufReader, path::Path, process::ExitCode};

use anyhow::Context;
use chrono::DateTime;
use passage_config::{Identity, load_hub};
use passage_protocol::Millis;

use crate::{
    identity::{
        Keyring, MemberId,
        graph::{Graph, Link, Refusal, Rules, Slice},
        normalise::canonical,
    },
    touchpoint::table::{Line, Table},
};

/// What became of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Records of the file.
    pub records: usize,
    /// Persons that the rules make of them.
    pub persons: usize,
    /// Records of the largest person.
    pub largest: usize,
    /// Keys that somebody holds, and times in which a key was held before by somebody else.
    pub held: (usize, usize),
    /// Links that tie nothing, by reason.
    pub refused: BTreeMap<Refusal, usize>,
    /// Values that are no keys, by reason.
    pub unusable: BTreeMap<String, usize>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} records are {} persons; the largest has {} records", self.records, self.persons, self.largest)?;
        writeln!(f, "{} keys are held; {} times a key was somebody else's before", self.held.0, self.held.1)?;
        self.refused.iter().try_for_each(|(why, n)| writeln!(f, "{n:>6} links refused: {}", why.sentence()))?;
        self.unusable.iter().try_for_each(|(why, n)| writeln!(f, "{n:>6} values refused: {why}"))
    }
}

/// Answers with the rules of `hub.toml`, or with the defaults where there is no such file.
pub fn run(file: &Path, config: &Path) -> ExitCode {
    let told = match config.exists().then(|| load_hub(config)) {
        None => tell(file, &Identity::default(), "FR"),
        Some(Ok(config)) => tell(file, &config.identity, &config.phone_region),
        Some(Err(mistakes)) => {
            eprintln!("{mistakes}");
            return ExitCode::FAILURE;
        }
    };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("passage-hub: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn tell(file: &Path, identity: &Identity, region: &str) -> anyhow::Result<()> {
    let source = BufReader::new(File::open(file).with_context(|| format!("{} cannot be read", file.display()))?);
    // Nothing is stored, so any secret will do.
    let keyring = Keyring::from_secret(&[0; 32]);
    print!("{}", outcome(source, region, &keyring, &Rules::new(identity, region, &keyring))?);
    Ok(())
}

/// Reads the file and asks the graph.
pub(super) fn outcome(source: impl std::io::BufRead, region: &str, keyring: &Keyring, rules: &Rules) -> anyhow::Result<Outcome> {
    let mut table = Table::open(source, &["at", "record", "kind", "value"], &["at", "record", "kind", "value", "context", "match"])?;
    let (mut out, mut graph, mut records) = (Outcome::default(), Graph::default(), BTreeMap::new());
    while let Some(line) = table.next_line()? {
        let read = line.map_err(|fault| fault.reason).and_then(|line| link(&line, region, keyring, &mut records));
        match read {
            Ok(link) => graph.links.push(link),
            Err(reason) => *out.unusable.entry(reason).or_default() += 1,
        }
    }
    graph.members = records.values().map(|(member, first)| (*member, *first)).collect();
    let built = graph.build(rules);
    let mut sizes: BTreeMap<MemberId, usize> = BTreeMap::new();
    graph.members.keys().for_each(|member| *sizes.entry(built.survivor.get(member).copied().unwrap_or(*member)).or_default() += 1);
    (out.records, out.persons) = (graph.members.len(), sizes.len());
    out.largest = sizes.values().copied().max().unwrap_or(0);
    out.held = (built.held.len(), built.held.values().map(|slices: &Vec<Slice>| slices.len() - 1).sum());
    built.refused.values().for_each(|why| *out.refused.entry(*why).or_default() += 1);
    Ok(out)
}

type Records = BTreeMap<String, (MemberId, Millis)>;

fn link(line: &Line<'_>, region: &str, keyring: &Keyring, records: &mut Records) -> Result<Link, String> {
    let at = DateTime::parse_from_rfc3339(line.get("at").unwrap_or_default()).map_err(|_| "at is no time such as 2026-11-20T10:00:00Z")?;
    let at = Millis(at.timestamp_millis());
    let record = line.get("record").ok_or("record is missing")?.to_owned();
    let next = MemberId(i64::try_from(records.len()).unwrap_or(i64::MAX - 1) + 1);
    let (member, first) = records.entry(record).or_insert((next, at));
    *first = at.min(*first);
    let member = *member;
    let kind = line.get("kind").unwrap_or_default().parse().map_err(|()| "the kind is not known")?;
    let value = canonical(kind, line.get("value").unwrap_or_default(), region).map_err(|e| format!("{}: {e}", kind.word()))?;
    let may_match = !line.get("match").is_some_and(|cell| matches!(cell, "no" | "non" | "0"));
    Ok(Link {
        id: u128::from(line.number),
        node: (kind, keyring.identifier(kind, &value)),
        member,
        at,
        last_at: at,
        context: line.get("context").unwrap_or_default().to_owned(),
        may_match,
    })
}

#[cfg(test)]
mod tests;
