//! `app/vectors.json`, which the clients in Kotlin and Swift are held against. `BLESS=1` writes it anew.

use passage_protocol::{
    ChainKey, Millis,
    rid::{RidPayload, day_of, window_at},
};
use serde_json::{Value, json};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/app/vectors.json");
const SERVICE: &str = "6f2d1c9a-74b3-4e58-9a0e-3c5d8b7f1a24";
const IBEACON: [u8; 11] = [0xa3, 0xb1, 0x4c, 0x9d, 0x5e, 0x27, 0xf8, 0x06, 0x12, 0xcd, 0x7b];
const PREFIX: [u8; 6] = [0x5d, 0x2b, 0x90, 0xc4, 0xe7, 0xf1];
const TX_POWER: i8 = -59;

/// What a phone sends whose corrected clock shows `at`.
fn advert(chain: &ChainKey, at: i64) -> Value {
    let (window, rid) = chain.rid_at(Millis(at)).unwrap();
    let payload = RidPayload::new(window, rid, TX_POWER);
    let bytes = payload.to_bytes();
    let ibeacon = [&IBEACON[..], &bytes[..9]].concat();
    let number = |at: usize| u16::from_be_bytes([ibeacon[at], ibeacon[at + 1]]);
    json!({
        "at": at,
        "window": window,
        "rid": hex::encode(rid.0),
        "payload": hex::encode(bytes),
        "ibeacon_uuid": uuid::Uuid::from_slice(&ibeacon[..16]).unwrap().to_string(),
        "ibeacon_major": number(16),
        "ibeacon_minor": number(18),
        "ibeacon_power": TX_POWER,
        "service_uuid": uuid::Uuid::from_bytes(payload.to_uuid(&PREFIX)).to_string(),
    })
}

fn vectors() -> Value {
    let noon = 1_795_176_000_000_i64;
    let chain = ChainKey { day: day_of(window_at(Millis(noon))), key: std::array::from_fn(|i| u8::try_from(i).unwrap() * 7) };
    let keys: Vec<Value> =
        (0..4).map(|d| chain.for_day(chain.day + d).unwrap()).map(|k| json!({ "day": k.day, "key": hex::encode(k.key) })).collect();
    // A window's first and last instant, midnight, and a later day.
    let times = [noon, noon + 899_999, noon + 900_000, noon + 43_199_999, noon + 43_200_000, noon + 200_000_000];
    let offset = |server: i64, sent: i64, received: i64| json!({ "server": server, "sent": sent, "received": received, "offset": server - (sent + received) / 2 });
    json!({
        "brand": { "service_uuid": SERVICE, "ibeacon": hex::encode(IBEACON), "uuid_prefix": hex::encode(PREFIX) },
        "tx_power": TX_POWER,
        "keys": keys,
        "adverts": times.iter().map(|at| advert(&chain, *at)).collect::<Vec<_>>(),
        "offsets": [offset(noon, noon - 4_000, noon - 3_800), offset(noon, noon + 60_000, noon + 60_500)],
    })
}

#[test]
fn the_clients_vectors_are_what_this_crate_makes() {
    let text = serde_json::to_string_pretty(&vectors()).unwrap() + "\n";
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(FILE, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(FILE).unwrap(), text, "BLESS=1 writes {FILE} anew");
}
