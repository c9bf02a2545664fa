//! One scene in every format of captures, played as fast as it goes and paced: the decisions are the same, byte for byte.

mod support;

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use passage_config::{GatewayConfig, load_gateway};
use passage_gateway::{
    beacon::{Decoder, ad},
    radio::{
        Advert,
        simulate::{Carrier, Phone, Walk, merge, stranger},
    },
};
use passage_protocol::{ChainKey, Millis, rid};
use support::captures::{Air, Wrapped, btsnoop, lines, pcap, pcapng};
use tempfile::TempDir;

/// 2026-11-20 10:03 in Paris: no id changes for the next twelve minutes.
const START: Millis = Millis(1_795_165_380_000);

fn config_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/demo/gateway-lyon.toml")
}

/// Eight minutes: three phones of members, one of which needs extended advertising, and four strangers.
fn scene(config: &GatewayConfig) -> Vec<Advert> {
    let namespace = config.site.brands.values().next().unwrap().namespace;
    let day = rid::day_of(rid::window_at(START));
    let walk = |n: u64| Walk::visit(START + Duration::from_secs(n * 15), START + Duration::from_secs(240 + n * 40));
    let phones = (0..3u64).map(|n| {
        let carrier = if n == 1 { Carrier::IBeacon } else { Carrier::ServiceData };
        let key = ChainKey { day, key: [u8::try_from(n).unwrap(); 32] };
        Box::new(Phone { seed: n, key, namespace, carrier, tx_power: -59 }.adverts(&walk(n))) as Box<dyn Iterator<Item = _> + Send>
    });
    let strangers = (0..4u64).map(|n| Box::new(stranger(50 + n, &walk(n))) as Box<dyn Iterator<Item = _> + Send>);
    let mut adverts: Vec<_> = merge(phones.chain(strangers)).collect();
    let decoder = Decoder::new(&config.site);
    let apps_with_a_name = |advert: &&mut Advert| advert.data.len() == 30 && decoder.sighting(advert).is_some();
    for advert in adverts.iter_mut().filter(apps_with_a_name) {
        ad::push(&mut advert.data, 0x09, &[b"a name that does not fit beside it"]);
    }
    assert!(adverts.iter().any(|advert| advert.data.len() > 31));
    adverts
}

/// What the program prints.
fn played(capture: &Path, speed: Option<&str>) -> (String, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_passage-gateway"));
    program.arg("replay").arg(capture).arg("--config").arg(config_file());
    if let Some(speed) = speed {
        program.args(["--speed", speed]);
    }
    let out = program.output().unwrap();
    let told = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success(), "{}: {told}", capture.display());
    (String::from_utf8(out.stdout).unwrap(), told)
}

/// Every format, as a file of its own.
fn captures(scene: &[Advert], folder: &Path) -> Vec<PathBuf> {
    let formats = [
        ("scene.jsonl", lines(scene)),
        ("monitor.btsnoop", btsnoop(2001, scene)),
        ("h4.btsnoop", btsnoop(1002, scene)),
        ("h1.btsnoop", btsnoop(1001, scene)),
        ("hci.pcap", pcap(Wrapped::H4, scene)),
        ("directed.pcap", pcap(Wrapped::DirectedH4, scene)),
        ("monitor.pcap", pcap(Wrapped::Monitor, scene)),
        ("air.pcap", pcap(Wrapped::Air(Air::default()), scene)),
        ("nordic.pcap", pcap(Wrapped::Nordic, scene)),
        ("hci.pcapng", pcapng(Wrapped::H4, scene)),
        ("air.pcapng", pcapng(Wrapped::Air(Air::default()), scene)),
    ];
    let write = |(name, bytes): (&str, Vec<u8>)| {
        let file = folder.join(name);
        std::fs::write(&file, bytes).unwrap();
        file
    };
    formats.map(write).to_vec()
}

#[test]
fn the_same_scene_gives_the_same_decisions_in_every_format_and_at_any_speed() {
    let folder = TempDir::new().unwrap();
    let config = load_gateway(&config_file()).unwrap();
    let captures = captures(&scene(&config), folder.path());
    let (expected, _) = played(&captures[0], None);
    for part in ["\"enter\"", "\"exit\"", "rid 1", "rid 2", "rid 3"] {
        assert!(expected.contains(part), "{part} is not in:\n{expected}");
    }
    assert!(!expected.contains("rid 4"), "a stranger is in:\n{expected}");
    for capture in &captures {
        for speed in [None, Some("500"), Some("2500"), Some("100000")] {
            let (decisions, told) = played(capture, speed);
            assert_eq!(decisions, expected, "{} at {speed:?}: {told}", capture.display());
        }
    }
}

#[test]
fn packets_that_decide_nothing_are_left_out_and_counted() {
    let folder = TempDir::new().unwrap();
    let config = load_gateway(&config_file()).unwrap();
    let scene = scene(&config);
    let (good, noisy) = (folder.path().join("good.pcap"), folder.path().join("noisy.pcap"));
    std::fs::write(&good, pcap(Wrapped::Air(Air::default()), &scene)).unwrap();
    std::fs::write(&noisy, pcap(Wrapped::Air(Air { noise: true }), &scene)).unwrap();
    let ((expected, quiet), (decisions, told)) = (played(&good, None), played(&noisy, None));
    assert_eq!(decisions, expected);
    assert!(quiet.contains("left out: 0 packets with a wrong checksum, 0 adverts without a strength, 0 other packets"), "{quiet}");
    let n = scene.len();
    let counts = format!("left out: {n} packets with a wrong checksum, {n} adverts without a strength, {n} other packets");
    assert!(told.contains(&counts), "{counts} is not in: {told}");
}

#[test]
fn a_speed_that_is_none_is_refused_with_what_would_be_one() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_passage-gateway"));
    let out = program.args(["replay", "x.pcap", "--speed", "0", "--config"]).arg(config_file()).output().unwrap();
    assert!(!out.status.success());
    assert!(String::from_utf8_lossy(&out.stderr).contains("between 0.001 and"));
}
