//! When a member was last heard of, by what she did herself.
//!
//! Counted are her consents and withdrawals, qualified visits, purchases, replies, logins, enrolments of a phone, and touchpoints that she made. An ad or
//! a block that she saw, a mail that was sent or opened (mail programs open them by themselves) and a CRM file that names her again are no activity.
//! Rows go before the member does, so what they told is noted on her when they go.

use passage_protocol::Millis;

use crate::{
    args,
    identity::MemberId,
    store::{StoreError, Tx},
};

/// Touchpoints that are not her doing.
macro_rules! not_hers {
    () => {
        "('view', 'open', 'send', 'onsite_block')"
    };
}

/// Who holds a key, and held it: kind, key, member, since, until.
macro_rules! holders {
    () => {
        "(SELECT kind, key, member, since, CAST(NULL AS BIGINT) AS until FROM identifier WHERE member IS NOT NULL \
         UNION ALL SELECT kind, key, member, since, until FROM former_holder)"
    };
}

macro_rules! note {
    ($rows:expr) => {
        concat!(
            "UPDATE member SET active_at = told.at FROM (",
            $rows,
            ") AS told WHERE told.member = member.id AND member.active_at < told.at"
        )
    };
}

const VISITS: &str = note!("SELECT member, MAX(seen_to) AS at FROM visit WHERE seen_to < $1 AND label = 'qualified' GROUP BY member");
const TOUCHPOINTS: &str = note!(concat!(
    "SELECT h.member, MAX(t.at) AS at FROM touchpoint t JOIN ",
    holders!(),
    " h ON h.kind = t.identifier_kind AND h.key = t.identifier AND t.at >= h.since AND (h.until IS NULL OR t.at <= h.until) \
     WHERE t.at < $1 AND t.kind NOT IN ",
    not_hers!(),
    " GROUP BY h.member"
));
const PURCHASES: &str = note!(
    "SELECT i.member, MAX(p.at) AS at FROM purchase p JOIN identifier i ON i.kind = p.identifier_kind AND i.key = p.identifier \
     WHERE p.at < $1 AND i.member IS NOT NULL GROUP BY i.member"
);
const REPLIES: &str =
    note!("SELECT d.member, MAX(n.at) AS at FROM inbound n JOIN destination d ON d.key = n.destination WHERE n.at < $1 GROUP BY d.member");
const LOGINS: &str = note!(
    "SELECT member, MAX(last_at) AS at FROM link WHERE kind = 'cookie' AND last_at < $1 AND member IS NOT NULL AND reason <> 'import' \
     GROUP BY member"
);

/// Notes on members what the rows tell that are about to go: everything of before `visits`, and logins of before `cookies`. The transaction must have
/// opened a change of people.
///
/// # Errors
/// The database.
pub async fn note(tx: &mut Tx, visits: Millis, cookies: Millis) -> Result<(), StoreError> {
    for (sql, cut) in [(VISITS, visits), (TOUCHPOINTS, visits), (PURCHASES, visits), (REPLIES, visits), (LOGINS, cookies)] {
        tx.execute(sql, args![cut]).await?;
    }
    Ok(())
}

/// At most `limit` persons of whom nothing is noted since `cut`. Whose data is restricted is not among them: she asked that it is kept.
///
/// # Errors
/// The database.
pub async fn quiet(tx: &mut Tx, cut: Millis, limit: u32) -> Result<Vec<MemberId>, StoreError> {
    let sql = "SELECT id FROM member WHERE merged_into IS NULL AND active_at < $1 AND created_at < $1 \
               AND NOT EXISTS (SELECT 1 FROM restriction r WHERE r.member = member.id) ORDER BY active_at, id LIMIT $2";
    tx.fetch(sql, args![cut, limit]).await?.iter().map(|row| row.int(0).map(MemberId)).collect()
}

/// The last that is known of a person's doing, in all records that are she.
///
/// # Errors
/// The database.
pub async fn last(tx: &mut Tx, person: MemberId) -> Result<Option<Millis>, StoreError> {
    let sql = concat!(
        "WITH p AS (SELECT id, created_at, active_at FROM member WHERE id = $1 OR merged_into = $1) SELECT MAX(at) FROM (\
         SELECT created_at AS at FROM p UNION ALL SELECT active_at FROM p \
         UNION ALL SELECT at FROM consent_now WHERE member IN (SELECT id FROM p) \
         UNION ALL SELECT seen_to FROM visit WHERE member IN (SELECT id FROM p) AND label = 'qualified' \
         UNION ALL SELECT created_at FROM installation WHERE member IN (SELECT id FROM p) \
         UNION ALL SELECT last_at FROM link WHERE member IN (SELECT id FROM p) AND reason NOT IN ('import', 'manual') \
         UNION ALL SELECT t.at FROM ",
        holders!(),
        " h JOIN touchpoint t ON t.identifier = h.key AND t.identifier_kind = h.kind AND t.at >= h.since AND (h.until IS NULL OR t.at <= h.until) \
         WHERE h.member = $1 AND t.kind NOT IN ",
        not_hers!(),
        " UNION ALL SELECT b.at FROM identifier i JOIN purchase b ON b.identifier_kind = i.kind AND b.identifier = i.key WHERE i.member = $1 \
         UNION ALL SELECT n.at FROM destination d JOIN inbound n ON n.destination = d.key WHERE d.member IN (SELECT id FROM p)) AS told"
    );
    let row = tx.fetch_optional(sql, args![person.0]).await?;
    Ok(row.map(|row| row.opt_int(0)).transpose()?.flatten().map(Millis))
}

/// Notes on a member when she was last heard of, so that she is not looked at again before her time.
///
/// # Errors
/// The database.
pub async fn set(tx: &mut Tx, member: MemberId, at: Millis) -> Result<(), StoreError> {
    tx.execute("UPDATE member SET active_at = $2 WHERE id = $1 AND active_at < $2", args![member.0, at]).await?;
    Ok(())
}

/// Deletes cookies with which nobody identified herself since `cut`, and the links that say whose they were; returns how many of both went.
///
/// # Errors
/// The database.
pub async fn purge_cookies(tx: &mut Tx, cut: Millis) -> Result<(u64, u64), StoreError> {
    let links = tx.execute("DELETE FROM link WHERE kind = 'cookie' AND last_at < $1 AND at < $1", args![cut]).await?;
    let keys = "DELETE FROM identifier WHERE kind = 'cookie' AND seen_at < $1 \
                AND NOT EXISTS (SELECT 1 FROM link l WHERE l.kind = 'cookie' AND l.key = identifier.key)";
    let keys = tx.execute(keys, args![cut]).await?;
    tx.execute("DELETE FROM former_holder WHERE kind = 'cookie' AND until < $1", args![cut]).await?;
    tx.execute("DELETE FROM conflict WHERE kind = 'cookie' AND at < $1", args![cut]).await?;
    Ok((keys, links))
}
