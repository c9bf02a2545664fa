//! Which hashes partners were given, and which of them they have to take out again.

use passage_protocol::Millis;
use uuid::Uuid;

use crate::{
    args,
    identity::{IdentifierKind, Key, MemberId},
    store::{StoreError, Tx},
};

/// Under which hashes that were given away are sealed.
pub const CONTEXT: &str = "given to a partner";

/// To whom, and for which company.
#[derive(Debug, Clone, Copy)]
pub struct To<'a> {
    /// Name of the partner.
    pub partner: &'a str,
    /// To which brand `ads` is granted.
    pub brand: &'a str,
    /// To which legal controller.
    pub entity: &'a str,
}

/// A hash that is given away.
#[derive(Debug)]
pub struct Given {
    /// Whose it is.
    pub member: MemberId,
    /// `email_sha256` or `phone_sha256`.
    pub kind: IdentifierKind,
    /// The hash, keyed.
    pub key: Key,
    /// The hash, sealed with [`CONTEXT`].
    pub sealed: Vec<u8>,
}

/// Notes what a partner is given now. What had to be taken out before is in again.
///
/// # Errors
/// The database.
pub async fn note(tx: &mut Tx, to: To<'_>, given: &[Given], now: Millis) -> Result<(), StoreError> {
    let row = |g: &Given| {
        let id = Uuid::from_u128(rand::random()).simple().to_string();
        let sealed = g.sealed.as_slice();
        args![id, to.partner, to.brand, to.entity, g.kind.word(), &g.key.0, sealed, g.member.0, now]
    };
    // Two members may share an address; one statement must not write its row twice.
    let mut known = std::collections::HashSet::new();
    let rows = given.iter().filter(|g| known.insert(g.key)).map(row).collect();
    let head = "INSERT INTO ad_given (id, partner, brand, entity, kind, key, sealed, member, given_at)";
    let tail = "ON CONFLICT (partner, brand, entity, key) DO UPDATE SET member = excluded.member, sealed = excluded.sealed, \
                given_at = excluded.given_at, removed_at = NULL";
    tx.insert_many(head, rows, tail).await?;
    Ok(())
}

/// Notes that what was given of a person has to be taken out: of one brand and entity, or everywhere.
///
/// # Errors
/// The database.
pub async fn end(tx: &mut Tx, member: MemberId, company: Option<(&str, &str)>, now: Millis) -> Result<(), StoreError> {
    let person = "UPDATE ad_given SET removed_at = $2 WHERE removed_at IS NULL \
                  AND member IN (SELECT id FROM member WHERE id = $1 OR merged_into = $1)";
    match company {
        None => tx.execute(person, args![member.0, now]).await?,
        Some((brand, entity)) => {
            let sql = "UPDATE ad_given SET removed_at = $2 WHERE removed_at IS NULL AND brand = $3 AND entity = $4 \
                       AND member IN (SELECT id FROM member WHERE id = $1 OR merged_into = $1)";
            tx.execute(sql, args![member.0, now, brand, entity]).await?
        }
    };
    Ok(())
}

/// Makes what was given of a member nobody's; it has to be taken out.
///
/// # Errors
/// The database.
pub async fn forget(tx: &mut Tx, member: MemberId, now: Millis) -> Result<(), StoreError> {
    let sql = "UPDATE ad_given SET removed_at = COALESCE(removed_at, $2), member = NULL WHERE member = $1";
    tx.execute(sql, args![member.0, now]).await?;
    Ok(())
}

/// What a partner has to take out since `since`: kind and sealed hash.
///
/// # Errors
/// The database.
pub async fn removed(tx: &mut Tx, to: To<'_>, since: Millis) -> Result<Vec<(IdentifierKind, Vec<u8>)>, StoreError> {
    let sql = "SELECT kind, sealed FROM ad_given WHERE partner = $1 AND brand = $2 AND entity = $3 AND removed_at >= $4 ORDER BY kind, key";
    let read = |row: &crate::store::Row| {
        let kind = row.text(0)?.parse().map_err(|()| StoreError::Corrupt("kind of identifier"))?;
        Ok((kind, row.blob(1)?))
    };
    tx.fetch(sql, args![to.partner, to.brand, to.entity, since]).await?.iter().map(read).collect()
}

/// Deletes what had to be taken out before `cut`.
///
/// # Errors
/// The database.
pub async fn purge(tx: &mut Tx, cut: Millis) -> Result<u64, StoreError> {
    tx.execute("DELETE FROM ad_given WHERE removed_at < $1", args![cut]).await
}
