//! `passage-hub identity normalise`: a filter for lists of identifiers.

use std::{
    collections::HashSet,
    io::{self, BufRead, BufWriter, ErrorKind, Write},
    path::Path,
    process::ExitCode,
};

use passage_config::{HubConfig, load_hub};
use serde_json::Value;

use crate::{
    identity::{
        IdentifierKind,
        normalise::{Unusable, canonical},
        platform::{Forms, PlatformKind, forms, kind_of},
    },
    touchpoint::table::read_line,
};

/// What values are read by.
#[derive(Debug)]
pub struct Reading {
    /// Region of numbers unless a line says otherwise.
    region: String,
    /// Canonical values that are nobody's.
    blocked: HashSet<(IdentifierKind, String)>,
}

impl Default for Reading {
    fn default() -> Self {
        Self { region: "FR".to_owned(), blocked: HashSet::new() }
    }
}

impl Reading {
    /// As a hub reads them: its region, and `[identity.block]`.
    fn of(config: &HubConfig) -> Self {
        let region = config.phone_region.clone();
        let kinds = IdentifierKind::ALL.iter().map(|kind| (*kind, config.identity.block.get(kind.word())));
        let values = kinds.flat_map(|(kind, values)| values.into_iter().flatten().map(move |value| (kind, value)));
        let blocked = values.filter_map(|(kind, value)| Some((kind, canonical(kind, value, &region).ok()?))).collect();
        Self { region, blocked }
    }

    fn is_blocked(&self, kind: IdentifierKind, input: &str, region: &str) -> bool {
        !self.blocked.is_empty() && canonical(kind, input, region).is_ok_and(|form| self.blocked.contains(&(kind, form)))
    }
}

/// Answers every line of standard input. Without a `hub.toml` the region of numbers is France unless a line says otherwise, and no value is blocked.
pub fn run(config: &Path) -> ExitCode {
    let reading = match config.exists().then(|| load_hub(config)) {
        None => Reading::default(),
        Some(Ok(config)) => Reading::of(&config),
        Some(Err(mistakes)) => {
            eprintln!("{mistakes}");
            return ExitCode::FAILURE;
        }
    };
    match answer_all(io::stdin().lock(), BufWriter::new(io::stdout().lock()), &reading) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            eprintln!("passage-hub: {e}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// One line out for each line in; blank lines are left out. A line that cannot be read is answered as refused.
pub fn answer_all(mut source: impl BufRead, mut out: impl Write, reading: &Reading) -> io::Result<()> {
    while let Some(line) = read_line(&mut source)? {
        let answer = match line {
            Ok(line) if line.trim_ascii().is_empty() => continue,
            Ok(line) => answer(line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line), reading),
            Err(reason) => Forms::refused(reason),
        };
        serde_json::to_writer(&mut out, &answer)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

fn answer(line: &[u8], reading: &Reading) -> Forms {
    let Ok(Value::Object(asked)) = serde_json::from_slice(line) else {
        return Forms::refused("the line is not a JSON object {kind, input, default_region}");
    };
    let Some(word) = asked.get("kind").and_then(Value::as_str) else {
        return Forms::refused("kind is missing");
    };
    let input = match asked.get("input") {
        Some(Value::String(text)) => text.clone(),
        // Spreadsheets make numbers of what are none.
        Some(Value::Number(number)) => number.to_string(),
        _ => return Forms::refused("input is not a text"),
    };
    let region = asked.get("default_region").and_then(Value::as_str);
    let region = region.map_or_else(|| reading.region.clone(), |r| r.trim().to_ascii_uppercase());
    let platform = kind_of(word);
    let Some(key) = platform.map_or_else(|| word.parse().ok(), key_of) else {
        return platform.map_or_else(|| Forms::refused("the kind is not known"), |kind| forms(kind, &input, &region));
    };
    if reading.is_blocked(key, &input, &region) {
        return Forms::refused(Unusable::Blocked.to_string());
    }
    match platform {
        Some(kind) => forms(kind, &input, &region),
        None => canonical(key, &input, &region).map_or_else(|e| Forms::refused(e.to_string()), Forms::own),
    }
}

/// The kind of key that a value of a platform is here; names and places are none.
fn key_of(kind: PlatformKind) -> Option<IdentifierKind> {
    match kind {
        PlatformKind::Email => Some(IdentifierKind::Email),
        PlatformKind::Phone => Some(IdentifierKind::Phone),
        PlatformKind::DeviceId => Some(IdentifierKind::Device),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
