//! What each source of touchpoints told: how much was new, what it was worth to reports, and what was refused for which reason.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use chrono::NaiveDate;
use passage_config::HubConfig;

use crate::{
    report::text::table,
    store::{self, Db, StoreError},
};

/// The table since this UTC day.
///
/// # Errors
/// The database.
pub async fn text(db: &Db, config: &HubConfig, since: NaiveDate) -> Result<String, StoreError> {
    let day = since.signed_duration_since(NaiveDate::default()).num_days();
    let mut tx = db.begin_read().await?;
    let counts = store::tally::since(&mut tx, day).await?;
    let totals = store::tally::totals_since(&mut tx, day).await?;
    let mut out = format!("touchpoints since {since} (UTC), by source\n\n");
    out += &told(&counts);
    out += "\nrefused, by reason; and what only bots and prefetches asked for\n\n";
    out += &refused(&counts);
    out += "\nexposures of nobody in particular\n\n";
    let rows: Vec<Vec<String>> =
        totals.into_iter().map(|(source, campaign, channel, kind, n)| vec![source, campaign, channel, kind, n.to_string()]).collect();
    out += &table(&["source", "campaign", "channel", "kind", "count"], &rows);
    for name in silent(&counts, config) {
        // Writing to a String does not fail.
        let _ = write!(out, "\n{name}: nothing was heard of this source");
    }
    Ok(out)
}

fn told(counts: &[(String, String, String, i64)]) -> String {
    let mut kinds: BTreeMap<(&str, &str), BTreeMap<&str, i64>> = BTreeMap::new();
    for (source, kind, outcome, n) in counts.iter().filter(|c| c.1 != "refused" && c.2 != "bot or prefetch") {
        kinds.entry((source, kind)).or_default().insert(outcome, *n);
    }
    let rows: Vec<Vec<String>> = kinds
        .into_iter()
        .map(|((source, kind), outcomes)| {
            let of = |name: &str| outcomes.get(name).copied().unwrap_or(0);
            let stored = of("stored");
            let share = |name| if stored == 0 { "-".to_owned() } else { format!("{} %", of(name) * 100 / stored) };
            let [campaign, channel, sku] = ["with campaign", "with channel", "with sku"].map(share);
            vec![
                source.to_owned(),
                kind.to_owned(),
                stored.to_string(),
                of("duplicate").to_string(),
                of("corrected").to_string(),
                campaign,
                channel,
                sku,
            ]
        })
        .collect();
    table(&["source", "kind", "stored", "repeated", "corrected", "campaign", "channel", "product"], &rows)
}

fn refused(counts: &[(String, String, String, i64)]) -> String {
    let rows: Vec<Vec<String>> = counts
        .iter()
        .filter(|c| c.1 == "refused" || c.2 == "bot or prefetch")
        .map(|(source, kind, outcome, n)| {
            let reason = if kind == "refused" { outcome.clone() } else { format!("{outcome}: {kind}") };
            vec![source.clone(), reason, n.to_string()]
        })
        .collect();
    table(&["source", "reason", "rows"], &rows)
}

/// Sources of the configuration that told nothing.
fn silent(counts: &[(String, String, String, i64)], config: &HubConfig) -> Vec<String> {
    let heard: BTreeSet<&str> = counts.iter().map(|c| c.0.as_str()).collect();
    let plan = config.site.touch.plan.iter().flat_map(BTreeMap::keys);
    let all: BTreeSet<&String> = config.api_tokens.keys().chain(config.web.webhooks.keys()).chain(plan).collect();
    all.into_iter().filter(|name| !heard.contains(name.as_str())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_what_was_stored_and_reasons_stand_apart() {
        let count = |kind: &str, outcome: &str, n| ("site".to_owned(), kind.to_owned(), outcome.to_owned(), n);
        let counts =
            [count("view", "stored", 200), count("view", "with sku", 150), count("view", "duplicate", 7), count("refused", "at", 3)];
        let told = told(&counts);
        assert!(told.contains("site    view  200     7         0          0 %       0 %      75 %"), "{told}");
        assert!(refused(&counts).contains("site    at      3"));
    }
}
