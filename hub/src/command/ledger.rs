//! `passage-hub ledger`: is the record of consents what it was, and what proves the consents of one member.

use std::process::ExitCode;

use clap::Subcommand;
use passage_config::HubConfig;
use serde_json::{Value, json};

use super::look::look;
use crate::{
    identity::MemberId,
    store::{
        Db,
        people::ledger::{self, Shown, Verified},
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum Ledger {
    /// Check every entry of every chain, name each one that is not what was recorded, and print where the chains end; exit 1 if something is wrong.
    Verify {
        /// The end of a chain as an earlier check printed it, such as maison/maison-sa/1200/9f..: the chain must still pass through it.
        #[arg(long)]
        noted: Vec<String>,
    },
    /// Print what proves the consents of a member and of those who went into her, as JSON: each entry with all that is needed to compute its hash.
    Proof {
        /// The member's code, such as K7Q2-M9XA.
        member: String,
    },
}

/// Carries it out.
pub(super) async fn ledger(config: &HubConfig, asked: Ledger) -> anyhow::Result<ExitCode> {
    let db = Db::open(&config.database).await?;
    match asked {
        Ledger::Verify { noted } => verify(&db, &noted).await,
        Ledger::Proof { member } => {
            let (member, person) = look(&db, config, &member, "ledger proof").await?;
            let shown = ledger::of_person(&mut db.begin_read().await?, &person).await?;
            println!("{:#}", proof(member, &shown));
            Ok(ExitCode::SUCCESS)
        }
    }
}

pub(super) fn member_of(code: &str) -> anyhow::Result<MemberId> {
    let found = MemberId::from_code(code);
    found.ok_or_else(|| {
        anyhow::anyhow!("'{code}' is no member code. Mend: write one such as K7Q2-M9XA, as the console and the reports show it")
    })
}

async fn verify(db: &Db, noted: &[String]) -> anyhow::Result<ExitCode> {
    let mut tx = db.begin_read().await?;
    let found = ledger::verify(&mut tx).await?;
    let mut good = true;
    for chain in &found {
        good &= chain.broken.is_empty();
        println!("{}", line(chain));
        for broken in &chain.broken {
            let e = &broken.entry;
            println!("  BROKEN at entry {} ({} {}): {}", e.number, e.purpose, if e.granted { "granted" } else { "withdrawn" }, broken.why);
        }
    }
    for end in noted {
        if !ledger::passes_through(&mut tx, end).await? {
            good = false;
            println!("  BROKEN: no chain passes through {end}, which was noted earlier");
        }
    }
    if found.is_empty() {
        println!("no consent is on record yet");
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn line(chain: &Verified) -> String {
    let end = format!("{}/{}/{}/{}", chain.brand, chain.entity, chain.head.length, hex::encode(chain.head.hash));
    format!("{end}: {} entries, {} erased, {} broken", chain.head.length, chain.erased, chain.broken.len())
}

/// The proof of a member's consents.
pub(crate) fn proof(member: MemberId, shown: &[Shown]) -> Value {
    let entry = |s: &Shown| {
        let (e, p) = (&s.entry, &s.entry.public);
        let content: Value = e.content.as_deref().and_then(|c| serde_json::from_str(c).ok()).unwrap_or_default();
        json!({
            "brand": p.brand, "entity": p.entity, "number": p.number, "recorded_at": p.recorded_at.0, "purpose": p.purpose, "granted": p.granted,
            "said": content, "wording": s.wording, "content": e.content, "salt": e.salt.as_deref().map(hex::encode),
            "commitment": hex::encode(e.commitment), "hash_before": hex::encode(s.before), "hash": hex::encode(e.hash),
        })
    };
    json!({ "member": member.code(), "how_to_check": "hub/src/identity/ledger.rs", "entries": shown.iter().map(entry).collect::<Vec<_>>() })
}
