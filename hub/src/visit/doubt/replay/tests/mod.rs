use passage_protocol::Millis;

use super::*;

/// Latitude and longitude. Between Lyon and Paris lie 392 km, to the shop at the airport 20 km, to the one next door 15 m.
const PLACES: [(&str, (f64, f64)); 4] =
    [("airport", (45.7234, 5.0888)), ("lyon", (45.7578, 4.8320)), ("next-door", (45.7579, 4.8321)), ("paris", (48.8722, 2.3325))];

fn place(store: &StoreId) -> Option<(f64, f64)> {
    PLACES.iter().find(|(name, _)| *name == store.as_str()).map(|(_, at)| *at)
}

/// The id `mark` in a store between two minutes.
fn heard(mark: i64, store: &str, from: i64, to: i64) -> Heard {
    Heard { mark, store: store.parse().unwrap(), span: Span(Millis(from * 60_000), Millis(to * 60_000)), is_sure: true }
}

fn stores(all: &[Heard]) -> Vec<(String, String)> {
    let found = replays(all, place, &ContradictionRules::default());
    let mut turned: Vec<Heard> = all.to_vec();
    turned.reverse();
    assert_eq!(found.len(), replays(&turned, place, &ContradictionRules::default()).len(), "the order does not matter");
    found.into_iter().map(|r| (r.one.store.to_string(), r.other.store.to_string())).collect()
}

fn pair(one: &str, other: &str) -> Vec<(String, String)> {
    vec![(one.to_owned(), other.to_owned())]
}

#[test]
fn one_id_in_two_towns_is_a_replay_and_two_ids_are_two_phones() {
    assert_eq!(stores(&[heard(1, "lyon", 0, 5), heard(1, "paris", 3, 9)]), pair("lyon", "paris"));
    assert_eq!(stores(&[heard(1, "paris", 11, 12), heard(1, "lyon", 0, 5)]), pair("lyon", "paris"));
    assert_eq!(stores(&[heard(1, "lyon", 0, 5), heard(2, "paris", 3, 9)]), []);
}

#[test]
fn shops_of_one_mall_may_hear_one_id_at_once() {
    assert_eq!(stores(&[heard(1, "lyon", 0, 5), heard(1, "next-door", 3, 9)]), []);
}

#[test]
fn who_can_have_driven_is_no_replay() {
    assert_eq!(stores(&[heard(1, "lyon", 0, 3), heard(1, "airport", 4, 6)]), pair("airport", "lyon"));
    assert_eq!(stores(&[heard(1, "lyon", 0, 3), heard(1, "airport", 9, 12)]), [], "20 km in eight minutes, with what clocks may differ");
}

#[test]
fn a_gateway_with_a_wrong_clock_is_no_replay() {
    let unsure = Heard { is_sure: false, ..heard(1, "airport", 1, 3) };
    assert_eq!(stores(&[heard(1, "lyon", 0, 3), unsure]), [], "its times say nothing");
    assert_eq!(stores(&[heard(1, "lyon", 0, 3), heard(1, "airport", 110, 115)]), [], "nobody sends one id for two hours");
}

#[test]
fn no_clock_explains_what_no_phone_can_do_while_an_id_lives() {
    let unsure = Heard { is_sure: false, ..heard(1, "paris", 1, 3) };
    assert_eq!(stores(&[heard(1, "lyon", 0, 3), unsure]), pair("lyon", "paris"));
    assert_eq!(stores(&[heard(1, "lyon", 0, 3), heard(1, "paris", 110, 115)]), pair("lyon", "paris"), "the id was kept for two hours");
}

#[test]
fn a_store_that_nobody_knows_says_nothing_and_three_places_are_three_pairs() {
    assert_eq!(stores(&[heard(1, "lyon", 0, 5), heard(1, "gone", 3, 9)]), []);
    assert_eq!(stores(&[heard(1, "lyon", 0, 5), heard(1, "paris", 3, 9), heard(1, "airport", 4, 5)]).len(), 3);
}

#[test]
fn a_replay_is_about_what_was_heard_then_and_there() {
    let found = replays(&[heard(1, "lyon", 0, 5), heard(1, "paris", 3, 9)], place, &ContradictionRules::default());
    let minutes = |from: i64, to: i64| Span(Millis(from * 60_000), Millis(to * 60_000));
    let at = |store: &str, span| found[0].touches(&store.parse().unwrap(), span);
    assert!(at("lyon", minutes(-60, 0)) && at("paris", minutes(9, 12)) && !at("lyon", minutes(6, 12)) && !at("airport", minutes(0, 9)));
    assert_eq!(found[0].span(), minutes(0, 9));
}
