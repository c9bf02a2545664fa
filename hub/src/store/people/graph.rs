//! The link log and its present reading.

pub mod explain;
mod load;
mod merge;

pub use merge::rebuild;

use std::collections::BTreeSet;

use passage_protocol::Millis;
use uuid::Uuid;

use crate::{
    args,
    identity::{
        IdentifierKind, Key, MemberId,
        graph::{Counts, Refusal, Rules, changes_hands, needs_match},
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
    /// In which context a CRM number counts; usually empty.
    pub context: &'a str,
    /// Which variant of a test was shown at that moment.
    pub variant: Option<&'a str>,
    /// When.
    pub at: Millis,
}

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attach {
    /// It is hers now.
    New,
    /// It is hers already.
    Already,
    /// It made one person of her and another member, for whom this one stands from now on.
    Merged(MemberId),
    /// It ties nothing; the conflict is on record.
    Refused(Refusal),
}

/// The member that a key belongs to.
pub async fn holder(tx: &mut Tx, kind: IdentifierKind, key: &Key) -> Result<Option<MemberId>, StoreError> {
    let row = tx.fetch_optional("SELECT member FROM identifier WHERE kind = $1 AND key = $2", args![kind.word(), &key.0]).await?;
    Ok(match row {
        Some(row) => row.opt_int(0)?.map(MemberId),
        None => None,
    })
}

/// The member who stands for the person that a member is; herself unless she was merged.
pub async fn standing_for(tx: &mut Tx, member: MemberId) -> Result<MemberId, StoreError> {
    let row = tx.fetch_optional("SELECT merged_into FROM member WHERE id = $1", args![member.0]).await?;
    Ok(row.map(|row| row.opt_int(0)).transpose()?.flatten().map_or(member, MemberId))
}

/// All members that one person is, her aliases first and last the one who stands for her; empty if there is no such member.
pub async fn person_of(tx: &mut Tx, member: MemberId) -> Result<Vec<MemberId>, StoreError> {
    let person = standing_for(tx, member).await?;
    let sql = "SELECT id FROM member WHERE id = $1 OR merged_into = $1 ORDER BY merged_into IS NULL, id";
    tx.fetch(sql, args![person.0]).await?.iter().map(|row| row.int(0).map(MemberId)).collect()
}

/// Ties a key to a member, joins two members that it shows to be one, or records why not. The transaction must have opened a change of people.
pub async fn claim(tx: &mut Tx, rules: &Rules, claim: &Claim<'_>) -> Result<Attach, StoreError> {
    let now_with = holder(tx, claim.kind, &claim.key).await?;
    let person = standing_for(tx, claim.member).await?;
    if now_with == Some(person) {
        return say_again(tx, rules, claim, person).await;
    }
    if changes_hands(claim.kind) && !is_late(tx, claim).await? {
        return change_hands(tx, rules, claim, person, now_with).await;
    }
    if let Some(refusal) = refused_before(tx, claim).await? {
        return Ok(Attach::Refused(refusal));
    }
    let named = is_named(tx, claim).await?;
    let id = log(tx, claim).await?;
    if rules.is_strong(claim.kind) && is_shared(tx, claim).await? {
        let why = refused_alone(tx, rules, claim).await?.unwrap_or(Refusal::Shared);
        refuse(tx, claim, id, None, why).await?;
        return Ok(Attach::Refused(why));
    }
    if now_with.is_none() && !named {
        return attach_free(tx, rules, claim, person, id).await;
    }
    read_again(tx, rules, claim, id, now_with.is_none()).await
}

/// The long way: everything around the member is read again in the order of its time.
async fn read_again(tx: &mut Tx, rules: &Rules, claim: &Claim<'_>, id: Uuid, was_free: bool) -> Result<Attach, StoreError> {
    let divide = changes_hands(claim.kind).then_some((claim.kind, claim.key));
    let built = merge::rebuild_and_divide(tx, rules, BTreeSet::from([claim.member]), claim.source, claim.at, divide).await?;
    Ok(match built.refused.get(&id.as_u128()) {
        Some(refusal) => Attach::Refused(*refusal),
        None if was_free || changes_hands(claim.kind) => Attach::New,
        None => Attach::Merged(built.survivor.get(&claim.member).copied().unwrap_or(claim.member)),
    })
}

/// A key that is the person's already. By the word of another of her records only: then what this one says stays true when that is taken back, and
/// counts when it is asked how many named the key.
async fn say_again(tx: &mut Tx, rules: &Rules, claim: &Claim<'_>, person: MemberId) -> Result<Attach, StoreError> {
    // The hashes of an address are said with it, and are no word of their own.
    let is_hash = matches!(claim.kind, IdentifierKind::EmailSha256 | IdentifierKind::PhoneSha256);
    if is_hash || has_said(tx, claim).await? {
        seen(tx, claim, person).await?;
        return Ok(Attach::Already);
    }
    let is_late = is_late(tx, claim).await?;
    let id = log(tx, claim).await?;
    if !rules.is_strong(claim.kind) && !is_late {
        see(tx, claim).await?;
        return Ok(Attach::Already);
    }
    match read_again(tx, rules, claim, id, false).await? {
        Attach::Refused(refusal) => Ok(Attach::Refused(refusal)),
        _ => Ok(Attach::Already),
    }
}

/// A key that nobody ever named, which is what nearly all are.
async fn attach_free(tx: &mut Tx, rules: &Rules, claim: &Claim<'_>, person: MemberId, id: Uuid) -> Result<Attach, StoreError> {
    // Who has a CRM number stands for her other records.
    let may_stand = claim.kind == IdentifierKind::CrmId && person_of(tx, person).await?.len() > 1;
    match admit(tx, rules, claim, person).await? {
        Ok(()) if may_stand => read_again(tx, rules, claim, id, true).await,
        Ok(()) => {
            let since = if rules.is_strong(claim.kind) { Millis(0) } else { reach_back(tx, rules, claim).await? };
            hold(tx, claim, person, since).await?;
            Ok(Attach::New)
        }
        // Of too many the latest are refused, and this need not be one of them.
        Err(Refusal::TwoCrmIds | Refusal::TooMany | Refusal::TooLarge) => read_again(tx, rules, claim, id, true).await,
        Err(refusal) => {
            refuse(tx, claim, id, None, refusal).await?;
            Ok(Attach::Refused(refusal))
        }
    }
}

/// The guards that look at the claim alone.
async fn refused_alone(tx: &mut Tx, rules: &Rules, claim: &Claim<'_>) -> Result<Option<Refusal>, StoreError> {
    if rules.is_blocked(claim.kind, &claim.key) {
        return Ok(Some(Refusal::Blocked));
    }
    let may_match = !needs_match(claim.kind) || load::grants_match(tx, claim.member).await?;
    Ok(if may_match { None } else { Some(Refusal::NoConsent) })
}

/// The guards that need no neighbourhood.
async fn admit(tx: &mut Tx, rules: &Rules, claim: &Claim<'_>, person: MemberId) -> Result<Result<(), Refusal>, StoreError> {
    if let Some(refusal) = refused_alone(tx, rules, claim).await? {
        return Ok(Err(refusal));
    }
    let held = counts(tx, person).await?;
    Ok(rules.may_add(&held, claim.kind, claim.context))
}

/// A browser or tablet that somebody else used before: hers from now on, and what lay between is nobody's.
async fn change_hands(
    tx: &mut Tx,
    rules: &Rules,
    claim: &Claim<'_>,
    person: MemberId,
    before: Option<MemberId>,
) -> Result<Attach, StoreError> {
    let id = log(tx, claim).await?;
    let Some(before) = before else { return attach_free(tx, rules, claim, person, id).await };
    if let Err(refusal) = admit(tx, rules, claim, person).await? {
        refuse(tx, claim, id, Some(before), refusal).await?;
        return Ok(Attach::Refused(refusal));
    }
    let (kind, key) = (claim.kind.word(), &claim.key.0);
    let close = "INSERT INTO former_holder (kind, key, member, since, until) SELECT kind, key, member, since, \
                 CASE WHEN seen_at < $3 THEN seen_at ELSE $3 END FROM identifier WHERE kind = $1 AND key = $2 \
                 ON CONFLICT (kind, key, since) DO UPDATE SET until = excluded.until";
    tx.execute(close, args![kind, key, claim.at]).await?;
    hold(tx, claim, person, claim.at).await?;
    Ok(Attach::New)
}

/// How far into the past a weak key is hers: the window, and never before she let anything be joined.
async fn reach_back(tx: &mut Tx, rules: &Rules, claim: &Claim<'_>) -> Result<Millis, StoreError> {
    let window = claim.at - rules.retro;
    Ok(load::match_since(tx, claim.member).await?.map_or(window, |since| window.max(since)))
}

async fn hold(tx: &mut Tx, claim: &Claim<'_>, person: MemberId, since: Millis) -> Result<(), StoreError> {
    let sql = "INSERT INTO identifier (kind, key, member, since, seen_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (kind, key) \
               DO UPDATE SET member = excluded.member, since = excluded.since, seen_at = excluded.seen_at";
    tx.execute(sql, args![claim.kind.word(), &claim.key.0, person.0, since, claim.at]).await?;
    Ok(())
}

/// Notes that the holder of a key that changes hands was identified by it again.
async fn seen(tx: &mut Tx, claim: &Claim<'_>, person: MemberId) -> Result<(), StoreError> {
    if !changes_hands(claim.kind) {
        return Ok(());
    }
    see(tx, claim).await?;
    let (kind, key) = (claim.kind.word(), &claim.key.0);
    let log = "UPDATE link SET last_at = $4 WHERE kind = $1 AND key = $2 AND last_at < $4 AND revoked_at IS NULL AND at = \
               (SELECT MAX(l.at) FROM link l JOIN member m ON m.id = l.member WHERE l.kind = $1 AND l.key = $2 \
               AND l.revoked_at IS NULL AND (m.id = $3 OR m.merged_into = $3))";
    tx.execute(log, args![kind, key, person.0, claim.at]).await?;
    Ok(())
}

async fn see(tx: &mut Tx, claim: &Claim<'_>) -> Result<(), StoreError> {
    let sql = "UPDATE identifier SET seen_at = $3 WHERE kind = $1 AND key = $2 AND seen_at < $3";
    tx.execute(sql, args![claim.kind.word(), &claim.key.0, claim.at]).await?;
    Ok(())
}

/// Why the same statement tied nothing before.
async fn refused_before(tx: &mut Tx, claim: &Claim<'_>) -> Result<Option<Refusal>, StoreError> {
    let sql = "SELECT refused FROM link WHERE kind = $1 AND key = $2 AND member = $3 AND revoked_at IS NULL AND refused IS NOT NULL";
    let row = tx.fetch_optional(sql, args![claim.kind.word(), &claim.key.0, claim.member.0]).await?;
    Ok(row.map(|row| row.text(0)).transpose()?.as_deref().and_then(Refusal::from_word))
}

/// True if somebody named the key already.
async fn is_named(tx: &mut Tx, claim: &Claim<'_>) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM link WHERE kind = $1 AND key = $2 AND revoked_at IS NULL AND member IS NOT NULL LIMIT 1";
    Ok(tx.fetch_optional(sql, args![claim.kind.word(), &claim.key.0]).await?.is_some())
}

/// True if the member said so before.
async fn has_said(tx: &mut Tx, claim: &Claim<'_>) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM link WHERE kind = $1 AND key = $2 AND member = $3 AND revoked_at IS NULL LIMIT 1";
    Ok(tx.fetch_optional(sql, args![claim.kind.word(), &claim.key.0, claim.member.0]).await?.is_some())
}

/// True if somebody named the key at a later time than this claim, which was long on its way.
async fn is_late(tx: &mut Tx, claim: &Claim<'_>) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM link WHERE kind = $1 AND key = $2 AND revoked_at IS NULL AND member IS NOT NULL AND last_at > $3 LIMIT 1";
    Ok(tx.fetch_optional(sql, args![claim.kind.word(), &claim.key.0, claim.at]).await?.is_some())
}

async fn is_shared(tx: &mut Tx, claim: &Claim<'_>) -> Result<bool, StoreError> {
    let sql = "SELECT at FROM shared_key WHERE kind = $1 AND key = $2";
    Ok(tx.fetch_optional(sql, args![claim.kind.word(), &claim.key.0]).await?.is_some())
}

async fn log(tx: &mut Tx, claim: &Claim<'_>) -> Result<Uuid, StoreError> {
    // Of two statements of one moment the one that arrived first goes first.
    let id = Uuid::now_v7();
    let sql = "INSERT INTO link (id, kind, key, member, source, reason, context, at, last_at, variant) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)";
    let (kind, key) = (claim.kind.word(), &claim.key.0);
    let name = id.simple().to_string();
    tx.execute(sql, args![name, kind, key, claim.member.0, claim.source, claim.reason, claim.context, claim.at, claim.variant]).await?;
    Ok(id)
}

/// Records why a link ties nothing.
async fn refuse(tx: &mut Tx, claim: &Claim<'_>, id: Uuid, other: Option<MemberId>, why: Refusal) -> Result<(), StoreError> {
    tx.execute("UPDATE link SET refused = $2 WHERE id = $1", args![id.simple().to_string(), why.word()]).await?;
    let sql =
        "INSERT INTO conflict (kind, key, member, other, reason, source, at) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
    let (kind, key, other) = (claim.kind.word(), &claim.key.0, other.map(|m| m.0));
    tx.execute(sql, args![kind, key, claim.member.0, other, why.word(), claim.source, claim.at]).await?;
    Ok(())
}

/// How many keys of each kind a person holds. CRM numbers are all counted in the plain context: a second one goes the long way.
async fn counts(tx: &mut Tx, person: MemberId) -> Result<Counts, StoreError> {
    let sql = "SELECT i.kind, COALESCE((SELECT MIN(l.context) FROM link l WHERE l.kind = i.kind AND l.key = i.key AND l.revoked_at IS NULL), '') \
               FROM identifier i WHERE i.member = $1";
    let mut held = Counts::default();
    for row in tx.fetch(sql, args![person.0]).await? {
        let kind = row.text(0)?.parse().map_err(|()| StoreError::Corrupt("kind of identifier"))?;
        held.add(kind, &row.text(1)?);
    }
    Ok(held)
}

/// Unties all keys of a kind from a member. The log keeps that they were tied, and until when. Returns how many there were.
pub async fn release(tx: &mut Tx, member: MemberId, kind: IdentifierKind, at: Millis) -> Result<u64, StoreError> {
    let released = tx.execute("DELETE FROM identifier WHERE member = $1 AND kind = $2", args![member.0, kind.word()]).await?;
    if released > 0 {
        let sql = "UPDATE link SET revoked_at = $3, revoked_by = 'consent' WHERE kind = $2 AND revoked_at IS NULL \
                   AND member IN (SELECT id FROM member WHERE id = $1 OR merged_into = $1)";
        tx.execute(sql, args![member.0, kind.word(), at]).await?;
    }
    Ok(released)
}

/// Takes one link back and tells the persons apart whom it alone had joined. `false` if there is no such link, or it was taken back before.
pub async fn unlink(tx: &mut Tx, rules: &Rules, id: &str, by: &str, why: &str, at: Millis) -> Result<bool, StoreError> {
    let sql = "SELECT member, kind, key FROM link WHERE id = $1 AND revoked_at IS NULL AND member IS NOT NULL";
    let Some(row) = tx.fetch_optional(sql, args![id]).await? else { return Ok(false) };
    let (member, kind, key) = (MemberId(row.int(0)?), row.text(1)?, row.bytes32(2)?);
    let (kind, person) = (kind.as_str(), standing_for(tx, member).await?);
    let mut touched = load::reach(tx, rules, BTreeSet::from([member])).await?;
    let revoke = "UPDATE link SET revoked_at = $2, revoked_by = $3, revoked_why = $4 WHERE id = $1";
    tx.execute(revoke, args![id, at, by, why]).await?;
    tx.execute("DELETE FROM identifier WHERE kind = $1 AND key = $2 AND member = $3", args![kind, &key, person.0]).await?;
    tx.execute("DELETE FROM former_holder WHERE kind = $1 AND key = $2 AND member = $3", args![kind, &key, person.0]).await?;
    tx.execute("DELETE FROM conflict WHERE kind = $1 AND key = $2 AND member = $3", args![kind, &key, member.0]).await?;
    // Whoever named the key too may hold it now.
    let others = "SELECT DISTINCT member FROM link WHERE kind = $1 AND key = $2 AND revoked_at IS NULL AND member IS NOT NULL LIMIT 100";
    for row in tx.fetch(others, args![kind, &key]).await? {
        touched.insert(MemberId(row.int(0)?));
    }
    rebuild(tx, rules, touched, by, at).await?;
    Ok(true)
}
