//! Variants of a test beside each other: which of them identified more people, and what the members who saw each did within thirty days. Shares come
//! with their 95 % intervals, differences with Newcombe's. Rows about fewer than k members are withheld.
//!
//! A test is a campaign whose touchpoints name variants; touchpoints without a campaign, and `POST /v1/identify` with a variant, are the test `-`. Who
//! saw two variants of one test counts for the first.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    time::Duration,
};

use passage_config::{HubConfig, Site};

use crate::{
    args,
    report::{
        Span, Withheld,
        proportion::{Interval, Share},
        text::table,
        withhold,
    },
    store::{Db, Row, StoreError, Tx},
};

/// What a member does within this time of the first contact is counted.
pub const WITHIN: Duration = Duration::from_secs(30 * 86_400);

/// What may come of a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Whoever saw it is tied to a member who grants `match`.
    Identified,
    /// A member ordered online.
    Ordered,
    /// A member visited a store (a qualified visit).
    Visited,
    /// A member bought in a store.
    Bought,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Identified => "identified",
            Self::Ordered => "ordered",
            Self::Visited => "visited",
            Self::Bought => "bought",
        }
    }
}

/// One outcome of one variant.
#[derive(Debug, Clone, PartialEq)]
pub struct VariantRow {
    /// The campaign, or `-`.
    pub campaign: String,
    /// The variant.
    pub variant: String,
    /// What is counted.
    pub outcome: Outcome,
    /// How many of how many: of everybody who saw the variant when it is [`Outcome::Identified`], else of the members.
    pub share: Share,
    /// How much more often than with the test's first variant; none for the first itself, and where that is withheld.
    pub difference: Option<Interval>,
}

/// The whole report. [`fmt::Display`] prints it as a table.
#[derive(Debug, Clone)]
pub struct Variants {
    /// By campaign, outcome and variant.
    pub rows: Withheld<VariantRow>,
    /// The least number of members in a row.
    pub k: u32,
}

/// Whatever names a variant: touchpoints, and moments at which somebody was identified.
macro_rules! contacts {
    () => {
        "(SELECT COALESCE(t.campaign, '-') AS campaign, t.variant, t.at, t.id, t.identifier_kind AS kind, t.identifier AS key FROM touchpoint t \
         WHERE t.variant IS NOT NULL AND t.at >= $1 AND t.at < $2 \
         UNION ALL SELECT '-', l.variant, l.at, l.id, l.kind, l.key FROM link l \
         WHERE l.variant IS NOT NULL AND l.revoked_at IS NULL AND l.refused IS NULL AND l.at >= $1 AND l.at < $2)"
    };
}

/// Each contact with the member behind it, if there is one who lets herself be joined.
macro_rules! tied {
    ($join:literal) => {
        concat!(
            contacts!(),
            " e ",
            $join,
            held!(),
            " h ON h.kind = e.kind AND h.key = e.key AND e.at >= h.since AND (h.until IS NULL OR e.at <= h.until) ",
            $join,
            matchable!(),
            " c ON c.member = h.member"
        )
    };
}

/// The first contact of each member with each test.
macro_rules! first {
    () => {
        concat!(
            "(SELECT campaign, variant, member, at FROM (SELECT e.campaign, e.variant, c.member, e.at, \
             ROW_NUMBER() OVER (PARTITION BY e.campaign, c.member ORDER BY e.at, e.id) AS n FROM ",
            tied!("JOIN "),
            ") one WHERE n = 1)"
        )
    };
}

const MEMBERS: &str = concat!("SELECT f.campaign, f.variant, COUNT(*) FROM ", first!(), " f GROUP BY f.campaign, f.variant");

/// Browsers and phones that are no such member's.
const UNKNOWN: &str = concat!(
    "SELECT campaign, variant, COUNT(*) FROM (SELECT e.campaign, e.variant, \
     ROW_NUMBER() OVER (PARTITION BY e.campaign, e.kind, e.key ORDER BY e.at, e.id) AS n, \
     COUNT(c.member) OVER (PARTITION BY e.campaign, e.kind, e.key) AS tied FROM ",
    tied!("LEFT JOIN "),
    ") one WHERE n = 1 AND tied = 0 GROUP BY campaign, variant"
);

const ORDERED: &str = concat!(
    "SELECT DISTINCT f.campaign, f.variant, f.member FROM ",
    first!(),
    " f JOIN ",
    held!(),
    " o ON o.member = f.member JOIN touchpoint t ON t.identifier_kind = o.kind AND t.identifier = o.key AND t.at >= o.since \
     AND (o.until IS NULL OR t.at <= o.until) WHERE t.kind IN ('order', 'click_collect') AND t.at > f.at AND t.at <= f.at + $3"
);

/// With the store, and each company that she allows to join it: [`of_its_company`] keeps that of the store.
const VISITED: &str = concat!(
    "SELECT DISTINCT f.campaign, f.variant, f.member, v.store, a.brand, a.entity FROM ",
    first!(),
    " f JOIN visit v ON v.member = f.member JOIN ",
    allowed!(),
    " a ON a.member = f.member WHERE v.label = 'qualified' AND v.start_at > f.at AND v.start_at <= f.at + $3"
);

const BOUGHT: &str = concat!(
    "SELECT DISTINCT f.campaign, f.variant, f.member, p.store, a.brand, a.entity FROM ",
    first!(),
    " f JOIN ",
    held!(),
    " o ON o.member = f.member JOIN purchase p ON p.identifier_kind = o.kind AND p.identifier = o.key AND p.at >= o.since \
     AND (o.until IS NULL OR p.at <= o.until) JOIN ",
    allowed!(),
    " a ON a.member = f.member WHERE p.at > f.at AND p.at <= f.at + $3"
);

/// Test and variant.
type Arm = (String, String);

