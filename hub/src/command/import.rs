//! `passage-hub import`.

use std::{fs::File, io::BufReader, path::Path, process::ExitCode};

use anyhow::Context;
use passage_config::HubConfig;
use passage_protocol::Millis;

use crate::{
    identity::{Keyring, import::import_crm},
    store::Db,
    touchpoint::{import::import_touchpoints, table::ImportReport, till::import_tills},
};

/// Imports the files that `hub.toml` names, in the order members, touchpoints, tills. Exit 1 when a row was refused; all others are stored.
pub async fn import(config: &HubConfig) -> anyhow::Result<ExitCode> {
    let keyring = Keyring::load_or_create(&config.key_file)?;
    let db = Db::open(&config.database).await?;
    let reports = import_all(&db, &keyring, config, config.clock.now()).await?;
    let mut refused = 0;
    for (what, report) in &reports {
        println!("{what}: {report}");
        refused += report.refused;
    }
    if reports.is_empty() {
        println!("hub.toml names no files under [imports], or none of them is there");
    }
    db.close().await;
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Imports what is there, and says what became of each file.
pub async fn import_all(db: &Db, keyring: &Keyring, config: &HubConfig, now: Millis) -> anyhow::Result<Vec<(&'static str, ImportReport)>> {
    let files = &config.imports;
    let mut reports = Vec::new();
    if let Some(file) = open(files.crm.as_deref())? {
        reports.push(("members", import_crm(db, keyring, config, file, now).await.context("members")?));
    }
    if let Some(file) = open(files.touchpoints.as_deref())? {
        let report = import_touchpoints(db, keyring, config, "csv", file, now).await;
        reports.push(("touchpoints", report.context("touchpoints")?));
    }
    if let Some(file) = open(files.tills.as_deref())? {
        let report = import_tills(db, keyring, &config.phone_region, &config.site, file, now).await;
        reports.push(("till tickets", report.context("till tickets")?));
    }
    Ok(reports)
}

/// A file that is configured and there; one that is not there is left out.
fn open(path: Option<&Path>) -> anyhow::Result<Option<BufReader<File>>> {
    match path.filter(|p| p.exists()) {
        Some(path) => Ok(Some(BufReader::new(File::open(path).with_context(|| format!("{} cannot be read", path.display()))?))),
        None => Ok(None),
    }
}
