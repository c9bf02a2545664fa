//! A week of people at the border of the shop, and how long a slow chip takes to notice who stands in the door. Seeded: the same every time, but for
//! long runs (`PROPTEST_CASES`), which add weeks of their own.

use passage_protocol::Rid;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;

/// How a chip hands over adverts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chip {
    /// Each one that it hears; the phone advertises once a second.
    All,
    /// One per phone and scan round of 10.4 s, because it filters duplicates.
    Filtering,
}

/// Somebody who comes up to the border, stays about there and goes away.
struct Walk {
    chip: Chip,
    /// Mean strength where she stays, dBm.
    level: f64,
    /// Milliseconds of the stay.
    stay: i64,
}

/// Milliseconds from being out of reach to the place of the stay, and back.
const APPROACH: i64 = 20_000;
/// Strength out of reach, dBm; nothing weaker is heard.
const SENSITIVITY: f64 = -100.0;
/// Standard deviation of single adverts, dB: fading and the three channels.
const FADING: f64 = 4.0;
/// Slow fading: standard deviation in dB, and the milliseconds in which it changes.
const SLOW: (f64, f64) = (2.0, 30_000.0);
/// What a body between phone and gateway takes, dB.
const BODY: f64 = 10.0;
/// Mean milliseconds with a body in the way, and without.
const TURNS: (f64, f64) = (25_000.0, 60_000.0);
/// Mean milliseconds between pauses of the phone's advertising, and the longest pause.
const PAUSES: (f64, i64) = (300_000.0, 150_000);
/// Share of adverts that are lost.
const LOSS: f64 = 0.1;

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    (0..6).map(|_| rng.random::<f64>() - 0.5).sum::<f64>() * 2f64.sqrt()
}

#[expect(clippy::cast_possible_truncation, reason = "milliseconds of a day")]
fn exponential(rng: &mut ChaCha8Rng, mean: f64) -> i64 {
    (-mean * (1.0 - rng.random::<f64>()).ln()) as i64
}

impl Walk {
    /// What the gateway hears, from 0 on.
    fn adverts(&self, rng: &mut ChaCha8Rng) -> Vec<(i64, i8)> {
        let (mut at, mut slow, mut behind_body, mut turns, mut pause) = (0, 0.0, false, 0, exponential(rng, PAUSES.0));
        let mut heard = Vec::new();
        while at < self.stay + 2 * APPROACH {
            if at >= turns {
                behind_body = !behind_body;
                turns = at + exponential(rng, if behind_body { TURNS.0 } else { TURNS.1 });
            }
            if at >= pause {
                at += rng.random_range(0..PAUSES.1);
                pause = at + exponential(rng, PAUSES.0);
            }
            let step = match self.chip {
                Chip::All => 1_000 + rng.random_range(0..=10),
                Chip::Filtering => rng.random_range(10_240..=10_500),
            };
            at += step;
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of a day")]
            let (keeps, way) =
                ((-(step as f64) / SLOW.1).exp(), at.min(self.stay + 2 * APPROACH - at).clamp(0, APPROACH) as f64 / APPROACH as f64);
            slow = slow * keeps + SLOW.0 * (1.0 - keeps * keeps).sqrt() * normal(rng);
            let body = if behind_body { BODY } else { 0.0 };
            let strength = SENSITIVITY - 10.0 + (self.level - SENSITIVITY + 10.0) * way + slow - body + FADING * normal(rng);
            // Within a round of the filter, a lost advert is followed by another one.
            if strength >= SENSITIVITY && (self.chip == Chip::Filtering || !rng.random_bool(LOSS)) {
                #[expect(clippy::cast_possible_truncation, reason = "a strength in dBm")]
                heard.push((at, strength.round().clamp(-100.0, 0.0) as i8));
            }
        }
        heard
    }
}

/// Plays the adverts of one person, and time beside them.
fn play(rules: PresenceRules, adverts: &[(i64, i8)]) -> Vec<Change> {
    let marks = [120, 300, 600].map(Duration::from_secs).to_vec();
    let mut presence = Presence::new("lyon-1".parse().unwrap(), rules, marks);
    let mut changes = Vec::new();
    presence.advance(Millis(-100_000), &mut changes);
    for &(at, rssi) in adverts {
        let at = Millis(at);
        presence.advance(at, &mut changes);
        presence.sight(&Sighting { at, subject: Subject::Rid { rid: Rid([1; 8]), hint: 1 }, rssi, tx_power: -59 }, &mut changes);
    }
    presence.advance(Millis(1 << 40), &mut changes);
    changes
}

#[derive(Debug, Default)]
struct Tally {
    walks: usize,
    adverts: usize,
    stays: usize,
    /// Enters and exits beyond those that a walk has in a zone: one of each, and one more for each silence of more than 3 minutes.
    extra: usize,
    silences: usize,
}