/// What became of those who saw one variant.
#[derive(Debug, Default)]
struct Seen {
    members: i64,
    unknown: i64,
    did: BTreeMap<Outcome, HashSet<i64>>,
}

/// Counts on one snapshot of the database.
pub async fn variants(db: &Db, config: &HubConfig, span: Span) -> Result<Variants, StoreError> {
    let mut tx = db.begin_read().await?;
    let mut arms: BTreeMap<Arm, Seen> = BTreeMap::new();
    for row in tx.fetch(MEMBERS, args![span.from, span.to]).await? {
        arms.entry(arm(&row)?).or_default().members = row.int(2)?;
    }
    for row in tx.fetch(UNKNOWN, args![span.from, span.to]).await? {
        arms.entry(arm(&row)?).or_default().unknown = row.int(2)?;
    }
    for (outcome, sql) in [(Outcome::Ordered, ORDERED), (Outcome::Visited, VISITED), (Outcome::Bought, BOUGHT)] {
        count(&mut tx, &config.site, span, outcome, sql, &mut arms).await?;
    }
    let rows = withhold(rows(&arms), config.k, |row| at_stake(row, config.k));
    Ok(Variants { rows: compare(rows, &arms), k: config.k })
}

fn arm(row: &Row) -> Result<Arm, StoreError> {
    Ok((row.text(0)?, row.text(1)?))
}

async fn count(
    tx: &mut Tx,
    site: &Site,
    span: Span,
    outcome: Outcome,
    sql: &'static str,
    arms: &mut BTreeMap<Arm, Seen>,
) -> Result<(), StoreError> {
    let within = i64::try_from(WITHIN.as_millis()).unwrap_or(i64::MAX);
    for row in tx.fetch(sql, args![span.from, span.to, within]).await? {
        if outcome == Outcome::Ordered || of_its_company(site, &row)? {
            arms.entry(arm(&row)?).or_default().did.entry(outcome).or_default().insert(row.int(2)?);
        }
    }
    Ok(())
}

/// True if the consent is one to the company of the store.
fn of_its_company(site: &Site, row: &Row) -> Result<bool, StoreError> {
    let (store, brand, entity) = (row.text(3)?, row.text(4)?, row.text(5)?);
    let store = site.stores.iter().find(|(id, _)| id.as_str() == store).map(|(_, store)| store);
    Ok(store.is_some_and(|store| store.brand == brand && store.entity == entity))
}

fn rows(arms: &BTreeMap<Arm, Seen>) -> Vec<VariantRow> {
    let row = |((campaign, variant), seen): (&Arm, &Seen), outcome| {
        let did = seen.did.get(&outcome).map_or(0, HashSet::len);
        let share = match outcome {
            Outcome::Identified => share(seen.members, seen.members + seen.unknown),
            _ => share(i64::try_from(did).unwrap_or(i64::MAX), seen.members),
        };
        VariantRow { campaign: campaign.clone(), variant: variant.clone(), outcome, share, difference: None }
    };
    let outcomes = [Outcome::Identified, Outcome::Ordered, Outcome::Visited, Outcome::Bought];
    let mut rows: Vec<VariantRow> = arms.iter().flat_map(|arm| outcomes.map(|outcome| row(arm, outcome))).collect();
    rows.sort_by(|a, b| (&a.campaign, a.outcome, &a.variant).cmp(&(&b.campaign, b.outcome, &b.variant)));
    rows
}

fn share(yes: i64, of: i64) -> Share {
    let count = |n: i64| u32::try_from(n).unwrap_or(u32::MAX);
    Share { yes: count(yes), of: count(of) }
}

/// The smallest group that a row tells about.
fn at_stake(row: &VariantRow, k: u32) -> i64 {
    i64::from(if row.share.of < k { row.share.of } else { row.share.yes })
}

/// Sets each row against the one of its test's first variant.
fn compare(mut shown: Withheld<VariantRow>, arms: &BTreeMap<Arm, Seen>) -> Withheld<VariantRow> {
    let mut first: BTreeMap<&str, &str> = BTreeMap::new();
    for (campaign, variant) in arms.keys() {
        first.entry(campaign).or_insert(variant);
    }
    let is_first = |row: &&VariantRow| first.get(row.campaign.as_str()) == Some(&row.variant.as_str());
    let against: BTreeMap<(String, Outcome), Share> =
        shown.rows.iter().filter(is_first).map(|row| ((row.campaign.clone(), row.outcome), row.share)).collect();
    for row in shown.rows.iter_mut().filter(|row| !is_first(&&**row)) {
        row.difference = against.get(&(row.campaign.clone(), row.outcome)).map(|first| row.share.minus(*first));
    }
    shown
}

impl fmt::Display for Variants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let points = |i: &Interval| format!("{:+.1} ({:+.1} to {:+.1})", 100.0 * i.value, 100.0 * i.low, 100.0 * i.high);
        let row = |row: &VariantRow| {
            let seen = row.share.interval();
            let against = row.difference.as_ref().map_or_else(|| "-".to_owned(), points);
            let words = [row.campaign.clone(), row.variant.clone(), row.outcome.word().to_owned()];
            let counts = [row.share.of.to_string(), row.share.yes.to_string(), percent(seen.value)];
            words.into_iter().chain(counts).chain([format!("{} to {}", percent(seen.low), percent(seen.high)), against]).collect()
        };
        let rows: Vec<Vec<String>> = self.rows.rows.iter().map(row).collect();
        let head = ["campaign", "variant", "outcome", "people", "yes", "share", "95 %", "points more than the first variant (95 %)"];
        write!(f, "{}", table(&head, &rows))?;
        writeln!(f, "rows withheld because they are about fewer than {} members: {}", self.k, self.rows.withheld)
    }
}
