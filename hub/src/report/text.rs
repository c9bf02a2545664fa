//! The summary as tables for a terminal, and how tables and times are written.

use std::fmt;

use chrono::DateTime;
use passage_protocol::Millis;

use crate::report::Summary;

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "visits by label")?;
        for (label, n) in &self.visits {
            writeln!(f, "  {label:<28} {n:>6}")?;
        }
        writeln!(f, "\nmessages by offer, fate and reason")?;
        for (offer, state, reason, n) in &self.messages {
            writeln!(f, "  {offer:<20} {state:<12} {reason:<20} {n:>6}")?;
        }
        writeln!(f, "\ndecisions by offer and result")?;
        for (offer, result, n) in &self.decisions {
            writeln!(f, "  {offer:<20} {result:<24} {n:>6}")?;
        }
        let c = &self.conversions;
        writeln!(f, "\nconversions of members")?;
        let direct = shown(c.direct_visits);
        writeln!(f, "  qualified visits (one a member, store and day) {:>6}, of which direct {direct:>6}", c.visits)?;
        let (direct, euros) = (shown(c.direct_purchases), shown(c.cents.map(|cents| cents / 100)));
        writeln!(f, "  purchases {:>6}, of which direct {direct:>6}, in all {euros} EUR", c.purchases)?;
        for (model, table) in &self.campaigns {
            writeln!(f, "\ncampaign -> visits -> purchases, {}", model.word())?;
            writeln!(f, "  {:<24} {:>8} {:>9} {:>10} {:>12}", "campaign", "members", "visits", "purchases", "EUR")?;
            for r in &table.rows {
                writeln!(f, "  {:<24} {:>8} {:>9.1} {:>10.1} {:>12.2}", r.campaign, r.members, r.visits, r.purchases, r.cents / 100.0)?;
            }
            writeln!(f, "  rows withheld because they are about fewer than {} members: {}", self.k, table.withheld)?;
        }
        Ok(())
    }
}

/// A point of business time for people of any zone: `2026-11-22 15:04:05Z`.
pub fn utc(at: Millis) -> String {
    DateTime::from_timestamp_millis(at.0).unwrap_or_default().format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// A number, or that it is withheld because it would tell about too few members.
fn shown<T: ToString>(number: Option<T>) -> String {
    number.map_or_else(|| "withheld".to_owned(), |n| n.to_string())
}

/// A table for a terminal: columns as wide as their widest cell.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width =
        |c: usize| rows.iter().filter_map(|row| row.get(c)).map(|cell| cell.chars().count()).chain([head[c].len()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned() + "\n"
    };
    let mut text = line(&mut head.iter().copied());
    rows.iter().for_each(|row| text += &line(&mut row.iter().map(String::as_str)));
    text
}
