//! `passage-gateway check`.

use std::path::Path;

use anyhow::Context as _;
use passage_config::{GatewayConfig, Radio, WakeCheck};
use passage_protocol::sign::Pinned;

use crate::{enrol, radio::Capture};

/// Reads everything and says what it found.
pub(super) fn check(file: &Path) -> anyhow::Result<()> {
    let config = super::load(file)?;
    let hub_keys = enrol::hub_keys(&config);
    Pinned::from_base64(hub_keys.iter().map(String::as_str))?;
    if let Radio::Replay(capture) = &config.radio {
        Capture::open(capture).with_context(|| format!("{}: `radio` names a capture that cannot be played", file.display()))?;
    }
    println!("ok: gateway {}, {} stores, {} geofences", config.id, config.site.stores.len(), config.site.geofences.len());
    if hub_keys.is_empty() {
        println!(
            "note: `hub_keys` is empty, so no ack can be believed and the outbox will only grow. `passage-hub key` prints what to put there"
        );
    }
    for note in wake_notes(&config) {
        println!("note: {note}");
    }
    Ok(())
}

/// What is allowed, and yet perhaps not meant, about wake beacons.
fn wake_notes(config: &GatewayConfig) -> Vec<String> {
    let site = &config.site;
    let has_uuid = |store: &&passage_config::Store| site.brands.get(&store.brand).is_some_and(|brand| brand.wake_uuid.is_some());
    let shops: Vec<_> = site.stores.values().filter(has_uuid).collect();
    let mut notes = Vec::new();
    let is_ble = matches!(config.radio, Radio::Ble(_));
    if config.wake.beacon.is_some() && !is_ble {
        notes.push("`wake.key` is there, but `radio` is not \"ble\", so no wake beacon is advertised".to_owned());
    }
    if let (None, true, Some(store)) = (&config.wake.beacon, is_ble, &config.store)
        && shops.iter().any(|s| s.id == *store)
    {
        notes.push(format!(
            "no wake beacon is advertised here, so iPhones with the app in the background are not noticed. \
             `passage-hub wake-key {store}` prints what belongs into `wake.key`"
        ));
    }
    if config.position_listen.is_some() && config.wake.check.is_none() && !shops.is_empty() {
        notes.push("an app that says it is in a shop is believed without proof. `passage-hub wake-key --master` prints what belongs into `wake.master`".to_owned());
    }
    if let Some(check @ WakeCheck::Keys(_)) = &config.wake.check {
        let missing: Vec<_> = shops.iter().filter(|s| check.key(&s.id).is_none()).map(|s| s.id.as_str()).collect();
        if !missing.is_empty() {
            notes.push(format!("`wake.keys` has no key of {}: what apps hear there makes no event", missing.join(", ")));
        }
    }
    notes
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

    /// A gateway file beside the demo's site, with these lines on top.
    fn noted(name: &str, lines: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/demo");
        let text = std::fs::read_to_string(format!("{demo}/{name}")).unwrap();
        let key = passage_protocol::WakeMaster::from_bytes([7; 32]);
        std::fs::write(folder.path().join("wake.key"), key.to_text()).unwrap();
        let file = folder.path().join("gateway.toml");
        let text = if lines.contains("radio") { text.replace("radio = \"none\"", "") } else { text };
        std::fs::write(&file, format!("site = \"{demo}\"\n{lines}\n") + &text).unwrap();
        wake_notes(&crate::command::load(&file).unwrap())
    }

    #[test]
    fn what_is_missing_for_the_wake_beacon_is_noted() {
        let one = |name: &str, lines: &str, words: &str| {
            let notes = noted(name, lines);
            assert!(notes.len() == 1 && notes[0].contains(words), "{notes:?}");
        };
        one("gateway-lyon.toml", "radio = \"ble\"", "wake-key lyon-bellecour");
        one("gateway-lyon.toml", "wake = { key = \"file:wake.key\" }", "`radio` is not");
        one("gateway-position.toml", "", "believed without proof");
        one("gateway-position.toml", "wake = { keys = { lyon-bellecour = \"file:wake.key\" } }", "lille-grand-place, paris-marais");
        assert_eq!(noted("gateway-lyon.toml", "radio = \"ble\"\nwake = { key = \"file:wake.key\" }"), [""; 0]);
        assert_eq!(noted("gateway-position.toml", "wake = { master = \"file:wake.key\" }"), [""; 0]);
    }
}
