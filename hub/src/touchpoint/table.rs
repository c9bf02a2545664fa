//! Reads CSV files line by line: a broken line costs itself and nothing after it.

use std::{collections::BTreeMap, fmt, io::BufRead};

use crate::{privacy::payload::Unfit, store::StoreError};

/// Longest line in bytes.
const LONGEST_LINE: usize = 64 * 1024;
/// Most faults that a report lists; all are counted.
const MOST_FAULTS: usize = 1000;

/// Why a whole file could not be taken in.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// The first line is not the header that this kind of file has.
    #[error("line 1: {0}")]
    Header(String),
    /// The database gave up; lines before are stored, and importing again does no harm.
    #[error("{0}; what was read before is stored, import the file again")]
    Store(#[from] StoreError),
}

/// A line, or a part of it, that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Counted from 1, the header included.
    pub line: u64,
    /// Why, without the value.
    pub reason: String,
}

/// What became of a file's lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Lines after the header, without blank ones.
    pub rows: u64,
    /// New or changed.
    pub stored: u64,
    /// Known already; nothing changed.
    pub unchanged: u64,
    /// In the place of older ones with the same key.
    pub corrected: u64,
    /// Not kept because she consents to nothing that this product does with members.
    pub not_kept: u64,
    /// Not taken at all; see `faults`.
    pub refused: u64,
    /// Cells that were refused because nobody may store them: payment cards, images.
    pub unfit: BTreeMap<&'static str, u64>,
    /// Keys that would have joined two persons; they stay with the first.
    pub conflicts: u64,
    /// Labels of segments that the configuration does not know.
    pub unknown_segments: u64,
    /// What was wrong, at most 1000 of them. A line that is stored without its broken part has one too.
    pub faults: Vec<Fault>,
}

impl ImportReport {
    /// Notes a fault.
    pub fn fault(&mut self, line: u64, reason: impl Into<String>) {
        let reason = reason.into();
        if let Some(unfit) = Unfit::told_by(&reason) {
            *self.unfit.entry(unfit.code()).or_default() += 1;
        }
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(Fault { line, reason });
        }
    }

    /// Notes a fault that costs the whole line.
    pub fn refuse(&mut self, line: u64, reason: impl Into<String>) {
        self.refused += 1;
        self.fault(line, reason);
    }
}

impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows: {} stored, {} unchanged", self.rows, self.stored, self.unchanged)?;
        for (count, what) in [
            (self.corrected, "corrected"),
            (self.not_kept, "not kept (no consent)"),
            (self.refused, "refused"),
            (self.conflicts, "conflicts"),
            (self.unknown_segments, "unknown segment labels"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        self.unfit.iter().try_for_each(|(code, count)| write!(f, ", {count} with {code}"))?;
        self.faults.iter().try_for_each(|fault| write!(f, "\n  line {}: {}", fault.line, fault.reason))
    }
}

/// One line of a file.
#[derive(Debug)]
pub struct Line<'a> {
    /// Counted from 1, the header included.
    pub number: u64,
    columns: &'a BTreeMap<String, usize>,
    cells: Vec<String>,
}

impl Line<'_> {
    /// The trimmed cell of a column; `None` if it is blank or the file has no such column.
    pub fn get(&self, column: &str) -> Option<&str> {
        self.columns.get(column).and_then(|i| self.cells.get(*i)).map(|cell| cell.trim()).filter(|cell| !cell.is_empty())
    }

    /// True if the file has this column.
    pub fn has(&self, column: &str) -> bool {
        self.columns.contains_key(column)
    }
}

/// A CSV file with a header. The separator is the one of `,`, `;` and tab that the header uses.
#[derive(Debug)]
pub struct Table<R> {
    source: R,
    separator: u8,
    columns: BTreeMap<String, usize>,
    number: u64,
}

impl<R: BufRead> Table<R> {
    /// Reads the header. Columns that are not in `known` are refused, because a file may not carry more about people than what is used.
    pub fn open(mut source: R, needed: &[&str], known: &[&str]) -> Result<Self, ImportError> {
        let header = match read_line(&mut source)? {
            Some(Ok(header)) => header,
            Some(Err(reason)) => return Err(ImportError::Header(reason.to_owned())),
            None => return Err(ImportError::Header(format!("the file is empty; its first line names the columns: {}", needed.join(",")))),
        };
        let header = header.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&header);
        let separator = separator_of(header);
        let names = cells(header, separator).map_err(|reason| ImportError::Header(reason.to_owned()))?;
        let mut columns = BTreeMap::new();
        for (i, name) in names.iter().map(|n| n.trim().to_ascii_lowercase()).enumerate() {
            if !known.contains(&name.as_str()) {
                let known = known.join(", ");
                return Err(ImportError::Header(format!("column {} is not one of {known}; take it out of the file or rename it", i + 1)));
            }
            if columns.insert(name.clone(), i).is_some() {
                return Err(ImportError::Header(format!("column '{name}' stands there twice")));
            }
        }
        match needed.iter().find(|n| !columns.contains_key(**n)) {
            Some(missing) => Err(ImportError::Header(format!("column '{missing}' is missing"))),
            None => Ok(Self { source, separator, columns, number: 1 }),
        }
    }

    /// The next line that is not blank: its cells, or why it cannot be read.
    pub fn next_line(&mut self) -> Result<Option<Result<Line<'_>, Fault>>, ImportError> {
        loop {
            self.number += 1;
            let Some(bytes) = read_line(&mut self.source)? else { return Ok(None) };
            if bytes.as_ref().is_ok_and(|b| b.iter().all(u8::is_ascii_whitespace)) {
                continue;
            }
            let read = bytes.and_then(|bytes| cells(&bytes, self.separator));
            let number = self.number;
            let fault = |reason: String| Ok(Some(Err(Fault { line: number, reason })));
            return match read {
                Err(reason) => fault(reason.to_owned()),
                Ok(cells) if cells.len() != self.columns.len() => {
                    fault(format!("{} cells where the header has {}", cells.len(), self.columns.len()))
                }
                Ok(cells) => Ok(Some(Ok(Line { number, columns: &self.columns, cells }))),
            };
        }
    }
}

