//! The rotating id against vectors that were computed with another implementation of HMAC-SHA256.

use passage_protocol::{
    ChainKey, Millis, Rid,
    rid::{RidPayload, WINDOW_SECS, day_of, window_at, window_for_hint},
};
use proptest::prelude::*;

fn vectors() -> serde_json::Value {
    serde_json::from_slice(include_bytes!("vectors/rid.json")).unwrap()
}

fn key_of(entry: &serde_json::Value) -> ChainKey {
    let mut key = [0; 32];
    hex::decode_to_slice(entry["key"].as_str().unwrap(), &mut key).unwrap();
    ChainKey { day: entry["day"].as_i64().unwrap(), key }
}

#[test]
fn the_chain_and_the_ids_match_the_vectors() {
    let vectors = vectors();
    let chain: Vec<ChainKey> = vectors["chain"].as_array().unwrap().iter().map(key_of).collect();
    assert_eq!(chain.len(), 4);
    for pair in chain.windows(2) {
        assert!(pair[0].next() == pair[1]);
    }
    for row in vectors["rids"].as_array().unwrap() {
        let window = row["window"].as_i64().unwrap();
        let (at_window, rid) = chain[0].rid_at(Millis::from_secs(window * WINDOW_SECS + 899)).unwrap();
        assert_eq!((at_window, String::from(rid)), (window, row["rid"].as_str().unwrap().to_owned()));
        assert_eq!(hex::encode(RidPayload::new(window, rid, -59).to_bytes()), row["payload"].as_str().unwrap());
    }
}

#[test]
fn the_uuid_of_a_payload_reads_brand_first_as_people_write_it() {
    let payload = RidPayload { hint: 9, rid: Rid([0xb9, 0x28, 0x46, 0x65, 0x5e, 0xbc, 0x7e, 0xaa]), tx_power: -59 };
    let uuid = payload.to_uuid(&[0x5d, 0x2b, 0x90, 0xc4, 0xe7, 0xf1]);
    assert_eq!(uuid::Uuid::from_bytes(uuid).to_string(), "5d2b90c4-e7f1-19b9-2846-655ebc7eaac5");
}

#[test]
fn nobody_goes_back_a_day() {
    let key = key_of(&vectors()["chain"][1]);
    assert!(key.for_day(key.day - 1).is_none());
    assert!(key.rid_at(Millis::from_secs(key.day * 86_400 - 1)).is_none());
    assert!(key.for_day(key.day + 4097).is_none());
    assert!(ChainKey { day: i64::MAX, ..key }.for_day(0).is_none());
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let key = key_of(&vectors()["chain"][0]);
    let text = format!("{key:?} {:?} {:?}", key.rid(day_of(0)), RidPayload::new(1, key.rid(1), 0));
    assert!(!text.contains("64, 65") && !text.contains("100, 101"), "{text}");
    assert!(text.contains("Rid(..)"));
}

proptest! {
    #[test]
    fn the_short_way_to_an_id_is_the_hmac_of_the_definition(key: [u8; 32], window in 0_i64..=0xffff_ffff) {
        use hmac::{Hmac, KeyInit, Mac};
        let mac = |message: &[u8]| Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap().chain_update(message).finalize().into_bytes();
        let message = [b"rid1".as_slice(), &u32::try_from(window).unwrap().to_be_bytes()].concat();
        prop_assert_eq!(&passage_protocol::rid::rid_of(&key, window).0[..], &mac(&message)[..8]);
        prop_assert_eq!(&passage_protocol::rid::next_key(&key)[..], &mac(b"passage day")[..]);
    }

    #[test]
    fn a_payload_survives_the_air(window in 0_i64..=0xffff_ffff, rid: [u8; 8], tx_power: i8) {
        let payload = RidPayload::new(window, Rid(rid), tx_power);
        prop_assert_eq!(RidPayload::from_bytes(&payload.to_bytes()), Some(payload));
        prop_assert_eq!(i64::from(payload.hint), window % 16);
    }

    #[test]
    fn only_version_1_is_read(bytes: [u8; 10]) {
        prop_assert_eq!(RidPayload::from_bytes(&bytes).is_some(), bytes[0] >> 4 == 1);
    }

    #[test]
    fn a_hint_finds_the_window_of_a_phone_whose_clock_is_up_to_an_hour_and_three_quarters_off(at in 0_i64..4_000_000_000, off in -7_i64..=7) {
        let window = window_at(Millis::from_secs(at));
        let phone = window + off;
        prop_assert_eq!(window_for_hint(window, u8::try_from(phone.rem_euclid(16)).unwrap()), phone);
    }

    #[test]
    fn texts_that_are_no_ids_are_refused(text in "\\PC{0,40}") {
        let json = serde_json::to_string(&text).unwrap();
        let is_rid = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        prop_assert_eq!(serde_json::from_str::<Rid>(&json).is_ok(), is_rid);
    }
}
