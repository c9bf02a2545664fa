//! `passage-hub keys`: the keys that values are sealed with.

use anyhow::{Context, bail, ensure};
use clap::Subcommand;
use passage_config::HubConfig;
use passage_protocol::Clock;

use crate::{
    identity::{Keyring, keyring::SealKeyInfo},
    store::{Db, sealed},
};

/// Machine time in which every running hub has read a changed key file.
const LEARNT_MS: i64 = 60_000;

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// List the keys, which one is active, and how many values each one seals.
    List,
    /// Add a key that opens values but seals none yet. With hubs on several machines: add, copy the key file to all of them, then rotate.
    Add,
    /// Seal everything with a new key, or with the one that was added last, while hubs run. Safe to interrupt; run it again.
    Rotate,
    /// Destroy a key that seals nothing any more. What old backups hold under it can never be opened again.
    Retire {
        /// The key, as `keys list` shows it.
        id: String,
    },
}

/// Carries it out.
pub(super) async fn keys(config: &HubConfig, asked: Keys) -> anyhow::Result<()> {
    let keyring = Keyring::load_or_create(&config.key_file)?;
    let db = Db::open(&config.database).await?;
    match asked {
        Keys::List => list(&db, &keyring).await,
        Keys::Add => {
            let id = keyring.add_key()?;
            println!("{} opens from now on; copy the key file to every hub, then `passage-hub keys rotate`", hex::encode(id));
            Ok(())
        }
        Keys::Rotate => rotate(&db, &keyring).await,
        Keys::Retire { id } => retire(&db, &keyring, &id).await,
    }
}

async fn list(db: &Db, keyring: &Keyring) -> anyhow::Result<()> {
    let counts = sealed::count(db).await?;
    for key in keyring.seal_keys() {
        let state = if key.active.is_some() { "seals and opens" } else { "opens" };
        let held: Vec<String> = counts.iter().filter(|(_, id, _)| *id == key.id).map(|(column, _, n)| format!("{column} {n}")).collect();
        let held = if held.is_empty() { "nothing".to_owned() } else { held.join(", ") };
        println!("{}  {state:<15}  {held}", hex::encode(key.id));
    }
    let known = keyring.seal_keys();
    for (column, id, n) in counts.iter().filter(|(_, id, _)| !known.iter().any(|key| *id == key.id)) {
        println!("{}  NOT IN THE KEY FILE  {column} {n}", hex::encode(id));
    }
    Ok(())
}

async fn rotate(db: &Db, keyring: &Keyring) -> anyhow::Result<()> {
    let newest_waits = keyring.seal_keys().last().is_some_and(|key| key.active.is_none());
    let unfinished = sealed::count(db).await?.iter().any(|(_, id, _)| active(keyring).is_some_and(|key| *id != key.id));
    if newest_waits {
        keyring.activate_newest(Clock::System.now().0)?;
    } else if !unfinished {
        keyring.add_key()?;
        keyring.activate_newest(Clock::System.now().0)?;
    }
    let id = active(keyring).context("the key file has no active key")?.id;
    println!("sealing everything with {}", hex::encode(id));
    for done in sealed::rotate(db, keyring).await? {
        let left = if done.unreadable > 0 { format!(", {} cannot be opened and stay as they are", done.unreadable) } else { String::new() };
        println!("  {:<24} {:>8} sealed anew{left}", done.column, done.anew);
    }
    println!("running hubs use the key within 5 s; `passage-hub keys retire` destroys an old one");
    Ok(())
}

fn active(keyring: &Keyring) -> Option<SealKeyInfo> {
    keyring.seal_keys().into_iter().find(|key| key.active.is_some())
}

async fn retire(db: &Db, keyring: &Keyring, id: &str) -> anyhow::Result<()> {
    let key = keyring.seal_keys().into_iter().find(|key| hex::encode(key.id) == id);
    let Some(key) = key else { bail!("there is no key {id}. Mend: take one from `passage-hub keys list`") };
    ensure!(key.active.is_none(), "{id} is the key that seals. Mend: `passage-hub keys rotate` first");
    let since = active(keyring).and_then(|key| key.active).unwrap_or(0);
    let young = Clock::System.now().0 - since < LEARNT_MS;
    ensure!(!young, "a hub that has not heard of the new key may still use {id}. Mend: try again in a minute");
    let left: i64 = sealed::count(db).await?.iter().filter(|(_, held, _)| *held == key.id).map(|(_, _, n)| n).sum();
    ensure!(left == 0, "{left} values are still sealed with {id}. Mend: `passage-hub keys rotate` first");
    keyring.retire_key(key.id)?;
    println!("{id} is destroyed in this key file; delete it from all copies of the file");
    Ok(())
}
