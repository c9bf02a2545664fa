//! Crowds: everything that is heard is decided or counted as lost, and memory has a bound.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{LONG, Lab, count, cpu_s, memory_kib};

/// More than this would mean that something grows; the bounds of the queues and tables stay far below it.
const MOST_KIB: u64 = 80_000;

/// Waits until the air is empty and everything that was on it has come through.
fn after_the_crowd(lab: &mut Lab, adverts: u64) -> (Value, u64) {
    let begun = Instant::now();
    let mut most = 0;
    let heard = loop {
        let stats = lab.stats();
        let line = lab.now();
        most = most.max(memory_kib(lab.probe.pid()));
        let on_air = stats["counts"]["heard"].as_u64().unwrap();
        let taken = count(&line, "heard") + count(&line, "empty");
        if on_air >= adverts && taken >= on_air {
            break line;
        }
        assert!(begun.elapsed() < LONG * 3, "{on_air} were on the air, {taken} have come through: {line}");
        sleep(Duration::from_millis(200));
    };
    (heard, most)
}

#[test]
fn a_thousand_adverts_a_second_of_200_phones_come_through_and_none_is_lost() {
    let crowd = r#"{"name": "crowd", "seed": 11, "phones": [{"id": "crowd", "repeat": 200, "address": "C0:00:00:00:10:00",
        "payload": "020106 09ffffff {i32} {r16}", "interval_ms": 200, "adv_delay_ms": 0, "rssi": [[0, -60]], "rssi_jitter": 5, "stop_ms": 8000}]}"#;
    let mut lab = Lab::start(crowd, &[], &["--restart-after-ms", "60000"]);
    let (line, most) = after_the_crowd(&mut lab, 200 * 5 * 7);
    assert_eq!((count(&line, "dropped"), count(&line, "senders")), (0, 200), "{line}");
    let questions = lab.stats()["counts"]["get_all"].as_u64().unwrap();
    assert!(questions < 100, "nothing is asked back for an advert, and yet there were {questions} questions");
    println!("1000 adverts/s: {} adverts, at most {most} KiB", count(&line, "heard"));
    assert!(most < MOST_KIB, "{most} KiB");
}

#[test]
fn what_a_slow_gateway_cannot_take_is_dropped_and_counted() {
    let crowd = r#"{"name": "crowd", "seed": 11, "phones": [{"id": "crowd", "repeat": 400, "address": "C0:00:00:00:10:00",
        "payload": "020106 09ffffff {i32} {r16}", "interval_ms": 200, "adv_delay_ms": 0, "stop_ms": 6000}]}"#;
    let mut lab = Lab::start(crowd, &[], &["--restart-after-ms", "60000", "--slow-us", "2500"]);
    let (line, most) = after_the_crowd(&mut lab, 400 * 5 * 5);
    let (heard, dropped) = (count(&line, "heard"), count(&line, "dropped"));
    assert!(dropped > 0, "{line}");
    println!("slow gateway: {heard} adverts, {dropped} of them dropped, at most {most} KiB");
    assert!(most < MOST_KIB, "{most} KiB");
    // Everything that was heard and not dropped waits in the queue or has been decided.
    let worked_off = |line: &Value| count(line, "adverts") + count(line, "dropped") == count(line, "heard");
    lab.wait("the queue is worked off", LONG * 3, worked_off);
}

#[test]
fn five_thousand_rotating_addresses_are_all_read_at_their_first_advert() {
    rotating(5_000, 10);
}

#[cfg(feature = "soak")]
#[test]
fn a_hundred_thousand_rotating_addresses_cost_bounded_memory() {
    rotating(100_000, 50);
}

/// Every advert comes from a new address and is the only one of it.
fn rotating(addresses: u64, seconds: u64) {
    let phones = addresses / seconds / 2;
    let churn = format!(
        r#"{{"name": "churn", "seed": 13, "phones": [{{"id": "churn", "repeat": {phones}, "payload": "020106 0bffffff {{r32}} {{i32}}",
        "interval_ms": 500, "adv_delay_ms": 0, "rotate_ms": 500, "rssi": [[0, -70]], "rssi_jitter": 5, "stop_ms": {}}}]}}"#,
        seconds * 1000
    );
    let mut lab = Lab::start(&churn, &[], &["--restart-after-ms", "60000", "--anonymous"]);
    let (line, most) = after_the_crowd(&mut lab, addresses * 9 / 10);
    let (heard, dropped) = (count(&line, "heard"), count(&line, "dropped"));
    let per_advert = |pid: u32| cpu_s(pid) * 1e6 / lab.stats()["counts"]["heard"].as_f64().unwrap();
    println!(
        "{addresses} rotating addresses in {seconds} s: {heard} first adverts read, {dropped} dropped, at most {most} KiB; processor \
         time per advert: listener {:.0} us, stand-in {:.0} us, dbus-daemon {:.0} us",
        per_advert(lab.probe.pid()),
        per_advert(lab.bluez.pid()),
        per_advert(lab.bus.pid())
    );
    assert_eq!((count(&line, "empty"), dropped), (0, 0), "{line}");
    assert!(heard >= addresses * 9 / 10 && most < MOST_KIB, "{most} KiB: {line}");
}
