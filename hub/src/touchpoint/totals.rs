//! Takes in sums that platforms report, and schedules of advertising in the street. Neither names a person.

use std::{collections::BTreeMap, io::BufRead};

use chrono::NaiveDate;
use passage_config::{HubConfig, Site, channel::Arrival};

use crate::{
    store::{self, Db},
    touchpoint::{
        TouchKind,
        row::{instant, text},
        table::{ImportError, ImportReport, Line, Table},
        tally::TotalRow,
    },
};

/// A day of so many counts is a mistake of the file.
const MOST: i64 = 1_000_000_000_000;
const STREET: [&str; 6] = ["key", "store", "campaign", "channel", "starts", "ends"];

/// Imports sums: `day,campaign,channel,source,medium` and a column `count KIND` for each kind of touchpoint. A later file with the same day, campaign,
/// channel and kind takes the place of the earlier one.
pub async fn import_totals(db: &Db, config: &HubConfig, source: &str, file: impl BufRead + Send) -> Result<ImportReport, ImportError> {
    let counted: Vec<(String, TouchKind)> = TouchKind::ALL.iter().map(|kind| (format!("count {}", kind.word()), *kind)).collect();
    let mut known = vec!["day", "campaign", "channel", "source", "medium", "kind"];
    known.extend(counted.iter().map(|(column, _)| column.as_str()));
    let mut table = Table::open(file, &["day"], &known)?;
    let (mut report, mut sums) = (ImportReport::default(), BTreeMap::<TotalRow, i64>::new());
    while let Some(line) = table.next_line()? {
        report.rows += 1;
        match line {
            Err(fault) => report.refuse(fault.line, fault.reason),
            Ok(line) => match totals(&line, &counted, &config.site, source) {
                Err(reason) => report.refuse(line.number, reason),
                Ok(rows) => {
                    report.stored += 1;
                    rows.into_iter().for_each(|(row, n)| *sums.entry(row).or_default() += n);
                }
            },
        }
    }
    let mut tx = db.begin().await?;
    store::tally::set_totals(&mut tx, &sums).await?;
    tx.commit().await?;
    Ok(report)
}

fn totals(line: &Line<'_>, counted: &[(String, TouchKind)], site: &Site, source: &str) -> Result<Vec<(TotalRow, i64)>, String> {
    let day = line.get("day").and_then(|text| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok());
    let day = day.ok_or("day: write a date such as 2026-11-18")?;
    let day = day.signed_duration_since(NaiveDate::default()).num_days();
    let campaign = text("campaign", line.get("campaign"))?;
    let channel = match text("channel", line.get("channel"))? {
        Some(channel) => channel,
        None => channel(line, campaign.as_deref(), site),
    };
    let campaign = campaign.unwrap_or_default();
    let mut rows = Vec::new();
    for (column, kind) in counted {
        let Some(cell) = line.get(column) else { continue };
        let count = cell.parse::<i64>().ok().filter(|n| (0..=MOST).contains(n));
        let count = count.ok_or_else(|| format!("{column}: not a whole number of contacts"))?;
        rows.push(((source.to_owned(), day, campaign.clone(), channel.clone(), kind.word()), count));
    }
    if rows.is_empty() { Err("no count".to_owned()) } else { Ok(rows) }
}

fn channel(line: &Line<'_>, campaign: Option<&str>, site: &Site) -> String {
    let arrival = Arrival { source: line.get("source"), medium: line.get("medium"), campaign, ..Arrival::default() };
    let by_rule = (arrival.source.is_some() || arrival.medium.is_some()).then(|| site.touch.channels.of(&arrival)).flatten();
    let own = || site.campaigns.get(campaign?).map(|c| c.channel.as_str());
    by_rule.or_else(own).unwrap_or_default().to_owned()
}

/// Imports a schedule: `store,campaign,channel,starts,ends`, and `key` if a line may be corrected later. Times have their offset.
pub async fn import_street(db: &Db, config: &HubConfig, source: &str, file: impl BufRead + Send) -> Result<ImportReport, ImportError> {
    let mut table = Table::open(file, &["store", "campaign", "starts", "ends"], &STREET)?;
    let mut report = ImportReport::default();
    let mut tx = db.begin().await?;
    while let Some(line) = table.next_line()? {
        report.rows += 1;
        match line {
            Err(fault) => report.refuse(fault.line, fault.reason),
            Ok(line) => match street(&line, &config.site, source) {
                Err(reason) => report.refuse(line.number, reason),
                Ok(exposure) => {
                    if store::touchpoint::put_store_exposure(&mut tx, &exposure).await? {
                        report.stored += 1;
                    } else {
                        report.unchanged += 1;
                    }
                }
            },
        }
    }
    tx.commit().await?;
    Ok(report)
}

fn street(line: &Line<'_>, site: &Site, source: &str) -> Result<StoreExposure, String> {
    let store =
        line.get("store").filter(|store| site.stores.keys().any(|id| id.as_str() == *store)).ok_or("store: no store has this id")?;
    let campaign = line.get("campaign").and_then(|id| site.campaigns.get(id)).ok_or("campaign: no campaign has this id")?;
    let time = |name| line.get(name).and_then(instant).ok_or_else(|| format!("{name}: write a time with its offset"));
    let (starts, ends) = (time("starts")?, time("ends")?);
    if ends <= starts {
        return Err("ends: not after starts".to_owned());
    }
    let channel = text("channel", line.get("channel"))?.unwrap_or_else(|| campaign.channel.clone());
    let key = text("key", line.get("key"))?.unwrap_or_else(|| format!("{store}/{}/{}", campaign.id, starts.0));
    Ok(StoreExposure { id: format!("{source}/{key}"), store: store.to_owned(), campaign: campaign.id.clone(), channel, starts, ends })
}

/// Advertising near a store: whoever was there then may have seen it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreExposure {
    /// Source and key.
    pub id: String,
    /// Near which store.
    pub store: String,
    /// Of which campaign.
    pub campaign: String,
    /// How.
    pub channel: String,
    /// From when.
    pub starts: passage_protocol::Millis,
    /// Until when.
    pub ends: passage_protocol::Millis,
}
