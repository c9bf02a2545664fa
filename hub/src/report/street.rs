//! Advertising in the street beside the visits of its store: how many members came while it was to be seen, and in the same time before. Nobody
//! knows who saw it, so no visit is credited to it; the two numbers stand beside each other and prove no cause.

use std::fmt;

use passage_config::HubConfig;
use passage_protocol::Millis;

use crate::{
    args,
    report::{
        Span, Withheld,
        text::{table, utc},
        withhold,
    },
    store::{Db, Row, StoreError},
};

/// One entry of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poster {
    /// What it advertised.
    pub campaign: String,
    /// Such as `street`.
    pub channel: String,
    /// The store near which it was.
    pub store: String,
    /// From when until when it was to be seen, as far as that has passed.
    pub seen: Span,
    /// Qualified visits of the store that began in that time.
    pub visits: i64,
    /// By how many members.
    pub members: i64,
    /// Qualified visits in as long a time just before.
    pub before: i64,
}

/// The whole report. [`std::fmt::Display`] prints it as a table.
#[derive(Debug, Clone)]
pub struct Street {
    /// Entries that touch the span, by begin.
    pub posters: Withheld<Poster>,
    /// The least number of members in a row.
    pub k: u32,
}

macro_rules! visits {
    ($what:literal, $from:literal, $to:literal) => {
        concat!(
            "(SELECT COUNT(",
            $what,
            ") FROM visit v WHERE v.store = e.store AND v.label = 'qualified' AND v.start_at >= ",
            $from,
            " AND v.start_at < ",
            $to,
            " AND NOT EXISTS (SELECT 1 FROM restriction r WHERE r.member = v.member))"
        )
    };
}

/// `till` is the end, or now where that is later than now.
const POSTERS: &str = concat!(
    "SELECT e.campaign, e.channel, e.store, e.starts, e.till, ",
    visits!("*", "e.starts", "e.till"),
    ", ",
    visits!("DISTINCT v.member", "e.starts", "e.till"),
    ", ",
    visits!("*", "e.starts - (e.till - e.starts)", "e.starts"),
    ", ",
    visits!("DISTINCT v.member", "e.starts - (e.till - e.starts)", "e.starts"),
    " FROM (SELECT id, campaign, channel, store, starts, CASE WHEN ends > $3 THEN $3 ELSE ends END AS till FROM store_exposure \
     WHERE starts < $2 AND ends > $1 AND starts < $3) e ORDER BY e.starts, e.id"
);

/// Counts what touches a span. What ends after `now` counts until now.
pub async fn street(db: &Db, config: &HubConfig, span: Span, now: Millis) -> Result<Street, StoreError> {
    let read = |row: &Row| {
        let seen = Span { from: row.millis(3)?, to: row.millis(4)? };
        let (campaign, channel, store) = (row.text(0)?, row.text(1)?, row.text(2)?);
        let poster = Poster { campaign, channel, store, seen, visits: row.int(5)?, members: row.int(6)?, before: row.int(7)? };
        Ok((poster, row.int(8)?))
    };
    let rows = db.fetch(POSTERS, args![span.from, span.to, now]).await?;
    let rows = rows.iter().map(read).collect::<Result<Vec<_>, StoreError>>()?;
    // Neither number may be about a few members; none at all tells about nobody.
    let fewest = |(poster, before): &(Poster, i64)| [poster.members, *before].into_iter().filter(|n| *n > 0).min().unwrap_or(i64::MAX);
    let shown = withhold(rows, config.k, fewest);
    let posters = Withheld { rows: shown.rows.into_iter().map(|(poster, _)| poster).collect(), withheld: shown.withheld };
    Ok(Street { posters, k: config.k })
}

impl fmt::Display for Street {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |p: &Poster| {
            let (from, to) = (utc(p.seen.from), utc(p.seen.to));
            vec![
                p.campaign.clone(),
                p.channel.clone(),
                p.store.clone(),
                from,
                to,
                p.visits.to_string(),
                p.members.to_string(),
                p.before.to_string(),
            ]
        };
        let rows: Vec<_> = self.posters.rows.iter().map(row).collect();
        write!(f, "{}", table(&["campaign", "channel", "store", "from", "to", "visits", "members", "visits before"], &rows))?;
        writeln!(f, "rows withheld because they are about fewer than {} members: {}", self.k, self.posters.withheld)?;
        writeln!(
            f,
            "Who saw a poster nobody knows: visits while it hung and in as long a time before stand beside each other, and prove no cause."
        )
    }
}
