use std::collections::BTreeMap;

use passage_config::Sender;
use passage_protocol::Rid;
use proptest::prelude::*;

use super::*;

const NAMESPACE: Namespace = Namespace {
    service_uuid: [0x8f, 0x1c, 0x3a, 0x70, 0x52, 0xb4, 0x4e, 0x19, 0x9d, 0x06, 0x21, 0xe7, 0x5a, 0xc8, 0x33, 0x90],
    ibeacon: [0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab],
};

fn fob() -> StaticBeacon {
    StaticBeacon::IBeacon { uuid: "e2c56db5dffb48d2b060d0f5a71096e0".to_owned(), major: 7, minor: 513 }
}

fn decoder() -> Decoder {
    let brand = Brand {
        id: "brand".into(),
        name: "Brand".into(),
        entities: BTreeMap::new(),
        namespace: NAMESPACE,
        sender: Sender { name: "Brand".into(), stop_number: "36111".into() },
        beacons: vec![fob()],
        wake_uuid: None,
    };
    Decoder::of_brands([&brand])
}

fn hear(data: &[u8]) -> Option<Sighting> {
    decoder().sighting(&Advert { at: Millis(1000), address: [1; 6], rssi: -61, data: data.to_vec() })
}

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex.replace(' ', "")).unwrap()
}

fn expected(rid: [u8; 8], hint: u8, tx_power: i8) -> Option<Sighting> {
    Some(Sighting { at: Millis(1000), subject: Subject::Rid { rid: Rid(rid), hint }, rssi: -61, tx_power })
}

#[test]
fn a_rotating_id_in_android_service_data_is_read_as_it_stands_on_the_air() {
    let air = bytes("020106 1b21 9033c85ae721069d194eb452703a1c8f 1c 0102030405060708 c5");
    assert_eq!(hear(&air), expected([1, 2, 3, 4, 5, 6, 7, 8], 0xc, -59));
}

#[test]
fn a_rotating_id_in_an_ibeacon_is_read_as_it_stands_on_the_air() {
    let air = bytes("02011a 1aff 4c000215 a1a2a3a4a5a6a7a8a9aaab 13 1112131415161718 c3");
    assert_eq!(hear(&air), expected([0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18], 3, -61));
}

#[test]
fn a_registered_fob_is_read_and_its_neighbour_is_a_stranger() {
    let ours = bytes("020106 1aff 4c000215 e2c56db5dffb48d2b060d0f5a71096e0 0007 0201 c5");
    assert_eq!(hear(&ours), Some(Sighting { at: Millis(1000), subject: Subject::Beacon(fob()), rssi: -61, tx_power: -59 }));
    let neighbour = bytes("020106 1aff 4c000215 e2c56db5dffb48d2b060d0f5a71096e0 0007 0202 c5");
    assert_eq!(hear(&neighbour), None);
}

#[test]
fn strangers_and_near_misses_give_nothing() {
    let cases = [
        ("nothing", ""),
        ("flags only", "020106"),
        ("another service uuid, one bit off", "1b21 9133c85ae721069d194eb452703a1c8f 1c 0102030405060708 c5"),
        ("the uuid in text order", "1b21 8f1c3a7052b44e199d0621e75ac83390 1c 0102030405060708 c5"),
        ("another version", "1b21 9033c85ae721069d194eb452703a1c8f 2c 0102030405060708 c5"),
        ("a byte short", "1a21 9033c85ae721069d194eb452703a1c8f 1c 0102030405060708"),
        ("a byte long", "1c21 9033c85ae721069d194eb452703a1c8f 1c 0102030405060708 c5 00"),
        ("another iBeacon", "1aff 4c000215 a1a2a3a4a5a6a7a8a9aaac 13 1112131415161718 c3"),
        ("another company", "1aff 4d000215 a1a2a3a4a5a6a7a8a9aaab 13 1112131415161718 c3"),
        ("iPhone in the background", "14ff 4c0001 00000000000000000000000000000000 20"),
        ("exposure notification", "03036ffd 1716 6ffd 000102030405060708090a0b0c0d0e0f 10111213"),
        ("cut in the middle", "1b21 9033c85ae721069d194eb452703a1c8f 1c 0102"),
    ];
    for (what, air) in cases {
        assert_eq!(hear(&bytes(air)), None, "{what}");
    }
}

#[test]
fn an_advert_without_a_measured_strength_gives_nothing() {
    let data = encode::service_data(&NAMESPACE, RidPayload { hint: 1, rid: Rid([1; 8]), tx_power: -59 });
    assert_eq!(decoder().sighting(&Advert { at: Millis(0), address: [0; 6], rssi: 127, data }), None);
}

#[test]
fn our_carriers_fit_a_legacy_advert() {
    let payload = RidPayload { hint: 1, rid: Rid([1; 8]), tx_power: -59 };
    assert_eq!(encode::service_data(&NAMESPACE, payload).len(), 31);
    assert_eq!(encode::ibeacon_rid(&NAMESPACE, payload).len(), 30);
    assert_eq!(hear(&encode::static_beacon(&fob(), -59).unwrap()).unwrap().subject, Subject::Beacon(fob()));
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(data in prop::collection::vec(any::<u8>(), 0..260)) {
        let _ = hear(&data);
    }

    #[test]
    fn damaged_adverts_of_ours_do_not_panic_either(at in 0usize..31, to in any::<u8>(), cut in 0usize..=31) {
        let mut data = encode::service_data(&NAMESPACE, RidPayload { hint: 1, rid: Rid([1; 8]), tx_power: -59 });
        data[at] = to;
        data.truncate(cut);
        let _ = hear(&data);
    }

    #[test]
    fn what_is_encoded_is_decoded_on_both_carriers(rid in any::<[u8; 8]>(), hint in 0u8..16, tx_power in any::<i8>()) {
        let payload = RidPayload { hint, rid: Rid(rid), tx_power };
        prop_assert_eq!(hear(&encode::service_data(&NAMESPACE, payload)), expected(rid, hint, tx_power));
        prop_assert_eq!(hear(&encode::ibeacon_rid(&NAMESPACE, payload)), expected(rid, hint, tx_power));
    }
}
