//! Who belongs to the fleet: `passage-hub gateway invite | replace | revoke | list`, and `passage-hub broker-config`.

use std::path::Path;

use anyhow::Context;
use clap::Subcommand;
use passage_config::{Fleet, HubConfig};
use passage_protocol::{GatewayId, StoreId};

use crate::{
    fleet::{self, Watch, Wish, machine_ms},
    identity::Keyring,
    store::{Db, fleet::Enlisted},
};

/// What can be done with the gateways of the fleet.
#[derive(Debug, Subcommand)]
pub(in crate::command) enum Roll {
    /// Print an invitation: `passage-gateway enroll` uses it up within 24 hours. It is a secret.
    Invite(New),
    /// Print an invitation for another machine in the place of a gateway; the present one is out at once.
    Replace(New),
    /// Put a gateway out at once: its events are dropped, nothing is sent to it, its certificate is revoked.
    Revoke {
        /// The gateway.
        #[arg(value_parser = id)]
        id: GatewayId,
    },
    /// Print the gateways that were invited, and until when their certificates are good.
    List,
}

/// A gateway that is to be invited.
#[derive(Debug, clap::Args)]
pub(in crate::command) struct New {
    /// Its id: 3 to 40 characters out of a-z, 0-9 and -.
    #[arg(value_parser = id)]
    id: GatewayId,
    /// The store in which it will hang.
    #[arg(long)]
    store: Option<StoreId>,
    /// It takes positions: it may read what phones publish.
    #[arg(long, conflicts_with = "store")]
    position: bool,
}

fn id(text: &str) -> Result<GatewayId, String> {
    GatewayId::checked(text).map_err(|e| format!("{e}, and is not \"hub\""))
}

impl Roll {
    pub(in crate::command) async fn run(self, config: &HubConfig) -> anyhow::Result<()> {
        let (db, keys) = crate::command::open_with_keys(config).await?;
        let (new, replace) = match self {
            Self::Invite(new) => (new, false),
            Self::Replace(new) => (new, true),
            Self::Revoke { id } => {
                fleet::revoke(&db, &id, machine_ms()).await?;
                println!("{id} is out: every hub drops what it sends from now on. {}", told(config.fleet.as_ref()));
                return Ok(());
            }
            Self::List => return list(&db).await,
        };
        if let Some(store) = new.store.as_ref().filter(|store| !config.site.stores.contains_key(*store)) {
            anyhow::bail!("there is no store \"{store}\". Mend: give the name of a file in stores/, without its ending");
        }
        let keyring = Keyring::load_or_create(&config.key_file)?;
        let url = &needed(config)?.url;
        let wish = Wish { gateway: new.id, store: new.store, position: new.position, replace };
        let invitation = fleet::invite(&db, &keyring, keys.authority(), url, wish, rand::random(), machine_ms()).await?;
        eprintln!("Good for one enrolment within 24 hours. On the gateway: passage-gateway enroll INVITATION");
        println!("{}", invitation.to_text());
        Ok(())
    }
}

fn needed(config: &HubConfig) -> anyhow::Result<&Fleet> {
    config
        .fleet
        .as_ref()
        .context("hub.toml has no [fleet]. Mend: add [fleet] with listen, url and broker; `config/demo/hub.toml` shows how")
}

fn told(fleet: Option<&Fleet>) -> &'static str {
    match fleet {
        Some(Fleet { broker_files: Some(_), .. }) => {
            "The broker's files follow within seconds; it takes them in when it is reloaded or restarted."
        }
        _ => "For the broker, run `passage-hub broker-config DIR` and reload it.",
    }
}

async fn list(db: &Db) -> anyhow::Result<()> {
    let mut tx = db.begin_read().await?;
    let listed = crate::store::fleet::list(&mut tx).await?;
    println!("{:<40} {:<30} state", "gateway", "store");
    for gateway in &listed {
        let place = gateway.store.as_ref().map_or(if gateway.position { "(positions)" } else { "-" }, StoreId::as_str);
        println!("{:<40} {place:<30} {}", gateway.gateway.as_str(), state(gateway, machine_ms()));
    }
    Ok(())
}

fn state(gateway: &Enlisted, now: i64) -> String {
    let day = |ms| chrono::DateTime::from_timestamp_millis(ms).map(|t| t.format("%Y-%m-%d %H:%M UTC").to_string()).unwrap_or_default();
    match (gateway.invited_until, gateway.ends_at) {
        (Some(until), _) if until > now => format!("invited until {}", day(until)),
        (Some(until), _) => format!("invitation ended {}", day(until)),
        (None, _) if gateway.barred => "revoked".to_owned(),
        (None, Some(ends)) if ends > now => format!("enrolled, certificate until {}", day(ends)),
        (None, _) => "certificate ended; invite it anew".to_owned(),
    }
}

/// Writes the files of mosquitto.
pub(in crate::command) async fn broker_config(config: &HubConfig, folder: &Path) -> anyhow::Result<()> {
    let fleet = needed(config)?.clone();
    let (db, keys) = crate::command::open_with_keys(config).await?;
    let folder = std::path::absolute(folder)?;
    Watch { db, authority: keys.authority().clone(), fleet }.write(&folder).await?;
    println!("{} holds passage.conf and what it names; include it in mosquitto.conf and restart mosquitto", folder.display());
    Ok(())
}
