//! The ledger of consent in the database. The row of a chain's end is locked before an entry follows it, so several hubs write one chain.

use std::collections::{BTreeMap, HashSet};

use passage_protocol::Millis;

use super::consent::Parties;
use crate::{
    args,
    identity::{
        MemberId,
        consent::Statement,
        ledger::{Entry, Head, Public, Said, digest_of},
    },
    store::{Db, Row, StoreError, Tx, Value},
};

/// Entries that are read or moved at once.
const PAGE: i64 = 5_000;

/// A statement that counts and is to be written.
#[derive(Debug, Clone)]
struct Decided {
    member: MemberId,
    brand: String,
    entity: String,
    source: String,
    at: Millis,
    said: Statement,
}

/// Statements that are decided but not written yet: an import writes them a few hundred at a time.
#[derive(Debug, Default)]
pub struct Pending {
    decided: Vec<Decided>,
    members: HashSet<MemberId>,
}

impl Pending {
    /// Adds a statement that counts from `at`.
    pub fn add(&mut self, by: Parties<'_>, said: &Statement, at: Millis) {
        let (brand, entity, source) = (by.brand.to_owned(), by.entity.to_owned(), by.source.to_owned());
        self.members.insert(by.member);
        self.decided.push(Decided { member: by.member, brand, entity, source, at, said: said.clone() });
    }

    /// True if a statement of this member is not written yet.
    pub fn holds(&self, member: MemberId) -> bool {
        self.members.contains(&member)
    }

    /// Writes all of them: the texts, the entries, and what stands now.
    pub async fn write(&mut self, tx: &mut Tx, now: Millis) -> Result<(), StoreError> {
        self.members.clear();
        let decided = std::mem::take(&mut self.decided);
        if decided.is_empty() {
            return Ok(());
        }
        write_texts(tx, &decided, now).await?;
        write_standing(tx, &decided).await?;
        let mut chains: BTreeMap<(&str, &str), Vec<&Decided>> = BTreeMap::new();
        for one in &decided {
            chains.entry((&one.brand, &one.entity)).or_default().push(one);
        }
        // In the order of their names, so that two hubs never wait for each other.
        for ((brand, entity), said) in chains {
            append(tx, brand, entity, &said, now).await?;
        }
        Ok(())
    }
}

async fn write_texts(tx: &mut Tx, decided: &[Decided], now: Millis) -> Result<(), StoreError> {
    let texts: BTreeMap<String, &str> = decided.iter().map(|d| (digest_of(&d.said.wording), d.said.wording.as_str())).collect();
    let rows = texts.into_iter().map(|(sha256, text)| args![sha256, text, now]).collect();
    tx.insert_many("INSERT INTO wording (sha256, text, first_at)", rows, "ON CONFLICT DO NOTHING").await?;
    Ok(())
}

async fn write_standing(tx: &mut Tx, decided: &[Decided]) -> Result<(), StoreError> {
    // One statement must not write a row twice; the last word counts.
    let mut last: BTreeMap<(i64, &str, &str, &str), Vec<Value>> = BTreeMap::new();
    for d in decided {
        let (member, purpose) = (d.member.0, d.said.purpose.word());
        let row = args![member, &d.brand, &d.entity, purpose, d.said.granted, d.at, &d.source];
        last.insert((member, purpose, &d.brand, &d.entity), row);
    }
    let head = "INSERT INTO consent_now (member, brand, entity, purpose, granted, at, source)";
    let tail =
        "ON CONFLICT (member, purpose, brand, entity) DO UPDATE SET granted = excluded.granted, at = excluded.at, source = excluded.source";
    tx.insert_many(head, last.into_values().collect(), tail).await?;
    Ok(())
}

async fn append(tx: &mut Tx, brand: &str, entity: &str, said: &[&Decided], now: Millis) -> Result<(), StoreError> {
    let mut head = lock(tx, brand, entity).await?;
    let rows = said.iter().map(|d| {
        let said = Said { member: d.member, brand, entity, source: &d.source, at: d.at, statement: &d.said };
        let e = head.append(&said, now, rand::random());
        let p = e.public;
        args![p.brand, p.entity, p.number, p.recorded_at, p.purpose, p.granted, e.commitment, e.hash, d.member.0, e.salt, e.content]
    });
    let rows = rows.collect();
    let columns =
        "INSERT INTO ledger_entry (brand, entity, number, recorded_at, purpose, granted, commitment, hash, member, salt, content)";
    tx.insert_many(columns, rows, "").await?;
    let sql = "UPDATE ledger_chain SET length = $3, head = $4 WHERE brand = $1 AND entity = $2";
    tx.execute(sql, args![brand, entity, head.length, head.hash]).await?;
    Ok(())
}

