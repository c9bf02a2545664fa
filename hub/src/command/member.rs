//! `passage-hub member`: what a member may ask for.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Subcommand;
use passage_config::HubConfig;

use super::{ledger::member_of, look::look, open_with_keys};
use crate::{
    identity::{Keyring, MemberId},
    privacy::{
        erase::{erase, restrict},
        export::{Access, access},
    },
    report::text::utc,
    store::Db,
};

#[derive(Debug, Subcommand)]
pub(super) enum Member {
    /// Print what a member allows and how much is known of her; her number is masked.
    Show {
        /// Her code, such as K7Q2-M9XA.
        member: String,
    },
    /// Write everything that is known of her, for her: member.json and a CSV file for each table.
    Export {
        /// Her code.
        member: String,
        /// The folder; it is made readable for you only.
        folder: PathBuf,
    },
    /// Erase her and print the signed receipt. It cannot be undone.
    Erase {
        /// Her code.
        member: String,
        /// Say that you mean it.
        #[arg(long)]
        yes: bool,
    },
    /// Keep her data without using it: no detection, no decision, no message, no report.
    Restrict {
        /// Her code.
        member: String,
        /// Why, for the next person who looks.
        #[arg(long, default_value = "asked for")]
        reason: String,
        /// Use it again.
        #[arg(long)]
        lift: bool,
    },
}

/// Carries it out.
pub(super) async fn member(config: &HubConfig, asked: Member) -> anyhow::Result<()> {
    let (db, keys) = open_with_keys(config).await?;
    let keyring = Keyring::load_or_create(&config.key_file)?;
    let now = config.clock.now();
    match asked {
        Member::Show { member } => {
            look(&db, config, &member, "member show").await?;
            let found = read(&db, &keyring, config, &member).await?;
            show(&db, &found).await?;
        }
        Member::Export { member, folder } => {
            look(&db, config, &member, "member export").await?;
            let found = read(&db, &keyring, config, &member).await?;
            found.write(&folder).with_context(|| format!("{} cannot be written", folder.display()))?;
            println!("everything that is known of {member} is in {}", folder.display());
        }
        Member::Erase { member, yes } => {
            ensure!(yes, "nothing was erased. Mend: add --yes; an erasure cannot be undone");
            let (found, _) = look(&db, config, &member, "member erase").await?;
            let signed = erase(&db, keys.signing(), found, now).await?.with_context(|| unknown(&member))?;
            println!("{}", serde_json::to_string_pretty(&signed)?);
        }
        Member::Restrict { member, reason, lift } => {
            let (found, _) = look(&db, config, &member, if lift { "member restrict --lift" } else { "member restrict" }).await?;
            let found = restrict(&db, found, (!lift).then_some(reason.as_str()), now).await?;
            ensure!(found, unknown(&member));
            println!("{member}: {}", if lift { "her data is used again, as her consents allow" } else { "her data is kept and not used" });
        }
    }
    db.close().await;
    Ok(())
}

async fn read(db: &Db, keyring: &Keyring, config: &HubConfig, code: &str) -> anyhow::Result<Access> {
    let found = access(db, keyring, member_of(code)?, &config.phone_region, config.clock.now()).await?;
    found.with_context(|| unknown(code))
}

fn unknown(code: &str) -> String {
    format!("there is no member {code}")
}

async fn show(db: &Db, found: &Access) -> anyhow::Result<()> {
    let member: MemberId = found.member;
    println!("Member {member}, number {}", found.number.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string));
    for s in Access::consents(db, member).await? {
        let at = utc(s.at);
        let what = if s.granted { "granted" } else { "withdrawn" };
        println!("  {:<12} {what:<9} {at}  to {} / {}, told by {}", s.purpose.word(), s.brand, s.entity, s.source);
    }
    for part in found.parts.iter().filter(|part| !part.rows.is_empty()) {
        println!("  {:<16} {:>6}  {}", part.holding.table, part.rows.len(), part.holding.about);
    }
    Ok(())
}
