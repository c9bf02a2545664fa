//! The last good site on the disk, in the outbox file.

use std::{path::Path, sync::Arc};

use passage_config::GatewayConfig;
use passage_protocol::{
    GatewayId,
    site::{SiteManifest, digest},
};

use super::{InForce, Refusal};
use crate::{SavedState, outbox::look};

/// Where in [`SavedState`] it is kept.
const MACHINE: &str = "site";
const MANIFEST: &[u8] = b"manifest";
const PACKED: &[u8] = b"packed";

/// What is to be saved of a site that goes in force.
pub(super) fn entries(manifest: &SiteManifest, packed: Vec<u8>) -> Vec<SavedState> {
    let entry = |key: &[u8], value| SavedState { machine: MACHINE, key: key.to_vec(), value: Some(value) };
    vec![entry(MANIFEST, manifest.to_vec()), entry(PACKED, packed)]
}

/// What is in force at a start: what the files say, or the last good site of the hub; an empty one when none has come yet, or when it is not for
/// this gateway any more.
///
/// Its signature was checked when it came in; on our own disk its digest is enough, so that a key may be replaced meanwhile.
pub fn restored(config: &GatewayConfig, saved: &[(String, Vec<u8>, Vec<u8>)]) -> InForce {
    if !config.site_from_hub {
        return InForce::of_files(config);
    }
    let value = |key: &[u8]| saved.iter().find(|(machine, k, _)| machine == MACHINE && k == key).map(|(.., value)| value.as_slice());
    let Some((manifest, packed)) = value(MANIFEST).zip(value(PACKED)) else { return InForce::of_files(config) };
    match read(config, manifest, packed) {
        Ok(in_force) => in_force,
        Err(e) => {
            tracing::error!("the site on the disk cannot be used, the hub is asked for it: {e}");
            InForce::of_files(config)
        }
    }
}

fn read(config: &GatewayConfig, manifest: &[u8], packed: &[u8]) -> Result<InForce, Refusal> {
    let SiteManifest { gateway, revision, sha256, .. } = SiteManifest::from_slice(manifest)?;
    if !is_ours(&gateway, config) {
        return Err(Refusal::Foreign);
    }
    if digest([packed]) != sha256 {
        return Err(Refusal::Damaged(revision));
    }
    InForce::of_bundle(config, revision, &sha256, packed)
}

/// A disk that was copied from another box holds the site of that one.
fn is_ours(gateway: &GatewayId, config: &GatewayConfig) -> bool {
    *gateway == config.id
}

/// The configuration with the last good site in it, for commands that do not run the gateway; as it is when the files hold the site.
///
/// # Errors
/// The outbox cannot be read, in words.
pub fn looked_up(config: GatewayConfig) -> Result<Arc<InForce>, String> {
    let saved = if config.site_from_hub { saved(&config.data)? } else { Vec::new() };
    Ok(Arc::new(restored(&config, &saved)))
}

type Saved = Vec<(String, Vec<u8>, Vec<u8>)>;

/// Commands are not all asynchronous, and this reads one small file: a thread of its own waits for it.
fn saved(dir: &Path) -> Result<Saved, String> {
    let dir = dir.to_owned();
    let read = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
        runtime.block_on(look::saved(&dir, MACHINE))
    };
    std::thread::spawn(read).join().unwrap_or_else(|_| Err("the reader failed".to_owned()))
}
