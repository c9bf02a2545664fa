//! The adverts of strangers cost the gateway no memory: not one allocation, whatever they hold.

use std::{collections::BTreeMap, hint::black_box};

use allocation_counter::measure;
use passage_config::{Brand, Namespace, Sender};
use passage_gateway::{
    beacon::{Decoder, encode, frame::frames},
    radio::Advert,
};
use passage_protocol::{Millis, Rid, StaticBeacon, rid::RidPayload};
use serde_json::Value;

const NAMESPACE: Namespace = Namespace { service_uuid: [0x8f; 16], ibeacon: [0xa1; 11], uuid_prefix: Some([0x5d; 6]) };

/// Knows one brand with some cards, none of which is in the adverts of `fixtures/adverts.json`.
fn decoder() -> Decoder {
    let card = |minor| StaticBeacon::IBeacon { uuid: "2f9b6c1e8d474b0ab6a35d1e7c94f082".to_owned(), major: 1, minor };
    Decoder::of_brands([&Brand {
        id: "brand".into(),
        name: "Brand".into(),
        entities: BTreeMap::new(),
        namespace: NAMESPACE,
        sender: Sender { name: "Brand".into(), stop_number: "36111".into() },
        beacons: (0..100).map(card).collect(),
        wake_uuid: None,
    }])
}

fn advert(data: Vec<u8>) -> Advert {
    Advert { at: Millis(0), address: [7; 6], rssi: -60, data }
}

/// Every advert of the vectors, each cut off at every length, and with each bit turned.
fn strangers() -> Vec<Advert> {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("fixtures/adverts.json")).unwrap();
    let whole: Vec<Vec<u8>> = vectors.iter().map(|v| hex::decode(v["advert"].as_str().unwrap().replace(' ', "")).unwrap()).collect();
    let cut = whole.iter().flat_map(|data| (0..=data.len()).map(|end| data[..end].to_vec()));
    let turned = whole.iter().flat_map(|data| {
        (0..data.len() * 8).map(|bit| {
            let mut data = data.clone();
            data[bit / 8] ^= 1 << (bit % 8);
            data
        })
    });
    cut.chain(turned).map(advert).collect()
}

#[test]
fn no_stranger_is_worth_an_allocation() {
    let (decoder, strangers) = (decoder(), strangers());
    assert!(strangers.len() > 5_000, "{}", strangers.len());
    let mut seen = 0;
    let cost = measure(|| {
        for stranger in &strangers {
            seen += frames(black_box(&stranger.data)).map(black_box).count();
            assert!(black_box(decoder.sighting(stranger)).is_none());
            seen += decoder.sightings(stranger).count();
        }
    });
    assert_eq!((cost.count_total, cost.bytes_total), (0, 0), "{} adverts", strangers.len());
    assert!(seen > 1_000, "most are beacons: {seen}");
}

#[test]
fn the_counter_sees_what_one_of_ours_costs() {
    let decoder = decoder();
    let ours = advert(encode::service_data(&NAMESPACE, RidPayload { hint: 3, rid: Rid([7; 8]), tx_power: -59 }));
    let cost = measure(|| assert!(black_box(decoder.sighting(&ours)).is_some()));
    assert!(cost.count_total > 0);
}
