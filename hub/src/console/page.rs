//! The pages: what is read becomes words.

use askama::Template;
use axum::response::Html;
use chrono::{DateTime, NaiveTime, TimeZone};
use chrono_tz::Tz;
use passage_protocol::{Millis, StoreId};

use super::{Console, Page, query};
use crate::{
    command::gateways as fleet,
    identity::MemberId,
    offer::{Check, Decision, decision::Mark},
    privacy::audit,
    report::{self, Span, Summary},
    store,
    visit::Visit,
};

/// What every page carries.
struct Frame {
    title: &'static str,
    now: String,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    summary: Summary,
}

#[derive(Template)]
#[template(path = "table.html")]
struct Table {
    frame: Frame,
    note: &'static str,
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Console {
    /// Shops are shown in their own time; pages over several shops in the first shop's.
    fn zone(&self, store: Option<&str>) -> Tz {
        let config = self.config.borrow();
        let own = store.and_then(|s| s.parse::<StoreId>().ok()).and_then(|id| config.site.stores.get(&id).map(|s| s.timezone));
        own.or_else(|| config.site.stores.values().next().map(|s| s.timezone)).unwrap_or(chrono_tz::UTC)
    }

    fn local(&self, at: i64, store: Option<&str>) -> DateTime<Tz> {
        DateTime::from_timestamp_millis(at).unwrap_or_default().with_timezone(&self.zone(store))
    }

    fn time(&self, at: i64, store: &str) -> String {
        self.local(at, Some(store)).format("%H:%M:%S").to_string()
    }

    /// The calendar day that the clock shows.
    fn today(&self) -> Span {
        let now = self.local(self.clock.now().0, None);
        let midnight = |day: chrono::NaiveDate| {
            let local = day.and_time(NaiveTime::MIN);
            self.zone(None).from_local_datetime(&local).earliest().map_or(0, |t| t.timestamp_millis())
        };
        let day = now.date_naive();
        Span { from: Millis(midnight(day)), to: Millis(midnight(day + chrono::Days::new(1))) }
    }

    fn frame(&self, title: &'static str) -> Frame {
        Frame { title, now: self.local(self.clock.now().0, None).format("%A %-d %B %Y, %H:%M:%S").to_string() }
    }
}

/// The checks in their order, each with its mark.
fn checks(checks: &[Check]) -> String {
    let one = |c: &Check| {
        let mark = match c.outcome {
            Mark::Pass => "✓",
            Mark::Fail => "✗",
            Mark::Skip => "–",
        };
        format!("{mark} {}", c.detail)
    };
    checks.iter().map(one).collect::<Vec<_>>().join(" · ")
}

fn render(template: &impl Template) -> Page {
    Ok(Html(template.render()?))
}

pub async fn overview(console: &Console) -> Page {
    let config = console.config.borrow().clone();
    let summary = report::summary(&console.db, &config, console.today()).await?;
    render(&Overview { frame: console.frame("Overview"), summary })
}

pub async fn visits(console: &Console) -> Page {
    let found = query::visits(&console.db, console.today()).await?;
    let row = |v: &Visit| {
        let state = if v.open { "still there" } else { "ended" };
        let dwell = format!("{} min {:02} s", v.dwell_ms / 60_000, v.dwell_ms / 1000 % 60);
        let time = |at: Millis| console.time(at.0, v.store.as_str());
        vec![v.member.code(), time(v.start), time(v.end), v.store.to_string(), dwell, v.label.word().to_owned(), state.to_owned()]
    };
    render(&Table {
        frame: console.frame("Visits"),
        note: "Stays of consenting members today. The end is the last evidence, never a time-out.",
        head: vec!["member", "from", "to", "store", "dwell", "label", "state"],
        rows: found.iter().map(row).collect(),
    })
}

pub async fn messages(console: &Console) -> Page {
    let found = query::messages(&console.db, console.today()).await?;
    let row = |m: &query::MessageLine| {
        let fate = if m.reason.is_empty() { m.state.clone() } else { format!("{} ({})", m.state, m.reason) };
        vec![console.time(m.at, &m.store), m.member.code(), m.offer.clone(), m.store.clone(), fate, m.text.clone()]
    };
    render(&Table {
        frame: console.frame("Messages"),
        note: "SMS of today; numbers are never shown. A message whose fate nobody can know is shown as unknown and is not repeated.",
        head: vec!["planned", "member", "offer", "store", "fate", "text"],
        rows: found.iter().map(row).collect(),
    })
}

/// The page of one member, and of those who went into her; that it was looked at is on record.
pub async fn decisions_of(console: &Console, member: MemberId) -> Page {
    let member = store::people::graph::standing_for(&mut console.db.begin_read().await?, member).await?;
    audit::note(&console.db, audit::CONSOLE, "console decisions", &[member], console.clock.now()).await?;
    decisions(console, Some(member)).await
}

pub async fn decisions(console: &Console, member: Option<MemberId>) -> Page {
    let found = query::decisions(&console.db, console.today(), member).await?;
    let row = |d: &Decision| {
        let at = console.time(d.at.0, d.store.as_str());
        let (store, result) = (d.store.to_string(), d.result.word().to_owned());
        vec![at, d.member.code(), d.offer.clone(), store, d.trigger.clone(), result, checks(&d.checks)]
    };
    render(&Table {
        frame: console.frame("Decisions"),
        note: "Every evaluation of an offer today, with the outcome of each check.",
        head: vec!["at", "member", "offer", "store", "trigger", "result", "checks"],
        rows: found.iter().map(row).collect(),
    })
}

pub async fn matching(console: &Console) -> Page {
    let config = console.config.borrow().clone();
    let now = console.clock.now();
    let span = Span { from: now - std::time::Duration::from_secs(28 * 86_400), to: now };
    let found = report::matching::matching(&console.db, &config, span).await?;
    render(&Table {
        frame: console.frame("Match rate"),
        note: "Visits, orders and exposures of four weeks that are tied to a member who allows it. Rows about too few members are withheld.",
        head: report::matching::HEAD.to_vec(),
        rows: found.rows.rows.iter().map(report::matching::MatchRow::cells).collect(),
    })
}

pub async fn gateways(console: &Console) -> Page {
    let (found, now) = (store::gateway::all(&console.db).await?, console.clock.now());
    render(&Table {
        frame: console.frame("Gateways"),
        note: "The fleet. Missing events are asked for again with every ack and come by themselves; what is gone was given up by the gateway with a \
               reason. A forked epoch waits for a person: passage-hub gateways release.",
        head: fleet::HEAD.to_vec(),
        rows: found.iter().map(|gateway| fleet::cells(gateway, now)).collect(),
    })
}

pub async fn replays(console: &Console) -> Page {
    let now = console.clock.now();
    let span = Span { from: now - std::time::Duration::from_secs(28 * 86_400), to: now + std::time::Duration::from_secs(1) };
    render(&Table {
        frame: console.frame("Replays"),
        note: "Rotating ids of four weeks that were heard in two stores too far apart for one phone: somebody copied them. Neither store has a visit \
               by them, and no offer follows.",
        head: report::replays::HEAD.to_vec(),
        rows: report::replays::rows(&console.db, span).await?,
    })
}
