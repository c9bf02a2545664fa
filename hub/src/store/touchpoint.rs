//! Touchpoints and till tickets. The member is found through the keys that are hers at the moment of reading.

use passage_protocol::Millis;

use crate::{
    args,
    identity::{IdentifierKind, Key, MemberId},
    store::{Row, StoreError, Tx},
    touchpoint::{Purchase, TouchKind, Touchpoint},
};

/// Touchpoints since `since` of all keys that belong to the member now, by time, then id. Empty unless she grants `match` to some brand and entity;
/// a caller that acts for one entity also looks at that entity's consents.
pub async fn of_member(tx: &mut Tx, member: MemberId, since: Millis) -> Result<Vec<Touchpoint>, StoreError> {
    let sql = "SELECT t.id, t.at, t.kind, t.campaign, t.channel, t.sku, t.size, t.identifier_kind, t.identifier FROM identifier i \
               JOIN touchpoint t ON t.identifier_kind = i.kind AND t.identifier = i.key \
               WHERE i.member = $1 AND t.at >= $2 AND t.at >= i.since \
               AND EXISTS (SELECT 1 FROM consent_now c WHERE c.member = i.member AND c.purpose = 'match' AND c.granted = 1) \
               ORDER BY t.at, t.id";
    tx.fetch(sql, args![member.0, since]).await?.iter().map(|row| touchpoint(row, 0)).collect()
}

/// Tickets since `since` of all keys that belong to the member now, by time. Empty unless she grants `match`, as in [`of_member`].
pub async fn purchases_of(tx: &mut Tx, member: MemberId, since: Millis) -> Result<Vec<Purchase>, StoreError> {
    let sql = "SELECT p.store, p.ticket, p.at, l.sku, l.cents FROM identifier i \
               JOIN purchase p ON p.identifier_kind = i.kind AND p.identifier = i.key \
               LEFT JOIN purchase_line l ON l.store = p.store AND l.ticket = p.ticket \
               WHERE i.member = $1 AND p.at >= $2 \
               AND EXISTS (SELECT 1 FROM consent_now c WHERE c.member = i.member AND c.purpose = 'match' AND c.granted = 1) \
               ORDER BY p.at, p.store, p.ticket, l.line";
    let mut out: Vec<Purchase> = Vec::new();
    for row in tx.fetch(sql, args![member.0, since]).await? {
        let store = row.text(0)?.parse().map_err(|_| StoreError::Corrupt("store id"))?;
        let ticket = row.text(1)?;
        let line = row.opt_text(3)?.zip(row.opt_int(4)?);
        match out.last_mut().filter(|p| p.store == store && p.ticket == ticket) {
            Some(purchase) => purchase.lines.extend(line),
            None => out.push(Purchase { ticket, at: row.millis(2)?, store, lines: line.into_iter().collect() }),
        }
    }
    Ok(out)
}

/// Reads the nine columns of a touchpoint from column `c` on.
fn touchpoint(row: &Row, c: usize) -> Result<Touchpoint, StoreError> {
    Ok(Touchpoint {
        id: row.text(c)?,
        at: row.millis(c + 1)?,
        kind: row.text(c + 2)?.parse::<TouchKind>().map_err(|()| StoreError::Corrupt("kind of touchpoint"))?,
        campaign: row.opt_text(c + 3)?,
        channel: row.opt_text(c + 4)?,
        sku: row.opt_text(c + 5)?,
        size: row.opt_text(c + 6)?,
        identifier_kind: row.text(c + 7)?.parse::<IdentifierKind>().map_err(|()| StoreError::Corrupt("kind of identifier"))?,
        identifier: Key(row.bytes32(c + 8)?),
    })
}
