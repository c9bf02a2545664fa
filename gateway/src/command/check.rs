//! `passage-gateway check`.

use std::path::Path;

use passage_protocol::sign::Pinned;

/// Reads everything and says what it found.
pub(super) fn check(file: &Path) -> anyhow::Result<()> {
    let config = super::load(file)?;
    Pinned::from_base64(config.hub_keys.iter().map(String::as_str))?;
    println!("ok: gateway {}, {} stores, {} geofences", config.id, config.site.stores.len(), config.site.geofences.len());
    if config.hub_keys.is_empty() {
        println!(
            "note: `hub_keys` is empty, so no ack can be believed and the outbox will only grow. `passage-hub key` prints what to put there"
        );
    }
    Ok(())
}
