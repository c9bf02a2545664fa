//! Erasure, restriction, and what stays: keyed hashes that keep her from being written to or brought back.

use std::collections::{BTreeMap, BTreeSet};

use passage_protocol::{Millis, sign::Signing};
use serde::Serialize;
use uuid::Uuid;

use super::inventory::HELD;
use crate::{
    args,
    identity::{IdentifierKind, MemberId},
    store::{
        Db, StoreError, Tx,
        people::{self, Version, activity, given},
        work,
    },
};

/// What the signature of a receipt is over begins with this.
pub const DOMAIN: &str = "passage erasure receipt";

/// What was erased, without a word about whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// Number of the receipt.
    pub receipt: String,
    /// Business time in milliseconds since 1970.
    pub erased_at: i64,
    /// Rows that were erased or made nobody's, by table.
    pub tables: BTreeMap<&'static str, u64>,
    /// What stays, and why.
    pub kept: &'static [&'static str],
}

const KEPT: &[&str] = &[
    "suppression: the keyed hash of the number, so that it is never written to",
    "barred: the keyed hash of the customer number, so that no file brings the member back",
    "ledger_entry: hashes without content, so that the record of all others can still be checked",
    "purchase: till tickets that name nobody",
    "ad_given: sealed hashes of an address or number that an ad platform was given, so that it can be told to take them out, for 13 months",
    "audit: that somebody looked at what was known of a member, or erased it, by her number here",
];

/// A receipt and the hub's signature over it.
#[derive(Debug, Clone, Serialize)]
pub struct SignedReceipt {
    /// The receipt as JSON, byte for byte what is signed.
    pub receipt: String,
    /// Which of the hub's keys.
    pub key_id: String,
    /// Ed25519 in base64, over `"passage erasure receipt"`, a zero byte and the receipt.
    pub signature: String,
}

/// Erases a member in one transaction; `None` if there is no such member.
///
/// Hubs drop her from memory and gateways refuse her phones within seconds, as after a withdrawal. On SQLite the WAL is emptied afterwards, and freed
/// pages are overwritten by the engine; on PostgreSQL dead rows go with the next vacuum.
pub async fn erase(db: &Db, signing: &Signing, member: MemberId, now: Millis) -> Result<Option<SignedReceipt>, StoreError> {
    let mut tx = db.begin().await?;
    let version = people::changes(&mut tx).await?;
    let person = people::graph::person_of(&mut tx, member).await?;
    if person.is_empty() {
        return Ok(None);
    }
    lock(&mut tx, &person).await?;
    for member in &person {
        suppress(&mut tx, *member, now).await?;
    }
    let tables = delete(&mut tx, &person, version, now).await?;
    let receipt = Receipt { receipt: Uuid::from_u128(rand::random()).to_string(), erased_at: now.0, tables, kept: KEPT };
    let signed = sign(&mut tx, signing, &receipt).await?;
    tx.commit().await?;
    db.tidy().await?;
    Ok(Some(signed))
}

/// Persons that are forgotten in one transaction.
const AT_ONCE: u32 = 20;

/// Erases persons of whom nothing was heard since `cut`, in small transactions; returns how many. As after an erasure, last night's file does not bring
/// them back and a later consent does; who said STOP stays on that list, and nobody else is put on it.
pub async fn forget_quiet(db: &Db, cut: Millis, now: Millis) -> Result<u64, StoreError> {
    let mut forgotten = 0;
    loop {
        let mut tx = db.begin().await?;
        let version = people::changes(&mut tx).await?;
        let quiet = activity::quiet(&mut tx, cut, AT_ONCE).await?;
        if quiet.is_empty() {
            break;
        }
        let mut persons = Vec::with_capacity(quiet.len());
        for member in quiet {
            match activity::last(&mut tx, member).await? {
                Some(at) if at >= cut => activity::set(&mut tx, member, at).await?,
                _ => persons.push(people::graph::person_of(&mut tx, member).await?),
            }
        }
        lock(&mut tx, &persons.concat()).await?;
        for person in &persons {
            delete(&mut tx, person, version, now).await?;
        }
        tx.commit().await?;
        forgotten += persons.len() as u64;
    }
    if forgotten > 0 {
        db.tidy().await?;
    }
    Ok(forgotten)
}

/// Locks the shards of members, in ascending order.
async fn lock(tx: &mut Tx, members: &[MemberId]) -> Result<(), StoreError> {
    let shards: BTreeSet<i64> = members.iter().map(|member| member.shard()).collect();
    for shard in shards {
        work::lock_shard_waiting(tx, shard).await?;
    }
    Ok(())
}

