//! The match rate: which share of visits, orders and exposures is tied to a member, by store, kind of key and ISO week; and at which moments the links
//! were learnt. Rows about 1 to k-1 members are withheld.

use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, Datelike, Days};
use passage_config::{HubConfig, Site};

use crate::{
    args,
    report::{Span, Withheld, text::table, withhold},
    store::{Db, Row, StoreError, Tx},
};

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MatchRow {
    /// `visit`, `order` or `exposure`.
    pub what: &'static str,
    /// The ISO week, in UTC, for example `2026-W47`.
    pub week: String,
    /// The store, or `-` for what has none.
    pub store: String,
    /// The kind of key. A visit counts once for each kind that its member holds, and once under `any`.
    pub key: String,
    /// How many there were.
    pub all: i64,
    /// How many of them are tied to a member who grants `match` to the company of the store; of an exposure, which has none, to any.
    pub matched: i64,
    /// How many members those are.
    pub members: i64,
}

impl MatchRow {
    /// Share of what is tied.
    #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^52")]
    pub fn rate(&self) -> f64 {
        if self.all == 0 { 0.0 } else { self.matched as f64 / self.all as f64 }
    }

    /// The cells of a table.
    pub fn cells(&self) -> Vec<String> {
        let rate = format!("{:.1} %", 100.0 * self.rate());
        let words = [self.what.to_owned(), self.week.clone(), self.store.clone(), self.key.clone()];
        words.into_iter().chain([self.all.to_string(), self.matched.to_string(), rate]).collect()
    }
}

/// Over the columns of [`MatchRow::cells`].
pub const HEAD: [&str; 7] = ["what", "week", "store", "key", "all", "tied", "rate"];

/// A moment at which links were learnt, such as `login` or `newsletter`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MomentRow {
    /// The word.
    pub moment: String,
    /// How many links that tie something.
    pub links: i64,
    /// Of how many members.
    pub members: i64,
}

/// The whole report. [`std::fmt::Display`] prints it as tables.
#[derive(Debug, Clone)]
pub struct Matching {
    /// Visits, orders and exposures.
    pub rows: Withheld<MatchRow>,
    /// Moments, the most frequent first.
    pub moments: Withheld<MomentRow>,
    /// All links that tie something, the withheld ones included.
    pub links: i64,
    /// The least number of members in a row.
    pub k: u32,
}

/// Monday-based weeks since 1970: its first day was a Thursday.
macro_rules! week {
    ($at:literal) => {
        concat!("(", $at, " + 259200000) / 604800000")
    };
}

const EXPOSURES: &str = concat!(
    "SELECT COALESCE(t.store, '-'), t.identifier_kind, ",
    week!("t.at"),
    ", COUNT(*), COUNT(c.member), COUNT(DISTINCT c.member) FROM touchpoint t LEFT JOIN ",
    held!(),
    " h ON h.kind = t.identifier_kind AND h.key = t.identifier AND t.at >= h.since AND (h.until IS NULL OR t.at <= h.until) LEFT JOIN ",
    matchable!(),
    " c ON c.member = h.member \
     WHERE t.campaign IS NOT NULL AND t.at >= $1 AND t.at < $2 GROUP BY 1, 2, 3"
);

const ORDERS: &str = concat!(
    "SELECT p.store, COALESCE(p.identifier_kind, 'none'), ",
    week!("p.at"),
    ", COUNT(*), CAST(0 AS BIGINT), CAST(0 AS BIGINT) FROM purchase p WHERE p.at >= $1 AND p.at < $2 GROUP BY 1, 2, 3"
);

/// For each company that members allow `match`; [`tied`] keeps that of the store.
const ORDERS_TIED: &str = concat!(
    "SELECT p.store, p.identifier_kind, ",
    week!("p.at"),
    ", CAST(0 AS BIGINT), COUNT(*), COUNT(DISTINCT c.member), c.brand, c.entity FROM purchase p JOIN ",
    held!(),
    " h ON h.kind = p.identifier_kind AND h.key = p.identifier AND p.at >= h.since AND (h.until IS NULL OR p.at <= h.until) JOIN ",
    allowed!(),
    " c ON c.member = h.member WHERE p.at >= $1 AND p.at < $2 GROUP BY 1, 2, 3, 7, 8"
);

const VISITS: &str = concat!(
    "SELECT v.store, MIN('any'), ",
    week!("v.start_at"),
    ", COUNT(*), CAST(0 AS BIGINT), CAST(0 AS BIGINT) FROM visit v WHERE v.label = 'qualified' AND v.start_at >= $1 AND v.start_at < $2 GROUP BY 1, 3"
);

/// Keys that lead from a visit to what happened online; `any` is a visit with at least one of them. For each company, as [`ORDERS_TIED`].
const VISITS_TIED: &str = concat!(
    "SELECT v.store, i.kind, ",
    week!("v.start_at"),
    ", CAST(0 AS BIGINT), COUNT(DISTINCT v.id), COUNT(DISTINCT v.member), c.brand, c.entity FROM visit v \
     JOIN (SELECT member, kind FROM identifier UNION SELECT member, 'any' FROM identifier \
     WHERE kind IN ('email', 'phone', 'email_sha256', 'phone_sha256', 'cookie', 'device', 'order', 'call')) i ON i.member = v.member JOIN ",
    allowed!(),
    " c ON c.member = v.member WHERE v.label = 'qualified' AND v.start_at >= $1 AND v.start_at < $2 GROUP BY 1, 2, 3, 7, 8"
);

