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
    /// The text of that line, of a long one only what is around the place. Secrets in it are masked.
    pub source: String,
    /// How many characters of the line stand before `source`.
    pub skipped: usize,
    /// What is wrong at that place, beside the caret.
    pub label: String,
    /// How to mend it.
    pub mend: String,
}

/// Lines up to this, in characters, are shown whole, longer ones as far as [`EXCERPT`].
const WHOLE_LINE: usize = 240;
/// How much of a long line is shown, in characters.
const EXCERPT: usize = 120;
/// What is kept around a place until it is known which texts are to be masked: what is shown is so far from the ends that no cut secret is in it.
const KEPT: usize = 8000;

impl Diagnostic {
    /// Keeps of the line what may be shown, and something around it.
    pub(crate) fn keep_near(&mut self) {
        self.cut(2 * KEPT, KEPT);
    }

    /// Cuts a long line down to what is shown.
    pub(crate) fn shorten(&mut self) {
        self.cut(WHOLE_LINE, EXCERPT / 4);
    }

    /// Leaves a line of up to `whole` characters as it is, and begins a longer one `lead` before the place.
    fn cut(&mut self, whole: usize, lead: usize) {
        if self.source.chars().nth(whole).is_none() {
            return;
        }
        let from = self.column.saturating_sub(1).saturating_sub(self.skipped).saturating_sub(lead);
        let most = EXCERPT.max(2 * lead);
        self.source = self.source.chars().skip(from).take(most).collect();
        self.skipped += from;
    }
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
        let before = self.column.saturating_sub(1).saturating_sub(self.skipped);
        let lead: String = self.source.chars().take(before).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let shown = self.source.chars().count().saturating_sub(before);
        writeln!(f, "{}", format!("{pad} | {lead}{} {}", "^".repeat(self.length.min(shown).max(1)), self.label).trim_end())?;
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
