//! Counts what became of the rows of each source, and exposures of nobody in particular. Kept in memory and added to the database every few seconds:
//! at most so much is missing after a crash.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use passage_protocol::Millis;

use crate::{
    store::{Db, StoreError, tally},
    touchpoint::{TouchKind, Touchpoint},
};

/// Most different counts between two flushes; their names come from the configuration, so only a mistake could reach it.
const MOST: usize = 10_000;
const DAY_MS: i64 = 86_400_000;

/// Source, UTC day, kind, outcome.
pub type TallyRow = (String, i64, &'static str, &'static str);
/// Source, UTC day, campaign, channel, kind.
pub type TotalRow = (String, i64, String, String, &'static str);

/// Counts since the last flush.
#[derive(Debug, Default)]
pub struct Tally {
    rows: Mutex<BTreeMap<TallyRow, i64>>,
    totals: Mutex<BTreeMap<TotalRow, i64>>,
}

/// Counts of one call, to be added at once.
#[derive(Debug, Default)]
pub struct Counts(BTreeMap<(&'static str, &'static str), i64>);

/// What is counted of one touchpoint.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    kind: &'static str,
    campaign: bool,
    channel: bool,
    sku: bool,
}

impl Told {
    /// What is counted of this one.
    pub fn of(touch: &Touchpoint) -> Self {
        Self { kind: touch.kind.word(), campaign: touch.campaign.is_some(), channel: touch.channel.is_some(), sku: touch.sku.is_some() }
    }
}

impl Counts {
    /// A touchpoint that was read: whether it was new, and which of the fields that reports need it had.
    pub fn taken(&mut self, told: Told, new: bool) {
        self.add(told.kind, if new { "stored" } else { "duplicate" });
        if new {
            let fields = [("with campaign", told.campaign), ("with channel", told.channel), ("with sku", told.sku)];
            fields.into_iter().filter(|(_, has)| *has).for_each(|(name, _)| self.add(told.kind, name));
        }
    }

    /// A row that took the place of an older one with its key.
    pub fn corrected(&mut self, kind: TouchKind) {
        self.add(kind.word(), "corrected");
    }

    /// A row that was refused.
    pub fn refused(&mut self, code: &'static str) {
        self.add("refused", code);
    }

    /// What only a bot or a prefetch asks for.
    pub fn not_human(&mut self, kind: TouchKind) {
        self.add(kind.word(), "bot or prefetch");
    }

    fn add(&mut self, kind: &'static str, outcome: &'static str) {
        *self.0.entry((kind, outcome)).or_default() += 1;
    }
}

impl Tally {
    /// Adds what became of the rows of one call.
    pub fn add(&self, source: &str, now: Millis, counts: Counts) {
        counts.0.into_iter().for_each(|((kind, outcome), n)| plus(&self.rows, (source.to_owned(), day(now), kind, outcome), n));
    }

    /// Adds exposures of nobody in particular.
    pub fn add_total(&self, source: &str, at: Millis, campaign: &str, channel: &str, kind: TouchKind) {
        plus(&self.totals, (source.to_owned(), day(at), campaign.to_owned(), channel.to_owned(), kind.word()), 1);
    }

    /// Adds the counts to the database. What could not be added is kept for the next time.
    ///
    /// # Errors
    /// The database.
    pub async fn flush(&self, db: &Db) -> Result<(), StoreError> {
        let (rows, totals) = (take(&self.rows), take(&self.totals));
        if rows.is_empty() && totals.is_empty() {
            return Ok(());
        }
        let done = async {
            let mut tx = db.begin().await?;
            tally::add(&mut tx, &rows).await?;
            tally::add_totals(&mut tx, &totals).await?;
            tx.commit().await
        };
        if let Err(error) = done.await {
            rows.into_iter().for_each(|(row, n)| plus(&self.rows, row, n));
            totals.into_iter().for_each(|(row, n)| plus(&self.totals, row, n));
            return Err(error);
        }
        Ok(())
    }
}

fn day(at: Millis) -> i64 {
    at.0.div_euclid(DAY_MS)
}

fn plus<K: Ord>(counts: &Mutex<BTreeMap<K, i64>>, row: K, n: i64) {
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    if counts.len() < MOST || counts.contains_key(&row) {
        *counts.entry(row).or_default() += n;
    }
}

fn take<K>(counts: &Mutex<BTreeMap<K, i64>>) -> BTreeMap<K, i64> {
    std::mem::take(&mut *counts.lock().unwrap_or_else(PoisonError::into_inner))
}
