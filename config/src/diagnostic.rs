//! One mistake in one file, told so that a person can mend it.

use std::{fmt, path::PathBuf};

/// One mistake: what is wrong, where, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable code such as `P021`; the README of this folder lists them.
    pub code: &'static str,
    /// What is wrong, in the words of who edits the file.
    pub message: String,
    /// The file.
    pub file: PathBuf,
    /// Line from 1; 0 when the file as a whole is meant, for example because it is missing.
    pub line: usize,
    /// Column from 1, in characters.
    pub column: usize,
    /// Length of the marked text in characters, at least 1.
    pub length: usize,
    /// The text of that line. Secrets in it are masked.
    pub source: String,
    /// What is wrong at that place, beside the caret.
    pub label: String,
    /// How to mend it.
    pub mend: String,
}

/// All mistakes of one load; never empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error[{}]: {}", self.code, self.message)?;
        if self.line == 0 {
            writeln!(f, " --> {}", self.file.display())?;
            return writeln!(f, "  = mend: {}", self.mend);
        }
        let number = self.line.to_string();
        let pad = " ".repeat(number.len());
        writeln!(f, "{pad}--> {}:{}:{}", self.file.display(), self.line, self.column)?;
        writeln!(f, "{number} | {}", self.source)?;
        let lead: String = self.source.chars().take(self.column.saturating_sub(1)).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        writeln!(f, "{}", format!("{pad} | {lead}{} {}", "^".repeat(self.length.max(1)), self.label).trim_end())?;
        writeln!(f, "{pad} = mend: {}", self.mend)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for d in &self.0 {
            writeln!(f, "{d}")?;
        }
        let n = self.0.len();
        write!(f, "{n} error{}", if n == 1 { "" } else { "s" })
    }
}

impl std::error::Error for Diagnostics {}
