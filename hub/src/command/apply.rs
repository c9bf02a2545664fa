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
const FOLDERS: [&str; 7] = ["brands", "stores", "geofences", "campaigns", "offers", "gateways", "profiles"];
const FILES: [&str; 5] = ["products.csv", "visit.toml", "staff.toml", "tracking.toml", "channels.toml"];

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
            // Copies that editors leave are no part of it, and may not even be text.
            let ours = path.extension().is_some_and(|e| e == "toml" || e == "geojson" || e == "json");
            if ours && path.is_file() && !name.starts_with('.') {
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

/// The configuration of this machine with the newest applied site in it that is good; as it is when none was applied yet. With it comes the number
/// of the newest revision, good or not. Refused revisions are told in the log.
///
/// # Errors
/// The database or the disk; a refused revision is none.
pub async fn with_last_good(db: &Db, pinned: &Pinned, own: &HubConfig) -> Result<(i64, HubConfig), ApplyError> {
    let newest = store::config::newest_revision(db).await?;
    let mut below = newest + 1;
    while let Some(applied) = store::config::newest_before(db, below).await? {
        match with(&applied, pinned, own) {
            Err(e @ (ApplyError::Store(_) | ApplyError::Io(_))) => return Err(e),
            Err(e) => tracing::error!("revision {} is not used, an older one stays in force: {e}", applied.revision),
            Ok(config) => return Ok((newest, config)),
        }
        below = applied.revision;
    }
    Ok((newest, own.clone()))
}

/// The configuration of this machine with the site of a revision in it.
fn with(applied: &AppliedConfig, pinned: &Pinned, own: &HubConfig) -> Result<HubConfig, ApplyError> {
    pinned
        .verify(DOMAIN, &signed_text(applied.revision, &applied.sha256), &applied.key_id, &applied.signature)
        .map_err(|e| ApplyError::Signature(applied.revision, e))?;
    if hex::encode(Sha256::digest(applied.files.as_bytes())) != applied.sha256 {
        return Err(ApplyError::Damaged(applied.revision, "its files do not fit their digest"));
    }
    let dir = scratch_folder()?;
    let site = unpack(applied, &dir).and_then(|()| load_site(&dir).map_err(ApplyError::Mistakes));
    fs::remove_dir_all(&dir)?;
    let site = Arc::new(site?);
    Ok(HubConfig { visit: site.visit, applied: applied.revision, site, ..own.clone() })
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
                tracing::warn!("the configuration in the database cannot be read at the moment, the one in force stays: {e}");
            }
        }
    }

    async fn look(&mut self) -> Result<(), ApplyError> {
        let Some(applied) = store::config::newest_before(&self.db, i64::MAX).await?.filter(|a| a.revision > self.revision) else {
            return Ok(());
        };
        let revision = applied.revision;
        let config = match with(&applied, &self.pinned, &self.own) {
            // It may be there the next time.
            Err(e @ (ApplyError::Store(_) | ApplyError::Io(_))) => return Err(e),
            Err(e) => {
                // A refused revision is told once, not every two seconds.
                tracing::error!("revision {revision} is not used, the configuration in force stays: {e}");
                self.revision = revision;
                return Ok(());
            }
            Ok(config) => config,
        };
        self.revision = revision;
        self.live.send_replace(Arc::new(config));
        tracing::info!(revision, "configuration went live");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use passage_config::load_hub;

    use super::*;

    /// A hub whose site lies in a folder of its own, as a copy of the demo's with another visit rule.
    fn own(folder: &Path) -> HubConfig {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/demo");
        let site = folder.join("shop");
        for sub in FOLDERS {
            fs::create_dir_all(site.join(sub)).unwrap();
            for file in fs::read_dir(demo.join(sub)).unwrap() {
                let file = file.unwrap();
                fs::copy(file.path(), site.join(sub).join(file.file_name())).unwrap();
            }
        }
        fs::copy(demo.join("products.csv"), site.join("products.csv")).unwrap();
        fs::write(site.join("visit.toml"), "min_dwell_beacon = \"7 min\"\n").unwrap();
        fs::write(site.join("offers/welcome.toml~"), [0xFF, 0xFE]).unwrap();
        let hub = "id = \"hub-1\"\ndatabase = \"sqlite:hub.db\"\nkey_file = \"hub.key\"\nsite = \"shop\"\n[mqtt]\nhost = \"127.0.0.1\"\n";
        fs::write(folder.join("hub.toml"), hub).unwrap();
        load_hub(&folder.join("hub.toml")).unwrap_or_else(|e| panic!("{e}"))
    }

    async fn open(own: &HubConfig) -> (Db, Signing, Pinned) {
        let db = Db::open(&own.database).await.unwrap();
        let signing = Signing::from_bytes(&[7; 32]);
        let pinned = Pinned::from_base64([signing.public().as_str()]).unwrap();
        (db, signing, pinned)
    }

    #[tokio::test]
    async fn the_whole_site_goes_live_wherever_it_lies_and_its_visit_rules_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let own = own(folder.path());
        let (db, signing, pinned) = open(&own).await;
        assert_eq!(own.site_dir, folder.path().join("shop"));
        assert_eq!(apply(&db, &signing, &own.site_dir, &own.clock).await.unwrap(), 1);
        // Another machine of the same hubs still has the defaults in its own files.
        let mut elsewhere = own.clone();
        elsewhere.visit = passage_config::VisitRules::default();
        elsewhere.site = Arc::default();
        let (revision, live) = with_last_good(&db, &pinned, &elsewhere).await.unwrap();
        assert_eq!((revision, live.site.offers.len(), live.site.stores.len()), (1, own.site.offers.len(), own.site.stores.len()));
        assert_eq!(live.visit.min_dwell_beacon, Duration::from_secs(7 * 60));
        assert_eq!(live.visit, live.site.visit);
        db.close().await;
    }

    #[tokio::test]
    async fn a_revision_that_cannot_be_read_for_a_moment_goes_live_later_and_a_forged_one_never_even_at_a_start() {
        let folder = tempfile::tempdir().unwrap();
        let own = own(folder.path());
        let (db, signing, pinned) = open(&own).await;
        let (live, watching) = watch::channel(Arc::new(own.clone()));
        let mut follow = Follow { db: db.clone(), pinned, own: own.clone(), revision: 0, live };
        apply(&db, &signing, &own.site_dir, &own.clock).await.unwrap();
        db.execute("UPDATE config_revision SET applied_at = 'away'", crate::args![]).await.unwrap();
        assert!(follow.look().await.is_err());
        db.execute("UPDATE config_revision SET applied_at = 1", crate::args![]).await.unwrap();
        follow.look().await.unwrap();
        assert!(follow.revision == 1 && watching.has_changed().unwrap());

        let stranger = Signing::from_bytes(&[8; 32]);
        apply(&db, &stranger, &own.site_dir, &own.clock).await.unwrap();
        follow.look().await.unwrap();
        assert_eq!(follow.revision, 2, "it is told once");
        assert!(Arc::ptr_eq(&follow.live.borrow(), &watching.borrow()));
        // A hub that starts now goes on with revision 1, not with its own files.
        let mut elsewhere = own.clone();
        elsewhere.site = Arc::default();
        let (newest, config) = with_last_good(&db, &follow.pinned, &elsewhere).await.unwrap();
        assert_eq!((newest, config.site.stores.len()), (2, own.site.stores.len()));
        db.close().await;
    }
}
