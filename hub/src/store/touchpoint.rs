//! Touchpoints and till tickets. The member is found through the keys that are hers at the moment of reading.

use std::collections::HashSet;

use passage_protocol::Millis;

use crate::{
    args,
    identity::{IdentifierKind, Key, MemberId},
    store::{
        Row, StoreError, Tx,
        bulk::{Column, Named},
        counter::{self, Moment},
    },
    touchpoint::{
        Detail, Purchase, TouchKind, Touchpoint,
        till::{TillLine, TillVerdict},
        totals::StoreExposure,
    },
    visit::Kind,
};

/// Touchpoints since `since` of all keys that belong to the member now, by time, then id. Empty unless she grants `match` to some brand and entity;
/// a caller that acts for one entity also looks at that entity's consents.
pub async fn of_member(tx: &mut Tx, member: MemberId, since: Millis) -> Result<Vec<Touchpoint>, StoreError> {
    let sql = "SELECT t.id, t.at, t.kind, t.campaign, t.channel, t.sku, t.size, t.identifier_kind, t.identifier, \
               t.source, t.medium, t.click_id, t.category, t.store, t.variant, t.outcome, t.order_key, t.cents FROM \
               (SELECT kind, key, member, since, CAST(NULL AS BIGINT) AS until FROM identifier WHERE member = $1 \
               UNION ALL SELECT kind, key, member, since, until FROM former_holder WHERE member = $1) i \
               JOIN touchpoint t ON t.identifier = i.key AND t.identifier_kind = i.kind \
               WHERE t.at >= $2 AND t.at >= i.since AND (i.until IS NULL OR t.at <= i.until) \
               AND EXISTS (SELECT 1 FROM consent_now c WHERE c.member = i.member AND c.purpose = 'match' AND c.granted = 1) \
               AND NOT EXISTS (SELECT 1 FROM restriction r WHERE r.member = i.member) \
               ORDER BY t.at, t.id";
    tx.fetch(sql, args![member.0, since]).await?.iter().map(touchpoint).collect()
}