/// The end of a chain, locked until the transaction ends. A chain that is not there yet is begun.
async fn lock(tx: &mut Tx, brand: &str, entity: &str) -> Result<Head, StoreError> {
    // The update that changes nothing takes the row's lock on every engine.
    let sql = "INSERT INTO ledger_chain (brand, entity, length, head) VALUES ($1, $2, 0, $3) \
               ON CONFLICT (brand, entity) DO UPDATE SET length = ledger_chain.length RETURNING length, head";
    let row = tx.fetch_optional(sql, args![brand, entity, Head::default().hash]).await?;
    head(&row.ok_or(StoreError::Corrupt("end of a chain of the ledger"))?, 0)
}

fn head(row: &Row, first: usize) -> Result<Head, StoreError> {
    Ok(Head { length: row.int(first)?, hash: row.bytes32(first + 1)? })
}

/// Where a chain is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which entry.
    pub entry: Public,
    /// What is wrong with it, in words.
    pub why: String,
}

/// What the check of one chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// To whom the statements were made.
    pub brand: String,
    /// To which legal controller.
    pub entity: String,
    /// The end of the chain by its entries. Noted elsewhere, it shows later that nothing was cut off.
    pub head: Head,
    /// How many entries were erased.
    pub erased: i64,
    /// Every entry that is not what was recorded.
    pub broken: Vec<Broken>,
}

/// Checks every entry of every chain on one snapshot.
pub async fn verify(tx: &mut Tx) -> Result<Vec<Verified>, StoreError> {
    // Entries without a chain are as wrong as a chain without its entries.
    let sql = "SELECT brand, entity FROM ledger_chain UNION SELECT brand, entity FROM ledger_entry ORDER BY 1, 2";
    let mut all = Vec::new();
    for row in tx.fetch(sql, args![]).await? {
        all.push(verify_chain(tx, row.text(0)?, row.text(1)?).await?);
    }
    Ok(all)
}

async fn verify_chain(tx: &mut Tx, brand: String, entity: String) -> Result<Verified, StoreError> {
    let mut found = Verified { brand, entity, head: Head::default(), erased: 0, broken: Vec::new() };
    let mut last: Option<Public> = None;
    let sql = "SELECT brand, entity, number, recorded_at, purpose, granted, commitment, hash, salt, content FROM ledger_entry \
               WHERE brand = $1 AND entity = $2 AND number > $3 ORDER BY number LIMIT $4";
    loop {
        let from = last.as_ref().map_or(i64::MIN, |p| p.number);
        let rows = tx.fetch(sql, args![&found.brand, &found.entity, from, PAGE]).await?;
        for row in &rows {
            let entry = entry(row)?;
            found.erased += i64::from(entry.content.is_none());
            if let Err(flaw) = found.head.verify(&entry) {
                found.broken.push(Broken { entry: entry.public.clone(), why: flaw.to_string() });
            }
            last = Some(entry.public);
        }
        if i64::try_from(rows.len()).unwrap_or(PAGE) < PAGE {
            break;
        }
    }
    found.check_end(tx, last).await?;
    found.check_standing(tx).await?;
    Ok(found)
}

impl Verified {
    /// The chain's row says where it ends, so a cut-off end shows.
    async fn check_end(&mut self, tx: &mut Tx, last: Option<Public>) -> Result<(), StoreError> {
        let sql = "SELECT length, head FROM ledger_chain WHERE brand = $1 AND entity = $2";
        let row = tx.fetch_optional(sql, args![&self.brand, &self.entity]).await?;
        let recorded = row.map_or(Ok(Head::default()), |row| head(&row, 0))?;
        if recorded != self.head {
            let why = format!("the chain ends with entry {} by its own row, and with {} here", recorded.length, self.head.length);
            let (brand, entity) = (self.brand.clone(), self.entity.clone());
            let none = Public { brand, entity, number: 0, recorded_at: Millis(0), purpose: String::new(), granted: false };
            self.broken.push(Broken { entry: last.unwrap_or(none), why });
        }
        Ok(())
    }

    /// What the hub goes by must be what the newest entry says.
    async fn check_standing(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        let sql = "SELECT e.brand, e.entity, e.number, e.recorded_at, e.purpose, e.granted FROM consent_now c JOIN ledger_entry e \
                   ON e.brand = c.brand AND e.entity = c.entity AND e.number = (SELECT MAX(n.number) FROM ledger_entry n \
                   WHERE n.member = c.member AND n.purpose = c.purpose AND n.brand = c.brand AND n.entity = c.entity) \
                   WHERE c.brand = $1 AND c.entity = $2 AND e.granted <> c.granted ORDER BY e.number";
        for row in tx.fetch(sql, args![&self.brand, &self.entity]).await? {
            let why = "the hub goes by the opposite of this entry".to_owned();
            self.broken.push(Broken { entry: public(&row)?, why });
        }
        Ok(())
    }
}

