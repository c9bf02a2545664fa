//! The log of consent statements and their present reading.

use passage_protocol::Millis;

use crate::{
    args,
    identity::{
        IdentifierKind, MemberId, Purpose,
        consent::{Standing, Statement, Verdict, decide},
    },
    store::{
        StoreError, Tx,
        people::{self, graph, installation},
    },
};

/// All statements that stand for a member.
pub async fn standing(tx: &mut Tx, member: MemberId) -> Result<Vec<Standing>, StoreError> {
    let sql = "SELECT brand, entity, purpose, granted, at, source FROM consent_now WHERE member = $1";
    let read = |row: &crate::store::Row| {
        Ok(Standing {
            brand: row.text(0)?,
            entity: row.text(1)?,
            purpose: row.text(2)?.parse().map_err(|()| StoreError::Corrupt("purpose"))?,
            granted: row.flag(3)?,
            at: row.millis(4)?,
            source: row.text(5)?,
        })
    };
    tx.fetch(sql, args![member.0]).await?.iter().map(read).collect()
}

/// True if `purpose` is granted to anybody among `standing`.
pub fn any(standing: &[Standing], purpose: Purpose) -> bool {
    standing.iter().any(|s| s.granted && s.purpose == purpose)
}

/// True if `purpose` is granted to this brand and entity among `standing`.
pub fn allows(standing: &[Standing], brand: &str, entity: &str, purpose: Purpose) -> bool {
    standing.iter().any(|s| s.granted && s.purpose == purpose && s.brand == brand && s.entity == entity)
}

/// To whom a statement was made, and who tells us of it.
#[derive(Debug, Clone, Copy)]
pub struct Parties<'a> {
    /// Who said it.
    pub member: MemberId,
    /// To whom.
    pub brand: &'a str,
    /// To which legal controller.
    pub entity: &'a str,
    /// `crm`, `app`, or the name of an API token.
    pub source: &'a str,
}

/// Puts a statement on record if it changes something, and keeps `standing` up to date with it.
pub async fn say(tx: &mut Tx, by: Parties<'_>, said: &Statement, now: Millis, standing: &mut Vec<Standing>) -> Result<Verdict, StoreError> {
    let same = |s: &Standing| s.brand == by.brand && s.entity == by.entity && s.purpose == said.purpose;
    let verdict = decide(standing.iter().find(|s| same(s)), said, by.source, now);
    let Verdict::Record(at) = verdict else { return Ok(verdict) };
    let (member, purpose) = (by.member.0, said.purpose.word());
    let log = "INSERT INTO consent (member, brand, entity, purpose, granted, at, source, wording) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    tx.execute(log, args![member, by.brand, by.entity, purpose, said.granted, at, by.source, said.wording.as_str()]).await?;
    let reading = "INSERT INTO consent_now (member, brand, entity, purpose, granted, at, source) VALUES ($1, $2, $3, $4, $5, $6, $7) \
                   ON CONFLICT (member, purpose, brand, entity) DO UPDATE SET granted = excluded.granted, at = excluded.at, source = excluded.source";
    tx.execute(reading, args![member, by.brand, by.entity, purpose, said.granted, at, by.source]).await?;
    standing.retain(|s| !same(s));
    let (brand, entity) = (by.brand.to_owned(), by.entity.to_owned());
    standing.push(Standing { brand, entity, purpose: said.purpose, granted: said.granted, at, source: by.source.to_owned() });
    Ok(verdict)
}

/// Lets go of what no consent among `standing` gives a reason for any more: keys and tokens of her phones with this brand and entity without
/// `presence`, e-mail and phone as keys without `match`, the number without `sms`.
pub async fn let_go(tx: &mut Tx, by: Parties<'_>, standing: &[Standing], now: Millis) -> Result<(), StoreError> {
    if !allows(standing, by.brand, by.entity, Purpose::Presence) {
        installation::delete_all(tx, by.member, by.brand, by.entity, now).await?;
    }
    if !any(standing, Purpose::Match) {
        for kind in [IdentifierKind::Email, IdentifierKind::Phone] {
            graph::release(tx, by.member, kind, now).await?;
        }
    }
    if !any(standing, Purpose::Sms) {
        people::set_destination(tx, by.member, None, now).await?;
    }
    Ok(())
}
