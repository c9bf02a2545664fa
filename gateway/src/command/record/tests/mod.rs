use std::{collections::BTreeSet, time::Duration};

use passage_config::GatewayConfig;
use passage_protocol::{ChainKey, Clock, Millis, rid};

use super::*;
use crate::{
    outbox::Batch,
    pipeline::Machines,
    radio::{
        Capture, ChannelSource, Heard,
        simulate::{Carrier, Phone, Walk, merge, stranger},
    },
};

/// 2026-11-20 10:03 in Paris: no id changes for the next twelve minutes.
const START: Millis = Millis(1_795_165_380_000);

fn config() -> GatewayConfig {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/demo/gateway-lyon.toml");
    GatewayConfig { clock: Clock::stepped(START), ..passage_config::load_gateway(file.as_ref()).unwrap() }
}

/// Ten minutes with three phones of members and three strangers. The phones tell their names beside their ids.
fn scene(config: &GatewayConfig) -> Vec<Advert> {
    let namespace = config.site.brands.values().next().unwrap().namespace;
    let day = rid::day_of(rid::window_at(START));
    let walk = |n: u64| Walk::visit(START + Duration::from_secs(n * 20), START + Duration::from_secs(400 + n * 60));
    let phones = (0..3u64).map(|n| {
        let key = ChainKey { day, key: [u8::try_from(n).unwrap(); 32] };
        let carrier = if n == 1 { Carrier::IBeacon } else { Carrier::ServiceData };
        Box::new(Phone { seed: n, key, namespace, carrier, tx_power: -59 }.adverts(&walk(n))) as Box<dyn Iterator<Item = _> + Send>
    });
    let strangers = (0..3u64).map(|n| Box::new(stranger(100 + n, &walk(n))) as Box<dyn Iterator<Item = _> + Send>);
    let mut adverts: Vec<_> = merge(phones.chain(strangers)).collect();
    let decoder = Decoder::new(&config.site);
    for advert in adverts.iter_mut().filter(|advert| decoder.sighting(advert).is_some()) {
        ad::push(&mut advert.data, 0x09, &[b"Annas Phone"]);
    }
    adverts
}

/// What is written for a scene.
async fn recorded(config: &GatewayConfig, scene: &[Advert], format: Format) -> (Vec<u8>, u64, u64) {
    let (sender, source) = ChannelSource::new(scene.len());
    for advert in scene {
        sender.send(advert.clone()).await.unwrap();
    }
    drop(sender);
    let mut recorder = Recorder::new(Decoder::new(&config.site), format, Vec::new()).unwrap();
    recorder.listen(Box::new(source)).await.unwrap();
    (recorder.out, recorder.ours, recorder.strangers)
}

fn decisions(config: &GatewayConfig, adverts: impl Iterator<Item = Advert>) -> Vec<String> {
    let mut machines = Machines::new(config);
    let (mut said, mut last) = (Vec::new(), START);
    for advert in adverts {
        let mut batch = Batch::default();
        last = advert.at;
        machines.heard(&Heard { advert, position: None }, &mut batch);
        said.extend(batch.changes.iter().map(|change| format!("{change:?} {}", serde_json::to_string(&change.subject).unwrap())));
    }
    let mut batch = Batch::default();
    machines.quiet(last + Duration::from_secs(3600), &mut batch);
    said.extend(batch.changes.iter().map(|change| format!("{change:?} {}", serde_json::to_string(&change.subject).unwrap())));
    said
}

fn played(bytes: Vec<u8>) -> Vec<Advert> {
    Capture::read(io::Cursor::new(bytes), "recorded".into()).unwrap().map(Result::unwrap).collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn a_recording_plays_back_to_the_same_decisions() {
    let config = config();
    let scene = scene(&config);
    let expected = decisions(&config, scene.iter().cloned());
    assert!(expected.len() >= 6, "three enters and three exits at least: {expected:?}");
    for format in [Format::Lines, Format::Btsnoop] {
        let (bytes, ours, _) = recorded(&config, &scene, format).await;
        let again = played(bytes);
        assert_eq!(again.len() as u64, ours);
        assert_eq!(decisions(&config, again.into_iter()), expected, "{format:?}");
    }
}

#[tokio::test]
async fn a_recording_holds_no_stranger_no_address_and_no_name_of_a_phone() {
    let config = config();
    let scene = scene(&config);
    let decoder = Decoder::new(&config.site);
    let (ours, strangers): (Vec<_>, Vec<_>) = scene.iter().cloned().partition(|advert| decoder.sighting(advert).is_some());
    for format in [Format::Lines, Format::Btsnoop] {
        let (bytes, told_ours, told_strangers) = recorded(&config, &scene, format).await;
        assert_eq!((told_ours, told_strangers), (ours.len() as u64, strangers.len() as u64));
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        for address in scene.iter().map(|advert| advert.address).collect::<BTreeSet<_>>() {
            let mut reversed = address;
            reversed.reverse();
            for address in [address, reversed] {
                assert!(!contains(&bytes, &address) && !text.contains(&hex::encode(address)), "an address is in it");
            }
        }
        for data in strangers.iter().map(|advert| &advert.data).collect::<BTreeSet<_>>() {
            assert!(!contains(&bytes, data) && !text.contains(&hex::encode(data)), "a stranger is in it");
        }
        assert!(!contains(&bytes, b"Annas") && !text.contains(&hex::encode(b"Annas")), "a name is in it");
    }
}

#[tokio::test]
async fn a_device_keeps_its_pseudonym_within_a_run_and_gets_another_in_the_next() {
    let config = config();
    let scene = scene(&config);
    let addresses = async || {
        let adverts = played(recorded(&config, &scene, Format::Lines).await.0);
        adverts.into_iter().map(|advert| advert.address).collect::<BTreeSet<_>>()
    };
    let (first, second) = (addresses().await, addresses().await);
    assert_eq!(first.len(), 3);
    assert!(first.is_disjoint(&second));
}

#[test]
fn the_ending_of_the_name_chooses_the_format() {
    assert_eq!(Format::of("a/walk.jsonl".as_ref()).unwrap(), Format::Lines);
    assert_eq!(Format::of("walk.btsnoop".as_ref()).unwrap(), Format::Btsnoop);
    assert!(Format::of("walk.pcap".as_ref()).unwrap_err().to_string().contains("Mend:"));
}
