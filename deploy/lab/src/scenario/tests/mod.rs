use proptest::prelude::*;

use super::*;

fn parse(phones: &str) -> Scenario {
    Scenario::parse(&format!(
        r#"{{"seed": 7, "brand": {{"service_uuid": "6f7a9c1e-3d52-4b8a-9e0c-2a1f5b7d8c90", "ibeacon": "0102030405060708090a0b", "uuid_prefix": "a1a2a3a4a5a6"}},
            "phones": [{phones}]}}"#
    ))
    .unwrap()
}

/// 2026-11-20 10:14:30 UTC, 30 s before the edge of a window.
const START: Millis = Millis::from_secs(1_795_169_670);

fn adverts(scenario: &Scenario, for_secs: u64) -> Vec<(Duration, Advert)> {
    let until = Duration::from_secs(for_secs);
    let steps = scenario.timeline(START).take_while(|step| step.at < until);
    steps
        .filter_map(|step| match step.what {
            What::Advert(advert) => Some((step.at, advert)),
            What::Act(_) => None,
        })
        .collect()
}

#[test]
fn a_phone_comes_walks_away_and_leaves() {
    let scenario = parse(
        r#"{"id": "walker", "address": "C0:00:00:00:00:01", "payload": "020106 05ffffff{i16}", "interval_ms": 100, "adv_delay_ms": 0,
            "rssi": [[0, -40], [10000, -90]], "start_ms": 1000, "stop_ms": 5000}"#,
    );
    let heard = adverts(&scenario, 60);
    assert_eq!(heard.len(), 40);
    assert!(heard.iter().all(|(at, _)| (1.0..5.0).contains(&at.as_secs_f64())));
    for (at, advert) in heard {
        let expected = -40.0 - 5.0 * at.as_secs_f64();
        assert!((f64::from(advert.rssi) - expected).abs() <= 0.5, "{at:?} {}", advert.rssi);
        assert_eq!(hex::encode(advert.data), "02010605ffffff0000");
    }
}

