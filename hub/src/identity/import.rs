//! Takes in a CRM file. Only members who granted `presence` or `match` are stored; of all others a count remains.

use std::io::BufRead;

use passage_config::HubConfig;
use passage_protocol::Millis;

use crate::{
    identity::{
        IdentifierKind, Key, Keyring, MemberId, Purpose,
        consent::{CRM, Standing, Verdict},
        crm::{self, CrmRow},
        graph::Attach,
    },
    store::{
        Db, StoreError, Tx,
        people::{
            self, Version,
            consent::{self, Parties},
            graph::{self, Claim},
            installation,
            ledger::Pending,
            withdrawal,
        },
    },
    touchpoint::table::{ImportError, ImportReport, Table},
};

/// Lines per transaction: short enough that nobody waits long for the lock on people.
const CHUNK: usize = 200;

/// Imports a CRM file: `crm_id,email,phone,loyalty_card,beacon,brand,entity` and a column for each purpose with `yes`, `no` or the date of the grant. Of
/// these crm_id, brand and entity are needed. A blank purpose says nothing. Importing the same file again changes nothing.
pub async fn import_crm(
    db: &Db,
    keyring: &Keyring,
    config: &HubConfig,
    source: impl BufRead + Send,
    now: Millis,
) -> Result<ImportReport, ImportError> {
    let known: Vec<&str> = crm::COLUMNS.into_iter().chain(Purpose::ALL.iter().map(|p| p.word())).collect();
    let mut table = Table::open(source, &crm::NEEDED, &known)?;
    let mut report = ImportReport::default();
    let mut chunk = Vec::with_capacity(CHUNK);
    while let Some(line) = table.next_line()? {
        report.rows += 1;
        match line {
            Err(fault) => report.refuse(fault.line, fault.reason),
            Ok(line) => match crm::read(&line, &config.site, keyring, &config.phone_region, now) {
                Err(reason) => report.refuse(line.number, reason),
                Ok(row) => chunk.push((line.number, row)),
            },
        }
        if chunk.len() == CHUNK {
            store(db, keyring, std::mem::take(&mut chunk), now, &mut report).await?;
        }
    }
    store(db, keyring, chunk, now, &mut report).await?;
    Ok(report)
}

