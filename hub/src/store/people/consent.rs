//! What members said, decided against what stands, and what stands now. The record itself is the ledger beside it.

use passage_config::Company;
use passage_protocol::Millis;

use crate::{
    args,
    identity::{
        IdentifierKind, MemberId, Purpose,
        consent::{Standing, Statement, Verdict, decide, proven_at},
    },
    store::{
        StoreError, Tx,
        people::{self, graph, installation},
    },
};

use super::{ledger::Pending, withdrawal};

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

/// True if `purpose` is granted to the company for which something is done. Where nobody knows which one that is (a campaign without `company`, a site
/// that does not say whose it is), a consent to any of them counts: the hub acts for all of them together, and whoever uses later what was kept here asks
/// for the consent to the company of that use.
pub fn granted(standing: &[Standing], company: Option<&Company>, purpose: Purpose) -> bool {
    company.map_or_else(|| any(standing, purpose), |to| allows(standing, &to.brand, &to.entity, purpose))
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

/// Puts a statement on record if it changes something, ends what a withdrawal ends, and keeps `standing` up to date with it.
///
/// Everything that states consent comes through here or through [`say_later`]: CRM files, the app, STOP, the API, the member's page.
pub async fn say(tx: &mut Tx, by: Parties<'_>, said: &Statement, now: Millis, standing: &mut Vec<Standing>) -> Result<Verdict, StoreError> {
    let mut pending = Pending::default();
    let verdict = say_later(&mut pending, by, said, now, standing);
    pending.write(tx, now).await?;
    if let (Verdict::Record(_), false) = (verdict, said.granted) {
        withdrawal::carry_out(tx, by, said.purpose, now, standing).await?;
    }
    if let (Verdict::Record(_), true, Purpose::Sms) = (verdict, said.granted, said.purpose) {
        lift_stop(tx, by, said, standing).await?;
    }
    Ok(verdict)
}

/// A consent that came after a STOP and can be shown takes her number off the list. A number that comes later does so when it comes.
async fn lift_stop(tx: &mut Tx, by: Parties<'_>, said: &Statement, standing: &[Standing]) -> Result<(), StoreError> {
    let now = standing.iter().find(|s| s.purpose == Purpose::Sms && s.brand == by.brand && s.entity == by.entity);
    let Some(at) = proven_at(now, Some(said)) else { return Ok(()) };
    if let Some(number) = people::profile(tx, by.member, by.brand, by.entity).await?.and_then(|p| p.destination) {
        people::lift(tx, by.brand, by.entity, &number.key, at).await?;
    }
    Ok(())
}

/// Like [`say`], but the statement is on record only once `pending` is written, and what a withdrawal ends is left to the caller
/// ([`withdrawal::carry_out`]); both belong into the same transaction.
pub fn say_later(pending: &mut Pending, by: Parties<'_>, said: &Statement, now: Millis, standing: &mut Vec<Standing>) -> Verdict {
    let same = |s: &Standing| s.brand == by.brand && s.entity == by.entity && s.purpose == said.purpose;
    let verdict = decide(standing.iter().find(|s| same(s)), said, by.source, now);
    let Verdict::Record(at) = verdict else { return verdict };
    pending.add(by, said, at);
    standing.retain(|s| !same(s));
    let (brand, entity) = (by.brand.to_owned(), by.entity.to_owned());
    standing.push(Standing { brand, entity, purpose: said.purpose, granted: said.granted, at, source: by.source.to_owned() });
    verdict
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

/// Sets how a purpose stands without a new statement, for members who turned out to be one person.
pub async fn set(tx: &mut Tx, member: MemberId, said: &Standing) -> Result<(), StoreError> {
    let sql = "INSERT INTO consent_now (member, brand, entity, purpose, granted, at, source) VALUES ($1, $2, $3, $4, $5, $6, $7) \
               ON CONFLICT (member, purpose, brand, entity) DO UPDATE SET granted = excluded.granted, at = excluded.at, source = excluded.source";
    let (brand, entity, purpose, source) = (said.brand.as_str(), said.entity.as_str(), said.purpose.word(), said.source.as_str());
    tx.execute(sql, args![member.0, brand, entity, purpose, said.granted, said.at, source]).await?;
    Ok(())
}

/// Takes back what [`set`] gave her from another member.
pub async fn unset(tx: &mut Tx, member: MemberId, said: &Standing) -> Result<(), StoreError> {
    let sql = "DELETE FROM consent_now WHERE member = $1 AND brand = $2 AND entity = $3 AND purpose = $4";
    tx.execute(sql, args![member.0, said.brand.as_str(), said.entity.as_str(), said.purpose.word()]).await?;
    Ok(())
}
