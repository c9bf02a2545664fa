//! What the page shows.

use askama::Template;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use passage_protocol::{Millis, StoreId};

use super::{Opened, words::Words};
use crate::{
    api::Api,
    args,
    identity::Purpose,
    offer::{
        Decision,
        decision::{Mark, Reason},
    },
    privacy::{export, inventory::HELD},
    store::{self, StoreError, Tx, people::consent},
};

/// Visits and messages on the page; the export has all.
const MOST: usize = 50;

#[derive(Template)]
#[template(path = "me.html")]
pub(super) struct View {
    words: &'static Words,
    token: String,
    brand: String,
    whole: bool,
    number: String,
    consents: Vec<Line>,
    held: Vec<(&'static str, i64)>,
    why: Vec<String>,
    visits: Vec<String>,
    messages: Vec<(String, Vec<String>)>,
}

struct Line {
    purpose: &'static str,
    word: &'static str,
    brand: String,
    brand_id: String,
    entity: String,
    since: String,
    granted: bool,
}

/// Reads it on one snapshot. Only a whole page holds visits, messages and the words of the messages.
pub(super) async fn view(api: &Api, opened: &Opened) -> Result<View, StoreError> {
    let (member, words) = (opened.page.member, opened.words);
    let config = api.config.borrow().clone();
    let mut tx = api.db.begin_read().await?;
    let number = export::number_of(&mut tx, &api.keyring, member, &config.phone_region).await?;
    let decisions = store::decision::of_member(&mut tx, member).await?;
    let places = Places { api, words };
    let mut view = View {
        words,
        token: opened.token.clone(),
        brand: config.site.brands.get(&opened.page.brand).map_or_else(String::new, |b| b.name.clone()),
        whole: opened.is_whole(),
        number: number.map_or_else(|| words.none.to_owned(), |n| n.to_string()),
        consents: consents(api, &mut tx, opened).await?,
        held: held(&mut tx, opened).await?,
        why: Vec::new(),
        visits: Vec::new(),
        messages: Vec::new(),
    };
    if let Some(message) = &opened.page.message {
        let decision = "SELECT decision FROM message WHERE id = $1 AND member = $2";
        let id = tx.fetch_optional(decision, args![message, member.0]).await?.map(|row| row.text(0)).transpose()?;
        view.why = decisions.iter().find(|d| id.as_deref() == Some(d.id.to_string().as_str())).map(|d| places.why(d)).unwrap_or_default();
    }
    if view.whole {
        let visits = store::visit::of_member(&mut tx, member).await?;
        view.visits = visits.iter().rev().take(MOST).map(|v| places.visit(v)).collect();
        view.messages = messages(&mut tx, opened, &decisions, &places).await?;
    }
    Ok(view)
}

async fn consents(api: &Api, tx: &mut Tx, opened: &Opened) -> Result<Vec<Line>, StoreError> {
    let config = api.config.borrow().clone();
    let mut standing = consent::standing(tx, opened.page.member).await?;
    standing.sort_by(|a, b| (&a.brand, &a.entity, a.purpose).cmp(&(&b.brand, &b.entity, b.purpose)));
    let line = |s: &crate::identity::consent::Standing| {
        let brand = config.site.brands.get(&s.brand);
        let legal = brand.and_then(|b| b.entities.get(&s.entity)).cloned();
        Line {
            purpose: opened.words.purpose(s.purpose),
            word: s.purpose.word(),
            brand: legal.unwrap_or_else(|| s.brand.clone()),
            brand_id: s.brand.clone(),
            entity: s.entity.clone(),
            since: opened.words.day(local(s.at, Tz::UTC)),
            granted: s.granted,
        }
    };
    Ok(standing.iter().map(line).collect())
}

/// How many rows each table holds about her, in words.
async fn held(tx: &mut Tx, opened: &Opened) -> Result<Vec<(&'static str, i64)>, StoreError> {
    let mut found = Vec::new();
    for (table, what) in opened.words.tables {
        let Some(holding) = HELD.iter().find(|h| h.table == *table) else { continue };
        let rows = tx.fetch(holding.find, args![opened.page.member.0]).await?.len();
        if rows > 0 {
            found.push((*what, i64::try_from(rows).unwrap_or(i64::MAX)));
        }
    }
    Ok(found)
}

async fn messages(
    tx: &mut Tx,
    opened: &Opened,
    decisions: &[Decision],
    places: &Places<'_>,
) -> Result<Vec<(String, Vec<String>)>, StoreError> {
    let sql = "SELECT decision, store, planned_at, text, state FROM message WHERE member = $1 ORDER BY planned_at DESC LIMIT $2";
    let mut found = Vec::new();
    for row in tx.fetch(sql, args![opened.page.member.0, MOST as i64]).await? {
        let id = row.text(0)?;
        let store = row.text(1)?.parse().map_err(|_| StoreError::Corrupt("store id"))?;
        let line = format!("{} ({}): {}", places.time(&store, row.millis(2)?), row.text(4)?, row.text(3)?);
        let why = decisions.iter().find(|d| d.id.to_string() == id).map(|d| places.why(d)).unwrap_or_default();
        found.push((line, why));
    }
    Ok(found)
}

fn local(at: Millis, zone: Tz) -> DateTime<Tz> {
    DateTime::<Utc>::from_timestamp_millis(at.0).unwrap_or_default().with_timezone(&zone)
}

/// Stores by their names and times.
struct Places<'a> {
    api: &'a Api,
    words: &'static Words,
}

impl Places<'_> {
    fn name(&self, store: &StoreId) -> String {
        self.api.config.borrow().site.stores.get(store).map_or_else(|| store.to_string(), |s| s.name.clone())
    }

    fn time(&self, store: &StoreId, at: Millis) -> String {
        let zone = self.api.config.borrow().site.stores.get(store).map_or(Tz::UTC, |s| s.timezone);
        self.words.time(local(at, zone))
    }

    fn visit(&self, visit: &crate::visit::Visit) -> String {
        format!("{}, {}, {} min", self.time(&visit.store, visit.start), self.name(&visit.store), visit.dwell_ms / 60_000)
    }

    /// Why an offer was sent: what was asked and found, from the record of the decision.
    fn why(&self, decision: &Decision) -> Vec<String> {
        let (words, place) = (self.words, self.name(&decision.store));
        let came = if decision.trigger == "near" { words.was_near } else { words.was_in };
        let mut lines = vec![format!("{} {place}, {}.", came, self.time(&decision.store, decision.at)), words.allowed_sms.to_owned()];
        let passed = |reason: Reason| decision.checks.iter().any(|c| c.check == reason.word() && c.outcome == Mark::Pass);
        let found = [
            (Reason::NoMatchConsent, words.allowed_match),
            (Reason::NotExposed, words.saw_campaign),
            (Reason::NoPersonaliseConsent, words.allowed_personalise),
            (Reason::NotViewed, words.looked_at),
            (Reason::CapMonth, words.not_too_many),
        ];
        lines.extend(found.into_iter().filter(|(reason, _)| passed(*reason)).map(|(_, line)| line.to_owned()));
        lines
    }
}

impl Words {
    fn purpose(&self, purpose: Purpose) -> &'static str {
        let place = Purpose::ALL.iter().position(|p| *p == purpose).unwrap_or(0);
        self.purposes[place]
    }
}
