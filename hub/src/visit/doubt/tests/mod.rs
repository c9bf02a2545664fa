use passage_protocol::Millis;

use super::*;

const LYON: (f64, f64) = (45.7578, 4.8320);
const LYON_NEXT_DOOR: (f64, f64) = (45.7579, 4.8321);
const PARIS: (f64, f64) = (48.8722, 2.3325);
const MIN: i64 = 60_000;

fn judge(a: ((f64, f64), i64, i64, Proof), b: ((f64, f64), i64, i64, Proof)) -> Vec<(u128, Reason)> {
    let (one, two) = ("one".parse().unwrap(), "two".parse().unwrap());
    let placed = |id, store, (at, from, to, proof): ((f64, f64), i64, i64, Proof)| Placed {
        id: Uuid::from_u128(id),
        store,
        at,
        span: Span(Millis(from * MIN), Millis(to * MIN)),
        proof,
    };
    let (a, b) = (placed(1, &one, a), placed(2, &two, b));
    let rules = ContradictionRules::default();
    let there = doubts(&[a.clone(), b.clone()], &rules);
    assert_eq!(there, doubts(&[b, a], &rules), "the order does not matter");
    there.into_iter().flat_map(|(id, reasons)| reasons.into_iter().map(move |r| (id.as_u128(), r))).collect()
}

const LOUD: Proof = Proof::Radio(-60);

#[test]
fn of_two_distant_stores_at_once_the_weaker_proof_is_in_doubt_and_of_equal_ones_both() {
    assert_eq!(judge((LYON, 0, 60, LOUD), (PARIS, 30, 90, LOUD)), [(1, Reason::TwoStores), (2, Reason::TwoStores)]);
    assert_eq!(judge((LYON, 0, 60, LOUD), (PARIS, 30, 90, Proof::Position)), [(2, Reason::TwoStores)]);
    assert_eq!(judge((LYON, 0, 60, Proof::Counter), (PARIS, 30, 90, Proof::App)), [(1, Reason::TwoStores)]);
}

#[test]
fn nobody_travels_from_lyon_to_paris_in_an_hour_but_in_two() {
    assert_eq!(judge((LYON, 0, 60, LOUD), (PARIS, 120, 150, LOUD)), [(1, Reason::Teleport), (2, Reason::Teleport)]);
    assert_eq!(judge((LYON, 0, 60, LOUD), (PARIS, 180, 210, LOUD)), []);
    assert_eq!(judge((PARIS, 180, 210, LOUD), (LYON, 0, 60, LOUD)), []);
}

#[test]
fn the_neighbour_that_heard_her_through_the_wall_has_no_visit() {
    assert_eq!(judge((LYON, 0, 60, LOUD), (LYON_NEXT_DOOR, 10, 50, Proof::Radio(-74))), [(2, Reason::NextDoor)]);
    assert_eq!(judge((LYON, 0, 60, LOUD), (LYON_NEXT_DOOR, 10, 50, Proof::Radio(-62))), [], "as loud: she went from one to the other");
    assert_eq!(judge((LYON, 0, 20, LOUD), (LYON_NEXT_DOOR, 15, 60, Proof::Radio(-74))), [], "mostly at another time");
}

#[test]
fn a_metre_is_a_metre() {
    assert!((metres((48.0, 2.0), (49.0, 2.0)) - 111_195.0).abs() < 1.0);
    assert!(metres(PARIS, PARIS) < 1e-6);
}