async fn store(db: &Db, keyring: &Keyring, chunk: Vec<(u64, CrmRow)>, now: Millis, report: &mut ImportReport) -> Result<(), StoreError> {
    if chunk.is_empty() {
        return Ok(());
    }
    let mut outcomes = Vec::with_capacity(chunk.len());
    let mut tx = db.begin().await?;
    let version = people::changes(&mut tx).await?;
    let mut pending = Pending::default();
    for (line, row) in &chunk {
        outcomes.push((*line, apply(&mut tx, keyring, row, version, now, &mut pending).await?));
    }
    pending.write(&mut tx, now).await?;
    tx.commit().await?;
    // Counted only once it is certain.
    for ((_, row), (line, outcome)) in chunk.into_iter().zip(outcomes) {
        match outcome.became {
            Became::Stored => report.stored += 1,
            Became::Unchanged => report.unchanged += 1,
            Became::NotKept => report.not_kept += 1,
        }
        report.conflicts += outcome.conflicts;
        let notes = row.faults.into_iter().chain(outcome.notes.into_iter().map(str::to_owned));
        notes.for_each(|reason| report.fault(line, reason));
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Became {
    Stored,
    Unchanged,
    NotKept,
}

#[derive(Debug)]
struct Outcome {
    became: Became,
    conflicts: u64,
    notes: Vec<&'static str>,
}

async fn apply(
    tx: &mut Tx,
    keyring: &Keyring,
    row: &CrmRow,
    version: Version,
    now: Millis,
    pending: &mut Pending,
) -> Result<Outcome, StoreError> {
    let mut outcome = Outcome { became: Became::Unchanged, conflicts: 0, notes: Vec::new() };
    let member = match graph::holder(tx, IdentifierKind::CrmId, &row.crm_id).await? {
        Some(member) => member,
        None if !row.grants_a_reason_to_keep() => return Ok(Outcome { became: Became::NotKept, ..outcome }),
        None if people::barred(tx, &row.crm_id).await?.is_some_and(|erased| !row.grants_after(erased)) => {
            outcome.notes.push("she was erased at her request; a line with a later date of consent brings her back");
            return Ok(Outcome { became: Became::NotKept, ..outcome });
        }
        None => {
            let member = people::create(tx, &row.brand, &row.crm_id, now, version).await?;
            tie(tx, member, IdentifierKind::CrmId, row.crm_id, now, &mut outcome).await?;
            member
        }
    };
    if pending.holds(member) {
        // A second line about her in the same file.
        pending.write(tx, now).await?;
    }
    let mut standing = consent::standing(tx, member).await?;
    say(tx, row, member, now, &mut standing, pending, &mut outcome).await?;
    keep_keys(tx, keyring, row, member, now, &standing, &mut outcome).await?;
    if outcome.became == Became::Stored {
        people::touch(tx, member, version).await?;
    }
    Ok(outcome)
}

/// Puts the row's statements on record. Without `presence` no phone of hers may go on being detected.
async fn say(
    tx: &mut Tx,
    row: &CrmRow,
    member: MemberId,
    now: Millis,
    standing: &mut Vec<Standing>,
    pending: &mut Pending,
    outcome: &mut Outcome,
) -> Result<(), StoreError> {
    let by = Parties { member, brand: &row.brand, entity: &row.entity, source: CRM };
    for said in &row.said {
        match consent::say_later(pending, by, said, now, standing) {
            Verdict::Nothing => {}
            Verdict::Record(_) => {
                outcome.became = Became::Stored;
                if !said.granted {
                    withdrawal::carry_out(tx, by, said.purpose, now, standing).await?;
                }
            }
            Verdict::Overruled => outcome.notes.push("a purpose that she withdrew elsewhere is not granted again without a later date"),
        }
    }
    if !consent::allows(standing, &row.brand, &row.entity, Purpose::Presence) {
        installation::delete_all(tx, member, &row.brand, &row.entity, now).await?;
    }
    Ok(())
}

/// Keeps the keys that her consents give a reason for, and lets go of the others.
async fn keep_keys(
    tx: &mut Tx,
    keyring: &Keyring,
    row: &CrmRow,
    member: MemberId,
    now: Millis,
    standing: &[Standing],
    outcome: &mut Outcome,
) -> Result<(), StoreError> {
    for (kind, key) in &row.keys {
        tie(tx, member, *kind, *key, now, outcome).await?;
    }
    if consent::any(standing, Purpose::Match) {
        for (kind, key) in &row.match_keys {
            tie(tx, member, *kind, *key, now, outcome).await?;
        }
    } else {
        for kind in [IdentifierKind::Email, IdentifierKind::Phone] {
            if graph::release(tx, member, kind, now).await? > 0 {
                outcome.became = Became::Stored;
            }
        }
    }
    let changed = match &row.destination {
        _ if !consent::any(standing, Purpose::Sms) => people::set_destination(tx, member, None, now).await?,
        Some(to) => {
            let to = to.as_ref().map(|number| number.of(member, keyring));
            people::set_destination(tx, member, to.as_ref(), now).await?
        }
        None => false,
    };
    if changed {
        outcome.became = Became::Stored;
    }
    Ok(())
}

async fn tie(tx: &mut Tx, member: MemberId, kind: IdentifierKind, key: Key, at: Millis, outcome: &mut Outcome) -> Result<(), StoreError> {
    match graph::claim(tx, &Claim { kind, key, member, source: CRM, reason: "import", at }).await? {
        Attach::New => outcome.became = Became::Stored,
        Attach::Already => {}
        Attach::OtherMember(_) => {
            outcome.conflicts += 1;
            outcome.notes.push("a key belongs to another member already and stays there");
        }
        Attach::TooMany => {
            outcome.conflicts += 1;
            outcome.notes.push("a key is left out: the member has as many of its kind as one person can have");
        }
    }
    Ok(())
}