/// Tickets since `since` of all keys that belong to the member now, by time. Empty unless she grants `match`, as in [`of_member`].
pub async fn purchases_of(tx: &mut Tx, member: MemberId, since: Millis) -> Result<Vec<Purchase>, StoreError> {
    let sql = "SELECT p.store, p.ticket, p.at, l.sku, l.cents FROM identifier i \
               JOIN purchase p ON p.identifier_kind = i.kind AND p.identifier = i.key \
               LEFT JOIN purchase_line l ON l.store = p.store AND l.ticket = p.ticket \
               WHERE i.member = $1 AND p.at >= $2 \
               AND EXISTS (SELECT 1 FROM consent_now c WHERE c.member = i.member AND c.purpose = 'match' AND c.granted = 1) \
               AND NOT EXISTS (SELECT 1 FROM restriction r WHERE r.member = i.member) \
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

/// Reads the eighteen columns of a touchpoint.
fn touchpoint(row: &Row) -> Result<Touchpoint, StoreError> {
    let order: Option<[u8; 32]> = match row.opt_blob(16)? {
        Some(key) => Some(key.try_into().map_err(|_| StoreError::Corrupt("key of an order"))?),
        None => None,
    };
    Ok(Touchpoint {
        id: row.text(0)?,
        at: row.millis(1)?,
        kind: row.text(2)?.parse::<TouchKind>().map_err(|()| StoreError::Corrupt("kind of touchpoint"))?,
        campaign: row.opt_text(3)?,
        channel: row.opt_text(4)?,
        sku: row.opt_text(5)?,
        size: row.opt_text(6)?,
        identifier_kind: row.text(7)?.parse::<IdentifierKind>().map_err(|()| StoreError::Corrupt("kind of identifier"))?,
        identifier: Key(row.bytes32(8)?),
        detail: Detail {
            source: row.opt_text(9)?,
            medium: row.opt_text(10)?,
            click_id: row.opt_text(11)?,
            category: row.opt_text(12)?,
            store: row.opt_text(13)?,
            variant: row.opt_text(14)?,
            outcome: row.opt_text(15)?,
            order: order.map(Key),
            cents: row.opt_int(17)?,
        },
    })
}

const INSERT: &str = "INSERT INTO touchpoint";

/// Stores touchpoints whose id is new. The answer says for each whether it was; of two with one id in `touches` the first is.
///
/// Nearly always all are new, and then the number of rows says it all. Only when it does not, the statement is taken back and asks which they were.
pub async fn insert(tx: &mut Tx, touches: &[Touchpoint], received_at: Millis) -> Result<Vec<bool>, StoreError> {
    let mut seen = HashSet::with_capacity(touches.len());
    let first: Vec<bool> = touches.iter().map(|t| seen.insert(t.id.as_str())).collect();
    let mut fresh: Vec<&Touchpoint> = touches.iter().zip(&first).filter(|(_, first)| **first).map(|(t, _)| t).collect();
    // Neighbours in the index are written together, and two transactions that hold the same ids meet them in the same order.
    fresh.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    let columns = columns(&fresh, received_at);
    tx.execute("SAVEPOINT touchpoints", args![]).await?;
    if tx.insert_columns(INSERT, &columns, "ON CONFLICT DO NOTHING").await? == fresh.len() as u64 {
        tx.execute("RELEASE SAVEPOINT touchpoints", args![]).await?;
        counter::insert(tx, &moments(fresh.into_iter()), received_at).await?;
        return Ok(first);
    }
    tx.execute("ROLLBACK TO SAVEPOINT touchpoints", args![]).await?;
    let rows = tx.insert_columns_returning(INSERT, &columns, "ON CONFLICT DO NOTHING RETURNING id").await?;
    tx.execute("RELEASE SAVEPOINT touchpoints", args![]).await?;
    let mut stored = rows.iter().map(|row| row.text(0)).collect::<Result<HashSet<String>, _>>()?;
    counter::insert(tx, &moments(fresh.into_iter().filter(|t| stored.contains(&t.id))), received_at).await?;
    Ok(touches.iter().map(|t| stored.remove(&t.id)).collect())
}

/// What only somebody who stands in the shop can do is evidence of a visit.
fn moments<'a>(touches: impl Iterator<Item = &'a Touchpoint>) -> Vec<Moment> {
    let moment = |touch: &Touchpoint| {
        let kind = match touch.kind {
            TouchKind::Pickup => Kind::Pickup,
            TouchKind::Fitting => Kind::Fitting,
            TouchKind::Loyalty => Kind::Card,
            TouchKind::Ticket | TouchKind::Return => Kind::Till,
            _ => return None,
        };
        Some(Moment {
            id: format!("touch {}", touch.id),
            store: touch.detail.store.as_ref()?.parse().ok()?,
            kind,
            at: touch.at,
            identifier_kind: touch.identifier_kind,
            identifier: touch.identifier,
        })
    };
    touches.filter_map(moment).collect()
}

/// Puts touchpoints in the place of others with the same id, where they say something else. The answer says for each whether it did.
pub async fn correct(tx: &mut Tx, touches: &[&Touchpoint], received_at: Millis) -> Result<Vec<bool>, StoreError> {
    let known = "SELECT id, at, kind, campaign, channel, sku, size, identifier_kind, identifier, \
                 source, medium, click_id, category, store, variant, outcome, order_key, cents FROM touchpoint WHERE id = $1";
    let mut changed = Vec::with_capacity(touches.len());
    for touch in touches {
        let row = tx.fetch_optional(known, args![&touch.id]).await?;
        let other = row.as_ref().map(touchpoint).transpose()?.is_some_and(|known| known != **touch);
        if other {
            tx.execute("DELETE FROM touchpoint WHERE id = $1", args![&touch.id]).await?;
            tx.insert_columns(INSERT, &columns(&[touch], received_at), "ON CONFLICT DO NOTHING").await?;
        }
        changed.push(other);
    }
    Ok(changed)
}

/// Stores advertising near a store, or what a later file says of it; `false` if that changed nothing.
pub async fn put_store_exposure(tx: &mut Tx, e: &StoreExposure) -> Result<bool, StoreError> {
    let sql = "INSERT INTO store_exposure (id, store, campaign, channel, starts, ends) VALUES ($1, $2, $3, $4, $5, $6) \
               ON CONFLICT (id) DO UPDATE SET store = excluded.store, campaign = excluded.campaign, channel = excluded.channel, \
               starts = excluded.starts, ends = excluded.ends \
               WHERE store_exposure.store <> excluded.store OR store_exposure.campaign <> excluded.campaign \
               OR store_exposure.channel <> excluded.channel OR store_exposure.starts <> excluded.starts OR store_exposure.ends <> excluded.ends";
    Ok(tx.execute(sql, args![&e.id, &e.store, &e.campaign, &e.channel, e.starts, e.ends]).await? == 1)
}

