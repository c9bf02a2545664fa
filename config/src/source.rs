//! One file's text, and the way from a byte offset to the line and column that an editor shows.

use std::{ops::Range, path::PathBuf};

/// Byte offsets into a [`Source`].
pub(crate) type Span = Range<usize>;

/// One file as it was read.
#[derive(Debug)]
pub(crate) struct Source {
    /// As the user named it.
    pub(crate) file: PathBuf,
    /// Without a byte order mark.
    pub(crate) text: String,
    /// Offset of the first byte of each line.
    starts: Vec<usize>,
}

/// A place as a person sees it.
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) length: usize,
    pub(crate) source: String,
}

impl Source {
    pub(crate) fn new(file: PathBuf, text: String) -> Self {
        let starts = std::iter::once(0).chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1)).collect();
        Self { file, text, starts }
    }

    /// True for TOML, false for JSON and CSV.
    pub(crate) fn is_toml(&self) -> bool {
        self.file.extension().is_some_and(|ending| ending == "toml")
    }

    /// Where `span` begins, and how much of it is on that line. Offsets outside the text or inside a character are moved to the next good place.
    pub(crate) fn locate(&self, span: &Span) -> Place {
        let start = self.boundary(span.start);
        let line = self.starts.partition_point(|s| *s <= start).max(1);
        let from = self.starts[line - 1];
        let to = self.starts.get(line).map_or(self.text.len(), |next| next - 1);
        let source = self.text[from..to.max(from)].trim_end_matches('\r');
        let start = start.min(from + source.len());
        let end = self.boundary(span.end.max(start)).min(from + source.len()).max(start);
        Place {
            line,
            column: self.text[from..start].chars().count() + 1,
            length: self.text[start..end].chars().count().max(1),
            source: source.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect(),
        }
    }

    fn boundary(&self, offset: usize) -> usize {
        let mut at = offset.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    /// The text inside `span`, or nothing if it does not fit.
    pub(crate) fn slice(&self, span: &Span) -> &str {
        self.text.get(span.clone()).unwrap_or("")
    }

    /// Where `needle` stands inside `span`, or all of `span`.
    pub(crate) fn find(&self, span: &Span, needle: &str) -> Span {
        match self.slice(span).find(needle) {
            Some(at) if !needle.is_empty() => span.start + at..span.start + at + needle.len(),
            _ => span.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_end_where_editors_end_them() {
        let s = Source::new("f".into(), "a = 1\r\nêé = 2\r\n".into());
        let at = s.text.find("= 2").unwrap();
        let place = s.locate(&(at..at + 3));
        assert_eq!((place.line, place.column, place.length, place.source.as_str()), (2, 4, 3, "êé = 2"));
    }

    #[test]
    fn any_offset_has_a_place() {
        let s = Source::new("f".into(), "é\nb".into());
        for start in 0..8 {
            for end in 0..8 {
                assert!(s.locate(&Span { start, end }).line >= 1);
            }
        }
    }
}
