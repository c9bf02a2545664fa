use passage_config::VisitRules;
use uuid::Uuid;

use super::*;
use crate::visit::{Kind, span::Span};

const MINUTE: i64 = 60_000;

fn minute(n: i64) -> Millis {
    Millis(n * MINUTE)
}

fn rules() -> ScoreRules {
    VisitRules::default().score
}

/// Heard from minute 0 to 10, loudly.
fn heard() -> Stay {
    let mut stay = Stay::new(Uuid::nil());
    stay.beacon.insert(Span(minute(0), minute(10)), Duration::ZERO);
    stay.levels.insert(minute(2), 6);
    stay
}

#[test]
fn a_stay_goes_through_its_states() {
    let mut stay = Stay::new(Uuid::nil());
    assert_eq!(stay.state(minute(0), &rules()), State::Away);
    stay.outside.insert(Span(minute(0), minute(0)), Duration::ZERO);
    assert_eq!(stay.state(minute(0), &rules()), State::Nearby);
    let mut stay = heard();
    assert_eq!(stay.state(minute(10), &rules()), State::Candidate);
    stay.qualified = true;
    assert_eq!(stay.state(minute(11), &rules()), State::Visiting);
    assert_eq!(stay.state(minute(12), &rules()), State::Leaving, "two minutes of silence take half of what the radio said");
    stay.open = false;
    assert_eq!(stay.state(minute(12), &rules()), State::Closed);
}

#[test]
fn what_the_radio_said_is_halved_every_two_minutes_and_a_position_every_ten() {
    let mut stay = heard();
    let fresh = stay.score(&rules());
    assert!((stay.score_at(minute(10), &rules()) - fresh).abs() < 1e-12);
    assert!((stay.score_at(minute(12), &rules()) - fresh / 2.0).abs() < 1e-12);
    assert!((stay.score_at(minute(14), &rules()) - fresh / 4.0).abs() < 1e-12);
    stay.beacon = Spans::default();
    stay.levels.clear();
    stay.position.insert(Span(minute(0), minute(10)), Duration::ZERO);
    assert!((stay.score_at(minute(20), &rules()) - rules().position / 2.0).abs() < 1e-12);
    assert_eq!(stay.state(minute(19), &rules()), State::Candidate);
    assert_eq!(stay.state(minute(20), &rules()), State::Leaving);
}

#[test]
fn a_gateway_that_has_not_told_an_end_keeps_her_there() {
    let mut stay = heard();
    stay.qualified = true;
    stay.watched.insert("gateway in 0".to_owned(), Span(minute(0), minute(10)));
    assert_eq!(stay.state(minute(20), &rules()), State::Visiting, "the next mark comes when the dwell has doubled");
    assert_eq!(stay.state(minute(26), &rules()), State::Leaving, "and when it does not come, the gateway may have died");
}

#[test]
fn a_ticket_is_a_moment_inside() {
    let mut stay = Stay::new(Uuid::nil());
    stay.moments.insert((minute(5), Kind::Till));
    assert_eq!(stay.state(minute(6), &rules()), State::Candidate);
    assert_eq!(stay.state(minute(7), &rules()), State::Leaving);
}
