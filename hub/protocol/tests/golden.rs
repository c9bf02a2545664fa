//! Every message of version 1 as it stands on the wire, byte for byte. These files stay for ever: a hub reads them as long as it reads version 1.

use passage_protocol::{
    Ack, Bundle, Denied, DenyList, Envelope, Event, GatewayState, Gone, GoneReason, Hello, HubState, Millis, Phase, PositionToken,
    RadioCounters, RadioRestarts, Rid, SeqRange, Signal, StaticBeacon, Strength, Subject, WireError, Zone,
    bundle::{Brand, Geofence, Outline, Position, Presence, RadioZone, Store},
    sign::{Pinned, Signing},
    site::{Action, Command, SiteManifest, digest},
};

const AT: Millis = Millis(1_795_166_400_000);
const EPOCH: &str = "9f3c21aa00b1c2d3";

fn signing() -> Signing {
    Signing::from_bytes(&std::array::from_fn(|i| u8::try_from(i).unwrap()))
}

fn pinned() -> Pinned {
    Pinned::from_base64([signing().public().as_str()]).unwrap()
}

/// Reads the golden bytes, expects them to be `value`, and writes them again.
fn golden<T: PartialEq + std::fmt::Debug>(bytes: &[u8], value: &T, read: fn(&[u8]) -> Result<T, WireError>, write: fn(&T) -> Vec<u8>) {
    assert_eq!(&read(bytes).unwrap(), value);
    assert_eq!(String::from_utf8(write(value)).unwrap(), String::from_utf8(bytes.to_vec()).unwrap());
}

#[test]
fn the_key_is_the_one_of_the_independent_vectors() {
    let vector: serde_json::Value = serde_json::from_slice(include_bytes!("vectors/signing.json")).unwrap();
    assert_eq!(vector["secret"], hex::encode(signing().to_bytes()));
    assert_eq!(vector["public"], signing().public());
    assert_eq!(vector["key_id"], signing().key_id());
}

#[test]
fn an_ack() {
    let missing = vec![SeqRange { from: 3, to: 3 }, SeqRange { from: 17, to: 20 }];
    let ack = Ack::signed("lyon-1".parse().unwrap(), EPOCH.to_owned(), 120, missing, 50, &signing());
    golden(include_bytes!("golden/v1/ack.json"), &ack, Ack::from_slice, Ack::to_vec);
    assert_eq!(ack.verify(&pinned()), Ok(()));
}

#[test]
fn an_ack_with_the_time_of_the_hub() {
    let ack = Ack::signed_at(Some(AT), "lyon-1".parse().unwrap(), EPOCH.to_owned(), 120, vec![], 50, &signing());
    golden(include_bytes!("golden/v1/ack-time.json"), &ack, Ack::from_slice, Ack::to_vec);
    assert_eq!(ack.verify(&pinned()), Ok(()));
}

#[test]
fn a_hello() {
    let hello = Hello::new("lyon-1".parse().unwrap(), EPOCH.to_owned(), 3, 129, "b0071".to_owned());
    golden(include_bytes!("golden/v1/hello.json"), &hello, Hello::from_slice, Hello::to_vec);
}

#[test]
fn a_gateway_state_and_its_last_will() {
    let state = GatewayState {
        v: 1,
        gateway: "lyon-1".parse().unwrap(),
        boot: "b0071".to_owned(),
        online: true,
        at: AT,
        version: "0.1.0".to_owned(),
        backlog: 2,
        oldest_ms: 1500,
        site_revision: 7,
        flags: vec!["radio-silent".to_owned()],
        commands: vec![],
    };
    golden(include_bytes!("golden/v1/gateway-state.json"), &state, GatewayState::from_slice, GatewayState::to_vec);
    let will = GatewayState { online: false, backlog: 0, oldest_ms: 0, site_revision: 0, flags: vec![], ..state.clone() };
    golden(include_bytes!("golden/v1/gateway-state-will.json"), &will, GatewayState::from_slice, GatewayState::to_vec);
    let answer = GatewayState { flags: vec![], commands: vec![uuid::Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0001)], ..state };
    golden(include_bytes!("golden/v1/gateway-state-commands.json"), &answer, GatewayState::from_slice, GatewayState::to_vec);
}

