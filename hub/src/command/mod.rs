//! The commands of `passage-hub`.

pub mod apply;
#[cfg(feature = "city")]
mod city;
mod gateway;
pub mod gateways;
mod identity;
pub mod import;
mod keys;
mod ledger;
mod links;
mod look;
mod member;
mod quarantine;
mod report;
mod run;
mod work;

pub(crate) use ledger::proof;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use passage_config::{HubConfig, Rows, load_hub};
use passage_protocol::{StoreId, sign::Pinned};

use crate::{identity::Keyring, ingest::HubKeys, offer, store::Db};

/// Turns what gateways report into visits, offers and honest numbers.
#[derive(Debug, Parser)]
#[command(name = "passage-hub", version)]
pub struct Cli {
    /// The hub's configuration; brands, stores, geofences, campaigns and offers lie in folders beside it, or where its key `site` says.
    #[arg(long, global = true, default_value = "hub.toml", env = "PASSAGE_HUB_CONFIG")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the hub until it is asked to stop.
    Run,
    /// Read all files and name every mistake; exit 1 if there is one.
    Check,
    /// Read members, touchpoints and till tickets from the CSV files that hub.toml names, or one other file, and name every refused row.
    Import {
        /// A file of another system.
        #[arg(requires = "how")]
        file: Option<PathBuf>,
        /// How it is read: the name of a file in profiles/, without its ending.
        #[arg(long, requires = "file", group = "how")]
        profile: Option<String>,
        /// What the rows are, when the columns are ours: touchpoints, totals, members, tills or street.
        #[arg(long, requires = "file", group = "how", value_parser = rows)]
        rows: Option<Rows>,
    },
    /// Print visits, messages, decisions and campaigns of a day, or something else.
    Report {
        /// The day in the shops' time, for example 2026-11-20; today if left out.
        #[arg(long)]
        day: Option<chrono::NaiveDate>,
        /// Something else than the day.
        #[arg(value_enum)]
        about: Option<report::About>,
    },
    /// Tell why a member did or did not get an offer.
    Why {
        /// A member's code such as K7Q2-M9XA, or the id of a visit.
        who: String,
    },
    /// List the gateways: which is online, what is missing of its events, how large its backlog is, and what a person must look at.
    Gateways {
        #[command(subcommand)]
        asked: Option<gateways::Gateways>,
    },
    /// Look at what could not be used, try it again, or drop it.
    #[command(subcommand)]
    Quarantine(quarantine::Quarantine),
    /// Look at work that failed, and let the hubs try it again.
    #[command(subcommand)]
    Work(work::Work),
    /// Show, export, erase or restrict what is known of a member.
    #[command(subcommand)]
    Member(member::Member),
    /// List, add, rotate and retire the keys that values are sealed with.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Check the record of consents, or show what proves one member's.
    #[command(subcommand)]
    Ledger(ledger::Ledger),
    /// Make the brands, stores, geofences, campaigns, offers, products and visit rules the configuration that every hub runs.
    Apply,
    /// Invite, replace, revoke and list the gateways of the fleet, tell one to do something, or let it go back to an older site.
    #[command(subcommand)]
    Gateway(gateway::GatewayCommand),
    /// Write the configuration of mosquitto into a folder: certificate, rights, revocations. Safe to repeat.
    BrokerConfig {
        /// The folder.
        folder: PathBuf,
    },
    /// Write the image of a printed code that leads to /q/CODE of this hub.
    Qr {
        /// A code under [links] of a campaign's file.
        code: String,
        /// The SVG file.
        #[arg(long)]
        out: PathBuf,
    },
    /// Write the signed links for the mails of members, who are named one a line by their customer number.
    MailLinks {
        /// A code under [links] of a campaign's file.
        code: String,
        /// File of customer numbers.
        #[arg(long)]
        ids: PathBuf,
        /// The CSV file: crm_id,link,pixel.
        #[arg(long)]
        out: PathBuf,
    },
    /// Look at who is tied to whom and why, and bring identifiers into the forms of ad platforms.
    #[command(subcommand)]
    Identity(identity::IdentityCommand),
    /// Let made-up people live in a made-up city, and compare the visits that are found with those that took place. Needs no configuration.
    #[cfg(feature = "city")]
    City(city::CityArgs),
    /// Print the public key that gateways pin as `hub_keys`.
    Key,
    /// Print the secret key of a shop's wake beacon, for `wake.key` in its gateway's file.
    WakeKey {
        /// The shop.
        #[arg(required_unless_present = "master")]
        store: Option<StoreId>,
        /// Print the master instead, for `wake.master` of the position gateways.
        #[arg(long, conflicts_with = "store")]
        master: bool,
    },
}

