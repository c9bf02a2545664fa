use std::{collections::BTreeMap, path::Path, sync::LazyLock, time::Duration};

use passage_config::{Site, WakeCheck, load_site};
use passage_protocol::{
    InstallationId, Millis, StoreId, WakeId, WakeMaster, Zone,
    rid::{WINDOW_SECS, window_at},
};
use proptest::prelude::*;

use super::{Refusal, Schedule, Verdict, Verifier, Wakes, Woken};

const MASTER: WakeMaster = WakeMaster::from_bytes([7; 32]);
/// Friday 2026-11-20, 10:40 in Paris.
const NOON: Millis = Millis(1_795_167_600_000);

/// Read once: the properties ask many times.
static SITE: LazyLock<Site> = LazyLock::new(|| load_site(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/demo")).unwrap());

fn site() -> &'static Site {
    &SITE
}

fn uuid() -> [u8; 16] {
    site().brands["maison-aubrac"].wake_uuid.unwrap()
}

fn store(name: &str) -> StoreId {
    name.parse().unwrap()
}

fn who(name: &str) -> InstallationId {
    name.parse().unwrap()
}

fn said(store: &str, at: Millis) -> WakeId {
    MASTER.store_key(&store.parse().unwrap()).id(window_at(at))
}

fn woken(store: &str, at: Millis) -> Woken {
    Woken { uuid: uuid(), id: Some(said(store, at)), rssi: None }
}

/// The shop of an arrival that was heard at `at`.
fn enter(wakes: &mut Wakes, who: &InstallationId, woken: &Woken, at: Millis, now: Millis) -> Result<StoreId, Refusal> {
    wakes.enter(who, woken, &[at], now).map(|proven| proven.store)
}

fn exit(wakes: &mut Wakes, who: &InstallationId, woken: &Woken, at: Millis) -> Result<StoreId, Refusal> {
    wakes.exit(who, woken, &[at]).map(|proven| proven.store)
}

fn wakes() -> Wakes {
    Wakes::new(site(), &WakeCheck::Master(MASTER), -83)
}

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

#[test]
fn what_the_shop_says_now_is_proven_and_names_the_shop() {
    let mut wakes = wakes();
    for name in ["lyon-bellecour", "paris-marais", "lille-grand-place"] {
        assert_eq!(enter(&mut wakes, &who(name), &woken(name, NOON), NOON, NOON), Ok(store(name)));
    }
}

#[test]
fn a_copy_at_home_an_hour_later_proves_nothing() {
    let copy = woken("lyon-bellecour", NOON);
    let later = NOON + minutes(60);
    assert_eq!(enter(&mut wakes(), &who("phone-of-lina"), &copy, later, later), Err(Refusal::Unproven));
}

#[test]
fn a_report_that_was_held_up_is_judged_by_the_time_at_which_it_was_heard() {
    let copy = woken("lyon-bellecour", NOON);
    assert_eq!(enter(&mut wakes(), &who("phone-of-lina"), &copy, NOON, NOON + minutes(600)), Ok(store("lyon-bellecour")));
}

#[test]
fn two_distant_shops_at_once_are_refused_until_she_can_have_travelled() {
    let mut wakes = wakes();
    let lina = who("phone-of-lina");
    let mut come = |name: &str, after: Duration| {
        let at = NOON + after;
        enter(&mut wakes, &lina, &woken(name, at), at, at)
    };
    assert_eq!(come("lyon-bellecour", minutes(0)), Ok(store("lyon-bellecour")));
    assert_eq!(come("paris-marais", minutes(1)), Err(Refusal::TwoPlaces), "390 km in a minute");
    assert_eq!(come("lyon-bellecour", minutes(2)), Ok(store("lyon-bellecour")), "the first stay goes on");
    assert_eq!(come("paris-marais", minutes(122)), Ok(store("paris-marais")), "the fast train takes two hours");
}

#[test]
fn another_installation_may_hear_the_same_beacon_in_the_same_window() {
    let mut wakes = wakes();
    for name in ["phone-of-lina", "phone-of-karim"] {
        assert_eq!(enter(&mut wakes, &who(name), &woken("lyon-bellecour", NOON), NOON, NOON), Ok(store("lyon-bellecour")));
    }
}

#[test]
fn a_departure_needs_no_id_when_she_was_proven_to_be_there() {
    let mut wakes = wakes();
    let region = Woken { uuid: uuid(), id: None, rssi: None };
    let lina = who("phone-of-lina");
    assert_eq!(exit(&mut wakes, &lina, &region, NOON), Err(Refusal::Unproven));
    enter(&mut wakes, &lina, &woken("lyon-bellecour", NOON), NOON, NOON).unwrap();
    assert_eq!(exit(&mut wakes, &lina, &region, NOON + minutes(90)), Ok(store("lyon-bellecour")));
    assert_eq!(exit(&mut wakes, &lina, &Woken { uuid: [0; 16], id: None, rssi: None }, NOON + minutes(90)), Err(Refusal::Unproven));
    assert_eq!(exit(&mut wakes, &who("phone-of-karim"), &woken("lyon-bellecour", NOON), NOON), Ok(store("lyon-bellecour")));
}

#[test]
fn an_arrival_without_an_id_proves_nothing() {
    let region = Woken { uuid: uuid(), id: None, rssi: None };
    assert_eq!(enter(&mut wakes(), &who("phone-of-lina"), &region, NOON, NOON), Err(Refusal::Unproven));
}

#[test]
fn who_tries_ids_out_is_no_longer_listened_to_for_an_hour() {
    let mut wakes = wakes();
    let cheat = who("phone-of-a-cheat");
    for n in 0..10 {
        let guess = Woken { uuid: uuid(), id: Some(WakeId::new(1, n)), rssi: None };
        // Another time with each guess does not help: what counts is when it arrives.
        let at = NOON - minutes(60 * u64::from(n));
        assert_eq!(enter(&mut wakes, &cheat, &guess, at, NOON), Err(Refusal::Unproven));
    }
    assert_eq!(enter(&mut wakes, &cheat, &woken("lyon-bellecour", NOON), NOON, NOON), Err(Refusal::Guessing));
    let later = NOON + minutes(60);
    assert_eq!(enter(&mut wakes, &cheat, &woken("lyon-bellecour", later), later, later), Ok(store("lyon-bellecour")));
}

#[test]
fn who_holds_some_keys_knows_those_shops_only() {
    let lyon = store("lyon-bellecour");
    let check = WakeCheck::Keys(BTreeMap::from([(lyon.clone(), MASTER.store_key(&lyon))]));
    let mut verifier = Verifier::new(site(), &check);
    assert_eq!(verifier.verify(&woken("lyon-bellecour", NOON), NOON), Verdict::Store(lyon));
    assert_eq!(verifier.verify(&woken("paris-marais", NOON), NOON), Verdict::Nobody);
}

#[test]
fn two_shops_that_say_the_same_are_told_apart_by_nobody() {
    let same = MASTER.store_key(&store("lyon-bellecour"));
    let keys = ["lyon-bellecour", "paris-marais"].map(|name| (store(name), same.clone()));
    let mut verifier = Verifier::new(site(), &WakeCheck::Keys(keys.into()));
    assert_eq!(verifier.verify(&woken("lyon-bellecour", NOON), NOON), Verdict::Several);
}

#[test]
fn retries_slow_down_and_are_quick_again_after_a_success() {
    let mut schedule = Schedule::new(Duration::ZERO);
    let waits: Vec<u64> = (0..9).map(|_| schedule.fault().as_secs()).collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    schedule.well();
    assert_eq!(schedule.fault(), Duration::from_secs(1));
}

#[test]
fn a_beacon_that_is_heard_weakly_is_heard_in_front_of_the_shop_unless_she_was_inside() {
    let mut wakes = wakes();
    let lina = who("phone-of-lina");
    let mut zone = |rssi: i16, after: Duration| {
        let at = NOON + after;
        let heard = Woken { rssi: Some(rssi), ..woken("lyon-bellecour", at) };
        wakes.enter(&lina, &heard, &[at], at).unwrap().zone
    };
    assert_eq!(zone(-90, minutes(0)), Zone::Front);
    assert_eq!(zone(-83, minutes(1)), Zone::In);
    assert_eq!(zone(-95, minutes(5)), Zone::In, "her phone is in the bag now");
    assert_eq!(zone(-95, minutes(60)), Zone::Front, "another time");
    assert_eq!(wakes.exit(&lina, &woken("lyon-bellecour", NOON), &[NOON]).unwrap().zone, Zone::Front);
}

#[test]
fn of_two_times_the_one_that_can_be_proven_counts() {
    let (heard, now) = (woken("lyon-bellecour", NOON), NOON + minutes(120));
    let proven = wakes().enter(&who("phone-of-lina"), &heard, &[now, NOON], now).unwrap();
    assert_eq!((proven.store, proven.at), (store("lyon-bellecour"), NOON));
}

#[test]
fn a_copy_near_her_home_does_not_keep_her_from_being_noticed_in_the_shop() {
    let mut wakes = wakes();
    let lina = who("phone-of-lina");
    let copy = woken("lyon-bellecour", NOON - minutes(600));
    for n in 0..50 {
        let at = NOON + Duration::from_secs(n);
        assert_eq!(enter(&mut wakes, &lina, &copy, at, at), Err(Refusal::Unproven));
    }
    let at = NOON + minutes(5);
    assert_eq!(enter(&mut wakes, &lina, &woken("lyon-bellecour", at), at, at), Ok(store("lyon-bellecour")));
}

proptest! {
    /// Whatever the jitter and the clocks: what is on the air now is proven now, and half an hour after its first second it is worth nothing.
    #[test]
    fn what_is_on_the_air_is_proven_and_what_was_is_not(
        at in 1_000_000_000_i64..3_000_000_000, jitter in 0_u64..2_000, skew in -600_i64..=600, age in 1800_i64..200_000,
    ) {
        let now = Millis::from_secs(at);
        let mut verifier = Verifier::new(site(), &WakeCheck::Master(MASTER));
        let turn = Schedule::new(Duration::from_secs(jitter)).turn(now);
        let heard = Woken { uuid: uuid(), id: Some(MASTER.store_key(&store("lyon-bellecour")).id(turn.window)), rssi: None };
        prop_assert_eq!(verifier.verify(&heard, now), Verdict::Store(store("lyon-bellecour")));
        prop_assert_eq!(verifier.verify(&heard, Millis::from_secs(turn.window * WINDOW_SECS + age)), Verdict::Nobody);
        prop_assert_eq!(verifier.verify(&heard, Millis::from_secs(turn.window * WINDOW_SECS + skew)), Verdict::Store(store("lyon-bellecour")));
        let foreign = Woken { uuid: [9; 16], ..heard };
        prop_assert_eq!(verifier.verify(&foreign, now), Verdict::Nobody);
    }

    #[test]
    fn each_turn_ends_where_the_next_begins(at in 0_i64..4_000_000_000_000, jitter in 0_u64..2_000) {
        let schedule = Schedule::new(Duration::from_secs(jitter));
        let turn = schedule.turn(Millis(at));
        prop_assert!(turn.until > Millis(at));
        prop_assert_eq!(schedule.turn(turn.until - Duration::from_millis(1)), turn);
        prop_assert_eq!(schedule.turn(turn.until).window, turn.window + 1);
    }

    /// However the times of late reports are spread, memory is bounded and no answer changes.
    #[test]
    fn late_reports_in_any_order_get_the_same_answers(hours in proptest::collection::vec(0_u64..2_000, 1..400)) {
        let mut verifier = Verifier::new(site(), &WakeCheck::Master(MASTER));
        for h in hours {
            let at = NOON - Duration::from_secs(3600 * h);
            prop_assert_eq!(verifier.verify(&woken("paris-marais", at), at), Verdict::Store(store("paris-marais")));
        }
    }
}
