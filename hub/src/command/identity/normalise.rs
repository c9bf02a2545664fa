//! `passage-hub identity normalise`: a filter for lists of identifiers.

use std::{
    io::{self, BufRead, BufWriter, ErrorKind, Write},
    path::Path,
    process::ExitCode,
};

use passage_config::load_hub;
use serde_json::Value;

use crate::{
    identity::{
        IdentifierKind,
        normalise::canonical,
        platform::{Forms, forms, kind_of},
    },
    touchpoint::table::read_line,
};

/// Answers every line of standard input. Without a `hub.toml` the region of numbers is France unless a line says otherwise.
pub fn run(config: &Path) -> ExitCode {
    let region = match config.exists().then(|| load_hub(config)) {
        None => "FR".to_owned(),
        Some(Ok(config)) => config.phone_region,
        Some(Err(mistakes)) => {
            eprintln!("{mistakes}");
            return ExitCode::FAILURE;
        }
    };
    match answer_all(io::stdin().lock(), BufWriter::new(io::stdout().lock()), &region) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            eprintln!("passage-hub: {e}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// One line out for each line in; blank lines are left out. A line that cannot be read is answered as refused.
pub fn answer_all(mut source: impl BufRead, mut out: impl Write, region: &str) -> io::Result<()> {
    while let Some(line) = read_line(&mut source)? {
        let answer = match line {
            Ok(line) if line.trim_ascii().is_empty() => continue,
            Ok(line) => answer(line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line), region),
            Err(reason) => Forms::refused(reason),
        };
        serde_json::to_writer(&mut out, &answer)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

fn answer(line: &[u8], region: &str) -> Forms {
    let Ok(Value::Object(asked)) = serde_json::from_slice(line) else {
        return Forms::refused("the line is not a JSON object {kind, input, default_region}");
    };
    let Some(kind) = asked.get("kind").and_then(Value::as_str) else {
        return Forms::refused("kind is missing");
    };
    let input = match asked.get("input") {
        Some(Value::String(text)) => text.clone(),
        // Spreadsheets make numbers of what are none.
        Some(Value::Number(number)) => number.to_string(),
        _ => return Forms::refused("input is not a text"),
    };
    let region = asked.get("default_region").and_then(Value::as_str).map_or_else(|| region.to_owned(), |r| r.trim().to_ascii_uppercase());
    if let Some(kind) = kind_of(kind) {
        return forms(kind, &input, &region);
    }
    match kind.parse::<IdentifierKind>() {
        Ok(own) => match canonical(own, &input, &region) {
            Ok(form) => Forms::own(form),
            Err(e) => Forms::refused(e.to_string()),
        },
        Err(()) => Forms::refused("the kind is not known"),
    }
}

#[cfg(test)]
mod tests;
