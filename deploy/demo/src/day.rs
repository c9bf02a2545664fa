//! The script of the day: who goes where, from `data/day.csv` beside the demo's `hub.toml`, and the people behind it from `data/members.csv`.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, anyhow, bail};
use chrono::{NaiveDate, NaiveTime, TimeZone};
use chrono_tz::Tz;
use passage_protocol::{Millis, StoreId};

/// The demo's Friday.
pub const DATE: (i32, u32, u32) = (2026, 11, 20);
/// Where its shops are.
pub const ZONE: Tz = chrono_tz::Europe::Paris;

/// Where somebody goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// Into the shop.
    In,
    /// To the shop window.
    Front,
    /// Past the shop.
    Near,
}

/// How the phone shows itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Rotating id in Android service data.
    Android,
    /// Rotating id in an iBeacon frame.
    Ios,
    /// Positions in OwnTracks JSON.
    Positions,
    /// The app says so itself.
    App,
    /// A phone that is none of ours.
    Stranger,
}

/// One way of one person.
#[derive(Debug, Clone)]
pub struct Outing {
    /// Arrival.
    pub at: Millis,
    /// Who; `None` for a stranger.
    pub crm_id: Option<String>,
    /// Which shop.
    pub store: StoreId,
    /// Minutes of stay.
    pub minutes: i64,
    /// How deep.
    pub place: Where,
    /// By what means.
    pub how: How,
}

/// What the demo, playing the phones, has to know of a person.
#[derive(Debug, Clone)]
pub struct Person {
    /// The retailer's number.
    pub crm_id: String,
    /// As it stands in the CRM.
    pub phone: String,
    /// In whose name the app runs.
    pub brand: String,
    /// The controller.
    pub entity: String,
    /// Purposes with a yes.
    pub purposes: Vec<String>,
}

/// A cookie that turns out to be somebody's.
#[derive(Debug, Clone)]
pub struct Link {
    /// When it becomes known.
    pub at: Millis,
    /// Domain and value.
    pub cookie: String,
    /// Whose.
    pub crm_id: String,
}

/// A point of the demo's day in the shops' time.
pub fn clock_time(text: &str) -> Result<Millis> {
    let time: NaiveTime = text.parse().map_err(|_| anyhow!("'{text}' is not a time like 10:40:00"))?;
    let date = NaiveDate::from_ymd_opt(DATE.0, DATE.1, DATE.2).ok_or_else(|| anyhow!("no such day"))?;
    let at = ZONE.from_local_datetime(&date.and_time(time)).earliest().ok_or_else(|| anyhow!("'{text}' does not exist on that day"))?;
    Ok(Millis(at.timestamp_millis()))
}

/// Rows of a CSV file as maps from column to text; errors name file and line.
fn rows<T>(file: &Path, read: impl Fn(&BTreeMap<String, String>) -> Result<T>) -> Result<Vec<T>> {
    let mut reader = csv::Reader::from_path(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let mut out = Vec::new();
    for (i, row) in reader.deserialize::<BTreeMap<String, String>>().enumerate() {
        let place = || format!("{}, line {}", file.display(), i + 2);
        out.push(read(&row.with_context(place)?).with_context(place)?);
    }
    Ok(out)
}

fn column<'a>(row: &'a BTreeMap<String, String>, name: &str) -> Result<&'a str> {
    row.get(name).map(String::as_str).ok_or_else(|| anyhow!("the column '{name}' is missing"))
}

/// Reads the ways of the day, in the order of arrival.
pub fn outings(data: &Path) -> Result<Vec<Outing>> {
    let mut all = rows(&data.join("day.csv"), |row| {
        let crm_id = column(row, "crm_id")?;
        Ok(Outing {
            at: clock_time(column(row, "at")?)?,
            crm_id: (!crm_id.is_empty()).then(|| crm_id.to_owned()),
            store: column(row, "store")?.parse()?,
            minutes: column(row, "minutes")?.parse()?,
            place: match column(row, "zone")? {
                "in" => Where::In,
                "front" => Where::Front,
                "near" => Where::Near,
                other => bail!("zone '{other}' is none of in, front, near"),
            },
            how: match column(row, "how")? {
                "android" => How::Android,
                "ios" => How::Ios,
                "positions" => How::Positions,
                "app" => How::App,
                "stranger" => How::Stranger,
                other => bail!("how '{other}' is none of android, ios, positions, app, stranger"),
            },
        })
    })?;
    all.sort_by_key(|o| o.at);
    Ok(all)
}

/// Reads the people, by CRM id.
pub fn people(data: &Path) -> Result<BTreeMap<String, Person>> {
    const PURPOSES: [&str; 7] = ["presence", "match", "sms", "personalise", "advice", "ads", "trackers"];
    let all = rows(&data.join("members.csv"), |row| {
        let granted = |p: &&&str| row.get(**p).is_some_and(|v| v == "yes");
        Ok(Person {
            crm_id: column(row, "crm_id")?.to_owned(),
            phone: column(row, "phone")?.to_owned(),
            brand: column(row, "brand")?.to_owned(),
            entity: column(row, "entity")?.to_owned(),
            purposes: PURPOSES.iter().filter(granted).map(|p| (*p).to_owned()).collect(),
        })
    })?;
    Ok(all.into_iter().map(|p| (p.crm_id.clone(), p)).collect())
}

/// Reads the links of cookies to CRM ids, in the order in which they become known.
pub fn links(data: &Path) -> Result<Vec<Link>> {
    let mut all = rows(&data.join("links.csv"), |row| {
        Ok(Link { at: instant(column(row, "at")?)?, cookie: column(row, "cookie")?.to_owned(), crm_id: column(row, "crm_id")?.to_owned() })
    })?;
    all.sort_by_key(|l| l.at);
    Ok(all)
}

/// Rows of `touchpoints-live.csv` as the JSON objects that the site posts to the hub.
pub fn live_touchpoints(data: &Path) -> Result<Vec<serde_json::Value>> {
    rows(&data.join("touchpoints-live.csv"), |row| {
        let filled = row.iter().filter(|(_, v)| !v.is_empty());
        Ok(serde_json::Value::Object(filled.map(|(k, v)| (k.clone(), serde_json::Value::from(v.as_str()))).collect()))
    })
}

fn instant(text: &str) -> Result<Millis> {
    let at = chrono::DateTime::parse_from_rfc3339(text).map_err(|_| anyhow!("'{text}' is not a time like 2026-11-20T09:05:00+01:00"))?;
    Ok(Millis(at.timestamp_millis()))
}

/// The small cast that the story is about, by CRM id.
pub const CAST: [(&str, &str); 9] = [
    ("C-00001", "the coat"),
    ("C-00002", "passes by"),
    ("C-00003", "iPhone"),
    ("C-00004", "no sms consent"),
    ("C-00006", "held out"),
    ("C-00007", "daily cap"),
    ("C-00008", "after hours"),
    ("C-00009", "not exposed"),
    ("C-00010", "only in front"),
];