/// The one of `,`, `;` and tab that a header uses.
pub(super) fn separator_of(header: &[u8]) -> u8 {
    let count = |b: u8| header.iter().filter(|c| **c == b).count();
    b",;\t".iter().copied().max_by_key(|b| (count(*b), *b == b',')).unwrap_or(b',')
}

/// One line without its end; too long ones are skipped to their end.
pub(crate) fn read_line(source: &mut impl BufRead) -> std::io::Result<Option<Result<Vec<u8>, &'static str>>> {
    let mut line = Vec::new();
    let (mut too_long, mut any) = (false, false);
    loop {
        let buffer = source.fill_buf()?;
        if buffer.is_empty() {
            break;
        }
        any = true;
        let end = buffer.iter().position(|b| *b == b'\n');
        let taken = &buffer[..end.unwrap_or(buffer.len())];
        too_long |= line.len() + taken.len() > LONGEST_LINE;
        if !too_long {
            line.extend_from_slice(taken);
        }
        let used = taken.len() + usize::from(end.is_some());
        source.consume(used);
        if end.is_some() {
            break;
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(any.then_some(if too_long { Err("the line is longer than 64 KiB") } else { Ok(line) }))
}

/// Divides a line into cells. Quoted cells may hold the separator, and quotes written twice.
pub(super) fn cells(line: &[u8], separator: u8) -> Result<Vec<String>, &'static str> {
    let text = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8; save the file as UTF-8")?;
    let separator = char::from(separator);
    let (mut out, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' if quoted || cell.trim().is_empty() => quoted = !quoted,
            c if c == separator && !quoted => out.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
    }
    out.push(cell);
    if quoted { Err("a quoted cell is not closed") } else { Ok(out) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Result<Vec<String>, Fault>> {
        let mut table = Table::open(text.as_bytes(), &["a"], &["a", "b"]).unwrap();
        let mut out = Vec::new();
        while let Some(line) = table.next_line().unwrap() {
            out.push(line.map(|line| line.cells));
        }
        out
    }

    fn row(cells: &[&str]) -> Result<Vec<String>, Fault> {
        Ok(cells.iter().map(|c| (*c).to_owned()).collect())
    }

    #[test]
    fn separators_quotes_and_line_ends_of_every_spreadsheet_are_read() {
        assert_eq!(read("a,b\r\n1,\"x, \"\"y\"\"\"\r\n\r\n2,"), [row(&["1", "x, \"y\""]), row(&["2", ""])]);
        assert_eq!(read("\u{feff}A;B\n1;x,y\n"), [row(&["1", "x,y"])]);
        assert_eq!(read("a\tb\n1\t2"), [row(&["1", "2"])]);
    }

    #[test]
    fn a_stray_quote_costs_its_own_line_only() {
        let lines = read("a,b\n1,\"open\n2,fine\n3\n4,5");
        assert_eq!(lines[0].as_ref().unwrap_err().line, 2);
        assert_eq!(lines[1], row(&["2", "fine"]));
        assert_eq!(lines[2].as_ref().unwrap_err(), &Fault { line: 4, reason: "1 cells where the header has 2".to_owned() });
        assert_eq!(lines[3], row(&["4", "5"]));
    }

    #[test]
    fn an_endless_line_and_foreign_bytes_cost_their_own_line_only() {
        let mut text = format!("a,b\n{},2\n", "x".repeat(100_000)).into_bytes();
        text.extend_from_slice(b"caf\xe9,1\n3,4\n");
        let mut table = Table::open(text.as_slice(), &["a"], &["a", "b"]).unwrap();
        let mut seen = Vec::new();
        while let Some(line) = table.next_line().unwrap() {
            seen.push(line.map(|line| line.get("b").map(str::to_owned)).map_err(|f| f.line));
        }
        assert_eq!(seen, [Err(2), Err(3), Ok(Some("4".to_owned()))]);
    }

    #[test]
    fn unknown_missing_and_doubled_columns_are_named() {
        let open = |text: &str| Table::open(text.as_bytes(), &["a"], &["a", "b"]).map(|_| ()).unwrap_err().to_string();
        assert!(open("a,last_name\n").contains("column 2 is not one of a, b"));
        assert!(open("b\n").contains("column 'a' is missing"));
        assert!(open("a,a\n").contains("twice"));
        assert!(open("").contains("empty"));
    }
}
