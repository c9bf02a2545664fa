//! Adverts to frames, and to sightings of our own. `deploy/bench/beacon/run` compares with other decoders.

use std::{collections::BTreeMap, hint::black_box};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use passage_config::{Brand, Namespace, Sender};
use passage_gateway::{
    beacon::{Decoder, encode, frame::frames},
    radio::Advert,
};
use passage_protocol::{Millis, Rid, StaticBeacon, rid::RidPayload};

/// One advert of each kind, as shops hear them.
const KINDS: [(&str, &str); 6] = [
    ("ibeacon", "0201061aff4c0002154142434445464748494041424344454600010002f8"),
    ("altbeacon", "1bffffffbeacd3162f5af3ee494799db09756062d0fc005a0005c400"),
    ("eddystone-uid", "0201060303aafe1716aafe00e3123456789012346789010000000000010000"),
    ("eddystone-tlm", "0201060303aafe1116aafe20000b1813000000146700002ac4"),
    ("battery", "02010603030f1804160f1863"),
    ("stranger", "02010616ff470c8d192afcdcce4cc16ecf4a78ecac663ec7aa2d"),
];

const NAMESPACE: Namespace = Namespace { service_uuid: [0x8f; 16], ibeacon: [0xa1; 11], uuid_prefix: Some([0x5d; 6]) };

fn decoder() -> Decoder {
    let card = |minor| StaticBeacon::IBeacon { uuid: "2f9b6c1e8d474b0ab6a35d1e7c94f082".to_owned(), major: 1, minor };
    let brand = Brand {
        id: "brand".into(),
        name: "Brand".into(),
        entities: BTreeMap::new(),
        namespace: NAMESPACE,
        sender: Sender { name: "Brand".into(), stop_number: "36111".into() },
        beacons: (0..1000).map(card).collect(),
        wake_uuid: None,
    };
    Decoder::of_brands([&brand])
}

fn adverts_to_frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("frames");
    group.throughput(Throughput::Elements(1));
    for (kind, hex) in KINDS {
        let data = hex::decode(hex).unwrap_or_default();
        group.bench_function(kind, |b| b.iter(|| frames(black_box(&data)).map(black_box).count()));
    }
    group.finish();
}

fn adverts_to_sightings(c: &mut Criterion) {
    let decoder = decoder();
    let heard = |data| Advert { at: Millis(0), address: [1; 6], rssi: -60, data };
    let payload = RidPayload { hint: 3, rid: Rid([7; 8]), tx_power: -59 };
    let stranger = hex::decode(KINDS[0].1).unwrap_or_default();
    let mut group = c.benchmark_group("sighting");
    group.throughput(Throughput::Elements(1));
    for (name, data) in [
        ("an iBeacon of a stranger", stranger),
        ("our app on Android", encode::service_data(&NAMESPACE, payload)),
        ("our app on an iPhone", encode::ibeacon_rid(&NAMESPACE, payload)),
    ] {
        let advert = heard(data);
        group.bench_function(name, |b| b.iter_batched(|| &advert, |advert| decoder.sighting(advert), BatchSize::SmallInput));
    }
    group.finish();
}

criterion_group!(benches, adverts_to_frames, adverts_to_sightings);
criterion_main!(benches);