/// True if a chain has the entry that `end` names as `BRAND/ENTITY/NUMBER/HASH`.
pub async fn passes_through(tx: &mut Tx, end: &str) -> Result<bool, StoreError> {
    let mut parts = end.split('/');
    let (Some(brand), Some(entity), Some(number), Some(hash)) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Ok(false);
    };
    let (Ok(number), Ok(hash)) = (number.parse::<i64>(), hex::decode(hash)) else { return Ok(false) };
    let sql = "SELECT number FROM ledger_entry WHERE brand = $1 AND entity = $2 AND number = $3 AND hash = $4";
    Ok(!tx.fetch(sql, args![brand, entity, number, hash]).await?.is_empty())
}

fn public(row: &Row) -> Result<Public, StoreError> {
    let (brand, entity, number, recorded_at) = (row.text(0)?, row.text(1)?, row.int(2)?, row.millis(3)?);
    Ok(Public { brand, entity, number, recorded_at, purpose: row.text(4)?, granted: row.flag(5)? })
}

fn entry(row: &Row) -> Result<Entry, StoreError> {
    let (commitment, hash) = (row.bytes32(6)?, row.bytes32(7)?);
    Ok(Entry { public: public(row)?, commitment, hash, salt: row.opt_blob(8)?, content: row.opt_text(9)? })
}

/// An entry of a member with what is needed to check it by itself.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The entry.
    pub entry: Entry,
    /// The hash of the entry before it.
    pub before: [u8; 32],
    /// The text that she read, where its digest is known.
    pub wording: Option<String>,
}

/// All entries of a member, in the order of their chains.
pub async fn of_member(tx: &mut Tx, member: MemberId) -> Result<Vec<Shown>, StoreError> {
    let sql = "SELECT e.brand, e.entity, e.number, e.recorded_at, e.purpose, e.granted, e.commitment, e.hash, e.salt, e.content, b.hash \
               FROM ledger_entry e LEFT JOIN ledger_entry b ON b.brand = e.brand AND b.entity = e.entity AND b.number = e.number - 1 \
               WHERE e.member = $1 ORDER BY e.brand, e.entity, e.number";
    let mut shown = Vec::new();
    for row in tx.fetch(sql, args![member.0]).await? {
        let entry = entry(&row)?;
        let before = if row.opt_blob(10)?.is_some() { row.bytes32(10)? } else { Head::default().hash };
        let wording = text_of(tx, &entry).await?;
        shown.push(Shown { entry, before, wording });
    }
    Ok(shown)
}

/// The entries of all records that are one person.
pub async fn of_person(tx: &mut Tx, person: &[MemberId]) -> Result<Vec<Shown>, StoreError> {
    let mut shown = Vec::new();
    for member in person {
        shown.extend(of_member(tx, *member).await?);
    }
    Ok(shown)
}

async fn text_of(tx: &mut Tx, entry: &Entry) -> Result<Option<String>, StoreError> {
    let content: Option<serde_json::Value> = entry.content.as_deref().and_then(|c| serde_json::from_str(c).ok());
    let Some(sha256) = content.as_ref().and_then(|c| c["wording_sha256"].as_str()) else { return Ok(None) };
    let row = tx.fetch_optional("SELECT text FROM wording WHERE sha256 = $1", args![sha256]).await?;
    row.map(|row| row.text(0)).transpose()
}

/// Takes member, salt and content away from all entries of a member; returns how many there were.
pub async fn forget(tx: &mut Tx, member: MemberId) -> Result<u64, StoreError> {
    tx.execute("UPDATE ledger_entry SET member = NULL, salt = NULL, content = NULL WHERE member = $1", args![member.0]).await
}

/// Moves statements that an older version kept in the table `consent` into the ledger, oldest first. Safe to repeat and to interrupt.
pub async fn adopt(db: &Db, now: Millis) -> Result<u64, StoreError> {
    let oldest = "SELECT member, brand, entity, purpose, granted, at, source, wording FROM consent ORDER BY at, member, brand, entity, purpose LIMIT $1";
    let mut moved = 0;
    loop {
        let mut tx = db.begin().await?;
        super::changes(&mut tx).await?;
        let rows = tx.fetch(oldest, args![PAGE]).await?;
        if rows.is_empty() {
            return Ok(moved);
        }
        let mut pending = Pending::default();
        for row in &rows {
            let purpose = row.text(3)?.parse().map_err(|()| StoreError::Corrupt("purpose"))?;
            let said = Statement::new(purpose, row.flag(4)?, row.text(7)?);
            let (brand, entity, source) = (row.text(1)?, row.text(2)?, row.text(6)?);
            pending.add(Parties { member: MemberId(row.int(0)?), brand: &brand, entity: &entity, source: &source }, &said, row.millis(5)?);
            let gone = "DELETE FROM consent WHERE member = $1 AND brand = $2 AND entity = $3 AND purpose = $4 AND at = $5";
            tx.execute(gone, args![row.int(0)?, brand, entity, purpose.word(), row.millis(5)?]).await?;
        }
        pending.write(&mut tx, now).await?;
        tx.commit().await?;
        moved += rows.len() as u64;
    }
}
