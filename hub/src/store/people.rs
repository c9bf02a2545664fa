//! Members, consents, links, installations and suppressions.
//!
//! Every transaction that changes people calls [`changes`] first. On PostgreSQL that row lock puts such transactions in one order, so the link graph
//! and the consents never see half of another change, and a reader that sees a version has seen all lower ones.

pub mod activity;
pub mod consent;
pub mod given;
pub mod graph;
pub mod installation;
pub mod ledger;
pub mod onboard;
pub mod page;
pub mod withdrawal;

use passage_protocol::Millis;

use crate::{
    args,
    identity::{AgeBand, Consents, Destination, Key, Keyring, MemberId, Profile, Purpose},
    store::{StoreError, Tx},
};

/// Number of a change of people; it only grows.
pub type Version = i64;

/// Opens a change of people in this transaction and returns its version, to be stamped on each member that it touches.
pub async fn changes(tx: &mut Tx) -> Result<Version, StoreError> {
    let row = tx.fetch_optional("UPDATE people_version SET version = version + 1 WHERE id = 1 RETURNING version", args![]).await?;
    row.ok_or(StoreError::Corrupt("people version"))?.int(0)
}

/// What the offer and SMS stages need to know of a member for one brand and entity; `None` if there is no such member. Without a number of her own
/// she has that of a member who went into her.
pub async fn profile(tx: &mut Tx, member: MemberId, brand: &str, entity: &str) -> Result<Option<Profile>, StoreError> {
    let sql = "SELECT d.key, d.sealed, s.at, d.member FROM member m LEFT JOIN destination d ON d.member = \
               COALESCE((SELECT o.member FROM destination o WHERE o.member = m.id), \
               (SELECT o.member FROM member a JOIN destination o ON o.member = a.id WHERE a.merged_into = m.id ORDER BY o.at DESC, o.member LIMIT 1)) \
               LEFT JOIN suppression s ON s.destination = d.key AND s.brand = $2 AND s.entity = $3 WHERE m.id = $1";
    let Some(row) = tx.fetch_optional(sql, args![member.0, brand, entity]).await? else { return Ok(None) };
    let destination = match row.opt_blob(0)? {
        None => None,
        Some(_) => Some(Destination { key: Key(row.bytes32(0)?), sealed: row.blob(1)?, owner: MemberId(row.int(3)?) }),
    };
    let suppressed = row.opt_int(2)?.is_some();
    let consents = consents(tx, member, brand, entity).await?;
    Ok(Some(Profile { member, consents, destination, suppressed }))
}

/// The purposes that a member grants to one brand and entity now; none while her data is restricted.
pub async fn consents(tx: &mut Tx, member: MemberId, brand: &str, entity: &str) -> Result<Consents, StoreError> {
    let sql = "SELECT purpose FROM consent_now WHERE member = $1 AND brand = $2 AND entity = $3 AND granted = 1 \
               AND NOT EXISTS (SELECT 1 FROM restriction r WHERE r.member = consent_now.member)";
    let rows = tx.fetch(sql, args![member.0, brand, entity]).await?;
    let read = |row: &crate::store::Row| row.text(0)?.parse::<Purpose>().map_err(|()| StoreError::Corrupt("purpose"));
    Ok(Consents(rows.iter().map(read).collect::<Result<_, _>>()?))
}

/// Puts a destination on the brand's and entity's STOP list; `false` if it is on it already. `reason` is a word such as `stop`.
pub async fn suppress(tx: &mut Tx, brand: &str, entity: &str, destination: &Key, at: Millis, reason: &str) -> Result<bool, StoreError> {
    let sql = "INSERT INTO suppression (brand, entity, destination, at, reason) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
    Ok(tx.execute(sql, args![brand, entity, &destination.0, at, reason]).await? == 1)
}

/// Takes a destination off the STOP list of a brand and entity where it was put before `consented_at`; `true` if it was.
pub async fn lift(tx: &mut Tx, brand: &str, entity: &str, destination: &Key, consented_at: Millis) -> Result<bool, StoreError> {
    let sql = "DELETE FROM suppression WHERE brand = $1 AND entity = $2 AND destination = $3 AND at < $4";
    Ok(tx.execute(sql, args![brand, entity, &destination.0, consented_at]).await? == 1)
}

