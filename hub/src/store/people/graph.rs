//! The link log and its present reading.

use passage_protocol::Millis;
use uuid::Uuid;

use crate::{
    args,
    identity::{
        IdentifierKind, Key, MemberId,
        graph::{Attach, RETRO, attach, is_weak},
    },
    store::{StoreError, Tx},
};

/// Somebody says that a key is a member's.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Kind of the key.
    pub kind: IdentifierKind,
    /// The key.
    pub key: Key,
    /// Whose it shall be.
    pub member: MemberId,
    /// `crm`, `app`, or the name of an API token.
    pub source: &'a str,
    /// The moment at which it was learnt: `import`, `enrolment`, `login`, ...
    pub reason: &'a str,
    /// When.
    pub at: Millis,
}

/// The member that a key belongs to.
pub async fn holder(tx: &mut Tx, kind: IdentifierKind, key: &Key) -> Result<Option<MemberId>, StoreError> {
    let row = tx.fetch_optional("SELECT member FROM identifier WHERE kind = $1 AND key = $2", args![kind.word(), &key.0]).await?;
    Ok(match row {
        Some(row) => row.opt_int(0)?.map(MemberId),
        None => None,
    })
}

/// Ties a key to a member, or records why not.
pub async fn claim(tx: &mut Tx, claim: &Claim<'_>) -> Result<Attach, StoreError> {
    let (kind, key, member) = (claim.kind.word(), &claim.key.0, claim.member.0);
    let holder = holder(tx, claim.kind, &claim.key).await?;
    let count = tx.fetch_optional("SELECT COUNT(*) FROM identifier WHERE member = $1 AND kind = $2", args![member, kind]).await?;
    let held = count.map_or(Ok(0), |row| row.int(0))?;
    let verdict = attach(claim.kind, holder, claim.member, held);
    if let Some(refusal) = verdict.refusal() {
        let other = if let Attach::OtherMember(other) = verdict { Some(other.0) } else { None };
        let sql = "INSERT INTO conflict (kind, key, member, other, reason, source, at) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
        tx.execute(sql, args![kind, key, member, other, refusal, claim.source, claim.at]).await?;
    }
    if verdict != Attach::New {
        return Ok(verdict);
    }
    let since = if is_weak(claim.kind) { claim.at - RETRO } else { Millis(0) };
    let reading = "INSERT INTO identifier (kind, key, member, since) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (kind, key) DO UPDATE SET member = excluded.member, since = excluded.since";
    tx.execute(reading, args![kind, key, member, since]).await?;
    let id = Uuid::from_u128(rand::random()).simple().to_string();
    let log = "INSERT INTO link (id, kind, key, member, source, reason, at) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    tx.execute(log, args![id, kind, key, member, claim.source, claim.reason, claim.at]).await?;
    Ok(verdict)
}

/// Unties all keys of a kind from a member. The log keeps that they were tied, and until when. Returns how many there were.
pub async fn release(tx: &mut Tx, member: MemberId, kind: IdentifierKind, at: Millis) -> Result<u64, StoreError> {
    let released = tx.execute("DELETE FROM identifier WHERE member = $1 AND kind = $2", args![member.0, kind.word()]).await?;
    if released > 0 {
        let sql = "UPDATE link SET revoked_at = $3 WHERE member = $1 AND kind = $2 AND revoked_at IS NULL";
        tx.execute(sql, args![member.0, kind.word(), at]).await?;
    }
    Ok(released)
}
