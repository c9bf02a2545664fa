use std::collections::BTreeMap;

use passage_config::Sender;
use passage_protocol::Rid;
use proptest::prelude::*;

use super::*;

const NAMESPACE: Namespace = Namespace {
    service_uuid: [0x8f, 0x1c, 0x3a, 0x70, 0x52, 0xb4, 0x4e, 0x19, 0x9d, 0x06, 0x21, 0xe7, 0x5a, 0xc8, 0x33, 0x90],
    ibeacon: [0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab],
    uuid_prefix: Some([0x5d, 0x2b, 0x90, 0xc4, 0xe7, 0xf1]),
};

fn fob() -> StaticBeacon {
    StaticBeacon::IBeacon { uuid: "e2c56db5dffb48d2b060d0f5a71096e0".to_owned(), major: 7, minor: 513 }
}

fn altbeacon() -> StaticBeacon {
    StaticBeacon::AltBeacon { uuid: "e2c56db5dffb48d2b060d0f5a71096e0".to_owned(), major: 7, minor: 513 }
}

fn eddystone() -> StaticBeacon {
    StaticBeacon::EddystoneUid { namespace: "00112233445566778899".to_owned(), instance: "aabbccddeeff".to_owned() }
}

fn decoder() -> Decoder {
    let brand = Brand {
        id: "brand".into(),
        name: "Brand".into(),
        entities: BTreeMap::new(),
        namespace: NAMESPACE,
        sender: Sender { name: "Brand".into(), stop_number: "36111".into() },
        beacons: vec![fob(), altbeacon(), eddystone()],
        wake_uuid: None,
    };
    Decoder::of_brands([&brand])
}

fn hear(data: &[u8]) -> Option<Sighting> {
    decoder().sighting(&Advert { at: Millis(1000), address: [1; 6], rssi: -61, data: data.to_vec() })
}

fn hear_all(data: &[u8]) -> Vec<Subject> {
    let advert = Advert { at: Millis(1000), address: [1; 6], rssi: -61, data: data.to_vec() };
    decoder().sightings(&advert).map(|sighting| sighting.subject).collect()
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
fn a_rotating_id_in_a_service_uuid_is_read_as_it_stands_on_the_air() {
    let expected = expected([1, 2, 3, 4, 5, 6, 7, 8], 0xc, -59);
    for list in ["1107", "1106"] {
        assert_eq!(hear(&bytes(&format!("020106 {list} c50807060504030201 1c f1e7c4902b5d"))), expected);
    }
    let second = "2107 90e1d8c33ac8000000000000000000aa c50807060504030201 1c f1e7c4902b5d";
    assert_eq!(hear(&bytes(second)), expected, "one of several services");
}

#[test]
fn one_advert_may_name_several_of_ours_and_each_counts_once() {
    let payload = RidPayload { hint: 0xc, rid: Rid([1; 8]), tx_power: -59 };
    let app = Subject::Rid { rid: payload.rid, hint: payload.hint };
    let on_two_carriers = [encode::service_data(&NAMESPACE, payload), encode::ibeacon_rid(&NAMESPACE, payload)].concat();
    assert_eq!(hear_all(&on_two_carriers), std::slice::from_ref(&app));
    let cards = [fob(), altbeacon(), eddystone()].map(|beacon| encode::static_beacon(&beacon, -59).unwrap()).concat();
    let strangers = bytes("1aff 4c000215 00000000000000000000000000000000 0007 0201 c5");
    let subjects = [fob(), altbeacon(), eddystone()].map(Subject::Beacon);
    assert_eq!(hear_all(&[strangers, on_two_carriers, cards].concat()), [vec![app], subjects.to_vec()].concat());
}

#[test]
fn registered_beacons_of_every_kind_are_read_with_their_strength_at_one_metre() {
    for beacon in [fob(), altbeacon(), eddystone()] {
        let data = encode::static_beacon(&beacon, -59).unwrap();
        assert!(data.len() <= 31);
        let heard = hear(&data).unwrap();
        assert_eq!((heard.subject, heard.tx_power), (Subject::Beacon(beacon), -59));
    }
    let of_a_company = bytes("1bff 1801beac e2c56db5dffb48d2b060d0f5a71096e0 0007 0201 c5 00");
    assert_eq!(hear_all(&of_a_company), [Subject::Beacon(altbeacon())]);
    let another_instance = bytes("1716aafe 00ee 00112233445566778899 aabbccddeefe 0000");
    assert_eq!(hear(&another_instance), None);
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
        ("another service", "1107 c50807060504030201 1c f1e7c4902b5e"),
        ("a service of another version", "1107 c50807060504030201 2c f1e7c4902b5d"),
        ("a service in text order", "1107 5d2b90c4e7f1 1c 0102030405060708 c5"),
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
    assert_eq!(encode::service_uuid(&NAMESPACE, payload).unwrap().len(), 21);
    assert_eq!(encode::service_uuid(&Namespace { uuid_prefix: None, ..NAMESPACE }, payload), None);
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(data in prop::collection::vec(any::<u8>(), 0..1650)) {
        let _ = hear_all(&data);
    }

    #[test]
    fn damaged_adverts_of_ours_do_not_panic_either(at in 0usize..31, to in any::<u8>(), cut in 0usize..=31) {
        let mut data = encode::service_data(&NAMESPACE, RidPayload { hint: 1, rid: Rid([1; 8]), tx_power: -59 });
        data[at] = to;
        data.truncate(cut);
        let _ = hear(&data);
    }

    #[test]
    fn what_is_encoded_is_decoded_on_every_carrier(rid in any::<[u8; 8]>(), hint in 0u8..16, tx_power in any::<i8>()) {
        let payload = RidPayload { hint, rid: Rid(rid), tx_power };
        prop_assert_eq!(hear(&encode::service_data(&NAMESPACE, payload)), expected(rid, hint, tx_power));
        prop_assert_eq!(hear(&encode::ibeacon_rid(&NAMESPACE, payload)), expected(rid, hint, tx_power));
        prop_assert_eq!(hear(&encode::service_uuid(&NAMESPACE, payload).unwrap()), expected(rid, hint, tx_power));
    }
}
