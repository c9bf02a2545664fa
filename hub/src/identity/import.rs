//! Takes in a CRM file. Only members who granted `presence` or `match` are stored; of all others a count remains.

use std::{collections::HashSet, io::BufRead, time::Duration};

use passage_config::HubConfig;
use passage_protocol::Millis;

use crate::{
    identity::{
        IdentifierKind, Key, Keyring, MemberId, Purpose,
        consent::{CRM, Standing, Verdict, proven_at},
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
/// How often a chunk is tried again, and after how long.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

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
    let mut tries = 0;
    let outcomes = loop {
        match write(db, hub, &chunk, now).await {
            Ok(outcomes) => break outcomes,
            // Another import has the lock on people, or the database was away for a moment; nothing of the chunk is stored.
            Err(error) if error.is_transient() && tries < TRIES => {
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    };
    // Counted only once it is certain.
    for ((line, row), outcome) in chunk.into_iter().zip(outcomes) {
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

/// One transaction: what became of each row.
async fn write(db: &Db, hub: &Hub<'_>, chunk: &[(u64, CrmRow)], now: Millis) -> Result<Vec<Outcome>, StoreError> {
    let mut tx = db.begin().await?;
    let version = people::changes(&mut tx).await?;
    let outcomes = Vec::with_capacity(chunk.len());
    let mut run = Run { hub, version, now, outcomes, waiting: Vec::new(), named: HashSet::new(), pending: Pending::default() };
    for (_, row) in chunk {
        run.take(&mut tx, row).await?;
    }
    run.settle(&mut tx).await?;
    let outcomes = run.outcomes;
    tx.commit().await?;
    Ok(outcomes)
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

/// Rows that have said what they say, and whose keys are not tied yet: so the statements of many rows are written together.
struct Run<'r> {
    hub: &'r Hub<'r>,
    version: Version,
    now: Millis,
    /// What became of each row so far, in the order of the file.
    outcomes: Vec<Outcome>,
    /// The rows that wait, with their place in `outcomes`.
    waiting: Vec<(usize, &'r CrmRow)>,
    /// The keys of those rows: a row that is known by one of them waits until they are tied.
    named: HashSet<(IdentifierKind, Key)>,
    pending: Pending,
}

impl<'r> Run<'r> {
    /// Finds or makes the member of a row, and hears what the row says of her consents.
    async fn take(&mut self, tx: &mut Tx, row: &'r CrmRow) -> Result<(), StoreError> {
        let (kind, key) = row.anchor;
        if self.named.contains(&row.anchor) {
            self.settle(tx).await?;
        }
        let known = graph::holder(tx, kind, &key).await?;
        // What stands for her is read from the database.
        if known.is_some_and(|member| self.pending.holds(member)) {
            self.settle(tx).await?;
        }
        let outcome = self.meet(tx, row, known).await?;
        if outcome.became != Became::NotKept {
            self.waiting.push((self.outcomes.len(), row));
            self.named.insert(row.anchor);
            self.named.extend(row.keys.iter().chain(&row.match_keys).copied());
        }
        self.outcomes.push(outcome);
        Ok(())
    }

    async fn meet(&mut self, tx: &mut Tx, row: &'r CrmRow, known: Option<MemberId>) -> Result<Outcome, StoreError> {
        let new = |member| Outcome { member, became: Became::Unchanged, conflicts: 0, notes: Vec::new() };
        let (kind, key) = row.anchor;
        let row = Row { row, hub: self.hub, now: self.now };
        let mut outcome = match known {
            Some(member) => new(member),
            None if !row.row.grants_a_reason_to_keep() => return Ok(Outcome { became: Became::NotKept, ..new(MemberId(0)) }),
            None if people::barred(tx, &key).await?.is_some_and(|erased| !row.row.grants_after(erased)) => {
                let notes = vec!["she was erased at her request; a line with a later date of consent brings her back"];
                return Ok(Outcome { became: Became::NotKept, notes, ..new(MemberId(0)) });
            }
            None => {
                let mut outcome = new(people::create(tx, &row.row.brand, &key, self.now, self.version).await?);
                outcome.became = Became::Stored;
                if kind == IdentifierKind::CrmId {
                    row.tie(tx, kind, key, &mut outcome).await?;
                }
                outcome
            }
        };
        row.say(tx, &mut self.pending, &mut outcome).await?;
        Ok(outcome)
    }

    /// Writes the statements of the rows that wait and then ties their keys, because what she consents to says which.
    async fn settle(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        self.pending.write(tx, self.now).await?;
        self.named.clear();
        for (place, row) in std::mem::take(&mut self.waiting) {
            let row = Row { row, hub: self.hub, now: self.now };
            let outcome = &mut self.outcomes[place];
            // A row before may have joined her with somebody.
            outcome.member = graph::standing_for(tx, outcome.member).await?;
            row.keep_keys(tx, outcome).await?;
            row.keep_for_ads(tx, outcome).await?;
            if outcome.became == Became::Stored {
                people::touch(tx, outcome.member, self.version).await?;
            }
        }
        Ok(())
    }
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
        // The file is one company's: what it knows is joined only with a consent to that company, and let go when no company has one.
        let standing = consent::standing(tx, outcome.member).await?;
        if consent::allows(&standing, &self.row.brand, &self.row.entity, Purpose::Match) {
            for (kind, key) in &self.row.match_keys {
                self.tie(tx, *kind, *key, outcome).await?;
            }
        } else if !consent::any(&standing, Purpose::Match) {
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
            Some(_) if !consent::allows(&standing, &self.row.brand, &self.row.entity, Purpose::Sms) => false,
            Some(to) => {
                let to = to.as_ref().map(|number| number.of(outcome.member, self.hub.keyring));
                people::set_destination(tx, outcome.member, to.as_ref(), self.now).await?
            }
            None => false,
        };
        if changed {
            outcome.became = Became::Stored;
        }
        self.lift_stop(tx, &standing).await
    }

    /// A consent after a STOP, with its date or said by herself, takes her number off the list.
    async fn lift_stop(&self, tx: &mut Tx, standing: &[Standing]) -> Result<(), StoreError> {
        let row = self.row;
        let Some(Some(number)) = &row.destination else { return Ok(()) };
        let same = |s: &&Standing| s.purpose == Purpose::Sms && s.brand == row.brand && s.entity == row.entity;
        let said = row.said.iter().find(|said| said.purpose == Purpose::Sms);
        if let Some(at) = proven_at(standing.iter().find(same), said) {
            people::lift(tx, &row.brand, &row.entity, &number.key, at).await?;
        }
        Ok(())
    }

    /// Segments, and what ad platforms may be given.
    async fn keep_for_ads(&self, tx: &mut Tx, outcome: &mut Outcome) -> Result<(), StoreError> {
        let standing = consent::standing(tx, outcome.member).await?;
        let granted = consent::any(&standing, Purpose::Ads);
        let to_this = consent::allows(&standing, &self.row.brand, &self.row.entity, Purpose::Ads);
        let kept: &[AdKey] = if to_this { &self.row.ad_keys } else { &[] };
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
        let claim = Claim { kind, key, member: outcome.member, source: CRM, reason: "import", context, variant: None, at: self.now };
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
