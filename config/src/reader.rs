//! Takes tables apart key by key. What is missing, of the wrong kind or unknown is noted, and reading goes on.

use std::cell::RefCell;

use crate::{
    collect::{Collector, Mistake, mistake, nearest},
    diagnostic::Diagnostic,
    source::{Source, Span},
    tree::{Entry, Kind, Node},
};

/// One table that is being read.
pub(crate) struct Reader<'a> {
    pub(crate) source: &'a Source,
    pub(crate) out: &'a Collector,
    /// Where to point when a key is missing.
    pub(crate) place: Span,
    entries: &'a [Entry],
    asked: RefCell<Vec<&'static str>>,
}

/// One value with the key under which it stands.
#[derive(Clone)]
pub(crate) struct Field<'a> {
    pub(crate) source: &'a Source,
    pub(crate) out: &'a Collector,
    pub(crate) node: &'a Node,
    /// As it is called in messages.
    pub(crate) key: String,
    pub(crate) key_span: Span,
    /// One of the values of a list.
    listed: bool,
}

impl<'a> Reader<'a> {
    /// Reads the root of a file, which must be a table.
    pub(crate) fn root(source: &'a Source, out: &'a Collector, node: &'a Node) -> Option<Self> {
        Field::root(source, out, node).table()
    }

    /// The value of `key`, if it is there.
    pub(crate) fn find(&self, key: &'static str) -> Option<Field<'a>> {
        self.asked.borrow_mut().push(key);
        let entry = self.entries.iter().find(|e| e.key == key)?;
        Some(self.field(entry))
    }

    fn field(&self, entry: &'a Entry) -> Field<'a> {
        Field {
            source: self.source,
            out: self.out,
            node: &entry.value,
            key: entry.key.clone(),
            key_span: entry.key_span.clone(),
            listed: false,
        }
    }

    /// The value of a key that must be there; `example` shows how to write it.
    pub(crate) fn need<T>(&self, key: &'static str, example: &str, read: impl FnOnce(Field<'a>) -> Option<T>) -> Option<T> {
        match self.find(key) {
            Some(field) => read(field),
            None => {
                let m = mistake("P006", format!("`{key}` is missing"), "it belongs here", format!("add {example}"));
                self.out.at(self.source, &self.place, m);
                None
            }
        }
    }

    /// The value of a key that may be left out. Something wrong is noted and gives `None` too.
    pub(crate) fn may<T>(&self, key: &'static str, read: impl FnOnce(Field<'a>) -> Option<T>) -> Option<T> {
        self.find(key).and_then(read)
    }

    /// The value of a key that may be left out. Something wrong is noted and gives `default` too.
    pub(crate) fn or<T>(&self, key: &'static str, default: T, read: impl FnOnce(Field<'a>) -> Option<T>) -> T {
        self.may(key, read).unwrap_or(default)
    }

    /// All keys and values, for tables whose keys people choose.
    pub(crate) fn all(&self) -> Vec<Field<'a>> {
        self.entries.iter().map(|e| self.field(e)).collect()
    }

    /// Accepts these keys without reading them.
    pub(crate) fn ignore(&self, keys: &[&'static str]) {
        self.asked.borrow_mut().extend(keys);
    }

    /// Notes each key that nobody asked for.
    pub(crate) fn done(self) {
        let mut known = self.asked.take();
        let mut seen = std::collections::BTreeSet::new();
        known.retain(|k| seen.insert(*k));
        for e in self.entries.iter().filter(|e| !known.contains(&e.key.as_str())) {
            let near = nearest(&e.key, known.iter().copied());
            let mend =
                near.map_or_else(|| format!("take it out; the keys here are {}", known.join(", ")), |k| format!("did you mean `{k}`?"));
            self.unknown(e, mend);
        }
    }

    /// Where others may add keys: notes only those that nobody asked for and that are probably a key misspelt which is not there. `never` are not.
    pub(crate) fn done_but_for_foreign(self, never: &[&str]) {
        let asked = self.asked.borrow();
        let missing = || asked.iter().copied().filter(|key| !self.entries.iter().any(|e| e.key == *key));
        for e in self.entries.iter().filter(|e| !asked.contains(&e.key.as_str()) && !never.contains(&e.key.as_str())) {
            if let Some(key) = nearest(&e.key, missing()) {
                self.unknown(e, format!("did you mean `{key}`?"));
            }
        }
    }

    fn unknown(&self, e: &Entry, mend: String) {
        let m = mistake("P005", format!("`{}` is not a key that Passage knows", e.key), "unknown key", mend);
        self.out.at(self.source, &e.key_span, m);
    }
}

impl<'a> Field<'a> {
    /// The root of a file.
    pub(crate) fn root(source: &'a Source, out: &'a Collector, node: &'a Node) -> Self {
        Field { source, out, node, key: "this file".into(), key_span: node.span.start..node.span.start + 1, listed: false }
    }

