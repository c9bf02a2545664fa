//! Who belongs to the fleet: `passage-hub gateway invite | replace | revoke | list`, and `passage-hub broker-config`.

use std::{path::Path, time::Duration};

use anyhow::Context;
use clap::Subcommand;
use passage_config::{Fleet, HubConfig};
use passage_protocol::{GatewayId, Millis, StoreId, fleet::Machine};

use crate::{
    fleet::{self, Authority, Standing, Watch, Wish, machine_ms, out_within},
    identity::Keyring,
    report::text::utc,
    store::{Db, fleet::Enlisted},
};

/// So long the broker has to take in who was put out: hubs write its files every 2 s.
const BROKER_KNOWS: Duration = Duration::from_secs(15);

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
                let machine = fleet::revoke(&db, &id, machine_ms()).await?;
                println!("{id} is out: every hub drops what it sends from now on.");
                if let Some(fleet) = &config.fleet {
                    println!("{}", at_the_broker(fleet, keys.authority(), &machine).await);
                }
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
        let id = wish.gateway.clone();
        let invitation = fleet::invite(&db, &keyring, keys.authority(), url, wish, rand::random(), machine_ms()).await?;
        if let (true, Some(fleet), Some(before)) = (replace, &config.fleet, predecessor(&db, &id).await?) {
            eprintln!("{}", at_the_broker(fleet, keys.authority(), &before).await);
        }
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

/// The machine whose place the invited one takes.
async fn predecessor(db: &Db, id: &GatewayId) -> anyhow::Result<Option<Machine>> {
    let known = crate::store::fleet::find(&mut db.begin_read().await?, id).await?;
    Ok(known.and_then(|k| k.machine.before().next_back()))
}

/// Waits until the broker denies everything to a machine, and says so, or what has to be done for that.
async fn at_the_broker(fleet: &Fleet, authority: &Authority, machine: &Machine) -> String {
    let files = match &fleet.broker_files {
        Some(folder) => format!("look whether a hub runs that writes {}, then run `systemctl reload mosquitto`", folder.display()),
        None => "run `passage-hub broker-config DIR`, bring the files to the broker, and run `systemctl reload mosquitto` there".to_owned(),
    };
    match out_within(BROKER_KNOWS, fleet, authority, machine).await {
        Standing::Out => "The broker denies it everything too, on connections that stand as well.".to_owned(),
        Standing::In => format!(
            "The broker still takes what it writes, and hubs drop it. Mend: {files}; the broker can be asked again with `gateway revoke`"
        ),
        Standing::Unknown(why) => {
            format!("The broker {}:{} cannot be asked whether it knows: {why}. Mend: {files}", fleet.broker, fleet.port)
        }
    }
}

async fn list(db: &Db) -> anyhow::Result<()> {
    let mut tx = db.begin_read().await?;
    let listed = crate::store::fleet::list(&mut tx).await?;
    println!("{:<40} {:<30} state", "gateway", "store");
    for gateway in &listed {
        let id = gateway.machine.gateway.as_str();
        let place = gateway.store.as_ref().map_or(if gateway.position { "(positions)" } else { "-" }, StoreId::as_str);
        println!("{id:<40} {place:<30} {}", state(gateway, machine_ms()));
    }
    Ok(())
}

fn state(gateway: &Enlisted, now: i64) -> String {
    let day = |ms| utc(Millis(ms));
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
    println!(
        "{} holds passage.conf and what it names; include it in mosquitto.conf and restart mosquitto; afterwards a reload will do (`systemctl reload mosquitto`)",
        folder.display()
    );
    Ok(())
}
