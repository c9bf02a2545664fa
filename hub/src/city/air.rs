//! What a gateway hears of one phone: fading, bodies, pauses of advertising, lost adverts. The figures that are no parameters are those of the
//! gateway's own test of the border (gateway/src/presence/walks.rs).

use std::time::Duration;

use passage_config::RadioWorld;
use passage_protocol::{Millis, Rid, Subject, rid::window_at};

use super::{
    dice::{Dice, real, whole},
    plan::{Outing, Spot},
};
use crate::visit::stay::millis;

/// Milliseconds from being out of reach to the door, and back.
const APPROACH: i64 = 20_000;
/// What the door takes, dB.
const DOOR_DB: f64 = 10.0;
/// Weaker adverts are lost, dBm.
const SENSITIVITY: f64 = -100.0;
/// Slow fading: standard deviation in dB, and the milliseconds in which it changes.
const SLOW: (f64, f64) = (2.0, 30_000.0);
/// Mean times with a body in the way, and without.
const TURNS: (Duration, Duration) = (Duration::from_secs(25), Duration::from_secs(60));
/// Mean time between pauses of the phone's advertising, and the longest pause.
const PAUSES: (Duration, f64) = (Duration::from_secs(300), 150_000.0);
/// A chip that filters duplicates reports a phone once in this many milliseconds.
const SCAN_ROUND: i64 = 10_400;
/// Most milliseconds behind the edge of a window at which an app changes its id.
const LAG: f64 = 120_000.0;

/// One advert that came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Heard {
    pub at: Millis,
    /// Person and window of the id on the air.
    pub phone: u32,
    pub window: u32,
    pub rssi: i8,
}

impl Heard {
    /// An id that the city can resolve without keys.
    pub fn subject(&self) -> Subject {
        let mut rid = [0; 8];
        rid[..4].copy_from_slice(&self.phone.to_be_bytes());
        rid[4..].copy_from_slice(&self.window.to_be_bytes());
        Subject::Rid { rid: Rid(rid), hint: (self.window & 15) as u8 }
    }

    /// Whose id it is.
    pub fn person(subject: &Subject) -> Option<usize> {
        let Subject::Rid { rid, .. } = subject else { return None };
        let [a, b, c, d, ..] = rid.0;
        usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()
    }
}

/// Mean strength of a phone at a spot, dBm.
pub(super) fn level(radio: &RadioWorld, spot: Spot, dice: &mut Dice) -> f64 {
    let less = match spot {
        Spot::Inside => 0.0,
        Spot::NextDoor => radio.wall_db,
        Spot::Above => radio.floor_db,
        Spot::Pavement => radio.window_db,
    };
    radio.inside_dbm - less + radio.spread_db * dice.normal()
}

/// The adverts of an outing that a gateway hears, whose chip filters duplicates or not. `spot` is where that gateway has her.
pub(super) fn adverts(radio: &RadioWorld, outing: &Outing, spot: Spot, filters: bool, dice: &mut Dice, out: &mut Vec<Heard>) {
    let mean = level(radio, spot, dice);
    let mut air = Air { radio, slow: 0.0, behind_body: false, turns: outing.from.0, pause: outing.from.0 + dice.wait(PAUSES.0) };
    let lag = whole(dice.share() * LAG);
    let every = millis(radio.advert_every).max(1);
    let (mut at, end, mut reported) = (outing.from.0 - APPROACH, outing.to.0 + APPROACH, i64::MIN / 2);
    while at < end {
        at += every + dice.below(11) as i64;
        let away = away(outing, Millis(at));
        // The door takes some dB, and then the distance.
        let outside = if away > 0.0 { DOOR_DB + 20.0 * away } else { 0.0 };
        let Some(strength) = air.strength(mean - outside, at, every, dice) else { continue };
        if strength < SENSITIVITY || (filters && at - reported < SCAN_ROUND) {
            continue;
        }
        reported = at;
        let window = u32::try_from(window_at(Millis(at - lag))).unwrap_or(0);
        let phone = u32::try_from(outing.person).unwrap_or(0);
        out.push(Heard { at: Millis(at), phone, window, rssi: strength.round().clamp(-100.0, -20.0) as i8 });
    }
}

/// How far she is from her spot: 0 there, 1 out of reach.
fn away(outing: &Outing, at: Millis) -> f64 {
    if outing.out.is_some_and(|(from, to)| from <= at && at <= to) {
        return 1.0;
    }
    let outside = outing.from.since(at).max(at.since(outing.to)).max(0);
    real(outside) / real(APPROACH)
}

struct Air<'a> {
    radio: &'a RadioWorld,
    slow: f64,
    behind_body: bool,
    turns: i64,
    pause: i64,
}

impl Air<'_> {
    /// Strength of an advert at `at`; `None` when it is not sent or lost.
    fn strength(&mut self, mean: f64, at: i64, every: i64, dice: &mut Dice) -> Option<f64> {
        while at >= self.turns {
            self.behind_body = !self.behind_body;
            self.turns += 1 + dice.wait(if self.behind_body { TURNS.0 } else { TURNS.1 });
        }
        if at >= self.pause {
            let until = self.pause + whole(dice.share() * dice.share() * PAUSES.1);
            if at < until {
                return None;
            }
            self.pause = at + dice.wait(PAUSES.0);
        }
        let kept = (-real(every) / SLOW.1).exp();
        self.slow = kept * self.slow + (1.0 - kept * kept).sqrt() * SLOW.0 * dice.normal();
        if dice.chance(self.radio.loss) {
            return None;
        }
        let body = if self.behind_body { self.radio.body_db } else { 0.0 };
        Some(mean + self.slow - body + self.radio.fading_db * dice.normal())
    }
}