/// Counts a span on one snapshot of the database.
pub async fn matching(db: &Db, config: &HubConfig, span: Span) -> Result<Matching, StoreError> {
    let mut tx = db.begin_read().await?;
    let mut rows = visits(&mut tx, &config.site, span).await?;
    rows.extend(orders(&mut tx, &config.site, span).await?);
    rows.extend(counted(&mut tx, EXPOSURES, "exposure", span).await?);
    let moments = moments(&mut tx, span).await?;
    let links = moments.iter().map(|m| m.links).sum();
    Ok(Matching {
        rows: withhold(rows, config.k, |row| row.members),
        moments: withhold(moments, config.k, |row| row.members),
        links,
        k: config.k,
    })
}

async fn counted(tx: &mut Tx, sql: &'static str, what: &'static str, span: Span) -> Result<Vec<MatchRow>, StoreError> {
    let mut rows: Vec<MatchRow> =
        tx.fetch(sql, args![span.from, span.to]).await?.iter().map(|row| read(row, what)).collect::<Result<_, _>>()?;
    rows.sort();
    Ok(rows)
}

fn read(row: &Row, what: &'static str) -> Result<MatchRow, StoreError> {
    let (store, key, week) = (row.text(0)?, row.text(1)?, week_name(row.int(2)?));
    Ok(MatchRow { what, week, store, key, all: row.int(3)?, matched: row.int(4)?, members: row.int(5)? })
}

async fn visits(tx: &mut Tx, site: &Site, span: Span) -> Result<Vec<MatchRow>, StoreError> {
    let mut rows = counted(tx, VISITS, "visit", span).await?;
    let all: BTreeMap<(String, String), i64> = rows.iter().map(|row| ((row.week.clone(), row.store.clone()), row.all)).collect();
    for mut tied in tied(tx, VISITS_TIED, "visit", site, span).await? {
        tied.all = all.get(&(tied.week.clone(), tied.store.clone())).copied().unwrap_or(tied.matched);
        // A store of whose visits none is tied keeps its row.
        rows.retain(|row| (&row.week, &row.store, &row.key) != (&tied.week, &tied.store, &tied.key));
        rows.push(tied);
    }
    rows.sort();
    Ok(rows)
}

async fn orders(tx: &mut Tx, site: &Site, span: Span) -> Result<Vec<MatchRow>, StoreError> {
    let mut rows = counted(tx, ORDERS, "order", span).await?;
    for tied in tied(tx, ORDERS_TIED, "order", site, span).await? {
        let of = |row: &&mut MatchRow| (&row.week, &row.store, &row.key) == (&tied.week, &tied.store, &tied.key);
        if let Some(row) = rows.iter_mut().find(of) {
            (row.matched, row.members) = (tied.matched, tied.members);
        }
    }
    Ok(rows)
}

/// What is tied by a consent to the company of the store where it happened; one to another company ties nothing there.
async fn tied(tx: &mut Tx, sql: &'static str, what: &'static str, site: &Site, span: Span) -> Result<Vec<MatchRow>, StoreError> {
    let mut rows = Vec::new();
    for row in tx.fetch(sql, args![span.from, span.to]).await? {
        let (brand, entity) = (row.text(6)?, row.text(7)?);
        let read = read(&row, what)?;
        let store = site.stores.iter().find(|(id, _)| id.as_str() == read.store).map(|(_, store)| store);
        if store.is_some_and(|store| store.brand == brand && store.entity == entity) {
            rows.push(read);
        }
    }
    rows.sort();
    Ok(rows)
}

async fn moments(tx: &mut Tx, span: Span) -> Result<Vec<MomentRow>, StoreError> {
    let sql = "SELECT reason, COUNT(*), COUNT(DISTINCT member) FROM link WHERE at >= $1 AND at < $2 AND revoked_at IS NULL \
               AND refused IS NULL GROUP BY reason ORDER BY 2 DESC, 1";
    let read = |row: &Row| Ok(MomentRow { moment: row.text(0)?, links: row.int(1)?, members: row.int(2)? });
    tx.fetch(sql, args![span.from, span.to]).await?.iter().map(read).collect()
}

/// `2026-W47` for the number of a week since 1970.
fn week_name(number: i64) -> String {
    let thursday = u64::try_from(number).unwrap_or(0) * 7;
    let week = DateTime::UNIX_EPOCH.date_naive().checked_add_days(Days::new(thursday)).map(|day| day.iso_week());
    week.map_or_else(String::new, |week| format!("{}-W{:02}", week.year(), week.week()))
}

impl fmt::Display for Matching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<_> = self.rows.rows.iter().map(MatchRow::cells).collect();
        write!(f, "{}", table(&HEAD, &rows))?;
        writeln!(f, "rows withheld because they are about fewer than {} members: {}\n", self.k, self.rows.withheld)?;
        #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^52")]
        let share = |n: i64| format!("{:.1} %", 100.0 * n as f64 / self.links.max(1) as f64);
        let moment = |m: &MomentRow| vec![m.moment.clone(), m.links.to_string(), share(m.links)];
        let moments: Vec<_> = self.moments.rows.iter().map(moment).collect();
        write!(f, "{}", table(&["moment", "links", "share"], &moments))?;
        writeln!(f, "moments withheld: {}", self.moments.withheld)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_are_those_of_the_calendar() {
        // 2026-11-20 is a Friday of week 47; 2027-01-01 is one of week 53 of the year before.
        for (day, week) in [(20_777, "2026-W47"), (20_773, "2026-W47"), (20_772, "2026-W46"), (20_819, "2026-W53")] {
            assert_eq!(week_name((day * 86_400_000 + 259_200_000) / 604_800_000), week, "{day}");
        }
    }
}
