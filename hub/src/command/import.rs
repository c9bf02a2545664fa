//! `passage-hub import`.

use std::{
    fs::File,
    io::{BufRead, BufReader, Cursor},
    path::Path,
    process::ExitCode,
};

use anyhow::Context;
use passage_config::{HubConfig, Profile, Rows};
use passage_protocol::Millis;

use crate::{
    identity::{Keyring, import::import_crm},
    store::Db,
    touchpoint::{
        import::import_touchpoints,
        parquet, profile,
        table::ImportReport,
        till::import_tills,
        totals::{import_street, import_totals},
    },
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

/// Imports one file of another system by a profile, or one in our own columns. Exit 1 when a row was refused; all others are stored.
pub async fn import_one(config: &HubConfig, file: &Path, profile: Option<&str>, rows: Option<Rows>) -> anyhow::Result<ExitCode> {
    let profile = match profile {
        None => None,
        Some(id) => Some(config.site.touch.profiles.get(id).with_context(|| {
            let all: Vec<&str> = config.site.touch.profiles.keys().map(String::as_str).collect();
            format!("there is no profile \"{id}\". Mend: add profiles/{id}.toml, or use one of: {}", all.join(", "))
        })?),
    };
    let rows = rows.or(profile.map(|p| p.rows)).context("say what the rows are: --rows touchpoints, totals, members, tills or street")?;
    let keyring = Keyring::load_or_create(&config.key_file)?;
    let db = Db::open(&config.database).await?;
    let report = import_file(&db, &keyring, config, file, profile, rows).await?;
    println!("{}: {report}", file.display());
    db.close().await;
    Ok(if report.refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Imports one file, and names the lines as they stand in it.
pub async fn import_file(
    db: &Db,
    keyring: &Keyring,
    config: &HubConfig,
    file: &Path,
    profile: Option<&Profile>,
    rows: Rows,
) -> anyhow::Result<ImportReport> {
    let opened = File::open(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let (content, before): (Box<dyn BufRead + Send>, u64) = match profile {
        None => (Box::new(BufReader::new(opened)), 0),
        Some(profile) => {
            let columnar = file.extension().is_some_and(|ending| ending == "parquet");
            let rewritten = if columnar { parquet::rows(profile, opened)? } else { profile::csv(profile, BufReader::new(opened))? };
            (Box::new(Cursor::new(rewritten.csv)), rewritten.before)
        }
    };
    let (source, now) = (profile.map_or("csv", |p| p.source.as_str()), config.clock.now());
    let mut report = match rows {
        Rows::Touchpoints => import_touchpoints(db, keyring, config, source, content, now).await?,
        Rows::Totals => import_totals(db, config, source, content).await?,
        Rows::Members => import_crm(db, keyring, config, content, now).await?,
        Rows::Tills => import_tills(db, keyring, &config.phone_region, &config.site, content, now).await?,
        Rows::Street => import_street(db, config, source, content).await?,
    };
    report.faults.iter_mut().for_each(|fault| fault.line += before);
    Ok(report)
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
