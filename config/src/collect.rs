//! Collects every mistake of a load instead of stopping at the first, and remembers what was read.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::{
    diagnostic::{Diagnostic, Diagnostics},
    source::{Source, Span},
};

/// Larger files are refused: nobody edits them by hand.
const MAX_FILE: u64 = 4 << 20;
/// After so many, more would help nobody.
const MAX_ERRORS: usize = 1000;

/// One thing that is wrong, without its place.
pub(crate) struct Mistake {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) label: String,
    pub(crate) mend: String,
}

/// Shorthand for a [`Mistake`].
pub(crate) fn mistake(code: &'static str, message: impl Into<String>, label: impl Into<String>, mend: impl Into<String>) -> Mistake {
    Mistake { code, message: message.into(), label: label.into(), mend: mend.into() }
}

impl Diagnostic {
    /// A place that still lacks its words.
    pub(crate) fn placed(source: &Source, span: &Span) -> Self {
        let place = source.locate(span);
        let mut placed = Self {
            file: source.file.clone(),
            line: place.line,
            column: place.column,
            length: place.length,
            source: place.source,
            ..Self::empty()
        };
        placed.keep_near();
        placed
    }

    fn empty() -> Self {
        Self {
            code: "P000",
            message: String::new(),
            file: PathBuf::new(),
            line: 0,
            column: 1,
            length: 1,
            source: String::new(),
            skipped: 0,
            label: String::new(),
            mend: String::new(),
        }
    }
}

/// What one load found.
#[derive(Default)]
pub(crate) struct Collector {
    errors: RefCell<Vec<Diagnostic>>,
    /// Content of each file by the name it had under the site folder.
    read: RefCell<BTreeMap<String, [u8; 32]>>,
    /// Literal secrets, to be masked wherever a line shows them.
    secrets: RefCell<Vec<String>>,
    /// Set when a whole file could not be read, so that what it would have defined is not called unknown.
    incomplete: Cell<bool>,
}

impl Collector {
    /// Notes a mistake at `span` of `source`.
    pub(crate) fn at(&self, source: &Source, span: &Span, m: Mistake) {
        if self.errors.borrow().len() < MAX_ERRORS {
            self.placed(&Diagnostic::placed(source, span), m);
        }
    }

    /// Notes a mistake at a place that was kept.
    pub(crate) fn placed(&self, place: &Diagnostic, m: Mistake) {
        let Mistake { code, message, label, mend } = m;
        self.push(Diagnostic { code, message, label, mend, ..place.clone() });
    }

    /// Notes a mistake of a whole file or folder.
    pub(crate) fn whole(&self, file: &Path, m: Mistake) {
        let Mistake { code, message, label, mend } = m;
        self.push(Diagnostic { code, message, file: file.into(), label, mend, ..Diagnostic::empty() });
    }

    /// Runs `read` and makes sure that what gives nothing also says why, so that no offer can vanish in silence.
    pub(crate) fn explained<T>(&self, file: &Path, read: impl FnOnce() -> Option<T>) -> Option<T> {
        let before = self.errors.borrow().len();
        let value = read();
        if value.is_none() && self.errors.borrow().len() == before {
            self.push(Diagnostic { file: file.into(), ..unexplained() });
        }
        value
    }

    fn push(&self, d: Diagnostic) {
        let mut errors = self.errors.borrow_mut();
        if errors.len() < MAX_ERRORS && !errors.contains(&d) {
            errors.push(d);
        }
    }

    /// Masks `literal` in every line that is shown.
    pub(crate) fn mask(&self, literal: &str) {
        if !literal.is_empty() {
            self.secrets.borrow_mut().push(literal.to_owned());
        }
    }

    /// Notes that something could not be read at all.
    pub(crate) fn set_incomplete(&self) {
        self.incomplete.set(true);
    }

