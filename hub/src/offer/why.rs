//! "Why did, or didn't, this member get that offer": the visits and decisions of a member, or of one visit, in plain words.

use std::{collections::BTreeMap, fmt::Write as _};

use chrono::DateTime;
use chrono_tz::Tz;
use passage_config::Site;
use passage_protocol::{Millis, StoreId};
use uuid::Uuid;

use crate::{
    identity::MemberId,
    offer::decision::{Decision, Mark, Outcome},
    store::{self, Db, StoreError, Tx, people},
    visit::{Label, State, Visit},
};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum WhyError {
    /// Neither a member code nor the id of a visit.
    #[error("'{0}' is neither a member code such as K7Q2-M9XA nor the id of a visit; the console and `passage-hub report` show both")]
    NotAName(String),
    /// No such visit.
    #[error("there is no visit {0}; it may be past its retention, or have become part of another visit")]
    NoVisit(Uuid),
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The answer for a member's code or a visit's id, at `now`. Times are those of the store, by `site`; of a store that it does not know any more, UTC.
pub async fn why(db: &Db, site: &Site, who: &str, now: Millis) -> Result<String, WhyError> {
    let mut tx = db.begin_read().await?;
    let (member, visit) = named(&mut tx, who).await?;
    let only = visit.as_ref().map(|v| v.id);
    let visits = match visit {
        Some(v) => vec![v],
        None => store::visit::of_member(&mut tx, member).await?,
    };
    let mut open = BTreeMap::new();
    for visit in visits.iter().filter(|v| v.open) {
        let stay = store::visit::get(&mut tx, visit.id).await?.ok_or(WhyError::NoVisit(visit.id))?.stay;
        open.insert(visit.id, (stay.state(now, &site.visit.score), stay.score_at(now, &site.visit.score)));
    }
    let decisions = store::decision::of_member(&mut tx, member).await?;
    let decisions: Vec<Decision> = decisions.into_iter().filter(|d| only.is_none() || d.visit == only).collect();
    let told = Told { site, now, visits: &visits, open: &open };
    Ok(tell(&told, member, &decisions))
}

/// The member whom a code or the id of a visit is about.
///
/// # Errors
/// It names nobody, or the database.
pub async fn whom(db: &Db, who: &str) -> Result<MemberId, WhyError> {
    named(&mut db.begin_read().await?, who).await.map(|(member, _)| member)
}

/// Who is meant, and the visit if it was named. Whoever went into another member is found under her: her visits and decisions are there.
async fn named(tx: &mut Tx, who: &str) -> Result<(MemberId, Option<Visit>), WhyError> {
    let visit = match who.parse::<Uuid>() {
        Ok(id) => Some(store::visit::get(tx, id).await?.ok_or(WhyError::NoVisit(id))?.visit),
        Err(_) => None,
    };
    let member = match &visit {
        Some(v) => v.member,
        None => MemberId::from_code(who).ok_or_else(|| WhyError::NotAName(who.to_owned()))?,
    };
    Ok((people::graph::standing_for(tx, member).await?, visit))
}

/// What is told about visits.
struct Told<'a> {
    site: &'a Site,
    now: Millis,
    visits: &'a [Visit],
    /// Where she stands in open ones, and the log-odds that she is inside.
    open: &'a BTreeMap<Uuid, (State, f64)>,
}

fn tell(told: &Told<'_>, member: MemberId, decisions: &[Decision]) -> String {
    let Told { site, visits, .. } = *told;
    let mut out = format!("Member {member}\n");
    if visits.is_empty() && decisions.is_empty() {
        out.push_str("  Nothing is recorded: not seen in or near any store, or without consent to presence.\n");
    }
    if let Some(habit) = habit(told) {
        line(&mut out, &habit);
    }
    for visit in visits {
        line(&mut out, &visit_line(told, visit));
        let own = decisions.iter().filter(|d| d.visit == Some(visit.id));
        own.for_each(|d| decision_lines(site, &mut out, d));
    }
    let apart: Vec<&Decision> = decisions.iter().filter(|d| !visits.iter().any(|v| d.visit == Some(v.id))).collect();
    if !apart.is_empty() {
        line(&mut out, "Decisions without a visit that is still kept");
        apart.into_iter().for_each(|d| decision_lines(site, &mut out, d));
    }
    out
}

/// How often she came, and when the last time.
fn habit(told: &Told<'_>) -> Option<String> {
    let qualified: Vec<&Visit> = told.visits.iter().filter(|v| v.label == Label::Qualified).collect();
    let last = qualified.iter().max_by_key(|v| v.end)?;
    let (n, at, days) = (qualified.len(), local(told.site, &last.store, last.start), told.now.since(last.end).max(0) / 86_400_000);
    Some(format!("  Qualified visits: {n}, the last one on {at} in {}, {days} days ago", last.store))
}

fn visit_line(told: &Told<'_>, visit: &Visit) -> String {
    let site = told.site;
    let open = told.open.get(&visit.id).map(|(state, score)| format!(", still open: {} with log-odds {score:.1}", state.word()));
    format!(
        "Visit {} in {}: {} to {}, dwell {} min {:02} s, {}{}; known by {}, confidence {}{}",
        visit.id,
        visit.store,
        local(site, &visit.store, visit.start),
        local(site, &visit.store, visit.end),
        visit.dwell_ms / 60_000,
        visit.dwell_ms / 1000 % 60,
        visit.label.word(),
        open.unwrap_or_default(),
        list(visit.proof.kinds.iter().map(|kind| kind.word()), "what was in front alone"),
        visit.proof.confidence.word(),
        revised(visit),
    ) + &reasons(visit)
}

fn reasons(visit: &Visit) -> String {
    let reasons = visit.proof.reasons.iter().map(|reason| reason.word());
    if visit.proof.reasons.is_empty() { String::new() } else { format!("; not qualified because {}", list(reasons, "")) }
}

fn revised(visit: &Visit) -> String {
    visit.proof.revised.map(|because| format!("; revision {} because of {}", visit.proof.revision, because.word())).unwrap_or_default()
}

fn list(words: impl Iterator<Item = &'static str>, none: &str) -> String {
    let words: Vec<&str> = words.collect();
    if words.is_empty() { none.to_owned() } else { words.join(", ") }
}

fn decision_lines(site: &Site, out: &mut String, decision: &Decision) {
    let what = match decision.result {
        Outcome::Send => "sent".to_owned(),
        Outcome::Refuse(reason) => format!("not sent: {}", reason.word()),
    };
    let at = local(site, &decision.store, decision.at);
    let revision: String = decision.revision.chars().take(8).collect();
    line(out, &format!("  {at} offer {} on {}: {what} (configuration {revision})", decision.offer, decision.trigger));
    for check in &decision.checks {
        let mark = match check.outcome {
            Mark::Pass => "ok",
            Mark::Fail => "NO",
            Mark::Skip => "--",
        };
        line(out, &format!("    {mark} {:<22} {}", check.check, check.detail));
    }
}

fn line(out: &mut String, text: &str) {
    // Writing into a String has no way to fail.
    let _ = writeln!(out, "  {text}");
}

fn local(site: &Site, store: &StoreId, at: Millis) -> String {
    let zone = site.stores.get(store).map_or(Tz::UTC, |s| s.timezone);
    DateTime::from_timestamp_millis(at.0).unwrap_or_default().with_timezone(&zone).format("%Y-%m-%d %H:%M:%S").to_string()
}
