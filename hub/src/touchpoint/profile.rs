//! Turns a file of another system into the CSV that imports read, line by line, by a profile of the configuration. Pure.
//!
//! A cell that cannot be turned stays as it is, so that the import names its line and what is wrong with it.

use std::{collections::BTreeMap, io::BufRead};

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, TimeZone};
use passage_config::Profile;

use crate::touchpoint::table::{ImportError, cells, read_line, separator_of};

/// A file in our columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// CSV with a header.
    pub csv: Vec<u8>,
    /// How many lines stood before the file's own header.
    pub before: u64,
}

/// Reads a CSV file with the columns of another system.
///
/// # Errors
/// The file cannot be read, or lacks a column that the profile names.
pub fn csv(profile: &Profile, mut file: impl BufRead) -> Result<Rewritten, ImportError> {
    let mut before = 0;
    let header = loop {
        let line = read_line(&mut file)?.ok_or_else(|| ImportError::Header("the file is empty".to_owned()))?;
        let line = line.map_err(|reason| ImportError::Header(reason.to_owned()))?;
        let text = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line).to_vec();
        let passed = profile.comment.as_ref().is_some_and(|c| text.starts_with(c.as_bytes())) || text.trim_ascii().is_empty();
        if !passed {
            break text;
        }
        before += 1;
    };
    let separator = separator_of(&header);
    let names = cells(&header, separator).map_err(|reason| ImportError::Header(reason.to_owned()))?;
    let turn = Turn::new(profile, &names)?;
    let mut out = turn.header();
    while let Some(line) = read_line(&mut file)? {
        match line.and_then(|line| if line.trim_ascii().is_empty() { Ok(Vec::new()) } else { cells(&line, separator) }) {
            Ok(row) if row.is_empty() => out.push(b'\n'),
            Ok(row) if row.len() == names.len() => turn.row(|i| row.get(i).map(String::as_str), &mut out),
            // What is no line of this table is none of the import's either.
            Ok(_) => out.extend_from_slice(b"the line has another number of cells than the header\n"),
            Err(reason) => out.extend_from_slice(format!("\"{reason}\n").as_bytes()),
        }
    }
    Ok(Rewritten { csv: out, before })
}

/// Turns rows of a table with these columns.
pub(super) struct Turn<'a> {
    profile: &'a Profile,
    /// Our field, and where the file has it.
    fields: Vec<(&'a str, Option<usize>)>,
    counts: Vec<(&'a str, usize)>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(profile: &'a Profile, names: &[String]) -> Result<Self, ImportError> {
        let place = |column: &str| {
            let found = names.iter().position(|name| name.trim().eq_ignore_ascii_case(column));
            found.ok_or_else(|| ImportError::Header(format!("column '{column}' is missing, which the profile names")))
        };
        let mut fields: BTreeMap<&str, Option<usize>> = profile.fixed.keys().map(|field| (field.as_str(), None)).collect();
        for (field, column) in &profile.columns {
            fields.insert(field, Some(place(column)?));
        }
        let counts = profile.counts.iter().map(|(kind, column)| Ok((kind.as_str(), place(column)?))).collect::<Result<_, ImportError>>()?;
        Ok(Self { profile, fields: fields.into_iter().collect(), counts })
    }

    pub(super) fn header(&self) -> Vec<u8> {
        let mut names: Vec<&str> = self.fields.iter().map(|(field, _)| *field).collect();
        let counted: Vec<String> = self.counts.iter().map(|(kind, _)| format!("count {kind}")).collect();
        names.extend(counted.iter().map(String::as_str));
        let mut line = names.join(",").into_bytes();
        line.push(b'\n');
        line
    }

    pub(super) fn row<'c>(&self, cell: impl Fn(usize) -> Option<&'c str>, out: &mut Vec<u8>) {
        for (n, (field, place)) in self.fields.iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            let told = place.and_then(&cell).map(str::trim).filter(|told| !told.is_empty());
            let fixed = self.profile.fixed.get(*field).map(String::as_str);
            if let Some(value) = told.map(|told| self.value(field, told)).or_else(|| fixed.map(str::to_owned)) {
                quoted(&value, out);
            }
        }
        for (_, place) in &self.counts {
            out.push(b',');
            // Spreadsheets part thousands.
            let plain: String =
                cell(*place).unwrap_or_default().chars().filter(|c| !matches!(c, ',' | ' ' | '\u{a0}' | '\u{202f}')).collect();
            quoted(&plain, out);
        }
        out.push(b'\n');
    }

    fn value(&self, field: &str, told: &str) -> String {
        let word = self.profile.words.get(field).and_then(|words| words.get(told)).map_or(told, String::as_str);
        let timed = match (&self.profile.time, field) {
            (Some(form), "at" | "starts" | "ends") => instant(form, word),
            (Some(form), "day") => day(form, word),
            _ => None,
        };
        let prefix = self.profile.prefix.get(field).map_or("", String::as_str);
        [prefix, timed.as_deref().unwrap_or(word)].concat()
    }
}

fn instant((form, zone): &(String, chrono_tz::Tz), text: &str) -> Option<String> {
    let number = || text.parse::<i64>().ok();
    let at = match form.as_str() {
        "seconds" => DateTime::from_timestamp(number()?, 0)?,
        "milliseconds" => DateTime::from_timestamp_millis(number()?)?,
        "microseconds" => DateTime::from_timestamp_micros(number()?)?,
        form => {
            let local = NaiveDateTime::parse_from_str(text, form)
                .or_else(|_| NaiveDate::parse_from_str(text, form).map(|day| day.and_time(NaiveTime::MIN)))
                .ok()?;
            // Of an hour that is there twice the first counts.
            zone.from_local_datetime(&local).earliest()?.to_utc()
        }
    };
    Some(at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

fn day((form, _): &(String, chrono_tz::Tz), text: &str) -> Option<String> {
    NaiveDate::parse_from_str(text, form).ok().map(|day| day.format("%Y-%m-%d").to_string())
}

fn quoted(value: &str, out: &mut Vec<u8>) {
    if value.contains([',', '"', '\n', '\r']) {
        out.push(b'"');
        // An end of line inside of a cell would make two lines of one.
        out.extend_from_slice(value.replace('"', "\"\"").replace(['\n', '\r'], " ").as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(value.as_bytes());
    }
}

#[cfg(test)]
mod tests;