    /// The text of `key`, if the value is a table that has it.
    pub(crate) fn word(&self, key: &str) -> Option<&'a str> {
        let Kind::Table(entries) = &self.node.kind else { return None };
        entries.iter().find(|e| e.key == key).and_then(|e| if let Kind::Text(s) = &e.value.kind { Some(s.as_str()) } else { None })
    }

    /// Notes a mistake at the value.
    pub(crate) fn refuse<T>(&self, m: Mistake) -> Option<T> {
        self.out.at(self.source, &self.node.span, m);
        None
    }

    /// Notes a mistake at the first place where `part` stands in the value.
    pub(crate) fn refuse_part<T>(&self, part: &str, m: Mistake) -> Option<T> {
        self.out.at(self.source, &self.source.find(&self.node.span, part), m);
        None
    }

    /// The place of the value, for a check that comes later.
    pub(crate) fn place(&self) -> Diagnostic {
        Diagnostic::placed(self.source, &self.node.span)
    }

    /// True if the value is a table.
    pub(crate) fn is_table(&self) -> bool {
        matches!(self.node.kind, Kind::Table(_))
    }

    /// True if the value is this text.
    pub(crate) fn is_word(&self, word: &str) -> bool {
        matches!(&self.node.kind, Kind::Text(s) if s.trim() == word)
    }

    /// True if the value is a table with this key.
    pub(crate) fn has(&self, key: &str) -> bool {
        matches!(&self.node.kind, Kind::Table(entries) if entries.iter().any(|e| e.key == key))
    }

    fn wrong_kind<T>(&self, wanted: &str, example: &str) -> Option<T> {
        let each = if self.listed { "each of " } else { "" };
        let message = format!("{each}`{}` must be {wanted}", self.key);
        let label = format!("this is {}", self.node.kind.name());
        let mend = match (self.listed, self.source.is_toml()) {
            (true, _) => format!("write {example}"),
            (false, true) => format!("write {} = {example}", self.key),
            (false, false) => format!("write \"{}\": {example}", self.key),
        };
        self.refuse(mistake("P007", message, label, mend))
    }

    /// A table, to be read key by key.
    pub(crate) fn table(self) -> Option<Reader<'a>> {
        match &self.node.kind {
            Kind::Table(entries) => {
                Some(Reader { source: self.source, out: self.out, place: self.key_span, entries, asked: RefCell::default() })
            }
            _ => self.wrong_kind("a table", "{ .. }"),
        }
    }

    /// A list.
    pub(crate) fn list(&self) -> Option<Vec<Field<'a>>> {
        match &self.node.kind {
            Kind::Array(nodes) => Some(nodes.iter().map(|node| self.inner(node)).collect()),
            _ => self.wrong_kind("a list", "[ .. ]"),
        }
    }

    fn inner(&self, node: &'a Node) -> Field<'a> {
        Field { source: self.source, out: self.out, node, key: self.key.clone(), key_span: node.span.clone(), listed: true }
    }

    /// A text that is not empty, without the blanks around it.
    pub(crate) fn text(&self) -> Option<&'a str> {
        match &self.node.kind {
            Kind::Text(s) if s.trim().is_empty() => self.refuse(mistake(
                "P008",
                format!("`{}` is empty", self.key),
                "nothing is written here",
                "write something, or take the key out",
            )),
            Kind::Text(s) => Some(s.trim()),
            _ => self.wrong_kind("a text", "\"..\""),
        }
    }

    /// What `read` makes of every key and value of a table; all are read even when one is wrong.
    pub(crate) fn each<T>(self, read: impl FnMut(Field<'a>) -> Option<T>) -> Option<Vec<T>> {
        whole(self.table()?.all().into_iter().map(read).collect())
    }

    /// A list of texts.
    pub(crate) fn texts(&self) -> Option<Vec<Field<'a>>> {
        let list = self.list()?;
        let good: Vec<_> = list.iter().filter(|f| f.text().is_some()).cloned().collect();
        (good.len() == list.len()).then_some(good)
    }

    /// True or false.
    pub(crate) fn flag(&self) -> Option<bool> {
        match self.node.kind {
            Kind::Flag(b) => Some(b),
            _ => self.wrong_kind("true or false", "true"),
        }
    }

    /// A whole number from `least` to `most`.
    pub(crate) fn whole<T: TryFrom<i64>>(&self, least: i64, most: i64) -> Option<T> {
        match self.node.kind {
            Kind::Integer(n) if (least..=most).contains(&n) => T::try_from(n).ok(),
            Kind::Integer(n) => self.out_of_range(&n.to_string(), &least.to_string(), &most.to_string()),
            _ => self.wrong_kind("a whole number", &format!("{least}, without quotes")),
        }
    }

    /// A number from `least` to `most`.
    pub(crate) fn number(&self, least: f64, most: f64) -> Option<f64> {
        let n = self.any_number(least)?;
        if (least..=most).contains(&n) { Some(n) } else { self.out_of_range(&n.to_string(), &least.to_string(), &most.to_string()) }
    }

    /// Any number; its range is looked at elsewhere. `example` stands in the mend when it is none.
    pub(crate) fn any_number(&self, example: f64) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "only numbers far below 2^53 pass the range")]
        match self.node.kind {
            Kind::Integer(n) => Some(n as f64),
            Kind::Number(n) => Some(n),
            _ => self.wrong_kind("a number", &format!("{example}, without quotes")),
        }
    }

    pub(crate) fn out_of_range<T>(&self, n: &str, least: &str, most: &str) -> Option<T> {
        let message = format!("`{}` must be between {least} and {most}", self.key);
        self.refuse(mistake("P008", message, format!("{n} is not"), format!("write a value from {least} to {most}")))
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(&self, choices: &[(&'static str, T)]) -> Option<T> {
        let text = self.text()?;
        match choices.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Some(*value),
            None => {
                let message = format!("`{}` cannot be \"{text}\"", self.key);
                self.refuse(mistake(
                    "P009",
                    message,
                    "not one of the words that it can be",
                    crate::collect::suggest(text, choices.iter().map(|c| c.0)),
                ))
            }
        }
    }
}

/// All values if none is missing. It takes a list and not an iterator, because a lazy one would stop reading at the first mistake.
pub(crate) fn whole<T>(values: Vec<Option<T>>) -> Option<Vec<T>> {
    values.into_iter().collect()
}