/// Deletes all records that are one person; the one that stands for her comes last. Returns the rows that went, by table.
async fn delete(tx: &mut Tx, person: &[MemberId], version: Version, now: Millis) -> Result<BTreeMap<&'static str, u64>, StoreError> {
    let mut tables = BTreeMap::new();
    for member in person {
        keep_away(tx, *member, version, now).await?;
        given::forget(tx, *member, now).await?;
        for holding in HELD {
            if let Some(erase) = holding.erase {
                let rows = tx.execute(erase, args![member.0]).await?;
                if rows > 0 {
                    *tables.entry(holding.table).or_default() += rows;
                }
            }
        }
    }
    Ok(tables)
}

/// Writes down what keeps her numbers from being written to.
async fn suppress(tx: &mut Tx, member: MemberId, now: Millis) -> Result<(), StoreError> {
    let numbers = "SELECT key FROM destination WHERE member = $1 UNION SELECT key FROM identifier WHERE member = $1 AND kind = 'phone'";
    let numbers: Vec<Vec<u8>> = tx.fetch(numbers, args![member.0]).await?.iter().map(|row| row.blob(0)).collect::<Result<_, _>>()?;
    let standing = people::consent::standing(tx, member).await?;
    let pairs: BTreeSet<(&str, &str)> = standing.iter().map(|s| (s.brand.as_str(), s.entity.as_str())).collect();
    for (brand, entity) in pairs {
        for number in &numbers {
            let sql =
                "INSERT INTO suppression (brand, entity, destination, at, reason) VALUES ($1, $2, $3, $4, 'erased') ON CONFLICT DO NOTHING";
            tx.execute(sql, args![brand, entity, number.as_slice(), now]).await?;
        }
    }
    Ok(())
}

/// Writes down what keeps her from being brought back, and her phones from being heard.
async fn keep_away(tx: &mut Tx, member: MemberId, version: Version, now: Millis) -> Result<(), StoreError> {
    let bar = "INSERT INTO barred (crm_id, at) SELECT key, $2 FROM identifier WHERE member = $1 AND kind = $3 \
               ON CONFLICT (crm_id) DO UPDATE SET at = excluded.at";
    tx.execute(bar, args![member.0, now, IdentifierKind::CrmId.word()]).await?;
    let phones = "INSERT INTO ended_installation (id, at) SELECT id, $2 FROM installation WHERE member = $1 ON CONFLICT DO NOTHING";
    tx.execute(phones, args![member.0, now]).await?;
    let memory = "INSERT INTO erased_member (member, version, at) VALUES ($1, $2, $3) \
                  ON CONFLICT (member) DO UPDATE SET version = excluded.version, at = excluded.at";
    tx.execute(memory, args![member.0, version, now]).await?;
    Ok(())
}

async fn sign(tx: &mut Tx, signing: &Signing, receipt: &Receipt) -> Result<SignedReceipt, StoreError> {
    // Texts and numbers: serde_json has nothing to refuse.
    let text = serde_json::to_string(receipt).unwrap_or_default();
    let signature = signing.sign(DOMAIN, text.as_bytes());
    let sql = "INSERT INTO erasure (id, at, receipt, key_id, signature) VALUES ($1, $2, $3, $4, $5)";
    tx.execute(sql, args![&receipt.receipt, receipt.erased_at, &text, signing.key_id(), &signature]).await?;
    Ok(SignedReceipt { receipt: text, key_id: signing.key_id(), signature })
}

/// Keeps a member's data without using it, or, without a `reason`, uses it again; `false` if there is no such member.
pub async fn restrict(db: &Db, member: MemberId, reason: Option<&str>, now: Millis) -> Result<bool, StoreError> {
    let mut tx = db.begin().await?;
    let version = people::changes(&mut tx).await?;
    // All records that are one person: who asks does not ask for one of them.
    let person = people::graph::person_of(&mut tx, member).await?;
    for member in &person {
        restrict_one(&mut tx, *member, version, reason, now).await?;
    }
    tx.commit().await?;
    Ok(!person.is_empty())
}

async fn restrict_one(tx: &mut Tx, member: MemberId, version: i64, reason: Option<&str>, now: Millis) -> Result<(), StoreError> {
    tx.execute("UPDATE member SET version = $2 WHERE id = $1", args![member.0, version]).await?;
    match reason {
        Some(reason) => {
            let sql = "INSERT INTO restriction (member, at, reason) VALUES ($1, $2, $3) \
                       ON CONFLICT (member) DO UPDATE SET reason = excluded.reason";
            tx.execute(sql, args![member.0, now, reason]).await?;
            let planned = "UPDATE message SET state = 'suppressed', reason = 'restricted', settled_at = $2, sealed = NULL, claimed_by = NULL, \
                           claim_until = NULL WHERE member = $1 AND state IN ('planned', 'claimed')";
            tx.execute(planned, args![member.0, now]).await?;
            given::end(tx, member, None, now).await?;
        }
        None => {
            tx.execute("DELETE FROM restriction WHERE member = $1", args![member.0]).await?;
        }
    }
    Ok(())
}
