//! TOML with places, from `toml_edit`.

use toml_edit::{Document, Item, TableLike, Value};

use super::{Entry, Kind, Node};
use crate::{
    collect::{Collector, mistake},
    source::{Source, Span},
};

/// Reads a TOML file; a syntax error is noted and gives `None`.
pub(crate) fn read(source: &Source, out: &Collector) -> Option<Node> {
    match Document::parse(source.text.as_str()) {
        Ok(document) => Some(Node { span: 0..1, kind: Kind::Table(table(document.as_table(), &(0..1))) }),
        Err(e) => {
            out.set_incomplete();
            let span = e.span().unwrap_or(0..1);
            let what = e.message().lines().next().unwrap_or("something is wrong here").to_owned();
            mask_secret(source, &span, out);
            let mend = "write key = value, with texts in \"double quotes\"";
            out.at(source, &span, mistake("P003", "this is not TOML, so nothing in this file could be read", what, mend));
            None
        }
    }
}

/// A secret that makes the file unreadable, say because it lacks its quotes, must not be shown either.
fn mask_secret(source: &Source, span: &Span, out: &Collector) {
    let before = source.text.get(..span.start).unwrap_or("");
    let start = before.rfind('\n').map_or(0, |n| n + 1);
    let line = source.text[start..].lines().next().unwrap_or("");
    let header = before.lines().rev().find(|l| l.starts_with('[')).unwrap_or("");
    let hot = |text: &str| ["password", "token", "secret", "@"].iter().any(|word| text.to_lowercase().contains(word));
    if let Some((_, value)) = line.split_once('=').filter(|_| hot(line) || hot(header)) {
        out.mask(value.trim());
    }
}

fn table(table: &dyn TableLike, outer: &Span) -> Vec<Entry> {
    table
        .iter()
        .filter_map(|(name, item)| {
            // Tables that only a dotted header implies have no place of their own.
            let span = table.key(name).and_then(toml_edit::Key::span).or_else(|| item.span()).unwrap_or_else(|| outer.clone());
            Some(Entry { key: name.to_owned(), value: node(item, &span)?, key_span: span })
        })
        .collect()
}

fn node(item: &Item, outer: &Span) -> Option<Node> {
    let span = item.span().unwrap_or_else(|| outer.clone());
    let kind = match item {
        Item::None => return None,
        Item::Value(v) => return Some(value(v, outer)),
        Item::Table(t) => Kind::Table(table(t, outer)),
        Item::ArrayOfTables(list) => Kind::Array(
            list.iter().map(|t| Node { span: t.span().unwrap_or_else(|| outer.clone()), kind: Kind::Table(table(t, outer)) }).collect(),
        ),
    };
    Some(Node { span, kind })
}

fn value(v: &Value, outer: &Span) -> Node {
    let span = v.span().unwrap_or_else(|| outer.clone());
    let kind = match v {
        Value::String(s) => Kind::Text(s.value().clone()),
        Value::Integer(n) => Kind::Integer(*n.value()),
        Value::Float(n) => Kind::Number(*n.value()),
        Value::Boolean(b) => Kind::Flag(*b.value()),
        Value::Datetime(d) => Kind::Date(d.value().to_string()),
        Value::Array(list) => Kind::Array(list.iter().map(|v| value(v, &span)).collect()),
        Value::InlineTable(t) => Kind::Table(table(t, &span)),
    };
    Node { span, kind }
}
