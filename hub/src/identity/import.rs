//! Takes in a CRM file. Only members who granted `presence` or `match` are stored; of all others a count remains.

use std::io::BufRead;

use passage_config::HubConfig;
use passage_protocol::Millis;

use crate::{
    identity::{
        IdentifierKind, Key, Keyring, MemberId, Purpose,
        consent::{CRM, Verdict},
        crm::{self, AdKey, CrmRow},
        graph::Rules,
    },
    store::{
        Db, StoreError, Tx,
        people::{
            self, Version,
            consent::{self, Parties},
            graph::{self, Attach, Claim},
            installation,
            ledger::Pending,
            onboard, withdrawal,
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
    let hub = Hub { rules: Rules::of(config, keyring), keyring };
    while let Some(line) = table.next_line()? {
        report.rows += 1;
        match line {
            Err(fault) => report.refuse(fault.line, fault.reason),
            Ok(line) => match crm::read(&line, config, keyring, now) {
                Err(reason) => report.refuse(line.number, reason),
                Ok(row) => chunk.push((line.number, row)),
            },
        }
        if chunk.len() == CHUNK {
            store(db, &hub, std::mem::take(&mut chunk), now, &mut report).await?;
        }
    }
    store(db, &hub, chunk, now, &mut report).await?;
    Ok(report)
}

/// What is the same for all files.
struct Hub<'a> {
    rules: Rules,
    keyring: &'a Keyring,
}

async fn store(db: &Db, hub: &Hub<'_>, chunk: Vec<(u64, CrmRow)>, now: Millis, report: &mut ImportReport) -> Result<(), StoreError> {
    if chunk.is_empty() {
        return Ok(());
    }
    let mut outcomes = Vec::with_capacity(chunk.len());
    let mut tx = db.begin().await?;
    let version = people::changes(&mut tx).await?;
    let mut pending = Pending::default();
    for (line, row) in &chunk {
        outcomes.push((*line, apply(&mut tx, hub, row, version, now, &mut pending).await?));
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
        report.unknown_segments += row.segments.as_ref().map_or(0, |(_, unknown)| *unknown);
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
    /// Who she is; another member stands for her once a key has joined two.
    member: MemberId,
    became: Became,
    conflicts: u64,
    notes: Vec<&'static str>,
}

/// What is the same for all keys of a row.
struct Row<'a> {
    row: &'a CrmRow,
    hub: &'a Hub<'a>,
    now: Millis,
}

async fn apply(
    tx: &mut Tx,
    hub: &Hub<'_>,
    row: &CrmRow,
    version: Version,
    now: Millis,
    pending: &mut Pending,
) -> Result<Outcome, StoreError> {
    let new = |member| Outcome { member, became: Became::Unchanged, conflicts: 0, notes: Vec::new() };
    let (kind, key) = row.anchor;
    let row = Row { row, hub, now };
    let mut outcome = match graph::holder(tx, kind, &key).await? {
        Some(member) => new(member),
        None if !row.row.grants_a_reason_to_keep() => return Ok(Outcome { became: Became::NotKept, ..new(MemberId(0)) }),
        None if people::barred(tx, &key).await?.is_some_and(|erased| !row.row.grants_after(erased)) => {
            let notes = vec!["she was erased at her request; a line with a later date of consent brings her back"];
            return Ok(Outcome { became: Became::NotKept, notes, ..new(MemberId(0)) });
        }
        None => {
            let mut outcome = new(people::create(tx, &row.row.brand, &key, now, version).await?);
            outcome.became = Became::Stored;
            if kind == IdentifierKind::CrmId {
                row.tie(tx, kind, key, &mut outcome).await?;
            }
            outcome
        }
    };
    row.say(tx, pending, &mut outcome).await?;
    // Keys are tied by what she consents to, so that is on record first.
    pending.write(tx, now).await?;
    row.keep_keys(tx, &mut outcome).await?;
    row.keep_for_ads(tx, &mut outcome).await?;
    if outcome.became == Became::Stored {
        people::touch(tx, outcome.member, version).await?;
    }
    Ok(outcome)
}

impl Row<'_> {
    /// Puts the row's statements on record. Without `presence` no phone of hers may go on being detected.
    async fn say(&self, tx: &mut Tx, pending: &mut Pending, outcome: &mut Outcome) -> Result<(), StoreError> {
        let (row, member) = (self.row, outcome.member);
        let mut standing = consent::standing(tx, member).await?;
        let by = Parties { member, brand: &row.brand, entity: &row.entity, source: CRM };
        for said in &row.said {
            match consent::say_later(pending, by, said, self.now, &mut standing) {
                Verdict::Nothing => {}
                Verdict::Record(_) => {
                    outcome.became = Became::Stored;
                    if !said.granted {
                        withdrawal::carry_out(tx, by, said.purpose, self.now, &standing).await?;
                    }
                }
                Verdict::Overruled => outcome.notes.push("a purpose that she withdrew elsewhere is not granted again without a later date"),
            }
        }
        if !consent::allows(&standing, &row.brand, &row.entity, Purpose::Presence) {
            installation::delete_all(tx, member, &row.brand, &row.entity, self.now).await?;
        }
        Ok(())
    }

    /// Keeps the keys that her consents give a reason for, and lets go of the others.
    async fn keep_keys(&self, tx: &mut Tx, outcome: &mut Outcome) -> Result<(), StoreError> {
        for (kind, key) in &self.row.keys {
            self.tie(tx, *kind, *key, outcome).await?;
        }
        if consent::any(&consent::standing(tx, outcome.member).await?, Purpose::Match) {
            for (kind, key) in &self.row.match_keys {
                self.tie(tx, *kind, *key, outcome).await?;
            }
        } else {
            use IdentifierKind::{Email, EmailSha256, Phone, PhoneSha256};
            for kind in [Email, Phone, EmailSha256, PhoneSha256] {
                if graph::release(tx, outcome.member, kind, self.now).await? > 0 {
                    outcome.became = Became::Stored;
                }
            }
        }
        self.keep_destination(tx, outcome).await
    }

    async fn keep_destination(&self, tx: &mut Tx, outcome: &mut Outcome) -> Result<(), StoreError> {
        // Read again: a key may have joined her with a member who says otherwise.
        let standing = consent::standing(tx, outcome.member).await?;
        let changed = match &self.row.destination {
            _ if !consent::any(&standing, Purpose::Sms) => people::set_destination(tx, outcome.member, None, self.now).await?,
            Some(to) => {
                let to = to.as_ref().map(|number| number.of(outcome.member, self.hub.keyring));
                people::set_destination(tx, outcome.member, to.as_ref(), self.now).await?
            }
            None => false,
        };
        if changed {
            outcome.became = Became::Stored;
        }
        Ok(())
    }

    /// Segments, and what ad platforms may be given.
    async fn keep_for_ads(&self, tx: &mut Tx, outcome: &mut Outcome) -> Result<(), StoreError> {
        let standing = consent::standing(tx, outcome.member).await?;
        let granted = consent::any(&standing, Purpose::Ads);
        let kept: &[AdKey] = if granted { &self.row.ad_keys } else { &[] };
        onboard::keep_ad_keys(tx, outcome.member, granted, kept, self.now).await?;
        if let Some((segments, _)) = &self.row.segments
            && onboard::set_segments(tx, outcome.member, CRM, segments, self.now).await?
        {
            outcome.became = Became::Stored;
        }
        Ok(())
    }

    async fn tie(&self, tx: &mut Tx, kind: IdentifierKind, key: Key, outcome: &mut Outcome) -> Result<(), StoreError> {
        let context = if kind == IdentifierKind::CrmId { self.row.context.as_str() } else { "" };
        let claim = Claim { kind, key, member: outcome.member, source: CRM, reason: "import", context, at: self.now };
        match graph::claim(tx, &self.hub.rules, &claim).await? {
            Attach::New => outcome.became = Became::Stored,
            Attach::Already => {}
            Attach::Merged(person) => {
                outcome.member = person;
                outcome.became = Became::Stored;
            }
            // The hashes of an address or number share the fate of the value itself.
            Attach::Refused(_) if self.is_alias(kind) => {}
            Attach::Refused(refusal) => {
                outcome.conflicts += 1;
                outcome.notes.push(refusal.sentence());
            }
        }
        Ok(())
    }

    fn is_alias(&self, kind: IdentifierKind) -> bool {
        use IdentifierKind::{Email, EmailSha256, Phone, PhoneSha256};
        let has = |raw| self.row.match_keys.iter().any(|(kind, _)| *kind == raw);
        (kind == EmailSha256 && has(Email)) || (kind == PhoneSha256 && has(Phone))
    }
}
