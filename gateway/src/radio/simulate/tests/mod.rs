use std::collections::BTreeSet;

use passage_config::{Brand, PresenceRules, Sender};
use passage_protocol::{Phase, Subject, Zone};

use super::*;
use crate::{Change, beacon::Decoder, presence::Presence};

const NAMESPACE: Namespace = Namespace { service_uuid: [0x8f; 16], ibeacon: [0xa1; 11], uuid_prefix: None };
/// 2026-11-20T09:00:00Z
const NINE: Millis = Millis(1_795_165_200_000);

fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

fn phone(carrier: Carrier) -> Phone {
    let day = rid::day_of(rid::window_at(NINE));
    Phone { seed: 7, key: ChainKey { day: day - 1, key: [3; 32] }, namespace: NAMESPACE, carrier, tx_power: -59 }
}

fn decoder() -> Decoder {
    Decoder::of_brands([&Brand {
        id: "brand".into(),
        name: "Brand".into(),
        entities: std::collections::BTreeMap::new(),
        namespace: NAMESPACE,
        sender: Sender { name: "Brand".into(), stop_number: "36111".into() },
        beacons: Vec::new(),
        wake_uuid: None,
    }])
}

/// Radio, decoder and presence together, as the pipeline runs them.
fn changes(adverts: impl Iterator<Item = Advert>) -> Vec<Change> {
    let (decoder, mut presence) = (decoder(), Presence::new("lyon-1".parse().unwrap(), PresenceRules::default(), Vec::new()));
    let mut changes = Vec::new();
    let mut last = NINE;
    for advert in adverts {
        last = advert.at;
        presence.advance(advert.at, &mut changes);
        if let Some(sighting) = decoder.sighting(&advert) {
            presence.sight(&sighting, &mut changes);
        }
    }
    presence.advance(last + minutes(10), &mut changes);
    changes
}

#[test]
fn the_same_plan_gives_the_same_adverts_and_another_seed_others() {
    let walk = Walk::visit(NINE, NINE + minutes(10));
    let one: Vec<_> = phone(Carrier::ServiceData).adverts(&walk).collect();
    assert_eq!(one, phone(Carrier::ServiceData).adverts(&walk).collect::<Vec<_>>());
    assert!(one.len() > 400 && one.len() < 600, "{}", one.len());
    assert_ne!(one, Phone { seed: 8, ..phone(Carrier::ServiceData) }.adverts(&walk).collect::<Vec<_>>());
}

#[test]
fn a_visit_is_one_stay_inside_for_every_id_and_both_carriers() {
    for carrier in [Carrier::ServiceData, Carrier::IBeacon] {
        // 09:02 to 09:13: inside one window, whatever the lag.
        let found = changes(phone(carrier).adverts(&Walk::visit(NINE + minutes(3), NINE + minutes(14))));
        let inside: Vec<_> = found.iter().filter(|change| change.zone == Zone::In).collect();
        assert_eq!(inside.iter().map(|change| change.phase).collect::<Vec<_>>(), [Phase::Enter, Phase::Exit], "{carrier:?}");
        let dwell = inside[1].last.since(inside[1].first);
        assert!((580_000..=650_000).contains(&dwell), "{carrier:?}: {dwell} ms of 10 to 11 minutes");
    }
}

#[test]
fn a_passer_by_is_heard_in_front_and_never_inside() {
    for seed in 0..50 {
        let phone = Phone { seed, ..phone(Carrier::ServiceData) };
        let found = changes(phone.adverts(&Walk::pass_by(NINE + minutes(3), NINE + minutes(5))));
        assert!(found.iter().all(|change| change.zone == Zone::Front), "seed {seed}");
        assert_eq!(found.len(), 2, "seed {seed}");
    }
}

#[test]
fn the_id_rotates_with_its_window_and_the_address_with_the_id() {
    let adverts: Vec<_> = phone(Carrier::ServiceData).adverts(&Walk::visit(NINE, NINE + minutes(60))).collect();
    let decoder = decoder();
    let ids: BTreeSet<_> = adverts.iter().map(|advert| decoder.sighting(advert).unwrap().subject).collect();
    let addresses: BTreeSet<_> = adverts.iter().map(|advert| advert.address).collect();
    assert!((4..=5).contains(&ids.len()), "{}", ids.len());
    assert_eq!(ids.len(), addresses.len());
    for advert in &adverts {
        let Subject::Rid { rid: id, hint } = decoder.sighting(advert).unwrap().subject else { panic!("not an app") };
        let window = rid::window_for_hint(rid::window_at(advert.at), hint);
        assert!((0..=1).contains(&(rid::window_at(advert.at) - window)), "at most one window behind");
        assert_eq!(phone(Carrier::ServiceData).key.for_day(rid::day_of(window)).unwrap().rid(window), id);
    }
}

#[test]
fn a_phone_is_not_heard_before_the_day_of_its_key() {
    let late = Phone { key: ChainKey { day: phone(Carrier::IBeacon).key.day + 5, key: [3; 32] }, ..phone(Carrier::IBeacon) };
    let adverts: Vec<_> = late.adverts(&Walk::visit(NINE, NINE + minutes(5))).collect();
    assert!(changes(adverts.into_iter()).is_empty());
}

#[test]
fn strangers_leave_no_trace() {
    for seed in 0..6 {
        assert!(changes(stranger(seed, &Walk::stand(NINE, NINE + minutes(5), 1.0))).is_empty());
    }
}

#[test]
fn a_crowd_is_in_order_of_time_and_brings_visits() {
    let crowd = Crowd { seed: 1, phones: 12, namespace: NAMESPACE, start: NINE };
    let hour: Vec<_> = crowd.adverts().take_while(|advert| advert.at < NINE + minutes(60)).collect();
    assert!(hour.is_sorted_by_key(|advert| advert.at));
    let found = changes(hour.into_iter());
    assert!(found.iter().filter(|change| change.zone == Zone::In && change.phase == Phase::Enter).count() >= 6);
}

#[tokio::test]
async fn a_crowd_is_a_source() {
    use crate::radio::Source as _;
    let crowd = Crowd { seed: 1, phones: 3, namespace: NAMESPACE, start: NINE };
    let mut source = source(crowd.adverts(), Clock::stepped(NINE));
    assert_eq!(source.next().await.unwrap().unwrap().position, None);
}