/// Advertising near a store between two times, by its begin.
pub async fn store_exposures(tx: &mut Tx, store: &str, from: Millis, to: Millis) -> Result<Vec<StoreExposure>, StoreError> {
    let sql = "SELECT id, store, campaign, channel, starts, ends FROM store_exposure WHERE store = $1 AND ends > $2 AND starts < $3 ORDER BY starts, id";
    let read = |row: &Row| {
        Ok(StoreExposure {
            id: row.text(0)?,
            store: row.text(1)?,
            campaign: row.text(2)?,
            channel: row.text(3)?,
            starts: row.millis(4)?,
            ends: row.millis(5)?,
        })
    };
    tx.fetch(sql, args![store, from, to]).await?.iter().map(read).collect()
}

fn columns<'a>(touches: &[&'a Touchpoint], received_at: Millis) -> Vec<Named<'a>> {
    let text = |cell: fn(&Touchpoint) -> Option<&str>| Column::Text(touches.iter().map(|t| cell(t)).collect());
    vec![
        ("id", text(|t| Some(&t.id))),
        ("at", Column::Int(touches.iter().map(|t| Some(t.at.0)).collect())),
        ("kind", text(|t| Some(t.kind.word()))),
        ("campaign", text(|t| t.campaign.as_deref())),
        ("channel", text(|t| t.channel.as_deref())),
        ("sku", text(|t| t.sku.as_deref())),
        ("size", text(|t| t.size.as_deref())),
        ("identifier_kind", text(|t| Some(t.identifier_kind.word()))),
        ("identifier", Column::Blob(touches.iter().map(|t| Some(t.identifier.0.as_slice())).collect())),
        ("source", text(|t| t.detail.source.as_deref())),
        ("medium", text(|t| t.detail.medium.as_deref())),
        ("click_id", text(|t| t.detail.click_id.as_deref())),
        ("category", text(|t| t.detail.category.as_deref())),
        ("store", text(|t| t.detail.store.as_deref())),
        ("variant", text(|t| t.detail.variant.as_deref())),
        ("outcome", text(|t| t.detail.outcome.as_deref())),
        ("order_key", Column::Blob(touches.iter().map(|t| t.detail.order.as_ref().map(|key| key.0.as_slice())).collect())),
        ("cents", Column::Int(touches.iter().map(|t| t.detail.cents).collect())),
        ("received_at", Column::Int(vec![Some(received_at.0); touches.len()])),
    ]
}

/// Stores one line of a till ticket, and the ticket with its first line.
pub async fn insert_till_line(tx: &mut Tx, line: &TillLine, received_at: Millis) -> Result<TillVerdict, StoreError> {
    let (store, ticket) = (line.store.as_str(), line.ticket.as_str());
    let (kind, key) = line.identifier.map(|(kind, key)| (kind.word(), key.0.to_vec())).unzip();
    let ticket_sql = "INSERT INTO purchase (store, ticket, at, identifier_kind, identifier, received_at) VALUES ($1, $2, $3, $4, $5, $6) \
                      ON CONFLICT DO NOTHING";
    if tx.execute(ticket_sql, args![store, ticket, line.at, kind, key.clone(), received_at]).await? == 0 {
        let known = tx.fetch_optional("SELECT at, identifier FROM purchase WHERE store = $1 AND ticket = $2", args![store, ticket]).await?;
        let row = known.ok_or(StoreError::Corrupt("ticket"))?;
        if row.millis(0)? != line.at || row.opt_blob(1)? != key {
            return Ok(TillVerdict::OtherTicket);
        }
    } else if let Some((identifier_kind, identifier)) = line.identifier {
        let id = format!("till {store} {ticket}");
        let moment = Moment { id, store: line.store.clone(), kind: Kind::Till, at: line.at, identifier_kind, identifier };
        counter::insert(tx, &[moment], received_at).await?;
    }
    let line_sql = "INSERT INTO purchase_line (store, ticket, line, sku, cents) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
    let stored = tx.execute(line_sql, args![store, ticket, line.line, line.sku.as_str(), line.cents]).await? == 1;
    Ok(if stored { TillVerdict::Stored } else { TillVerdict::Known })
}
