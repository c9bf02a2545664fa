//! The complete access file: every row of every table that is about a member, as JSON, and as one CSV file for each table.

use std::{fs, io, path::Path};

use passage_protocol::Millis;
use serde_json::{Map, Value as Json, json};

use super::inventory::{HELD, Holding};
use crate::{
    args,
    command::proof,
    identity::{Keyring, MemberId, consent, crm::AD_CONTEXT},
    sms::msisdn::Msisdn,
    store::{Db, Row, StoreError, Tx, Value, people},
};

/// In place of a value that is no information.
const SEALED: &str = "(sealed)";

/// What one table holds about her.
#[derive(Debug, Clone)]
pub struct Part {
    /// Which table it is.
    pub holding: Holding,
    /// Its columns.
    pub head: Vec<String>,
    /// Her rows.
    pub rows: Vec<Vec<Json>>,
}

/// All that is held about a member.
#[derive(Debug, Clone)]
pub struct Access {
    /// Who.
    pub member: MemberId,
    /// When it was read.
    pub at: Millis,
    /// Her number, if the hub has one.
    pub number: Option<Msisdn>,
    /// Every table, also the empty ones.
    pub parts: Vec<Part>,
    proof: Json,
}

/// Reads all that is held about the person that a member is, her merged records included, on one snapshot; `None` if there is no such member.
pub async fn access(db: &Db, keyring: &Keyring, member: MemberId, region: &str, at: Millis) -> Result<Option<Access>, StoreError> {
    let mut tx = db.begin_read().await?;
    let person = people::graph::person_of(&mut tx, member).await?;
    let Some(&member) = person.last() else { return Ok(None) };
    let number = number_of(&mut tx, keyring, member, region).await?;
    let shown = people::ledger::of_person(&mut tx, &person).await?;
    let mut parts = Vec::with_capacity(HELD.len());
    for holding in HELD {
        parts.push(part(&mut tx, keyring, *holding, &person).await?);
    }
    Ok(Some(Access { member, at, number, parts, proof: proof(member, &shown) }))
}

/// The number that SMS of a member go to.
pub async fn number_of(tx: &mut Tx, keyring: &Keyring, member: MemberId, region: &str) -> Result<Option<Msisdn>, StoreError> {
    let sql = "SELECT sealed, member FROM destination WHERE member = $1 OR member IN (SELECT id FROM member WHERE merged_into = $1) \
               ORDER BY CASE WHEN member = $1 THEN 0 ELSE 1 END, at DESC, member LIMIT 1";
    let Some(row) = tx.fetch_optional(sql, args![member.0]).await? else { return Ok(None) };
    let plain = keyring.open_number(MemberId(row.int(1)?), &row.blob(0)?).ok();
    Ok(plain.and_then(|plain| Msisdn::parse(std::str::from_utf8(&plain).ok()?, region)))
}

async fn part(tx: &mut Tx, keyring: &Keyring, holding: Holding, person: &[MemberId]) -> Result<Part, StoreError> {
    let mut part = Part { holding, head: Vec::new(), rows: Vec::new() };
    for member in person {
        let found = tx.fetch(holding.find, args![member.0]).await?;
        if let Some(first) = found.first().filter(|_| part.head.is_empty()) {
            part.head = first.columns();
        }
        for row in &found {
            let cells = cells(row, &part.head, |sealed| opened(keyring, holding.table, sealed))?;
            // What two of her records point to is told once.
            if !part.rows.contains(&cells) {
                part.rows.push(cells);
            }
        }
    }
    Ok(part)
}

fn cells(row: &Row, head: &[String], open: impl Fn(&[u8]) -> Option<String>) -> Result<Vec<Json>, StoreError> {
    let cell = |(i, name): (usize, &String)| {
        Ok(match row.value(i)? {
            Value::Blob(Some(sealed)) if name == "sealed" => json!(open(&sealed).unwrap_or_else(|| SEALED.to_owned())),
            value => shown(name, value),
        })
    };
    head.iter().enumerate().map(cell).collect()
}

/// Her address and number as they would go to ad platforms, and hashes as they went there. Her number for SMS stands at the top.
fn opened(keyring: &Keyring, table: &str, sealed: &[u8]) -> Option<String> {
    let context = match table {
        "ad_key" => AD_CONTEXT,
        "ad_given" => people::given::CONTEXT,
        _ => return None,
    };
    String::from_utf8(keyring.open(context, sealed).ok()?).ok()
}

/// A value as she may read it. The keys of her phones are no information, and not shown.
fn shown(column: &str, value: Value) -> Json {
    match value {
        Value::Int(Some(n)) => json!(n),
        Value::Real(Some(n)) => json!(n),
        Value::Text(Some(text)) if text.starts_with(['{', '[']) => serde_json::from_str(&text).unwrap_or(Json::String(text)),
        Value::Text(Some(text)) => Json::String(text),
        Value::Blob(Some(_)) if column == "chain_key" => json!(SEALED),
        Value::Blob(Some(bytes)) => Json::String(hex::encode(bytes)),
        Value::Int(None) | Value::Real(None) | Value::Text(None) | Value::Blob(None) => Json::Null,
    }
}

impl Access {
    /// The whole file.
    pub fn json(&self) -> Json {
        let object = |part: &Part, row: &Vec<Json>| -> Map<String, Json> { part.head.iter().cloned().zip(row.iter().cloned()).collect() };
        let tables = self.parts.iter().map(|part| {
            let rows: Vec<_> = part.rows.iter().map(|row| Json::Object(object(part, row))).collect();
            (part.holding.table.to_owned(), json!({ "about": part.holding.about, "rows": rows }))
        });
        json!({
            "member": self.member.code(),
            "at": self.at.0,
            "times": "milliseconds since 1970-01-01T00:00:00Z",
            "number": self.number.as_ref().map(Msisdn::expose),
            "tables": tables.collect::<Map<String, Json>>(),
            "proof_of_consent": self.proof,
        })
    }

    /// Writes `member.json` and a CSV file for each table that is not empty, readable by the owner only.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let open = |name: &str| fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(folder.join(name));
        serde_json::to_writer_pretty(open("member.json")?, &self.json())?;
        for part in self.parts.iter().filter(|part| !part.rows.is_empty()) {
            let mut csv = csv::Writer::from_writer(open(&format!("{}.csv", part.holding.table))?);
            csv.write_record(&part.head)?;
            for row in &part.rows {
                csv.write_record(row.iter().map(text))?;
            }
            csv.flush()?;
        }
        Ok(())
    }

    /// What is allowed now, one line each: brand, entity, purpose, granted or withdrawn.
    pub async fn consents(db: &Db, member: MemberId) -> Result<Vec<consent::Standing>, StoreError> {
        people::consent::standing(&mut db.begin_read().await?, member).await
    }
}

fn text(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}