#[test]
fn an_app_changes_its_id_and_its_address_together_at_the_edge_of_a_window_plus_its_lag() {
    let key = "11".repeat(32);
    let scenario = parse(&format!(r#"{{"id": "app", "app": {{"key": "{key}", "lag_ms": 5000}}, "interval_ms": 500}}"#));
    let heard = adverts(&scenario, 60);
    let change = heard.windows(2).filter(|pair| pair[0].1.data != pair[1].1.data).collect::<Vec<_>>();
    let [change] = change.as_slice() else { panic!("one change, not {}", change.len()) };
    assert!((34.0..36.0).contains(&change[1].0.as_secs_f64()), "{:?}", change[1].0);
    assert_ne!(change[0].1.address, change[1].1.address);
    assert_eq!(heard.iter().map(|(_, advert)| advert.address).collect::<std::collections::HashSet<_>>().len(), 2);
}

#[test]
fn each_carrier_holds_the_id_of_the_window_where_the_format_says() {
    let carriers =
        [("service-data", "0201061b21908c7d5b1f2a0c9e8a4b523d1e9c7a6f", 21), ("ibeacon", "0201061aff4c0002150102030405060708090a0b", 20)];
    for (carrier, head, at) in carriers {
        let scenario =
            parse(&format!(r#"{{"id": "app", "app": {{"key": "{}", "carrier": "{carrier}", "tx_power": -60}}}}"#, "22".repeat(32)));
        let (_, advert) = adverts(&scenario, 1).remove(0);
        let (front, payload) = advert.data.split_at(at);
        assert_eq!(hex::encode(front), head);
        let Content::App(app) = &scenario.phones[0].content else { panic!("an app") };
        let id = app.key(0, START).rid_at(START).unwrap().1;
        assert_eq!((payload[0] >> 4, &payload[1..9], payload[9]), (1, &id.0[..], 196));
    }
    let scenario = parse(&format!(r#"{{"id": "app", "app": {{"key": "{}", "carrier": "service-uuid"}}}}"#, "22".repeat(32)));
    let (_, advert) = adverts(&scenario, 1).remove(0);
    assert_eq!(hex::encode(&advert.data[15..]), "a6a5a4a3a2a1", "a UUID is little-endian on the air");
}

#[test]
fn a_silent_air_is_silent_for_all_phones_and_actions_come_in_order() {
    let scenario = Scenario::parse(
        r#"{"phones": [{"id": "a", "repeat": 5, "payload": "020106", "stop_ms": 10000}],
            "actions": [{"at_ms": 6000, "do": "air_on"}, {"at_ms": 3000, "do": "air_off"}, {"at_ms": 20000, "do": "daemon_kill"}]}"#,
    )
    .unwrap();
    let steps: Vec<Step> = scenario.timeline(START).collect();
    let acts: Vec<_> = steps.iter().filter(|step| matches!(step.what, What::Act(_))).map(|step| step.at.as_secs()).collect();
    assert_eq!(acts, [3, 6, 20]);
    let heard = |from: u64, to: u64| {
        steps.iter().filter(|step| matches!(step.what, What::Advert(_)) && (from..to).contains(&step.at.as_secs())).count()
    };
    assert!(heard(0, 3) > 50 && heard(6, 10) > 60);
    assert_eq!(heard(3, 6), 0);
}

#[test]
fn every_mistake_is_told_at_once_with_its_place() {
    let error = Scenario::parse(
        r#"{"adapter": "x", "phones": [
            {"id": "a", "payload": "02010", "interval_ms": 0},
            {"id": "b", "payload": "{i8}", "loss": 2},
            {"id": "b", "payload": "00", "rssi": [[5, -60], [4, -60]]},
            {"id": "c"},
            {"id": "d", "app": {"key": "00"}},
            {"id": "e", "payload": "{rnd:32}", "start_ms": -1}]}"#,
    )
    .unwrap_err()
    .0;
    for expected in [
        "adapter: `x` is not an address",
        "phone a, interval_ms: write at least 1",
        "phone a, payload: `02010` is not hex",
        "phone b, loss: write a share",
        "phone b, payload: `{i8}` is no placeholder",
        "phone b: two phones",
        "phone b, rssi: each point",
        "phone c: give it either",
        "phone d, app.key: write 64 hex digits",
        "phone d, app: the scenario has no right `brand`",
        "phone e, payload: 32 bytes do not fit",
        "phone e, start_ms: -1 is no time",
    ] {
        assert!(error.contains(expected), "{expected} in\n{error}");
    }
    assert!(Scenario::parse(r#"{"phone": []}"#).unwrap_err().0.contains("unknown field"));
}

#[test]
fn the_scenarios_of_the_lab_are_right() {
    let mut count = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios")).unwrap() {
        let path = entry.unwrap().path();
        Scenario::load(&path).unwrap();
        count += 1;
    }
    assert!(count > 0);
}

prop_compose! {
    fn phone()(repeat in 1u32..20, interval in 20u32..2000, jitter in 0u32..12, loss in 0u32..90, rotate in proptest::option::of(100u32..20_000),
               start in 0u32..5000, stagger in 0u32..500, stay in proptest::option::of(100u32..20_000)) -> String {
        let optional = |name: &str, value: Option<u32>| value.map_or(String::new(), |value| format!(r#", "{name}": {value}"#));
        format!(
            r#"{{"id": "p{interval}", "repeat": {repeat}, "payload": "020106 0bffffff{{i16}}{{r16}}{{rnd:4}}", "interval_ms": {interval}, "rssi_jitter": {jitter},
               "loss": 0.{loss:02}, "start_ms": {start}, "stagger_ms": {stagger}{}{}}}"#,
            optional("rotate_ms", rotate), optional("stay_ms", stay),
        )
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_same_scenario_gives_the_same_adverts_in_the_order_of_time(text in phone()) {
        let scenario = parse(&text);
        let heard = adverts(&scenario, 30);
        prop_assert!(heard.is_sorted_by_key(|(at, _)| *at));
        prop_assert_eq!(&heard, &adverts(&scenario, 30));
    }

    #[test]
    fn a_phone_is_only_heard_while_it_is_there_and_with_the_strength_of_its_curve(text in phone()) {
        let scenario = parse(&text);
        for (at, advert) in adverts(&scenario, 30) {
            let phone = &scenario.phones[advert.phone];
            let (from, until) = phone.presence(advert.instance);
            prop_assert!(at >= from && until.is_none_or(|until| at < until));
            prop_assert!((f64::from(advert.rssi) + 60.0).abs() <= phone.rssi_jitter + 0.5);
        }
    }

    #[test]
    fn address_and_content_change_together_and_no_two_phones_share_an_address(text in phone()) {
        let mut by_address = std::collections::HashMap::new();
        for (_, advert) in adverts(&parse(&text), 30) {
            let said = by_address.entry(advert.address).or_insert_with(|| (advert.instance, advert.data.clone()));
            prop_assert_eq!(&*said, &(advert.instance, advert.data));
        }
    }

    #[test]
    fn another_phone_on_the_air_changes_nothing_for_the_first(text in phone(), at_once in 1u32..50) {
        let alone = adverts(&parse(&text), 20);
        let crowd = format!(r#"{text}, {{"id": "crowd", "repeat": {at_once}, "payload": "020106"}}"#);
        let of_first: Vec<_> = adverts(&parse(&crowd), 20).into_iter().filter(|(_, advert)| advert.phone == 0).collect();
        prop_assert_eq!(alone, of_first);
    }
}
