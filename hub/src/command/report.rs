//! `passage-hub report`.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeZone};
use chrono_tz::Tz;
use passage_config::HubConfig;
use passage_protocol::Millis;

use crate::{
    report::{self, Span, completeness, matching::matching, summary},
    store::{Db, retention::counts},
};

/// Prints the report of a day.
pub async fn report(db: &Db, config: &HubConfig, day: Option<NaiveDate>) -> anyhow::Result<()> {
    let zone = zone(config);
    let day = day.unwrap_or_else(|| today(config, zone));
    println!("{day} ({zone})\n\n{}", summary(db, config, span(day, zone)).await?);
    Ok(())
}

/// Prints what each source of touchpoints told in the 28 days up to a day.
pub async fn completeness(db: &Db, config: &HubConfig, day: Option<NaiveDate>) -> anyhow::Result<()> {
    let zone = zone(config);
    let day = day.unwrap_or_else(|| today(config, zone));
    println!("{}", completeness::text(db, config, day - Days::new(27)).await?);
    Ok(())
}

/// Prints how much was tied to members in the 28 days up to a day.
pub(super) async fn matches(db: &Db, config: &HubConfig, day: Option<NaiveDate>) -> anyhow::Result<()> {
    print!("{}", matching(db, config, four_weeks(config, day)).await?);
    Ok(())
}

/// Prints on how many devices members are known, and their changes between them in the 28 days up to a day.
pub(super) async fn devices(db: &Db, config: &HubConfig, day: Option<NaiveDate>) -> anyhow::Result<()> {
    print!("{}", report::devices::devices(db, config, four_weeks(config, day)).await?);
    Ok(())
}

/// What else can be reported.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum About {
    /// What was forgotten at the end of its retention, by day and table.
    Retention,
    /// What each source of touchpoints told and what was refused, in the 28 days up to the day.
    Completeness,
    /// The share of visits, orders and exposures that is tied to a member, by store, kind of key and week, in the 28 days up to the day; and the
    /// moments that made the links.
    Match,
    /// On how many browsers and phones members are known, and between which they change, in the 28 days up to the day.
    Devices,
}

/// Days of the report about retention.
const DAYS: u32 = 31;

/// Prints what was forgotten at the end of its retention: a row for each day and table.
pub(super) async fn retention(db: &Db) -> anyhow::Result<()> {
    let rows = counts(db, DAYS).await?;
    println!("{:<12}{:<24}{:>12}", "day (UTC)", "table", "forgotten");
    rows.iter().for_each(|(day, what, n)| println!("{day:<12}{what:<24}{n:>12}"));
    if rows.is_empty() {
        println!("nothing yet: a running hub looks every hour");
    }
    Ok(())
}

fn today(config: &HubConfig, zone: Tz) -> NaiveDate {
    DateTime::from_timestamp_millis(config.clock.now().0).unwrap_or_default().with_timezone(&zone).date_naive()
}

/// The 28 days up to a day, or up to today.
fn four_weeks(config: &HubConfig, day: Option<NaiveDate>) -> Span {
    let zone = zone(config);
    let day = day.unwrap_or_else(|| today(config, zone));
    Span { from: span(day - Days::new(27), zone).from, to: span(day, zone).to }
}

/// The zone of the first store.
fn zone(config: &HubConfig) -> Tz {
    config.site.stores.values().next().map_or(chrono_tz::UTC, |s| s.timezone)
}

fn span(day: NaiveDate, zone: Tz) -> Span {
    let midnight = |day: NaiveDate| zone.from_local_datetime(&day.and_time(NaiveTime::MIN)).earliest().map_or(0, |t| t.timestamp_millis());
    Span { from: Millis(midnight(day)), to: Millis(midnight(day + Days::new(1))) }
}
