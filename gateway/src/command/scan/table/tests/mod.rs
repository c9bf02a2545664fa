use passage_config::PresenceRules;
use passage_protocol::rid::RidPayload;

use super::*;
use crate::{beacon::encode, radio::Advert};

/// 2026-11-20 10:00 in Paris.
const START: Millis = Millis(1_795_165_200_000);

fn config() -> GatewayConfig {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/demo/gateway-lyon.toml");
    let config = passage_config::load_gateway(file.as_ref()).unwrap();
    GatewayConfig { presence: PresenceRules::default(), ..config }
}

fn at(seconds: u64) -> Millis {
    START + Duration::from_secs(seconds)
}

fn heard(at: Millis, address: u8, rssi: i8, data: Vec<u8>) -> Heard {
    Heard { advert: Advert { at, address: [address; 6], rssi, data }, position: None }
}

/// An advert of the app with this id.
fn app(config: &GatewayConfig, seconds: u64, id: u8, rssi: i8) -> Heard {
    let namespace = config.site.brands.values().next().unwrap().namespace;
    heard(at(seconds), id, rssi, encode::service_data(&namespace, RidPayload::new(7, Rid([id; 8]), -59)))
}

#[test]
fn a_beacon_shows_its_median_its_zone_its_age_and_its_rate() {
    let config = config();
    let mut table = Table::new(&config);
    for (seconds, rssi) in [(0, -60), (1, -64), (2, -90), (3, -62)] {
        table.hear(&app(&config, seconds, 0xab, rssi));
    }
    table.hear(&app(&config, 3, 0xcd, -99));
    let shown = table.snapshot(at(5));
    assert_eq!((shown.state, shown.adverts, shown.strangers), ("listening", 5, 0));
    assert_eq!(
        shown.beacons[0],
        Beacon {
            kind: "app".into(),
            id: "abab".into(),
            zone: "in",
            rssi_median: -64,
            rssi_last: -62,
            age_ms: 2_000,
            per_second: 0.4,
            adverts: 4,
        }
    );
    assert_eq!((shown.beacons[1].id.as_str(), shown.beacons[1].zone), ("cdcd", "none"));
}

#[test]
fn who_is_silent_leaves_the_zone_and_then_the_table() {
    let config = config();
    let mut table = Table::new(&config);
    for seconds in 0..4 {
        table.hear(&app(&config, seconds, 1, -80));
    }
    assert_eq!(table.snapshot(at(4)).beacons[0].zone, "front");
    let silent = table.snapshot(at(200));
    assert_eq!((silent.beacons[0].zone, silent.state), ("none", "silent"));
    assert!(silent.warnings[0].contains("doctor"), "{:?}", silent.warnings);
    assert!(table.snapshot(at(400)).beacons.is_empty());
}

#[test]
fn strangers_are_only_counted() {
    let mut table = Table::new(&config());
    for n in 0..100 {
        table.hear(&heard(at(n), u8::try_from(n % 5).unwrap(), -50, vec![2, 1, 6]));
    }
    let shown = table.snapshot(at(100));
    assert_eq!((shown.strangers, shown.stranger_addresses, shown.beacons.len()), (100, 5, 0));
    assert!((shown.per_second - 1.0).abs() < 0.11, "{}", shown.per_second);
}

#[test]
fn the_table_is_bounded_and_forgets_the_longest_silent_first() {
    let config = config();
    let mut table = Table::new(&config);
    for n in 0..MOST as u64 + 10 {
        let id = Rid(n.to_be_bytes());
        let namespace = config.site.brands.values().next().unwrap().namespace;
        table.hear(&heard(at(n / 10), 1, -95, encode::service_data(&namespace, RidPayload::new(7, id, -59))));
    }
    assert_eq!(table.rows.len(), MOST);
    assert!(!table.rows.keys().any(|subject| matches!(subject, Subject::Rid { rid, .. } if rid.0 == 0u64.to_be_bytes())));
}

#[test]
fn what_the_source_says_and_what_is_missing_is_warned_of() {
    let mut config = config();
    config.store = None;
    let mut table = Table::new(&config);
    for n in 0..5 {
        table.warn(format!("fault {n}"));
    }
    table.warn("fault 4".to_owned());
    table.dropped(7);
    let shown = table.snapshot(at(0));
    assert_eq!(shown.warnings[..3], ["fault 2", "fault 3", "fault 4"]);
    assert!(shown.warnings[3].starts_with("7 adverts were dropped") && shown.warnings[4].contains("`store`"), "{:?}", shown.warnings);
    table.end();
    assert_eq!(table.snapshot(at(99)).state, "ended");
}

#[test]
fn a_card_is_named_by_its_number() {
    let card = StaticBeacon::IBeacon { uuid: "00".repeat(16), major: 1, minor: 204 };
    assert_eq!(label(&Subject::Beacon(card)), ("card".to_owned(), "1/204".to_owned()));
}
