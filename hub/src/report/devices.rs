//! How many browsers and phones members use, and between which they change: what would be counted as several persons without their links.
//! Numbers about 1 to k-1 members are withheld.

use std::{fmt, time::Duration};

use passage_config::HubConfig;

use crate::{
    args,
    report::{Span, Withheld, text::table, withhold},
    store::{Db, StoreError, Tx},
};

/// A contact on another device counts as a change if it comes within this time of the one before.
pub const WITHIN: Duration = Duration::from_secs(7 * 86_400);
/// Members with so many devices or more stand in one row.
const MANY: i64 = 5;

/// Members who are known on so many devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owners {
    /// Browsers, advertising ids of phones, and phones with the brand's app; 5 stands for 5 and more.
    pub devices: i64,
    /// How many members.
    pub members: i64,
}

/// Changes from one device to another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// What the earlier contact came from: `cookie` (a browser) or `device`.
    pub from: String,
    /// What the next contact came from.
    pub to: String,
    /// How often.
    pub times: i64,
    /// By how many members.
    pub members: i64,
}

/// The whole report. [`std::fmt::Display`] prints it as tables.
#[derive(Debug, Clone)]
pub struct Devices {
    /// As of now, fewest devices first.
    pub owners: Withheld<Owners>,
    /// Of the span, the most frequent first.
    pub switches: Withheld<Switch>,
    /// Contacts of the span on a browser or phone whose member is known, the withheld ones included.
    pub contacts: i64,
    /// The least number of members in a row.
    pub k: u32,
}

const OWNERS: &str = concat!(
    "SELECT CASE WHEN n > $1 THEN $1 ELSE n END, COUNT(*) FROM (SELECT c.member, COUNT(*) AS n FROM \
     (SELECT member FROM identifier WHERE kind IN ('cookie', 'device') \
     UNION ALL SELECT member FROM installation WHERE deleted_at IS NULL) d JOIN ",
    matchable!(),
    " c ON c.member = d.member GROUP BY c.member) per_member GROUP BY 1 ORDER BY 1"
);

/// The contacts of members on their devices.
macro_rules! contacts {
    () => {
        concat!(
            " FROM touchpoint t JOIN ",
            held!(),
            " h ON h.kind = t.identifier_kind AND h.key = t.identifier AND t.at >= h.since AND (h.until IS NULL OR t.at <= h.until) JOIN ",
            matchable!(),
            " c ON c.member = h.member WHERE t.identifier_kind IN ('cookie', 'device') AND t.at >= $1 AND t.at < $2"
        )
    };
}

const CONTACTS: &str = concat!("SELECT COUNT(*)", contacts!());

/// Each contact beside the one before of the same member.
const SWITCHES: &str = concat!(
    "SELECT kind_before, kind, COUNT(*), COUNT(DISTINCT member) FROM (SELECT h.member, t.identifier_kind AS kind, t.identifier AS key, t.at, \
     LAG(t.identifier_kind) OVER w AS kind_before, LAG(t.identifier) OVER w AS key_before, LAG(t.at) OVER w AS at_before",
    contacts!(),
    " WINDOW w AS (PARTITION BY h.member ORDER BY t.at, t.id)) contact \
     WHERE key <> key_before AND at - at_before <= $3 GROUP BY kind_before, kind ORDER BY 3 DESC, 1, 2"
);

/// Counts on one snapshot of the database.
pub async fn devices(db: &Db, config: &HubConfig, span: Span) -> Result<Devices, StoreError> {
    let mut tx = db.begin_read().await?;
    let contacts = tx.fetch(CONTACTS, args![span.from, span.to]).await?;
    Ok(Devices {
        owners: withhold(owners(&mut tx).await?, config.k, |row| row.members),
        switches: withhold(switches(&mut tx, span).await?, config.k, |row| row.members),
        contacts: contacts.first().map_or(Ok(0), |row| row.int(0))?,
        k: config.k,
    })
}

async fn owners(tx: &mut Tx) -> Result<Vec<Owners>, StoreError> {
    let rows = tx.fetch(OWNERS, args![MANY]).await?;
    rows.iter().map(|row| Ok(Owners { devices: row.int(0)?, members: row.int(1)? })).collect()
}

async fn switches(tx: &mut Tx, span: Span) -> Result<Vec<Switch>, StoreError> {
    let within = i64::try_from(WITHIN.as_millis()).unwrap_or(i64::MAX);
    let rows = tx.fetch(SWITCHES, args![span.from, span.to, within]).await?;
    rows.iter().map(|row| Ok(Switch { from: row.text(0)?, to: row.text(1)?, times: row.int(2)?, members: row.int(3)? })).collect()
}

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let devices = |n: i64| if n >= MANY { format!("{MANY} or more") } else { n.to_string() };
        let owners: Vec<_> = self.owners.rows.iter().map(|row| vec![devices(row.devices), row.members.to_string()]).collect();
        write!(f, "{}", table(&["devices", "members"], &owners))?;
        writeln!(f, "rows withheld because they are about fewer than {} members: {}\n", self.k, self.owners.withheld)?;
        let switches = self.switches.rows.iter();
        let switches: Vec<_> = switches.map(|s| vec![s.from.clone(), s.to.clone(), s.times.to_string(), s.members.to_string()]).collect();
        write!(f, "{}", table(&["from", "to", "changes", "members"], &switches))?;
        writeln!(f, "rows withheld: {}; contacts of known members on a device: {}", self.switches.withheld, self.contacts)
    }
}
