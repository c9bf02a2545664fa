//! `passage-hub identity`.

pub mod dry;
mod explain;
pub mod normalise;

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use chrono::{NaiveDate, NaiveTime};
use clap::Subcommand;
use passage_config::{HubConfig, Partner};
use passage_protocol::Millis;

use crate::{
    identity::{
        IdentifierKind, Keyring, MemberId,
        graph::Rules,
        normalise::canonical,
        onboard::{self, Export},
    },
    store::{
        Db, Tx,
        people::{
            self,
            given::To,
            graph::{self, Attach, Claim},
        },
    },
};

/// What to do with identifiers.
#[derive(Debug, Subcommand)]
pub enum IdentityCommand {
    /// Bring identifiers into the forms of Google and Meta: JSON lines {kind, input, default_region} on standard input, one answer for each on
    /// standard output. Stores nothing and needs no database.
    Normalise,
    /// Read statements "this key is this record's" from a CSV file (at,record,kind,value and optionally context, match) and tell which persons the
    /// rules make of them and what they refuse. Stores nothing.
    Try {
        /// The file.
        file: PathBuf,
    },
    /// Tell which keys, sources and moments made a person, what she consents to, what was refused and why.
    Explain {
        /// A member's code such as K7Q2-M9XA, or a key as KIND:VALUE, which is never repeated.
        who: String,
    },
    /// Take one link back; members whom it alone had joined are told apart again.
    Unlink {
        /// The beginning of its name, as `explain` shows it.
        link: String,
        /// Why; kept with the link.
        #[arg(long)]
        why: String,
    },
    /// Say that two members are one person. The guards hold as for any other key; the statement is on record and can be taken back.
    Merge {
        /// A member's code.
        one: String,
        /// The other one's.
        other: String,
        /// Why; kept with the links.
        #[arg(long)]
        why: String,
    },
    /// Tell how many rows of a partner's file name members who grant `match`, by kind of key. Keys may be plain or hashed in Google's or Meta's form.
    /// Nothing is stored.
    Match {
        /// The CSV file: any of crm_id, loyalty_card, email, phone, email_sha256, phone_sha256, device.
        file: PathBuf,
        /// A name under [identity.partners] of hub.toml.
        #[arg(long)]
        partner: String,
    },
    /// Write hashed keys of the members who grant `ads`, in the form of the partner's platform.
    Export {
        /// The CSV file.
        out: PathBuf,
        /// A name under [identity.partners] of hub.toml.
        #[arg(long)]
        partner: String,
        /// To whom they granted it.
        #[arg(long)]
        brand: String,
        /// To which legal controller.
        #[arg(long)]
        entity: String,
        /// Only members of this segment.
        #[arg(long)]
        segment: Option<String>,
        /// Instead, the hashes that the partner was given and has to take out, because consent for them ended on or after this day (UTC), such as
        /// 2026-11-20. It is known for 13 months.
        #[arg(long, conflicts_with = "segment")]
        removed_since: Option<NaiveDate>,
    },
    /// List what was refused because it would have joined two persons or passed a limit.
    Conflicts {
        /// Most lines.
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
}

impl IdentityCommand {
    /// Carries the command out.
    pub async fn run(self, config: &HubConfig, file: &Path) -> anyhow::Result<ExitCode> {
        match &self {
            Self::Normalise => return Ok(normalise::run(file)),
            Self::Try { file: links } => return Ok(dry::run(links, file)),
            _ => {}
        }
        let keyring = Keyring::load_or_create(&config.key_file)?;
        let rules = Rules::of(config, &keyring);
        match self {
            Self::Normalise | Self::Try { .. } => {}
            Self::Explain { who } => explain::explain(&Db::open(&config.database).await?, config, &keyring, &who).await?,
            Self::Unlink { link, why } => unlink(&Db::open(&config.database).await?, config, &rules, &link, &why).await?,
            Self::Merge { one, other, why } => {
                let (db, hub) = (Db::open(&config.database).await?, Hub { config, keyring: &keyring, rules: &rules });
                hub.merge(&db, member(&one)?, member(&other)?, &why).await?;
            }
            Self::Match { file, partner } => {
                ensure_purpose(partner_of(config, &partner)?.may_match, "match", &partner)?;
                let source = BufReader::new(File::open(&file).with_context(|| format!("{} cannot be read", file.display()))?);
                print!("{}", onboard::match_file(&Db::open(&config.database).await?, &keyring, config, source).await?);
            }
            Self::Export { out, partner, brand, entity, segment: None, removed_since: Some(day) } => {
                // A partner that may have nothing any more still has to take out what it has.
                partner_of(config, &partner)?;
                let to = To { partner: &partner, brand: &brand, entity: &entity };
                export_removed(&Db::open(&config.database).await?, &keyring, to, day, &out).await?;
            }
            Self::Export { out, partner, brand, entity, segment, .. } => {
                let who = partner_of(config, &partner)?;
                ensure_purpose(who.may_have_ads, "ads", &partner)?;
                if let Some(category) = segment.as_deref().and_then(|segment| config.site.touch.sensitive_in(segment)) {
                    anyhow::bail!("the segment tells of the sensitive category \"{category}\", which never leaves; nothing was written");
                }
                let asked =
                    Export { partner: &partner, brand: &brand, entity: &entity, segment: segment.as_deref(), platform: who.platform };
                export(&Db::open(&config.database).await?, &keyring, asked, config, &out).await?;
            }
            Self::Conflicts { limit } => explain::conflicts(&Db::open(&config.database).await?, limit).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn partner_of<'a>(config: &'a HubConfig, name: &str) -> anyhow::Result<&'a Partner> {
    let found = config.identity.partners.get(name);
    found.with_context(|| format!("there is no partner \"{name}\". Mend: add [identity.partners.{name}] with its purposes to hub.toml"))
}

fn ensure_purpose(granted: bool, purpose: &str, partner: &str) -> anyhow::Result<()> {
    anyhow::ensure!(granted, "the purposes of partner \"{partner}\" do not hold \"{purpose}\"");
    Ok(())
}

/// Writes the file whole or not at all.
async fn export(db: &Db, keyring: &Keyring, asked: Export<'_>, config: &HubConfig, out: &Path) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    let members = onboard::export(db, keyring, asked, config.k, config.clock.now(), &mut bytes).await?;
    write(out, &bytes)?;
    println!("keys of {members} members in {}", out.display());
    Ok(())
}

async fn export_removed(db: &Db, keyring: &Keyring, to: To<'_>, day: NaiveDate, out: &Path) -> anyhow::Result<()> {
    let since = Millis(day.and_time(NaiveTime::MIN).and_utc().timestamp_millis());
    let mut bytes = Vec::new();
    let hashes = onboard::export_removed(db, keyring, to, since, &mut bytes).await?;
    write(out, &bytes)?;
    println!("{hashes} hashes to be taken out in {}", out.display());
    Ok(())
}

fn write(out: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(out, bytes).with_context(|| format!("{} cannot be written", out.display()))
}

fn member(code: &str) -> anyhow::Result<MemberId> {
    MemberId::from_code(code).ok_or_else(|| anyhow::anyhow!("that is not a member's code. Mend: write it as the reports do, K7Q2-M9XA"))
}

async fn unlink(db: &Db, config: &HubConfig, rules: &Rules, start: &str, why: &str) -> anyhow::Result<()> {
    let mut tx = db.begin().await?;
    people::changes(&mut tx).await?;
    let id = graph::explain::link_named(&mut tx, start).await?;
    let id =
        id.ok_or_else(|| anyhow::anyhow!("no link, or more than one, begins with that. Mend: take the name from `identity explain`"))?;
    anyhow::ensure!(graph::unlink(&mut tx, rules, &id, "operator", why, config.clock.now()).await?, "the link was taken back before");
    tx.commit().await?;
    println!("taken back");
    Ok(())
}

struct Hub<'a> {
    config: &'a HubConfig,
    keyring: &'a Keyring,
    rules: &'a Rules,
}

impl Hub<'_> {
    async fn merge(&self, db: &Db, one: MemberId, other: MemberId, why: &str) -> anyhow::Result<()> {
        let mut tx = db.begin().await?;
        people::changes(&mut tx).await?;
        let (one, other) = (graph::standing_for(&mut tx, one).await?, graph::standing_for(&mut tx, other).await?);
        anyhow::ensure!(one != other, "they are one person already");
        // The same two, whoever is named first.
        let pair = format!("{} {}", one.min(other), one.max(other));
        let first = self.say(&mut tx, &pair, one, why).await?;
        let second = if matches!(first, Attach::Refused(_)) { first } else { self.say(&mut tx, &pair, other, why).await? };
        // What was refused stays on record too.
        tx.commit().await?;
        match second {
            Attach::Merged(person) => println!("{one} and {other} are one person: {person}"),
            Attach::Refused(refusal) => anyhow::bail!("{one} and {other} stay two: {}", refusal.sentence()),
            Attach::New | Attach::Already => println!("nothing changed"),
        }
        Ok(())
    }

    async fn say(&self, tx: &mut Tx, pair: &str, member: MemberId, why: &str) -> anyhow::Result<Attach> {
        let kind = IdentifierKind::Operator;
        let key = self.keyring.identifier(kind, &canonical(kind, pair, &self.config.phone_region)?);
        let claim =
            Claim { kind, key, member, source: "operator", reason: "manual", context: why, variant: None, at: self.config.clock.now() };
        Ok(graph::claim(tx, self.rules, &claim).await?)
    }
}
