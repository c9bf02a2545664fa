//! JSON with places. `serde_json` says first whether the text is JSON at all and bounds its depth; the walk below then only has to find the
//! places. (The `geojson` crate tells no place and closes open rings silently, so geofences are read from this tree.)

use serde::de::IgnoredAny;

use super::{Entry, Kind, Node};
use crate::{
    collect::{Collector, mistake},
    source::{Source, Span},
};

/// Reads a JSON file; a syntax error is noted and gives `None`.
pub(crate) fn read(source: &Source, out: &Collector) -> Option<Node> {
    let text = source.text.as_str();
    if let Err(e) = serde_json::from_str::<IgnoredAny>(text) {
        let at = offset(text, e.line(), e.column());
        return broken(source, out, &(at..at + 1), &words(&e));
    }
    let mut walk = Walk { text, at: 0 };
    match walk.value(0) {
        Some(node) => Some(node),
        None => broken(source, out, &(walk.at..walk.at + 1), "this cannot be read"),
    }
}

fn broken(source: &Source, out: &Collector, span: &Span, label: &str) -> Option<Node> {
    out.set_incomplete();
    let mend = "export the file again from the map tool, or mend the bracket, comma or quote at this place";
    out.at(source, span, mistake("P004", "this is not JSON, so nothing in this file could be read", label, mend));
    None
}

fn words(e: &serde_json::Error) -> String {
    let text = e.to_string();
    text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what).to_owned()
}

fn offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (start + column.saturating_sub(1)).min(text.len())
}

/// serde_json stops at 128.
const MAX_DEPTH: usize = 130;

struct Walk<'a> {
    text: &'a str,
    at: usize,
}

impl Walk<'_> {
    fn value(&mut self, depth: usize) -> Option<Node> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.space();
        let start = self.at;
        let kind = match self.peek()? {
            b'{' => self.table(depth)?,
            b'[' => self.array(depth)?,
            b'"' => Kind::Text(self.text()?),
            _ => self.scalar()?,
        };
        Some(Node { span: start..self.at, kind })
    }

    fn table(&mut self, depth: usize) -> Option<Kind> {
        let mut entries = Vec::new();
        self.at += 1;
        loop {
            self.space();
            match self.peek()? {
                b'}' => break,
                b',' => self.at += 1,
                _ => {
                    let start = self.at;
                    let key = self.text()?;
                    let key_span = start..self.at;
                    self.space();
                    // the colon
                    self.at += 1;
                    entries.push(Entry { key, key_span, value: self.value(depth + 1)? });
                }
            }
        }
        self.at += 1;
        Some(Kind::Table(entries))
    }

    fn array(&mut self, depth: usize) -> Option<Kind> {
        let mut nodes = Vec::new();
        self.at += 1;
        loop {
            self.space();
            match self.peek()? {
                b']' => break,
                b',' => self.at += 1,
                _ => nodes.push(self.value(depth + 1)?),
            }
        }
        self.at += 1;
        Some(Kind::Array(nodes))
    }

    fn text(&mut self) -> Option<String> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek()? {
                b'\\' => self.at += 2,
                b'"' => break,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        serde_json::from_str(self.text.get(start..self.at)?).ok()
    }

    fn scalar(&mut self) -> Option<Kind> {
        let start = self.at;
        while self.peek().is_some_and(|b| !b.is_ascii_whitespace() && !matches!(b, b',' | b']' | b'}')) {
            self.at += 1;
        }
        Some(match self.text.get(start..self.at)? {
            "" => return None,
            "null" => Kind::Null,
            "true" => Kind::Flag(true),
            "false" => Kind::Flag(false),
            number => match number.parse() {
                Ok(whole) => Kind::Integer(whole),
                Err(_) => Kind::Number(number.parse().ok()?),
            },
        })
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(node: &Node) -> serde_json::Value {
        match &node.kind {
            Kind::Table(t) => t.iter().map(|e| (e.key.clone(), plain(&e.value))).collect(),
            Kind::Array(a) => a.iter().map(plain).collect(),
            Kind::Text(s) => s.clone().into(),
            Kind::Integer(n) => (*n).into(),
            Kind::Number(n) => (*n).into(),
            Kind::Flag(b) => (*b).into(),
            Kind::Date(_) | Kind::Null => serde_json::Value::Null,
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            (-1e6..1e6f64).prop_map(|n| (n + 0.5).into()),
            ".*".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::btree_map(".*", inner, 0..6).prop_map(|m| m.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_tree_holds_what_serde_json_reads(json in any_json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&json).unwrap() } else { json.to_string() };
            let out = Collector::default();
            let node = read(&Source::new("f".into(), text), &out).unwrap();
            prop_assert_eq!(plain(&node), json);
        }
    }

    #[test]
    fn a_syntax_error_is_told_with_its_place() {
        let out = Collector::default();
        assert!(read(&Source::new("f".into(), "{\n  \"a\": [1,,2]\n}".into()), &out).is_none());
        let errors = out.finish::<()>(None).unwrap_err();
        assert_eq!((errors.0[0].line, errors.0[0].column), (2, 11));
    }
}