/// When the member with this customer number was erased, if she was and did not come back since.
pub async fn barred(tx: &mut Tx, crm_id: &Key) -> Result<Option<Millis>, StoreError> {
    let row = tx.fetch_optional("SELECT at FROM barred WHERE crm_id = $1", args![&crm_id.0]).await?;
    row.map(|row| row.millis(0)).transpose()
}

/// Makes a member. Her number comes from her keyed `crm_id`, so that a second import after an erasure or on another database puts her into the same
/// hold-outs; when it is taken, a random one that is free.
pub async fn create(tx: &mut Tx, brand: &str, crm_id: &Key, at: Millis, version: Version) -> Result<MemberId, StoreError> {
    let mut member = MemberId::of(crm_id);
    loop {
        let sql = "INSERT INTO member (id, brand, created_at, version) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
        if tx.execute(sql, args![member.0, brand, at, version]).await? == 1 {
            tx.execute("DELETE FROM barred WHERE crm_id = $1", args![&crm_id.0]).await?;
            tx.execute("DELETE FROM erased_member WHERE member = $1", args![member.0]).await?;
            return Ok(member);
        }
        member = MemberId(rand::random_range(1..MemberId::LIMIT));
    }
}

/// Stamps a change on a member, so that every hub reloads her.
pub async fn touch(tx: &mut Tx, member: MemberId, version: Version) -> Result<(), StoreError> {
    tx.execute("UPDATE member SET version = $2 WHERE id = $1", args![member.0, version]).await?;
    Ok(())
}

/// The customer number of a member, keyed.
pub async fn crm_key(tx: &mut Tx, member: MemberId) -> Result<Option<Key>, StoreError> {
    let sql = "SELECT key FROM identifier WHERE member = $1 AND kind = 'crm_id' ORDER BY since, key";
    tx.fetch_optional(sql, args![member.0]).await?.map(|row| Ok(Key(row.bytes32(0)?))).transpose()
}

/// Sets where SMS of a member go, or removes it, also of those who went into her; `true` if that was a change.
pub async fn set_destination(tx: &mut Tx, member: MemberId, to: Option<&Destination>, at: Millis) -> Result<bool, StoreError> {
    let changed = match to {
        None => {
            let sql = "DELETE FROM destination WHERE member = $1 OR member IN (SELECT id FROM member WHERE merged_into = $1)";
            tx.execute(sql, args![member.0]).await?
        }
        Some(to) => {
            let sql = "INSERT INTO destination (member, key, sealed, at) VALUES ($1, $2, $3, $4) ON CONFLICT (member) DO UPDATE \
                       SET key = excluded.key, sealed = excluded.sealed, at = excluded.at WHERE destination.key <> excluded.key";
            tx.execute(sql, args![member.0, &to.key.0, to.sealed.as_slice(), at]).await?
        }
    };
    Ok(changed > 0)
}

/// Keeps the age band that a member told.
pub async fn set_age(tx: &mut Tx, member: MemberId, age: AgeBand, at: Millis) -> Result<(), StoreError> {
    let sql = "UPDATE member SET age_band = $2, age_at = $3 WHERE id = $1 AND (age_band IS NULL OR age_band <> $2)";
    tx.execute(sql, args![member.0, age.word(), at]).await?;
    Ok(())
}

/// The age band that a member told, or one who went into her; of two the later one.
pub async fn age(tx: &mut Tx, member: MemberId) -> Result<Option<AgeBand>, StoreError> {
    let sql = "SELECT age_band FROM member WHERE (id = $1 OR merged_into = $1) AND age_band IS NOT NULL ORDER BY age_at DESC, id LIMIT 1";
    let row = tx.fetch_optional(sql, args![member.0]).await?;
    let Some(word) = row.map(|row| row.opt_text(0)).transpose()?.flatten() else { return Ok(None) };
    word.parse().map(Some).map_err(|()| StoreError::Corrupt("age band"))
}

