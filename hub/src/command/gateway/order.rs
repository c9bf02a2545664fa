//! Signed commands, and the way back to a lower revision of the site.

use std::time::Duration;

use passage_config::HubConfig;
use passage_protocol::{
    GatewayId, VERSION,
    site::{Action, Command},
};

use crate::{
    command::open_with_keys,
    store::{
        Db, StoreError, progress,
        site::{self, Reach},
    },
};

/// A running hub looks every second, and a gateway that is connected answers at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// Signs a command, puts it into the database, and waits a moment for the gateway to answer.
pub(super) async fn command(config: &HubConfig, gateway: GatewayId, action: Action, minutes: u32) -> anyhow::Result<()> {
    let (db, keys) = open_with_keys(config).await?;
    is_known(&db, &gateway).await?;
    let now = config.clock.now();
    let expires = now + Duration::from_secs(u64::from(minutes) * 60);
    let id = uuid::Uuid::now_v7();
    let (key, sig) = (String::new(), String::new());
    let command = Command { v: VERSION, gateway, id, expires, action, key, sig }.signed(keys.signing());
    site::order(&db, &command, now).await?;
    let Command { gateway, action, .. } = command;
    match reach(&db, &id.to_string()).await? {
        Reach::Answered => println!("{action} was sent to {gateway}, which has it"),
        Reach::Published => {
            println!("{action} was sent to {gateway}, which has not answered; it is repeated for {minutes} min until it does")
        }
        Reach::Waiting => println!("no hub is connected at the moment; {action} goes to {gateway} when one is, within {minutes} min"),
    }
    db.close().await;
    Ok(())
}

/// Allows the way back.
pub(super) async fn rollback(config: &HubConfig, gateway: &GatewayId, held: u64) -> anyhow::Result<()> {
    let (db, _) = open_with_keys(config).await?;
    let mut tx = db.begin_read().await?;
    let newest = site::newest(&mut tx).await?;
    drop(tx);
    let Some(newest) = newest.get(gateway) else {
        anyhow::bail!("no site was ever made for \"{gateway}\". Mend: add gateways/{gateway}.toml, and `passage-hub apply`");
    };
    anyhow::ensure!(
        held >= newest.revision,
        "{gateway} holds revision {held}, and this database has {}: it follows by itself. Mend: look at its log if it does not",
        newest.revision
    );
    site::allow_rollback(&db, gateway, held, config.clock.now()).await?;
    println!("{gateway} may leave revision {held} for revision {}", newest.revision);
    db.close().await;
    Ok(())
}

/// How far it came while we are patient.
async fn reach(db: &Db, id: &str) -> Result<Reach, StoreError> {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let reach = site::reach(db, id).await?;
        if reach == Reach::Answered || tokio::time::Instant::now() >= end {
            return Ok(reach);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A typing mistake would wait for ever.
async fn is_known(db: &Db, gateway: &GatewayId) -> anyhow::Result<()> {
    let mut tx = db.begin_read().await?;
    let known = progress::gateways(&mut tx).await?;
    anyhow::ensure!(
        known.contains(gateway),
        "no gateway \"{gateway}\" has ever reported to this hub. Mend: give the id of its gateway.toml"
    );
    Ok(())
}
