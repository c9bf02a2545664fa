//! The ledger of consent: what an entry holds, and how entries are chained. Pure.
//!
//! ```text
//! content    = JSON of the proof: who, what, when, which words, how, by whom
//! commitment = SHA-256("passage commitment v1" | salt | content)          salt: 16 random bytes
//! hash       = SHA-256("passage ledger v1" | hash before | commitment | brand | entity | number | recorded_at | purpose | granted)
//! ```
//!
//! Each part is preceded by its length. The first entry of a chain follows 32 zero bytes. Without salt and content a commitment tells nothing about
//! anybody, and the chain verifies all the same.

use std::fmt;

use chrono::{DateTime, SecondsFormat};
use passage_protocol::Millis;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::identity::{MemberId, consent::Statement};

/// What stands before the first entry of a chain.
pub const GENESIS: [u8; 32] = [0; 32];

/// The columns of an entry that outlive an erasure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Public {
    /// To whom it was said.
    pub brand: String,
    /// To which legal controller.
    pub entity: String,
    /// Place in the chain, from 1.
    pub number: i64,
    /// When the hub heard of it.
    pub recorded_at: Millis,
    /// A word of [`Purpose`].
    pub purpose: String,
    /// Granted or withdrawn.
    pub granted: bool,
}

/// An entry as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What outlives an erasure.
    pub public: Public,
    /// To salt and content.
    pub commitment: [u8; 32],
    /// Of this entry and, through the one before, of all before it.
    pub hash: [u8; 32],
    /// `None` after an erasure.
    pub salt: Option<Vec<u8>>,
    /// The proof as JSON; `None` after an erasure.
    pub content: Option<String>,
}

/// What is wrong with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Its number does not follow the one before.
    Gap,
    /// Salt or content is not what was committed to.
    Content,
    /// One of its public columns, its commitment, or the entry before was changed.
    Hash,
    /// Only one of salt and content is there.
    Half,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gap => "its number does not follow: entries before it are missing",
            Self::Content => "its content is not what was recorded",
            Self::Hash => "its columns, or the entry before it, are not what was recorded",
            Self::Half => "of salt and content one is missing; an erasure takes both",
        })
    }
}

/// The content of an entry: the proof as JSON, its fields in this order.
#[derive(Serialize)]
struct Content<'a> {
    v: u8,
    member: String,
    brand: &'a str,
    entity: &'a str,
    purpose: &'a str,
    granted: bool,
    at: String,
    zone: &'a str,
    source: &'a str,
    basis: &'a str,
    wording_sha256: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    wording_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    wording_version: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    language: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    method: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    collected: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    operator: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    device: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    evidence: &'a str,
}

/// Who said something to whom, when, and who told.
#[derive(Debug, Clone)]
pub struct Said<'a> {
    /// Who.
    pub member: MemberId,
    /// To whom.
    pub brand: &'a str,
    /// To which legal controller.
    pub entity: &'a str,
    /// Who told us.
    pub source: &'a str,
    /// When it counts from.
    pub at: Millis,
    /// What.
    pub statement: &'a Statement,
}

impl Said<'_> {
    /// The content of its entry.
    pub fn content(&self) -> String {
        let (said, proof) = (self.statement, &self.statement.proof);
        let content = Content {
            v: 1,
            member: self.member.code(),
            brand: self.brand,
            entity: self.entity,
            purpose: said.purpose.word(),
            granted: said.granted,
            at: local(self.at, proof.zone),
            zone: proof.zone.name(),
            source: self.source,
            basis: &proof.basis,
            wording_sha256: &digest_of(&said.wording),
            wording_id: &proof.wording_id,
            wording_version: &proof.wording_version,
            language: &proof.language,
            method: &proof.method,
            collected: &proof.collected,
            operator: &proof.operator,
            device: &proof.device,
            evidence: &proof.evidence,
        };
        // Texts and one flag: serde_json has nothing to refuse.
        serde_json::to_string(&content).unwrap_or_default()
    }
}