/// The members whose SMS go to this destination, after merges those who stand for them.
pub async fn at_destination(tx: &mut Tx, destination: &Key) -> Result<Vec<MemberId>, StoreError> {
    let sql =
        "SELECT DISTINCT COALESCE(m.merged_into, m.id) FROM destination d JOIN member m ON m.id = d.member WHERE d.key = $1 ORDER BY 1";
    let rows = tx.fetch(sql, args![&destination.0]).await?;
    rows.iter().map(|row| row.int(0).map(MemberId)).collect()
}

/// Version of the last committed change of people.
pub async fn version(tx: &mut Tx) -> Result<Version, StoreError> {
    let row = tx.fetch_optional("SELECT version FROM people_version WHERE id = 1", args![]).await?;
    row.ok_or(StoreError::Corrupt("people version"))?.int(0)
}

/// What the resolver needs to know of the members that changed after `version`.
#[derive(Debug, Default)]
pub struct Changed {
    /// All of them.
    pub members: Vec<MemberId>,
    /// (member, brand, entity) with `presence` granted.
    pub presence: Vec<(MemberId, String, String)>,
    /// Registered cards and fobs.
    pub beacons: Vec<(Key, MemberId)>,
    /// Live installations with their keys.
    pub installations: Vec<installation::Keyed>,
}

/// Reads at most `limit` members behind `after`, in the order of their numbers.
pub async fn page(tx: &mut Tx, keyring: &Keyring, after: MemberId, limit: u32) -> Result<Changed, StoreError> {
    let mut out = Changed::default();
    for row in tx.fetch("SELECT id FROM member WHERE id > $1 ORDER BY id LIMIT $2", args![after.0, limit]).await? {
        out.members.push(MemberId(row.int(0)?));
    }
    let Some(until) = out.members.last().copied() else { return Ok(out) };
    let presence =
        "SELECT member, brand, entity FROM consent_now WHERE member > $1 AND member <= $2 AND purpose = 'presence' AND granted = 1";
    for row in tx.fetch(presence, args![after.0, until.0]).await? {
        out.presence.push((MemberId(row.int(0)?), row.text(1)?, row.text(2)?));
    }
    let beacons = "SELECT key, member FROM identifier WHERE member > $1 AND member <= $2 AND kind = 'beacon'";
    for row in tx.fetch(beacons, args![after.0, until.0]).await? {
        out.beacons.push((Key(row.bytes32(0)?), MemberId(row.int(1)?)));
    }
    out.installations = installation::page(tx, keyring, after, until).await?;
    Ok(out)
}

/// Reads what changed after `version`.
pub async fn changed_since(tx: &mut Tx, keyring: &Keyring, version: Version) -> Result<Changed, StoreError> {
    let mut out = Changed::default();
    for row in tx.fetch("SELECT id FROM member WHERE version > $1", args![version]).await? {
        out.members.push(MemberId(row.int(0)?));
    }
    for row in tx.fetch("SELECT member FROM erased_member WHERE version > $1", args![version]).await? {
        out.members.push(MemberId(row.int(0)?));
    }
    let presence = "SELECT c.member, c.brand, c.entity FROM consent_now c JOIN member m ON m.id = c.member \
                    WHERE m.version > $1 AND c.purpose = 'presence' AND c.granted = 1 \
                    AND NOT EXISTS (SELECT 1 FROM restriction r WHERE r.member = c.member)";
    for row in tx.fetch(presence, args![version]).await? {
        out.presence.push((MemberId(row.int(0)?), row.text(1)?, row.text(2)?));
    }
    let beacons = "SELECT i.key, i.member FROM identifier i JOIN member m ON m.id = i.member WHERE m.version > $1 AND i.kind = 'beacon'";
    for row in tx.fetch(beacons, args![version]).await? {
        out.beacons.push((Key(row.bytes32(0)?), MemberId(row.int(1)?)));
    }
    out.installations = installation::changed(tx, keyring, version).await?;
    Ok(out)
}