impl Cli {
    /// Carries the command out. Errors go to standard error in words.
    pub async fn run(self) -> ExitCode {
        // A filter for files, which works on any machine, with or without a hub.
        if let Command::Identity(identity::IdentityCommand::Normalise) = self.command {
            return identity::normalise::run(&self.config);
        }
        if let Command::Identity(identity::IdentityCommand::Try { file }) = &self.command {
            return identity::dry::run(file, &self.config);
        }
        #[cfg(feature = "city")]
        if let Command::City(args) = &self.command {
            return city::city(args);
        }
        let config = match load_hub(&self.config) {
            Ok(config) => config,
            Err(mistakes) => {
                eprintln!("{mistakes}");
                return ExitCode::FAILURE;
            }
        };
        match self.command.run(config, &self.config).await {
            Ok(code) => code,
            Err(e) => {
                eprintln!("passage-hub: {e:#}");
                ExitCode::FAILURE
            }
        }
    }
}

impl Command {
    async fn run(self, config: HubConfig, file: &Path) -> anyhow::Result<ExitCode> {
        match self {
            Self::Check => {
                let site = &config.site;
                println!(
                    "{} is in order: {} stores, {} geofences, {} offers",
                    file.display(),
                    site.stores.len(),
                    site.geofences.len(),
                    site.offers.len()
                );
                config.warnings().iter().for_each(|warning| println!("warning: {warning}"));
            }
            Self::Run => return run::run(config).await,
            #[cfg(feature = "city")]
            Self::City(args) => return Ok(city::city(&args)),
            Self::Import { file: None, .. } => return import::import(&config).await,
            Self::Import { file: Some(file), profile, rows } => {
                let (db, live) = open_as_it_runs(&config).await?;
                db.close().await;
                return import::import_one(&live, &file, profile.as_deref(), rows).await;
            }
            Self::Report { day, about } => {
                let (db, live) = open_as_it_runs(&config).await?;
                report::report(&db, &live, day, about).await?;
            }
            Self::Why { who } => {
                let (db, live) = open_as_it_runs(&config).await?;
                let member = offer::why::whom(&db, &who).await?;
                look::note(&db, &live, "why", &[member]).await?;
                println!("{}", offer::why::why(&db, &live.site, &who, live.clock.now()).await?);
            }
            Self::Gateways { asked } => {
                let db = Db::open(&config.database).await?;
                gateways::gateways(&db, &config, asked).await?;
            }
            Self::Quarantine(asked) => {
                let (db, live) = open_as_it_runs(&config).await?;
                quarantine::quarantine(&db, live, asked).await?;
            }
            Self::Work(asked) => {
                let db = Db::open(&config.database).await?;
                work::work(&db, config.clock.now(), asked).await?;
            }
            Self::Member(asked) => member::member(&config, asked).await?,
            Self::Keys(asked) => keys::keys(&config, asked).await?,
            Self::Ledger(asked) => return ledger::ledger(&config, asked).await,
            Self::Apply => {
                let (db, keys) = open_with_keys(&config).await?;
                let revision = apply::apply(&db, keys.signing(), &config.site_dir, &config.clock).await?;
                println!("revision {revision} is live");
            }
            Self::Identity(command) => return command.run(&config, file).await,
            Self::Key => {
                let (_, keys) = open_with_keys(&config).await?;
                keys.public().iter().for_each(|key| println!("{key}"));
            }
            Self::Qr { code, out } => links::qr(&config, &code, &out)?,
            Self::MailLinks { code, ids, out } => {
                let (_, live) = open_as_it_runs(&config).await?;
                links::mail_links(&live, &code, &ids, &out).await?;
            }
            Self::Gateway(command) => command.run(&config).await?,
            Self::BrokerConfig { folder } => gateway::broker_config(&config, &folder).await?,
            Self::WakeKey { store, .. } => println!("{}", wake_key(&config, store.as_ref())?),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn rows(word: &str) -> Result<Rows, String> {
    Rows::ALL
        .iter()
        .find(|(name, _)| *name == word)
        .map(|(_, rows)| *rows)
        .ok_or_else(|| "touchpoints, totals, members, tills or street".to_owned())
}

/// The key of one shop, or the master.
fn wake_key(config: &HubConfig, store: Option<&StoreId>) -> anyhow::Result<String> {
    let keyring = Keyring::load_or_create(&config.key_file)?;
    let Some(store) = store else { return Ok(keyring.wake().to_text()) };
    let known = config.site.stores.contains_key(store);
    anyhow::ensure!(known, "there is no store \"{store}\". Mend: give the name of a file in stores/, without its ending");
    Ok(keyring.wake().store_key(store).to_text())
}

/// The database, and the configuration that hubs run on it.
async fn open_as_it_runs(own: &HubConfig) -> anyhow::Result<(Db, HubConfig)> {
    let (db, keys) = open_with_keys(own).await?;
    let pinned = Pinned::from_base64(keys.public().iter().map(String::as_str))?;
    let (_, config) = apply::with_last_good(&db, &pinned, own).await?;
    Ok((db, config))
}

async fn open_with_keys(config: &HubConfig) -> anyhow::Result<(Db, HubKeys)> {
    let keyring = Keyring::load_or_create(&config.key_file)?;
    let db = Db::open(&config.database).await?;
    let keys = HubKeys::load_or_create(&db, &keyring, config.clock.now()).await?;
    Ok((db, keys))
}
