//! Honest numbers: visits by label, messages by fate, and what each campaign led to. Rows with too few members are withheld.

/// Which member holds a key at which time, if she lets touchpoints be joined. Times of one key do not overlap.
macro_rules! held {
    () => {
        "(SELECT i.kind, i.key, i.member, i.since, CAST(NULL AS BIGINT) AS until FROM identifier i \
         UNION ALL SELECT f.kind, f.key, f.member, f.since, f.until FROM former_holder f)"
    };
}

/// Members who let what they do be joined: `match` granted to some company, and not restricted. For what happened nowhere in particular, an exposure or a
/// change of browsers, of which no company is known; visits and orders ask for the company of their store.
macro_rules! matchable {
    () => {
        "(SELECT DISTINCT member FROM consent_now n WHERE purpose = 'match' AND granted = 1 \
         AND NOT EXISTS (SELECT 1 FROM restriction r WHERE r.member = n.member))"
    };
}

/// Members and the companies that they allow to join what they did online with what they did in the shop.
macro_rules! allowed {
    () => {
        "(SELECT member, brand, entity FROM consent_now n WHERE purpose = 'match' AND granted = 1 \
         AND NOT EXISTS (SELECT 1 FROM restriction r WHERE r.member = n.member))"
    };
}

mod campaign;
pub mod completeness;
pub mod devices;
pub mod matching;
pub mod proportion;
pub mod replays;
pub mod street;
pub(crate) mod text;
pub mod variants;

pub use campaign::{CampaignRow, Conversions, Withheld, campaigns};

use passage_config::HubConfig;
use passage_protocol::Millis;

use crate::{
    args,
    attribution::Model,
    store::{self, Db, StoreError, Tx},
};

/// The time that a report is about: `from` included, `to` excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First instant.
    pub from: Millis,
    /// First instant after it.
    pub to: Millis,
}

/// What happened in a span. [`std::fmt::Display`] prints it as tables.
#[derive(Debug, Clone)]
pub struct Summary {
    /// When.
    pub span: Span,
    /// Stays by label, in the order of the labels' names. They add up to all stays that were seen.
    pub visits: Vec<(String, i64)>,
    /// Messages by offer, fate and reason.
    pub messages: Vec<(String, String, String, i64)>,
    /// Decisions by offer and result.
    pub decisions: Vec<(String, String, i64)>,
    /// Campaigns by model.
    pub campaigns: Vec<(Model, Withheld<CampaignRow>)>,
    /// Conversions that the campaigns share, with those that nothing preceded.
    pub conversions: Conversions,
    /// The least number of members in a row.
    pub k: u32,
}

/// Counts and credits a span on one snapshot of the database.
pub async fn summary(db: &Db, config: &HubConfig, span: Span) -> Result<Summary, StoreError> {
    let mut tx = db.begin_read().await?;
    let all = campaign::credit(&mut tx, config, span).await?;
    Ok(Summary {
        span,
        visits: visits_by_label(&mut tx, span).await?,
        messages: messages_by_fate(&mut tx, span).await?,
        decisions: decisions_by_result(&mut tx, span).await?,
        campaigns: Model::ALL.into_iter().map(|m| (m, campaigns(&all, m, config.k))).collect(),
        conversions: campaign::conversions(&all, config.k),
        k: config.k,
    })
}

async fn visits_by_label(tx: &mut Tx, span: Span) -> Result<Vec<(String, i64)>, StoreError> {
    let found = store::visit::labels_summary(tx, span.from, span.to).await?;
    Ok(found.into_iter().map(|(label, n)| (label.word().to_owned(), n)).collect())
}

async fn messages_by_fate(tx: &mut Tx, span: Span) -> Result<Vec<(String, String, String, i64)>, StoreError> {
    let sql = "SELECT offer, state, COALESCE(reason, ''), COUNT(*) FROM message m WHERE planned_at >= $1 AND planned_at < $2 \
               AND NOT EXISTS (SELECT 1 FROM restriction r WHERE r.member = m.member) GROUP BY offer, state, COALESCE(reason, '') ORDER BY 1, 2, 3";
    let rows = tx.fetch(sql, args![span.from, span.to]).await?;
    rows.iter().map(|r| Ok((r.text(0)?, r.text(1)?, r.text(2)?, r.int(3)?))).collect()
}

async fn decisions_by_result(tx: &mut Tx, span: Span) -> Result<Vec<(String, String, i64)>, StoreError> {
    let found = store::decision::summary(tx, span.from, span.to).await?;
    Ok(found.into_iter().map(|(offer, result, n)| (offer, result.word().to_owned(), n)).collect())
}

/// Leaves out rows about some, but fewer than `k`, members.
fn withhold<T>(mut rows: Vec<T>, k: u32, members: impl Fn(&T) -> i64) -> Withheld<T> {
    let all = rows.len();
    rows.retain(|row| members(row) == 0 || members(row) >= i64::from(k));
    Withheld { withheld: all - rows.len(), rows }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_groups_are_withheld_and_empty_ones_are_not() {
        let shown = withhold(vec![0, 1, 19, 20], 20, |n| *n);
        assert_eq!((shown.rows, shown.withheld), (vec![0, 20], 2));
    }
}