impl Tally {
    fn add(&mut self, adverts: &[(i64, i8)], changes: &[Change]) {
        let silences = adverts.windows(2).filter(|pair| pair[1].0 - pair[0].0 >= 180_000).count();
        self.walks += 1;
        self.adverts += adverts.len();
        self.silences += silences;
        for zone in [Zone::In, Zone::Front] {
            for phase in [Phase::Enter, Phase::Exit] {
                let n = changes.iter().filter(|c| c.zone == zone && c.phase == phase).count();
                self.stays += usize::from(phase == Phase::Enter) * n.min(1);
                self.extra += n.saturating_sub(1 + silences);
            }
        }
    }
}

/// Shop hours of a week: so many people a day who stay about the border, from where the shop is hardly heard to just inside.
fn week(chip: Chip, a_day: u64, first_seed: u64, rules: &[PresenceRules; 2]) -> [Tally; 2] {
    let mut tallies = [Tally::default(), Tally::default()];
    for n in (0..7 * a_day).map(|n| first_seed.wrapping_add(n)) {
        let mut rng = ChaCha8Rng::seed_from_u64(n);
        let walk = Walk { chip, level: rng.random_range(-92.0..-68.0), stay: rng.random_range(300_000..2_400_000) };
        let adverts = walk.adverts(&mut rng);
        for (tally, rules) in tallies.iter_mut().zip(rules) {
            tally.add(&adverts, &play(*rules, &adverts));
        }
        if tallies[0].extra > 0 {
            let changes = play(rules[0], &adverts);
            panic!(
                "walk of seed {n}, {chip:?}, level {}: {:?}",
                walk.level,
                changes.iter().map(|c| (&c.zone, c.phase, c.first, c.last)).collect::<Vec<_>>()
            );
        }
    }
    tallies
}

/// As peers do it: who gave no evidence for 30 s has left.
fn hasty() -> PresenceRules {
    let seconds = Duration::from_secs(30);
    let mut rules = PresenceRules::default();
    for zone in [&mut rules.inside, &mut rules.front] {
        (zone.silence, zone.hold) = (seconds, seconds);
        zone.window = seconds;
    }
    rules
}

#[test]
fn a_week_at_the_border_has_no_extra_transition() {
    for (chip, a_day) in [(Chip::All, 16), (Chip::Filtering, 100)] {
        let [ours, hasty] = week(chip, a_day, 0, &[PresenceRules::default(), hasty()]);
        println!("{chip:?}: {} walks, {} adverts, {} silences of more than 3 min", ours.walks, ours.adverts, ours.silences);
        println!("  defaults: {} stays, {} extra transitions", ours.stays, ours.extra);
        println!("  out after 30 s: {} stays, {} extra transitions", hasty.stays, hasty.extra);
        assert_eq!(ours.extra, 0, "{chip:?}: {ours:?}");
        assert!(ours.stays > ours.walks, "most come into one zone or both");
        assert!(hasty.extra > ours.walks, "the walks are hard enough to tell good rules from bad ones");
    }
}

/// Weeks of other people, in long runs only: one for every 250 cases that `PROPTEST_CASES` asks of property tests, else none. A walk that fails names
/// its seed.
#[test]
fn other_weeks_at_the_border_have_no_extra_transition() {
    let cases: u64 = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(0);
    let mut seeds = rand::rng();
    for (chip, a_day) in (0..cases / 250).flat_map(|_| [(Chip::All, 16), (Chip::Filtering, 100)]) {
        let [ours, _] = week(chip, a_day, seeds.random(), &[PresenceRules::default(), hasty()]);
        assert_eq!(ours.extra, 0, "{chip:?}: {ours:?}");
    }
}

#[test]
fn of_those_who_stand_in_the_door_nearly_all_enter_also_by_a_slow_chip() {
    for (chip, people) in [(Chip::All, 200), (Chip::Filtering, 1_000)] {
        let mut waits: Vec<i64> = (0..people).filter_map(|n| wait_in_the_door(chip, n)).collect();
        waits.sort_unstable();
        let quantile = |percent: usize| waits[(waits.len() - 1) * percent / 100] / 1000;
        let line =
            format!("min {}, p50 {}, p90 {}, p99 {}, max {} s", quantile(0), quantile(50), quantile(90), quantile(99), quantile(100));
        println!("{chip:?}: {} of {people} who stand in the door for 10 min enter; {line}", waits.len());
        for from in (0..600).step_by(30) {
            println!(
                "  {from:>3}-{:<3} s {:>4}",
                from + 30,
                waits.iter().filter(|wait| (from..from + 30).contains(&(*wait / 1000))).count()
            );
        }
        assert!(waits.len() * 100 >= people as usize * 99, "{chip:?}: {line}");
        assert!(quantile(50) <= 45, "{chip:?}: {line}");
    }
}

/// Milliseconds until somebody is told as in who appears at a mean of -70 dBm and stays there for 10 minutes.
fn wait_in_the_door(chip: Chip, seed: u32) -> Option<i64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed.into());
    let mut adverts = Walk { chip, level: -70.0, stay: 600_000 }.adverts(&mut rng);
    adverts.retain(|(at, _)| (APPROACH..APPROACH + 600_000).contains(at));
    let changes = play(PresenceRules::default(), &adverts);
    changes.iter().find(|c| c.zone == Zone::In && c.phase == Phase::Enter).map(|c| c.at.0 - APPROACH)
}
