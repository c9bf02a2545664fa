//! One touchpoint in JSON. Texts are borrowed from the body wherever they hold no escapes.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use crate::{
    api::Problem,
    touchpoint::{intake::Refusal, row::RawTouch},
};

/// A touchpoint as the body has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row<'a> {
    #[serde(borrow)]
    key: Option<Text<'a>>,
    at: Option<Text<'a>>,
    kind: Option<Text<'a>>,
    campaign: Option<Text<'a>>,
    channel: Option<Text<'a>>,
    source: Option<Text<'a>>,
    medium: Option<Text<'a>>,
    referrer: Option<Text<'a>>,
    click_id: Option<Text<'a>>,
    sku: Option<Text<'a>>,
    size: Option<Text<'a>>,
    category: Option<Text<'a>>,
    store: Option<Text<'a>>,
    variant: Option<Text<'a>>,
    outcome: Option<Text<'a>>,
    order: Option<Text<'a>>,
    cents: Option<Amount>,
    identifier_kind: Option<Text<'a>>,
    identifier: Option<Text<'a>>,
}

/// A text; `Cow` alone would be copied inside of an `Option`.
#[derive(Debug)]
struct Text<'a>(Cow<'a, str>);

/// Whole cents, as a number or a text.
#[derive(Debug)]
struct Amount(String);

impl Row<'_> {
    /// As intake reads it.
    pub(super) fn raw(&self) -> RawTouch<'_> {
        fn told<'a>(text: &'a Option<Text<'_>>) -> Option<&'a str> {
            text.as_ref().map(|text| text.0.as_ref())
        }
        RawTouch {
            key: told(&self.key).filter(|key| !key.trim().is_empty()),
            at: told(&self.at),
            kind: told(&self.kind),
            campaign: told(&self.campaign),
            channel: told(&self.channel),
            source: told(&self.source),
            medium: told(&self.medium),
            referrer: told(&self.referrer),
            click_id: told(&self.click_id),
            sku: told(&self.sku),
            size: told(&self.size),
            category: told(&self.category),
            store: told(&self.store),
            variant: told(&self.variant),
            outcome: told(&self.outcome),
            order: told(&self.order),
            cents: self.cents.as_ref().map(|amount| amount.0.as_str()),
            identifier_kind: told(&self.identifier_kind),
            identifier: told(&self.identifier),
        }
    }
}

/// Calls `take` for each row of a JSON array, or of one JSON object per line. A row of the wrong form costs itself only; a broken array is no array.
pub(super) fn each(body: &[u8], mut take: impl FnMut(Result<Row<'_>, Refusal>)) -> Result<(), Problem> {
    Problem::refuse_image("", body)?;
    let trimmed = body.trim_ascii();
    if trimmed.is_empty() {
        return Err(Problem::bad("malformed", "send a JSON array, or one JSON object per line"));
    }
    if !trimmed.starts_with(b"[") {
        let lines = trimmed.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
        let form = |_| Refusal::new("form", "not a JSON object, or a field is unknown or not a text");
        lines.for_each(|line| take(serde_json::from_slice(line).map_err(form)));
        return Ok(());
    }
    match serde_json::from_slice::<Vec<Row<'_>>>(trimmed) {
        Ok(rows) => rows.into_iter().for_each(|row| take(Ok(row))),
        Err(_) => {
            let values: Vec<Value> = Problem::json(trimmed)?;
            let form = |_| Refusal::new("form", "a field is unknown or not a text");
            values.iter().for_each(|value| take(Row::deserialize(value).map_err(form)));
        }
    }
    Ok(())
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        from.deserialize_str(Visitor)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Value::deserialize(from)? {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) => Ok(Self(number.to_string())),
            _ => Err(de::Error::custom("an amount in whole cents")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(body: &str) -> Vec<Option<String>> {
        let mut keys = Vec::new();
        each(body.as_bytes(), |row| keys.push(row.ok().and_then(|row| row.raw().key.map(str::to_owned)))).unwrap();
        keys
    }

    #[test]
    fn arrays_and_lines_give_the_same_rows_and_a_broken_one_costs_itself() {
        let good = ["a".to_owned(), "b\u{e9}".to_owned()].map(Some);
        assert_eq!(keys(r#"[{"key":"a"},{"key":"b\u00e9","cents":100}]"#), good);
        assert_eq!(keys("{\"key\":\"a\"}\n\n{\"key\":\"b\u{e9}\",\"cents\":\"100\"}\n"), good);
        assert_eq!(keys(r#"[{"key":"a"},{"name":"x"},7,{"key":"b"}]"#), [Some("a".to_owned()), None, None, Some("b".to_owned())]);
        assert!(each(b"[{]", |_| ()).is_err() && each(b" ", |_| ()).is_err());
    }

    #[test]
    fn texts_without_escapes_are_not_copied() {
        each(br#"[{"key":"plain","kind":"\u0061"}]"#, |row| {
            let row = row.unwrap();
            assert!(matches!(row.key.unwrap().0, Cow::Borrowed("plain")));
            assert!(matches!(row.kind.unwrap().0, Cow::Owned(_)));
        })
        .unwrap();
    }
}