#[test]
fn the_counters_of_a_radio_and_those_of_a_later_gateway() {
    let radio = RadioCounters {
        adverts: 120_431,
        adverts_10s: 382,
        sightings: 9_120,
        sightings_10s: 31,
        silent_ms: 40,
        queued: 2,
        dropped: 17,
        restarts: RadioRestarts { scan: 5, connection: 2, daemon: 1 },
    };
    golden(include_bytes!("golden/v1/radio-counters.json"), &radio, RadioCounters::from_slice, RadioCounters::to_vec);
    let later = String::from_utf8(radio.to_vec()).unwrap().replace(r#""queued":2"#, r#""queued":2,"chip":{"resets":3}"#);
    assert_eq!(RadioCounters::from_slice(later.as_bytes()).unwrap(), radio, "what a later gateway counts besides is passed over");
    assert!(RadioCounters::from_slice(b"{}").is_err());
}

#[test]
fn a_hub_state() {
    let (boot, version) = ("5ca1ab1e".to_owned(), "0.1.0".to_owned());
    let state = HubState { v: 1, hub: "hub-1".parse().unwrap(), boot, online: true, at: AT, version };
    golden(include_bytes!("golden/v1/hub-state.json"), &state, HubState::from_slice, HubState::to_vec);
}

#[test]
fn a_site_manifest() {
    let manifest = SiteManifest {
        v: 1,
        gateway: "lyon-1".parse().unwrap(),
        revision: 7,
        sha256: digest([b"part one ".as_slice(), b"part two"]),
        parts: 2,
        rollback: Some(9),
        key: String::new(),
        sig: String::new(),
    }
    .signed(&signing());
    golden(include_bytes!("golden/v1/site-manifest.json"), &manifest, SiteManifest::from_slice, SiteManifest::to_vec);
    assert_eq!(manifest.verify(&pinned()), Ok(()));
    assert!(SiteManifest { revision: 8, ..manifest }.verify(&pinned()).is_err());
}

#[test]
fn a_deny_list() {
    let ended = Denied { installation: "a1b2c3d4e5f6".parse().unwrap(), until: None };
    let replaced = Denied { installation: "b2c3d4e5f6a1".parse().unwrap(), until: Some(Millis(AT.0 + 86_400_000)) };
    let list = DenyList::parts(&"lyon-1".parse().unwrap(), 7, &[ended, replaced], &signing()).remove(0);
    golden(include_bytes!("golden/v1/deny-list.json"), &list, DenyList::from_slice, DenyList::to_vec);
    assert_eq!(list.verify(&pinned()), Ok(()));
}

#[test]
fn a_command() {
    let command = Command {
        v: 1,
        gateway: "lyon-1".parse().unwrap(),
        id: "0198c0de-0000-7000-8000-000000000001".parse().unwrap(),
        expires: Millis(AT.0 + 60_000),
        action: Action::ReportState,
        key: String::new(),
        sig: String::new(),
    }
    .signed(&signing());
    golden(include_bytes!("golden/v1/command.json"), &command, Command::from_slice, Command::to_vec);
    assert_eq!(command.verify(&pinned()), Ok(()));
    assert!(Command { action: Action::RestartRadio, ..command }.verify(&pinned()).is_err());
}

#[test]
fn an_envelope_with_every_kind_of_event() {
    let event = |seq: u64, zone: &str, subject, signal, phase, mono, since: i64, strength| Event {
        id: format!("0198c0de-0000-7000-8000-{seq:012x}").parse().unwrap(),
        seq,
        store: "lyon".parse().unwrap(),
        zone: Zone::try_from(zone.to_owned()).unwrap(),
        subject,
        signal,
        phase,
        at: AT,
        mono,
        first: Millis(AT.0 - since),
        last: AT,
        strength,
        initial: seq == 122,
        late: seq == 123,
    };
    let rid = Subject::Rid { rid: Rid([0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77]), hint: 9 };
    let uuid = "e2c56db5dffb48d2b060d0f5a71096e0".to_owned();
    let card = Subject::Beacon(StaticBeacon::IBeacon { uuid, major: 1, minor: 65535 });
    let app = || Subject::Installation("a1b2c3d4e5f6".parse().unwrap());
    let mut envelope = Envelope::new("lyon-1".parse().unwrap(), EPOCH.to_owned(), "b0071".to_owned());
    envelope.sent_at = Millis(AT.0 + 100);
    envelope.sent_mono = 7100;
    envelope.events = vec![
        event(121, "in", rid, Signal::Beacon, Phase::Enter, 5000, 12_000, Strength::Radio { rssi: -68, count: 3 }),
        event(122, "front", card, Signal::Beacon, Phase::Exit, 185_000, 60_000, Strength::Radio { rssi: -90, count: 41 }),
        event(123, "lyon-nearby", app(), Signal::Position, Phase::Dwell, 6000, 120_000, Strength::Position { p: 0.875, accuracy_m: 12.5 }),
        event(124, "in", app(), Signal::App, Phase::Enter, 7000, 0, Strength::App),
    ];
    golden(include_bytes!("golden/v1/envelope.json"), &envelope, Envelope::from_slice, Envelope::to_vec);
}

#[test]
fn an_envelope_of_cards_that_are_no_ibeacons() {
    let bytes = include_bytes!("golden/v1/envelope-cards.json");
    let envelope = Envelope::from_slice(bytes).unwrap();
    let subjects: Vec<_> = envelope.events.iter().map(|event| event.subject.clone()).collect();
    let uuid = "d3162f5af3ee494799db09756062d0fc".to_owned();
    let (namespace, instance) = ("00112233445566778899".to_owned(), "aabbccddeeff".to_owned());
    let cards = [StaticBeacon::AltBeacon { uuid, major: 90, minor: 5 }, StaticBeacon::EddystoneUid { namespace, instance }];
    assert!(subjects == cards.map(Subject::Beacon));
    golden(bytes, &envelope, Envelope::from_slice, Envelope::to_vec);
}

#[test]
fn an_envelope_with_a_dead_letter() {
    let mut envelope = Envelope::new("lyon-1".parse().unwrap(), EPOCH.to_owned(), "b0071".to_owned());
    envelope.sent_at = AT;
    envelope.gone = vec![Gone { range: SeqRange { from: 9, to: 9 }, reason: GoneReason::Undeliverable }];
    golden(include_bytes!("golden/v1/envelope-undeliverable.json"), &envelope, Envelope::from_slice, Envelope::to_vec);
}

#[test]
fn an_envelope_of_gone_records() {
    let gone = |from, to, reason| Gone { range: SeqRange { from, to }, reason };
    let mut envelope = Envelope::new("lyon-1".parse().unwrap(), EPOCH.to_owned(), "b0071".to_owned());
    envelope.sent_at = AT;
    envelope.synced = false;
    envelope.gone = vec![gone(1, 2, GoneReason::Evicted), gone(5, 5, GoneReason::AckedBefore), gone(64, 128, GoneReason::NeverWritten)];
    envelope.sig = Some("reserved".to_owned());
    golden(include_bytes!("golden/v1/envelope-gone.json"), &envelope, Envelope::from_slice, Envelope::to_vec);
}

#[test]
fn a_position_token() {
    let expires = Millis(AT.0 + 86_400_000);
    let token = PositionToken { installation: "a1b2c3d4e5f6".parse().unwrap(), expires, purpose: "presence".to_owned() };
    let text = include_str!("golden/v1/position-token.txt");
    assert_eq!(token.to_text(&signing()), text);
    assert_eq!(PositionToken::from_text(text, &pinned(), AT), Ok(token));
}

#[test]
fn a_site_bundle() {
    let zone = |enter_dbm, leave_dbm| RadioZone {
        enter_dbm,
        leave_dbm,
        enter_sightings: 3,
        window_ms: 32_000,
        silence_ms: 180_000,
        hold_ms: 600_000,
    };
    let circle = Outline::Circle { centre: [4.832, 45.7578], radius_m: 60.0 };
    let ring = vec![[4.83, 45.75], [4.84, 45.75], [4.84, 45.76], [4.83, 45.75]];
    let corridor = Outline::Corridor { lines: vec![vec![[4.83, 45.75], [4.84, 45.76]]], buffer_m: 50.0 };
    let fence = |id: &str, nearby, outline| Geofence { id: id.parse().unwrap(), store: "lyon".parse().unwrap(), nearby, outline };
    let bundle = Bundle {
        v: 1,
        store: Some("lyon".parse().unwrap()),
        brands: vec![Brand {
            id: "maison".to_owned(),
            service_uuid: "6f2d1c9a74b34e589a0e3c5d8b7f1a24".to_owned(),
            ibeacon: "a3b14c9d5e27f80612cd7b".to_owned(),
            uuid_prefix: Some("5d2b90c4e7f1".to_owned()),
            wake_uuid: Some("5a1c7e0b93d44f268e71b0c2d9a36f58".to_owned()),
            beacons: vec![StaticBeacon::IBeacon { uuid: "2f9b6c1e8d474b0ab6a35d1e7c94f082".to_owned(), major: 1, minor: 1001 }],
        }],
        stores: vec![Store {
            id: "lyon".parse().unwrap(),
            brand: "maison".to_owned(),
            at: [4.832, 45.7578],
            timezone: "Europe/Paris".to_owned(),
            hours: "Mo-Sa 10:00-19:30".to_owned(),
        }],
        geofences: vec![
            fence("lyon-in", false, circle),
            fence("lyon-area", false, Outline::Area(vec![vec![ring]])),
            fence("lyon-street", true, corridor),
        ],
        presence: Presence { inside: zone(-75, -83), front: zone(-85, -92), settle_ms: 15_000, max_subjects: 200_000 },
        position: Position {
            enter_p: 0.75,
            exit_p: 0.25,
            exit_fixes: 2,
            exit_after_ms: 60_000,
            max_accuracy_m: 100.0,
            untold_accuracy_m: 50.0,
            coarsest_radii: 2.0,
            max_speed_kmh: 30.0,
            speed_within_ms: 120_000,
            cross_within_ms: 300_000,
            jump_m: 500.0,
            jump_kmh: 200.0,
            jump_fixes: 2,
            fresh_ms: 180_000,
            reorder_ms: 120_000,
            silence_ms: 1_800_000,
            far_m: 2000.0,
            around_hours_ms: 3_600_000,
        },
        dwell_marks: vec![120, 300, 600],
    };
    let bytes = include_bytes!("golden/v1/site-bundle.json");
    golden(bytes, &bundle, |bytes| Ok(serde_json::from_slice(bytes).unwrap()), Bundle::to_vec);
    // Compressors may differ in their bytes, never in what comes out.
    let packed = hex::decode(include_str!("golden/v1/site-bundle.zlib.hex").trim()).unwrap();
    assert_eq!(Bundle::unpack(&packed).unwrap(), bundle);
    assert_eq!(Bundle::unpack(&bundle.pack().unwrap()).unwrap(), bundle);
}