    /// True if something could not be read at all.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.incomplete.get()
    }

    /// Reads a text file; a mistake is noted and gives `None`.
    pub(crate) fn read(&self, file: &Path) -> Option<Source> {
        self.read_up_to(file, MAX_FILE)
    }

    /// Reads a text file of at most `most` bytes.
    pub(crate) fn read_up_to(&self, file: &Path, most: u64) -> Option<Source> {
        let refuse = |m| {
            self.set_incomplete();
            self.whole(file, m);
            None
        };
        match std::fs::metadata(file) {
            Ok(meta) if !meta.is_file() => return refuse(mistake("P001", "this is not a file", "", "name a file")),
            Ok(meta) if meta.len() > most => {
                let message = format!("this file has {} bytes; at most {most} are read", meta.len());
                return refuse(mistake("P001", message, "", "split it, or simplify the shapes in it"));
            }
            _ => {}
        }
        let bytes = match std::fs::read(file) {
            Ok(bytes) => bytes,
            Err(e) => {
                return refuse(mistake(
                    "P001",
                    format!("this file cannot be read: {}", plain(&e)),
                    "",
                    "check its name and its permissions",
                ));
            }
        };
        match String::from_utf8(bytes) {
            Ok(text) => Some(Source::new(file.to_owned(), text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())),
            Err(e) => {
                let valid = e.utf8_error().valid_up_to();
                let source = Source::new(file.to_owned(), String::from_utf8_lossy(e.as_bytes()).into_owned());
                self.set_incomplete();
                let m = mistake("P002", "this file is not UTF-8", "this byte is not a character", "save the file with the encoding UTF-8");
                self.at(&source, &(valid..valid + 1), m);
                None
            }
        }
    }

    /// Counts `source` into the revision under `name`.
    pub(crate) fn revise(&self, name: String, source: &Source) {
        self.read.borrow_mut().insert(name, Sha256::digest(source.text.as_bytes()).into());
    }

    /// SHA-256 over the names and contents of everything that was revised, as hex.
    pub(crate) fn revision(&self) -> String {
        let mut all = Sha256::new();
        for (name, digest) in self.read.borrow().iter() {
            all.update(u64::try_from(name.len()).unwrap_or(u64::MAX).to_be_bytes());
            all.update(name.as_bytes());
            all.update(digest);
        }
        hex::encode(all.finalize())
    }

    /// The value if nothing was wrong, else all mistakes in the order of files and lines.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T, Diagnostics> {
        let mut errors = self.errors.into_inner();
        match value {
            Some(value) if errors.is_empty() => return Ok(value),
            None if errors.is_empty() => errors.push(unexplained()),
            _ => {}
        }
        let secrets = self.secrets.into_inner();
        for d in &mut errors {
            for secret in &secrets {
                d.source = d.source.replace(secret.as_str(), &"*".repeat(secret.chars().count()));
            }
            d.shorten();
        }
        errors.sort_by(|a, b| (&a.file, a.line, a.column, a.code).cmp(&(&b.file, b.line, b.column, b.code)));
        Err(Diagnostics(errors))
    }
}

fn unexplained() -> Diagnostic {
    Diagnostic {
        message: "the configuration was refused without a reason; this is a mistake in Passage, not in the files".into(),
        mend: "tell us, with the files".into(),
        ..Diagnostic::empty()
    }
}

/// An I/O error in plain words.
pub(crate) fn plain(e: &std::io::Error) -> String {
    match e.kind() {
        std::io::ErrorKind::NotFound => "it does not exist".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => e.to_string(),
    }
}

/// The candidate that `word` was probably meant to be.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let far = (word.chars().count() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(&word, &c.to_lowercase()), c))
        .filter(|(distance, _)| *distance <= far)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

/// `did you mean ..?`, or the list of what there is.
pub(crate) fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(near) = nearest(word, candidates.clone()) {
        return format!("did you mean \"{near}\"?");
    }
    let all: Vec<&str> = candidates.into_iter().collect();
    match all.len() {
        0 => "there is none yet; add one first".into(),
        1..=12 => format!("use one of: {}", all.join(", ")),
        n => format!("use one of: {}, ... ({n} in all)", all[..12].join(", ")),
    }
}
