//! `passage-hub quarantine`: what could not be used, and what is to become of it.

use clap::Subcommand;
use passage_config::HubConfig;
use passage_protocol::{Envelope, Event, Subject};
use tokio::sync::watch;

use crate::{
    identity::{Keyring, Resolver},
    ingest,
    report::text::{self, utc},
    store::{Db, quarantine as table},
};

/// Most lines of a list.
const LINES: u32 = 500;

#[derive(Debug, Subcommand)]
pub(super) enum Quarantine {
    /// What was put aside in the last 48 h, the newest first.
    List,
    /// What one of them says. Whom it is about is not shown.
    Show {
        /// Its id, as the list shows it.
        id: String,
    },
    /// Try it again, for example after a store was added to the configuration.
    Retry {
        /// Its id.
        id: String,
        /// Store the events of a forked epoch beside those that have their numbers.
        #[arg(long)]
        new_epoch: bool,
    },
    /// Delete it for good.
    Drop {
        /// Its id.
        #[arg(required_unless_present = "all")]
        id: Option<String>,
        /// All of them.
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
}

pub(super) async fn quarantine(db: &Db, config: HubConfig, asked: Quarantine) -> anyhow::Result<()> {
    match asked {
        Quarantine::List => print!("{}", list(&table::list(db, LINES).await?)),
        Quarantine::Show { id } => print!("{}", show(&get(db, &id).await?)),
        Quarantine::Retry { id, new_epoch } => {
            let aside = get(db, &id).await?;
            let (now, site) = (config.clock.now(), config.site.clone());
            let keyring = Keyring::load_or_create(&config.key_file)?;
            let resolver = Resolver::new(keyring, watch::channel(std::sync::Arc::new(config)).1);
            resolver.refresh(db, now).await?;
            let events = ingest::again(db, &site, &resolver as &dyn ingest::Resolve, &aside, new_epoch).await?;
            println!("{events} events are stored now");
        }
        Quarantine::Drop { id, .. } => {
            let mut tx = db.begin().await?;
            let dropped = match &id {
                Some(id) => u64::from(table::drop_one(&mut tx, id).await?),
                None => table::drop_all(&mut tx).await?,
            };
            tx.commit().await?;
            anyhow::ensure!(id.is_none() || dropped > 0, "nothing with this id is in quarantine. Mend: `passage-hub quarantine list`");
            println!("{dropped} dropped");
        }
    }
    Ok(())
}

async fn get(db: &Db, id: &str) -> anyhow::Result<table::Aside> {
    let found = table::get(db, id).await?;
    found.ok_or_else(|| anyhow::anyhow!("nothing with this id is in quarantine. Mend: `passage-hub quarantine list`"))
}

fn list(asides: &[table::Aside]) -> String {
    let row = |a: &table::Aside| {
        let gateway = a.gateway.as_ref().map_or("-", |g| g.as_str()).to_owned();
        vec![a.id.clone(), utc(a.at), gateway, a.size.to_string(), a.reason.clone()]
    };
    let rows: Vec<_> = asides.iter().map(row).collect();
    format!(
        "{}{} in quarantine; each is forgotten after 48 h\n",
        text::table(&["id", "at", "gateway", "bytes", "reason"], &rows),
        rows.len()
    )
}

/// The events as far as they can be read, without their subjects.
fn show(aside: &table::Aside) -> String {
    let gateway = aside.gateway.as_ref().map_or("an unknown gateway", |g| g.as_str());
    let mut told = format!("{} bytes from {gateway} at {}: {}\n", aside.size, utc(aside.at), aside.reason);
    let line = |e: &Event| {
        let subject = match e.subject {
            Subject::Rid { .. } => "a rotating id",
            Subject::Beacon(_) => "a registered beacon",
            Subject::Installation(_) => "an installation",
        };
        format!("  seq {} {} {} {} {:?} at {}: {subject}\n", e.seq, e.id, e.store, e.zone, e.phase, utc(e.at))
    };
    if let Ok(event) = serde_json::from_slice::<Event>(&aside.raw) {
        told += &line(&event);
    } else if let Ok(envelope) = Envelope::from_slice(&aside.raw) {
        told += &format!("  epoch {}, {} events, {} gone records\n", envelope.epoch, envelope.events.len(), envelope.gone.len());
        told.extend(envelope.events.iter().map(line));
    } else {
        told += "  it cannot be read\n";
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_does_not_name_anybody() {
        let raw = include_bytes!("../../protocol/tests/golden/v1/envelope.json").to_vec();
        let size = raw.len() as u64;
        let envelope = Envelope::from_slice(&raw).unwrap();
        let aside = table::Aside { id: "1".into(), at: passage_protocol::Millis(0), gateway: None, reason: "fork".into(), size, raw };
        let told = show(&aside);
        assert!(told.contains(&envelope.epoch) && told.contains("seq "), "{told}");
        for event in &envelope.events {
            let secret = serde_json::to_value(&event.subject).unwrap().to_string();
            let words = secret.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| w.len() >= 8 && *w != "installation");
            words.for_each(|word| assert!(!told.contains(word), "{word} is shown"));
        }
    }
}
