//! Configuration goes live through `apply`: the files that marketers edit become a signed revision in the database, and every hub runs it.
//!
//! What belongs to one machine (database, broker, ports, SMS account) stays in its own `hub.toml`.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Component, Path},
    sync::Arc,
    time::Duration,
};

use passage_config::{Diagnostics, HubConfig, load_site};
use passage_protocol::{
    Clock,
    sign::{Pinned, SignatureError, Signing},
};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::store::{self, Db, StoreError, config::AppliedConfig};

const DOMAIN: &str = "passage/v1/config";
const FOLDERS: [&str; 5] = ["brands", "stores", "geofences", "campaigns", "offers"];
const FILES: [&str; 1] = ["products.csv"];

/// Why a configuration did not go live.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The files have mistakes; nothing changed.
    #[error("{0}")]
    Mistakes(Diagnostics),
    /// The files could not be read or laid out.
    #[error("the files of the configuration: {0}")]
    Io(#[from] io::Error),
    /// The database failed; nothing changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stored revision is not signed by the hubs' key, so it is not used.
    #[error("revision {0} in the database is refused: {1}")]
    Signature(i64, SignatureError),
    /// The stored revision is damaged.
    #[error("revision {0} in the database is damaged: {1}")]
    Damaged(i64, &'static str),
    /// Two people applied at the same moment.
    #[error("somebody else applied a configuration at the same moment; look at it and apply again")]
    Raced,
}

/// Checks the files in `dir` and makes them the newest revision. Returns its number.
pub async fn apply(db: &Db, signing: &Signing, dir: &Path, clock: &Clock) -> Result<i64, ApplyError> {
    load_site(dir).map_err(ApplyError::Mistakes)?;
    let files = serde_json::to_string(&pack(dir)?).map_err(io::Error::other)?;
    let revision = store::config::newest_revision(db).await? + 1;
    let sha256 = hex::encode(Sha256::digest(files.as_bytes()));
    let signature = signing.sign(DOMAIN, &signed_text(revision, &sha256));
    let applied = AppliedConfig { revision, applied_at: clock.now(), sha256, files, key_id: signing.key_id(), signature };
    if store::config::insert(db, &applied).await? { Ok(revision) } else { Err(ApplyError::Raced) }
}

fn signed_text(revision: i64, sha256: &str) -> Vec<u8> {
    format!("{revision} {sha256}").into_bytes()
}

fn pack(dir: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for folder in FOLDERS {
        let Ok(entries) = fs::read_dir(dir.join(folder)) else { continue };
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
            if path.is_file() && !name.starts_with('.') {
                files.insert(format!("{folder}/{name}"), fs::read_to_string(&path)?);
            }
        }
    }
    for name in FILES {
        if let Ok(text) = fs::read_to_string(dir.join(name)) {
            files.insert(name.to_owned(), text);
        }
    }
    Ok(files)
}

/// Lays the files of a revision out under `dir`. A path that would leave it is refused.
fn unpack(applied: &AppliedConfig, dir: &Path) -> Result<(), ApplyError> {
    let damaged = |why| ApplyError::Damaged(applied.revision, why);
    let files: BTreeMap<String, String> = serde_json::from_str(&applied.files).map_err(|_| damaged("its files are not JSON"))?;
    for (name, text) in files {
        let path = Path::new(&name);
        if !path.components().all(|c| matches!(c, Component::Normal(_))) {
            return Err(damaged("a file name leaves its folder"));
        }
        let path = dir.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, text)?;
    }
    Ok(())
}

/// The configuration of this machine with the newest applied site in it; as it is when none was applied yet.
pub async fn with_newest(db: &Db, pinned: &Pinned, own: &HubConfig) -> Result<(i64, HubConfig), ApplyError> {
    let Some(applied) = store::config::newest(db).await? else {
        return Ok((0, own.clone()));
    };
    pinned
        .verify(DOMAIN, &signed_text(applied.revision, &applied.sha256), &applied.key_id, &applied.signature)
        .map_err(|e| ApplyError::Signature(applied.revision, e))?;
    if hex::encode(Sha256::digest(applied.files.as_bytes())) != applied.sha256 {
        return Err(ApplyError::Damaged(applied.revision, "its files do not fit their digest"));
    }
    let dir = scratch_folder()?;
    let site = unpack(&applied, &dir).and_then(|()| load_site(&dir).map_err(ApplyError::Mistakes));
    fs::remove_dir_all(&dir)?;
    Ok((applied.revision, HubConfig { site: Arc::new(site?), ..own.clone() }))
}

fn scratch_folder() -> io::Result<std::path::PathBuf> {
    let dir = std::env::temp_dir().join(format!("passage-config-{}", uuid::Uuid::now_v7()));
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// Takes over each new revision while the hub runs; a refused one leaves the last good one in force.
#[derive(Debug)]
pub struct Follow {
    /// Where revisions appear.
    pub db: Db,
    /// Who may sign them.
    pub pinned: Pinned,
    /// This machine's own part.
    pub own: HubConfig,
    /// The revision in force.
    pub revision: i64,
    /// Where all stages read the configuration.
    pub live: watch::Sender<Arc<HubConfig>>,
}

impl Follow {
    /// Looks for a newer revision every 2 s until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut every = tokio::time::interval(Duration::from_secs(2));
        while stop.run_until_cancelled(every.tick()).await.is_some() {
            if let Err(e) = self.look().await {
                tracing::error!("the last good configuration (revision {}) stays in force: {e}", self.revision);
            }
        }
    }

    async fn look(&mut self) -> Result<(), ApplyError> {
        let newest = store::config::newest_revision(&self.db).await?;
        if newest <= self.revision {
            return Ok(());
        }
        // A refused revision is told once, not every two seconds.
        self.revision = newest;
        let (revision, config) = with_newest(&self.db, &self.pinned, &self.own).await?;
        self.revision = revision;
        self.live.send_replace(Arc::new(config));
        tracing::info!(revision, "configuration went live");
        Ok(())
    }
}
