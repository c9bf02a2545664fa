use passage_protocol::{ChainKey, Signal, Strength};

use super::*;
use crate::{
    Scenario,
    scenario::{Act, Action},
};

const START: Millis = Millis::from_secs(1_795_169_670);
const PATIENCE: Patience = Patience { silence: Duration::from_secs(8), slack: Duration::from_secs(5) };

fn scenario() -> Scenario {
    Scenario::parse(
        r#"{"brand": {"service_uuid": "6f7a9c1e-3d52-4b8a-9e0c-2a1f5b7d8c90", "ibeacon": "0102030405060708090a0b"},
            "phones": [{"id": "app", "app": {"key": "1111111111111111111111111111111111111111111111111111111111111111"}, "interval_ms": 200,
                        "start_ms": 1000, "stop_ms": 11000}]}"#,
    )
    .unwrap()
}

fn truth() -> BTreeMap<Rid, OnAir> {
    on_air(&scenario(), START, Duration::from_secs(30))
}

fn event(rid: Rid, phase: Phase, at_ms: u64) -> Event {
    let at = START + Duration::from_millis(at_ms);
    Event {
        id: uuid::Uuid::nil(),
        seq: 1,
        store: "lab-shop".to_owned().try_into().unwrap(),
        zone: Zone::In,
        subject: Subject::Rid { rid, hint: 0 },
        signal: Signal::Beacon,
        phase,
        at,
        mono: 0,
        first: START + Duration::from_millis(1500),
        last: at,
        strength: Strength::Radio { rssi: -60, count: 3 },
        initial: false,
        late: false,
    }
}

fn judge_at_30(events: &[Event]) -> Verdict {
    judge(&truth(), events, START + Duration::from_secs(30), PATIENCE)
}

#[test]
fn the_truth_is_the_id_of_the_window_with_its_first_and_last_advert() {
    let truth = truth();
    let (rid, on_air) = truth.first_key_value().unwrap();
    assert_eq!(truth.len(), 1);
    let key = ChainKey { day: START.secs() / 86_400, key: [0x11; 32] };
    assert_eq!(*rid, key.rid_at(START).unwrap().1);
    assert!((48..=51).contains(&on_air.adverts));
    assert!((1000..1200).contains(&on_air.first.since(START)) && (10_700..11_000).contains(&on_air.last.since(START)));
}

#[test]
fn a_stay_that_was_found_is_right_and_its_times_are_told() {
    let rid = *truth().first_key_value().unwrap().0;
    let verdict = judge_at_30(&[event(rid, Phase::Enter, 2000), event(rid, Phase::Exit, 10_900)]);
    assert!(verdict.is_right(), "{verdict:?}");
    assert!(verdict.to_enter[0] > Duration::from_millis(800) && verdict.to_enter[0] <= Duration::from_millis(1000));
}

#[test]
fn what_is_missing_or_too_much_is_a_mistake() {
    let rid = *truth().first_key_value().unwrap().0;
    let enter = || event(rid, Phase::Enter, 2000);
    let exit = |at| event(rid, Phase::Exit, at);
    let wrong: [&[Event]; 6] = [
        &[],
        &[enter()],
        &[enter(), enter()],
        &[enter(), exit(4000)],
        &[enter(), exit(4000), event(rid, Phase::Enter, 5000), exit(10_900)],
        &[enter(), exit(10_900), event(Rid([0; 8]), Phase::Enter, 2000)],
    ];
    for events in wrong {
        assert!(!judge_at_30(events).is_right(), "{events:?}");
    }
    assert!(!judge(&BTreeMap::new(), &[], START, PATIENCE).is_right(), "nothing was tried");
}

#[test]
fn a_stay_that_has_just_ended_need_not_have_its_exit() {
    let rid = *truth().first_key_value().unwrap().0;
    let verdict = judge(&truth(), &[event(rid, Phase::Enter, 2000)], START + Duration::from_secs(20), PATIENCE);
    assert!(verdict.is_right() && verdict.ended == 0, "{verdict:?}");
}

#[test]
fn a_fault_makes_deaf_for_the_longest_silence_after_it() {
    let at = Duration::from_secs;
    let actions = [
        Action { at: at(10), what: Act::DaemonKill },
        Action { at: at(13), what: Act::DaemonStart },
        Action { at: at(40), what: Act::PowerOff },
    ];
    let heard = |seconds: &[u64]| -> Vec<Event> {
        let one = |s: &u64| Event { first: START + at(*s), last: START + at(*s), ..event(Rid([1; 8]), Phase::Enter, s * 1000) };
        seconds.iter().map(one).collect()
    };
    let events = heard(&[5, 8, 10, 11, 26, 28, 30, 33, 36, 38, 41]);
    let end = START + at(80);
    let [kill, power] = recoveries(&actions, &events, START, end).try_into().unwrap();
    assert_eq!(kill, Recovery { fault: Act::DaemonKill, mended: Some(at(3)), deaf: Some(at(15)) });
    assert_eq!(power, Recovery { fault: Act::PowerOff, mended: None, deaf: None }, "nothing is heard after second 41");
}

#[test]
fn usage_adds_up_over_the_starts_of_a_program() {
    let sample = |t, pid, cpu_ms, rss_kib| usage::Sample { t: Millis(t), name: "bluetoothd".to_owned(), pid, cpu_ms, rss_kib };
    let samples = [sample(0, 7, 100, 6000), sample(5, 7, 160, 6500), sample(10, 9, 10, 6100), sample(15, 9, 50, 6200)];
    let expected = usage::Usage { cpu: Duration::from_millis(100), first_kib: 6000, most_kib: 6500, last_kib: 6200, starts: 2 };
    assert_eq!(usage::by_program(&samples)["bluetoothd"], expected);
}

#[test]
fn the_last_report_of_a_chip_that_filters_duplicates_may_be_a_scan_round_old() {
    let rid = *truth().first_key_value().unwrap().0;
    let events = [event(rid, Phase::Enter, 2000), event(rid, Phase::Exit, 2500)];
    let exits = |slack: u64| {
        let patience = Patience { slack: Duration::from_secs(slack), ..PATIENCE };
        judge(&truth(), &events, START + Duration::from_secs(40), patience).exits
    };
    assert_eq!((exits(5), exits(11)), (0, 1));
}
