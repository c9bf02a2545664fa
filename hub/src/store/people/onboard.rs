//! Segments of members, and the keys that may be given to ad platforms.

use passage_protocol::Millis;

use crate::{
    args,
    identity::{IdentifierKind, MemberId, crm::AdKey},
    store::{StoreError, Tx},
};

/// Sets what one source says of a member; `true` if that was a change.
pub async fn set_segments(tx: &mut Tx, member: MemberId, source: &str, segments: &[String], at: Millis) -> Result<bool, StoreError> {
    let sql = "SELECT segment FROM member_segment WHERE member = $1 AND source = $2 ORDER BY segment";
    let before = tx.fetch(sql, args![member.0, source]).await?;
    let before: Vec<String> = before.iter().map(|row| row.text(0)).collect::<Result<_, _>>()?;
    let mut now = segments.to_vec();
    now.sort();
    now.dedup();
    if before == now {
        return Ok(false);
    }
    tx.execute("DELETE FROM member_segment WHERE member = $1 AND source = $2", args![member.0, source]).await?;
    let rows = now.iter().map(|segment| args![member.0, source, segment, at]).collect();
    tx.insert_many("INSERT INTO member_segment (member, source, segment, at)", rows, "ON CONFLICT DO NOTHING").await?;
    Ok(true)
}

/// The segments of a member, whoever told them.
pub async fn segments(tx: &mut Tx, member: MemberId) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT DISTINCT segment FROM member_segment s JOIN member m ON m.id = s.member \
               WHERE m.id = $1 OR m.merged_into = $1 ORDER BY segment";
    tx.fetch(sql, args![member.0]).await?.iter().map(|row| row.text(0)).collect()
}

/// Keeps addresses and numbers for ad platforms while that is granted, and forgets all of them when it is not.
pub async fn keep_ad_keys(tx: &mut Tx, member: MemberId, granted: bool, keys: &[AdKey], at: Millis) -> Result<(), StoreError> {
    if !granted {
        return forget_ad_keys(tx, member).await;
    }
    for kept in keys {
        let sql = "INSERT INTO ad_key (id, member, kind, key, sealed, at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
        let id = uuid::Uuid::from_u128(rand::random()).simple().to_string();
        tx.execute(sql, args![id, member.0, kept.kind.word(), &kept.key.0, kept.sealed.as_slice(), at]).await?;
    }
    Ok(())
}

/// Forgets what ad platforms could have been given of a person.
pub async fn forget_ad_keys(tx: &mut Tx, member: MemberId) -> Result<(), StoreError> {
    let sql = "DELETE FROM ad_key WHERE member IN (SELECT id FROM member WHERE id = $1 OR merged_into = $1)";
    tx.execute(sql, args![member.0]).await?;
    Ok(())
}

/// A sealed value of a member who grants `ads`.
#[derive(Debug)]
pub struct Exported {
    /// The person.
    pub member: MemberId,
    /// `email` or `phone`.
    pub kind: IdentifierKind,
    /// Sealed with [`AD_CONTEXT`](crate::identity::crm::AD_CONTEXT).
    pub sealed: Vec<u8>,
}

/// The values of all persons who grant `ads` to a brand and entity now, of one segment if it is named.
pub async fn for_ads(tx: &mut Tx, brand: &str, entity: &str, segment: Option<&str>) -> Result<Vec<Exported>, StoreError> {
    let sql = "SELECT p.person, a.kind, a.sealed FROM ad_key a \
               JOIN (SELECT id, COALESCE(merged_into, id) AS person FROM member) p ON p.id = a.member \
               JOIN consent_now c ON c.member = p.person AND c.purpose = 'ads' AND c.granted = 1 AND c.brand = $1 AND c.entity = $2 \
               AND NOT EXISTS (SELECT 1 FROM restriction r WHERE r.member = p.person) \
               WHERE $3 = '' OR EXISTS (SELECT 1 FROM member_segment s JOIN member m ON m.id = s.member \
               WHERE s.segment = $3 AND (m.id = p.person OR m.merged_into = p.person)) ORDER BY p.person, a.kind, a.key";
    let rows = tx.fetch(sql, args![brand, entity, segment.unwrap_or_default()]).await?;
    let read = |row: &crate::store::Row| {
        let kind = row.text(1)?.parse().map_err(|()| StoreError::Corrupt("kind of identifier"))?;
        Ok(Exported { member: MemberId(row.int(0)?), kind, sealed: row.blob(2)? })
    };
    rows.iter().map(read).collect()
}

/// True if the member grants `match` to somebody and did not ask that her data is not used.
pub async fn may_be_matched(tx: &mut Tx, member: MemberId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM consent_now c WHERE c.member = $1 AND c.purpose = 'match' AND c.granted = 1 \
               AND NOT EXISTS (SELECT 1 FROM restriction r WHERE r.member = c.member) LIMIT 1";
    Ok(tx.fetch_optional(sql, args![member.0]).await?.is_some())
}
