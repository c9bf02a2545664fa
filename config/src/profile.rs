//! `profiles/*.toml`: how a file of another system is read.

use std::collections::BTreeMap;

use crate::{
    collect::mistake,
    model::{Profile, Rows, TOUCH_FIELDS, TOUCH_KINDS},
    reader::{Field, Reader},
};

/// Fields of touchpoints that no tracking plan names.
const TOUCH: [&str; 5] = ["key", "at", "kind", "identifier_kind", "identifier"];
const TOTALS: [&str; 6] = ["day", "campaign", "channel", "source", "medium", "kind"];
const MEMBERS: [&str; 25] = [
    "crm_id",
    "context",
    "email",
    "phone",
    "loyalty_card",
    "email_sha256",
    "phone_sha256",
    "beacon",
    "segment",
    "brand",
    "entity",
    // What proves her consents.
    "wording_id",
    "wording_version",
    "language",
    "consent_source",
    "consent_method",
    "operator",
    "device",
    "presence",
    "match",
    "sms",
    "personalise",
    "advice",
    "ads",
    "trackers",
];
const TILLS: [&str; 7] = ["ticket", "store", "at", "identifier_kind", "identifier", "sku", "cents"];
const STREET: [&str; 6] = ["key", "store", "campaign", "channel", "starts", "ends"];

impl Rows {
    /// The fields that a row of this kind has.
    pub fn fields(self) -> Vec<&'static str> {
        match self {
            Self::Touchpoints => [TOUCH.as_slice(), &TOUCH_FIELDS].concat(),
            Self::Totals => TOTALS.to_vec(),
            Self::Members => MEMBERS.to_vec(),
            Self::Tills => TILLS.to_vec(),
            Self::Street => STREET.to_vec(),
        }
    }
}

/// Reads one profile.
pub(crate) fn read(r: Reader<'_>) -> Option<Profile> {
    let rows = r.need("rows", "rows = \"touchpoints\"", |f| f.choice(&Rows::ALL));
    let source = r.need("source", "source = \"ga4\", which stands in front of each key", |f| {
        f.id::<passage_protocol::StoreId>().map(|id| id.as_str().to_owned())
    });
    let comment = r.may("comment", |f| f.text().map(str::to_owned));
    let own = |key| r.or(key, BTreeMap::new(), |f| fields(f, rows));
    let [columns, fixed, prefix] = ["columns", "fixed", "prefix"].map(own);
    let words = r.or("words", BTreeMap::new(), |f| {
        let all = f.each(|f| known(&f, rows)?.then(|| f.key.clone()).zip(pairs(f)));
        Some(all?.into_iter().collect())
    });
    let time = r.may("time", time);
    let counts = r.or("counts", BTreeMap::new(), |f| {
        let place = f.clone();
        let counts = pairs(f)?;
        match counts.keys().find(|kind| !TOUCH_KINDS.contains(&kind.as_str())) {
            Some(kind) => place.refuse_part(
                kind,
                mistake(
                    "P009",
                    format!("\"{kind}\" is not a kind of touchpoint"),
                    "no such kind",
                    crate::collect::suggest(kind, TOUCH_KINDS),
                ),
            ),
            None => Some(counts),
        }
    });
    r.done();
    Some(Profile { rows: rows?, source: source?, comment, columns, fixed, prefix, words, time, counts })
}

/// Texts by the names of our fields.
fn fields(f: Field<'_>, rows: Option<Rows>) -> Option<BTreeMap<String, String>> {
    Some(f.each(|f| known(&f, rows)?.then(|| f.key.clone()).zip(f.text().map(str::to_owned)))?.into_iter().collect())
}

fn pairs(f: Field<'_>) -> Option<BTreeMap<String, String>> {
    Some(f.each(|f| Some((f.key.clone(), f.text()?.to_owned())))?.into_iter().collect())
}

/// Some(true) if rows of this kind have a field of this name.
fn known(f: &Field<'_>, rows: Option<Rows>) -> Option<bool> {
    let all = rows?.fields();
    if all.contains(&f.key.as_str()) {
        return Some(true);
    }
    let m = mistake("P009", format!("\"{}\" is not a field of these rows", f.key), "no such field", crate::collect::suggest(&f.key, all));
    f.out.at(f.source, &f.key_span, m);
    None
}

fn time(f: Field<'_>) -> Option<(String, chrono_tz::Tz)> {
    let r = f.table()?;
    let form = r.need("form", "form = \"%Y-%m-%d %H:%M:%S\", or \"seconds\", \"milliseconds\", \"microseconds\"", |f| {
        let text = f.text()?;
        let good = ["seconds", "milliseconds", "microseconds"].contains(&text)
            || (text.contains('%') && chrono::format::StrftimeItems::new(text).all(|item| item != chrono::format::Item::Error));
        if good {
            return Some(text.to_owned());
        }
        f.refuse(mistake(
            "P013",
            "this is not a form of times",
            "not the letters of strftime",
            "write it as \"%Y-%m-%d %H:%M:%S\" or \"seconds\"",
        ))
    });
    let zone = r.or("zone", chrono_tz::UTC, |f| f.zone());
    r.done();
    Some((form?, zone))
}
