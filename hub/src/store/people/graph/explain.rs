//! What is on record about a person's keys, for people to read. Keys are shown by kind and the first signs of their keyed hash, never by value.

use passage_protocol::Millis;

use crate::{
    args,
    identity::{IdentifierKind, Key, MemberId},
    store::{Db, Row, StoreError, Tx},
};

/// One statement of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkLine {
    /// Its name in the log.
    pub id: String,
    /// Kind of the key.
    pub kind: String,
    /// First signs of the keyed hash.
    pub key: String,
    /// Of whom it was said.
    pub member: MemberId,
    /// Who said it.
    pub source: String,
    /// At which moment.
    pub reason: String,
    /// In which context.
    pub context: String,
    /// When, first and last.
    pub at: (Millis, Millis),
    /// Why it ties nothing.
    pub refused: Option<String>,
    /// When it was taken back, by whom and why.
    pub revoked: Option<(Millis, String, String)>,
}

/// A member who went into another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeLine {
    /// Who.
    pub member: MemberId,
    /// Into whom.
    pub survivor: MemberId,
    /// By whose statement.
    pub source: String,
    /// When.
    pub at: Millis,
    /// When they were told apart again.
    pub undone_at: Option<Millis>,
}

/// A link that ties nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictLine {
    /// Kind of the key.
    pub kind: String,
    /// First signs of the keyed hash.
    pub key: String,
    /// For whom it was claimed.
    pub member: MemberId,
    /// Who holds it.
    pub other: Option<MemberId>,
    /// A word of [`Refusal`](crate::identity::graph::Refusal).
    pub reason: String,
    /// Who claimed it.
    pub source: String,
    /// When.
    pub at: Millis,
}

/// Everything about one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who stands for her.
    pub survivor: MemberId,
    /// All members that she is.
    pub members: Vec<MemberId>,
    /// The log, oldest first.
    pub links: Vec<LinkLine>,
    /// Her merges, oldest first.
    pub merges: Vec<MergeLine>,
    /// What ties nothing.
    pub conflicts: Vec<ConflictLine>,
    /// (brand, entity, purpose, granted, since, source).
    pub consents: Vec<crate::identity::consent::Standing>,
}

/// The person that a member is; `None` if there is no such member.
pub async fn person(tx: &mut Tx, member: MemberId) -> Result<Option<Person>, StoreError> {
    if tx.fetch_optional("SELECT id FROM member WHERE id = $1", args![member.0]).await?.is_none() {
        return Ok(None);
    }
    let survivor = super::standing_for(tx, member).await?;
    let members = tx.fetch("SELECT id FROM member WHERE id = $1 OR merged_into = $1 ORDER BY created_at, id", args![survivor.0]).await?;
    let members: Vec<MemberId> = members.iter().map(|row| row.int(0).map(MemberId)).collect::<Result<_, _>>()?;
    let (mut links, mut conflicts) = (Vec::new(), Vec::new());
    for member in &members {
        let sql = "SELECT id, kind, key, member, source, reason, context, at, last_at, refused, revoked_at, revoked_by, revoked_why \
                   FROM link WHERE member = $1 ORDER BY at, id";
        links.extend(tx.fetch(sql, args![member.0]).await?.iter().map(link).collect::<Result<Vec<_>, _>>()?);
        let sql = "SELECT kind, key, member, other, reason, source, at FROM conflict WHERE member = $1 OR other = $1 ORDER BY at";
        conflicts.extend(tx.fetch(sql, args![member.0]).await?.iter().map(conflict).collect::<Result<Vec<_>, _>>()?);
    }
    links.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    let sql = "SELECT member, survivor, source, at, undone_at FROM merge WHERE member = $1 OR survivor = $1 ORDER BY at, id";
    let merges = tx.fetch(sql, args![survivor.0]).await?.iter().map(merge).collect::<Result<_, _>>()?;
    let consents = crate::store::people::consent::standing(tx, survivor).await?;
    Ok(Some(Person { survivor, members, links, merges, conflicts, consents }))
}

/// Everything that was said about one key.
pub async fn of_key(tx: &mut Tx, kind: IdentifierKind, key: &Key) -> Result<Vec<LinkLine>, StoreError> {
    let sql = "SELECT id, kind, key, member, source, reason, context, at, last_at, refused, revoked_at, revoked_by, revoked_why \
               FROM link WHERE kind = $1 AND key = $2 AND member IS NOT NULL ORDER BY at, id";
    tx.fetch(sql, args![kind.word(), &key.0]).await?.iter().map(link).collect()
}

/// The newest conflicts, at most `limit`.
pub async fn conflicts(db: &Db, limit: u32) -> Result<Vec<ConflictLine>, StoreError> {
    let sql = "SELECT kind, key, member, other, reason, source, at FROM conflict ORDER BY at DESC, kind, key, member LIMIT $1";
    db.fetch(sql, args![limit]).await?.iter().map(conflict).collect()
}

/// How many conflicts there are for each kind of key and reason.
pub async fn conflict_counts(db: &Db) -> Result<Vec<(String, String, i64)>, StoreError> {
    let sql = "SELECT kind, reason, COUNT(*) FROM conflict GROUP BY kind, reason ORDER BY kind, reason";
    db.fetch(sql, args![]).await?.iter().map(|row| Ok((row.text(0)?, row.text(1)?, row.int(2)?))).collect()
}

/// The whole name of the link that begins with `start`, if exactly one does.
pub async fn link_named(tx: &mut Tx, start: &str) -> Result<Option<String>, StoreError> {
    if start.len() < 6 || !start.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(None);
    }
    let end = format!("{start}g");
    let rows = tx.fetch("SELECT id FROM link WHERE id >= $1 AND id < $2 LIMIT 2", args![start, end]).await?;
    if rows.len() == 1 { rows[0].text(0).map(Some) } else { Ok(None) }
}

fn link(row: &Row) -> Result<LinkLine, StoreError> {
    let revoked_at = row.opt_int(10)?.map(Millis);
    let (by, why) = (row.opt_text(11)?.unwrap_or_default(), row.opt_text(12)?.unwrap_or_default());
    Ok(LinkLine {
        id: row.text(0)?,
        kind: row.text(1)?,
        key: shown(row, 2)?,
        member: MemberId(row.int(3)?),
        source: row.text(4)?,
        reason: row.text(5)?,
        context: row.text(6)?,
        at: (row.millis(7)?, row.millis(8)?),
        refused: row.opt_text(9)?,
        revoked: revoked_at.map(|at| (at, by, why)),
    })
}

fn conflict(row: &Row) -> Result<ConflictLine, StoreError> {
    let (kind, key, member) = (row.text(0)?, shown(row, 1)?, MemberId(row.int(2)?));
    let other = row.opt_int(3)?.map(MemberId);
    Ok(ConflictLine { kind, key, member, other, reason: row.text(4)?, source: row.text(5)?, at: row.millis(6)? })
}

fn merge(row: &Row) -> Result<MergeLine, StoreError> {
    let (member, survivor) = (MemberId(row.int(0)?), MemberId(row.int(1)?));
    Ok(MergeLine { member, survivor, source: row.text(2)?, at: row.millis(3)?, undone_at: row.opt_int(4)?.map(Millis) })
}

fn shown(row: &Row, column: usize) -> Result<String, StoreError> {
    Ok(hex::encode(&row.bytes32(column)?[..4]))
}
