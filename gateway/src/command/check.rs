//! `passage-gateway check`.

use std::path::Path;

use anyhow::Context as _;
use passage_config::Radio;
use passage_protocol::sign::Pinned;

use crate::radio::Capture;

/// Reads everything and says what it found.
pub(super) fn check(file: &Path) -> anyhow::Result<()> {
    let config = super::load(file)?;
    Pinned::from_base64(config.hub_keys.iter().map(String::as_str))?;
    if let Radio::Replay(capture) = &config.radio {
        Capture::open(capture).with_context(|| format!("{}: `radio` names a capture that cannot be played", file.display()))?;
    }
    println!("ok: gateway {}, {} stores, {} geofences", config.id, config.site.stores.len(), config.site.geofences.len());
    if config.hub_keys.is_empty() {
        println!(
            "note: `hub_keys` is empty, so no ack can be believed and the outbox will only grow. `passage-hub key` prints what to put there"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_that_is_not_there_is_noticed_before_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/demo");
        let text = std::fs::read_to_string(format!("{demo}/gateway-lyon.toml")).unwrap();
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, format!("site = \"{demo}\"\n") + &text.replace("radio = \"none\"", "radio = { replay = \"walk.jsonl\" }"))
            .unwrap();
        let error = format!("{:#}", check(&file).unwrap_err());
        assert!(error.contains("gateway.toml") && error.contains("walk.jsonl"), "{error}");
        std::fs::write(folder.path().join("walk.jsonl"), "{}\n").unwrap();
        check(&file).unwrap();
    }
}
