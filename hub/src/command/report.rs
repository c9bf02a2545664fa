//! `passage-hub report`.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeZone};
use chrono_tz::Tz;
use passage_config::HubConfig;
use passage_protocol::Millis;

use crate::{
    identity::MemberId,
    report::{Span, completeness, devices::devices, matching::matching, replays, street::street, summary, text, variants::variants},
    store::{Db, audit, retention::counts},
};

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
    /// Rotating ids that were heard in two stores too far apart for one phone, in the 28 days up to the day: copies, which prove no visit.
    Replays,
    /// The variants of each test beside each other, in the 28 days up to the day: who was identified, ordered, visited or bought, with 95 % intervals.
    Variants,
    /// Who looked at what is known of which member, in the 28 days up to the day; kept for a year.
    Audit,
    /// Schedules of advertising in the street beside the visits of their stores, in the 28 days up to the day. Totals only, credited to nobody.
    Street,
}

/// Prints the report of a day, or what else was asked for. Days are those of the first store's zone.
pub(super) async fn report(db: &Db, config: &HubConfig, day: Option<NaiveDate>, about: Option<About>) -> anyhow::Result<()> {
    let zone = config.site.stores.values().next().map_or(chrono_tz::UTC, |s| s.timezone);
    let day = day.unwrap_or_else(|| today(config, zone));
    let since = day - Days::new(27);
    let four_weeks = Span { from: span(since, zone).from, to: span(day, zone).to };
    match about {
        None => println!("{day} ({zone})\n\n{}", summary(db, config, span(day, zone)).await?),
        Some(About::Retention) => retention(db).await?,
        Some(About::Completeness) => println!("{}", completeness::text(db, config, since).await?),
        Some(About::Match) => print!("{}", matching(db, config, four_weeks).await?),
        Some(About::Devices) => print!("{}", devices(db, config, four_weeks).await?),
        Some(About::Replays) => {
            let rows = replays::rows(db, four_weeks).await?;
            println!("{}{} replays", text::table(&replays::HEAD, &rows), rows.len());
        }
        Some(About::Variants) => print!("{}", variants(db, config, four_weeks).await?),
        Some(About::Audit) => {
            let looks = audit::list(db, four_weeks.from, four_weeks.to).await?;
            let row = |(at, who, what, member): &(Millis, String, String, MemberId)| {
                vec![text::utc(*at), who.clone(), what.clone(), member.code()]
            };
            let rows: Vec<_> = looks.iter().map(row).collect();
            println!("{}{} looks at members", text::table(&["when (UTC)", "who", "with", "member"], &rows), rows.len());
        }
        Some(About::Street) => print!("{}", street(db, config, four_weeks, config.clock.now()).await?),
    }
    Ok(())
}

/// Days of the report about retention.
const DAYS: u32 = 31;

/// Prints what was forgotten at the end of its retention: a row for each day and table.
async fn retention(db: &Db) -> anyhow::Result<()> {
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

fn span(day: NaiveDate, zone: Tz) -> Span {
    let midnight = |day: NaiveDate| zone.from_local_datetime(&day.and_time(NaiveTime::MIN)).earliest().map_or(0, |t| t.timestamp_millis());
    Span { from: Millis(midnight(day)), to: Millis(midnight(day + Days::new(1))) }
}