/// RFC 3339 with the offset of the zone at that moment.
fn local(at: Millis, zone: chrono_tz::Tz) -> String {
    DateTime::from_timestamp_millis(at.0).unwrap_or_default().with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Under this a wording is kept: SHA-256 in hex.
pub fn digest_of(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// The commitment to a content.
pub fn commit(salt: &[u8], content: &str) -> [u8; 32] {
    digest(&[b"passage commitment v1", salt, content.as_bytes()])
}

/// The hash of an entry that follows `before`.
pub fn chain(before: &[u8; 32], commitment: &[u8; 32], entry: &Public) -> [u8; 32] {
    digest(&[
        b"passage ledger v1",
        before,
        commitment,
        entry.brand.as_bytes(),
        entry.entity.as_bytes(),
        &entry.number.to_be_bytes(),
        &entry.recorded_at.0.to_be_bytes(),
        entry.purpose.as_bytes(),
        &[u8::from(entry.granted)],
    ])
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// The end of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// How many entries it has.
    pub length: i64,
    /// The hash of the last one.
    pub hash: [u8; 32],
}

impl Default for Head {
    fn default() -> Self {
        Self { length: 0, hash: GENESIS }
    }
}

impl Head {
    /// Makes the next entry and goes on to it.
    pub fn append(&mut self, said: &Said<'_>, recorded_at: Millis, salt: [u8; 16]) -> Entry {
        let public = Public {
            brand: said.brand.to_owned(),
            entity: said.entity.to_owned(),
            number: self.length + 1,
            recorded_at,
            purpose: said.statement.purpose.word().to_owned(),
            granted: said.statement.granted,
        };
        let content = said.content();
        let commitment = commit(&salt, &content);
        let hash = chain(&self.hash, &commitment, &public);
        *self = Self { length: public.number, hash };
        Entry { public, commitment, hash, salt: Some(salt.to_vec()), content: Some(content) }
    }

    /// Checks the next entry and goes on to it, whatever it is.
    pub fn verify(&mut self, entry: &Entry) -> Result<(), Flaw> {
        let follows = entry.public.number == self.length + 1;
        let hash = chain(&self.hash, &entry.commitment, &entry.public);
        *self = Self { length: entry.public.number, hash: entry.hash };
        if !follows {
            return Err(Flaw::Gap);
        }
        if hash != entry.hash {
            return Err(Flaw::Hash);
        }
        match (&entry.salt, &entry.content) {
            (Some(salt), Some(content)) if commit(salt, content) == entry.commitment => Ok(()),
            (Some(_), Some(_)) => Err(Flaw::Content),
            (None, None) => Ok(()),
            _ => Err(Flaw::Half),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Purpose, consent::Proof};

    fn statement(granted: bool) -> Statement {
        let proof = Proof { zone: chrono_tz::Europe::Paris, method: "box".to_owned(), ..Proof::default() };
        Statement { proof, ..Statement::new(Purpose::Sms, granted, "May we write to you?") }
    }

    fn three() -> Vec<Entry> {
        let mut head = Head::default();
        let said = [statement(true), statement(false), statement(true)];
        let entry = |(n, statement): (i64, &Statement)| {
            let said = Said { member: MemberId(7), brand: "b", entity: "e", source: "app", at: Millis(1_795_176_000_000 + n), statement };
            head.append(&said, Millis(n), [9; 16])
        };
        (1..).zip(&said).map(entry).collect()
    }

    fn flaws(entries: &[Entry]) -> Vec<Option<Flaw>> {
        let mut head = Head::default();
        entries.iter().map(|entry| head.verify(entry).err()).collect()
    }

    #[test]
    fn a_chain_verifies_with_and_without_its_contents() {
        let mut entries = three();
        assert_eq!(flaws(&entries), [None; 3]);
        (entries[1].salt, entries[1].content) = (None, None);
        assert_eq!(flaws(&entries), [None; 3]);
    }

    #[test]
    fn the_time_stands_with_the_zone_in_which_she_said_it() {
        let content = three()[0].content.clone().unwrap();
        assert!(content.contains(r#""at":"2026-11-20T13:00:00.001+01:00","zone":"Europe/Paris""#), "{content}");
        assert!(!content.contains("May we"), "the text stands once, under its digest");
    }

    #[test]
    fn every_change_of_an_entry_is_found_where_it_was_made() {
        type Change = fn(&mut Entry);
        let changes: [(Change, Flaw); 8] = [
            (|e| e.public.granted = true, Flaw::Hash),
            (|e| e.public.purpose = "ads".to_owned(), Flaw::Hash),
            (|e| e.public.recorded_at = Millis(0), Flaw::Hash),
            (|e| e.public.brand = "other".to_owned(), Flaw::Hash),
            (|e| e.commitment[0] ^= 1, Flaw::Hash),
            (|e| e.content = e.content.as_ref().map(|c| c.replace("app", "crm")), Flaw::Content),
            (|e| e.salt = Some(vec![0; 16]), Flaw::Content),
            (|e| e.salt = None, Flaw::Half),
        ];
        for (change, flaw) in changes {
            let mut entries = three();
            change(&mut entries[1]);
            assert_eq!(flaws(&entries), [None, Some(flaw), None]);
        }
        let mut shorter = three();
        shorter.remove(1);
        assert_eq!(flaws(&shorter), [None, Some(Flaw::Gap)]);
        let mut forged = three();
        forged[0].hash[0] ^= 1;
        assert_eq!(flaws(&forged), [Some(Flaw::Hash), Some(Flaw::Hash), None]);
    }
}
