//! What phones say themselves: the woken app's word and positions, through the real geofence machine of one position gateway.

use passage_config::{GeofenceRules, PresenceRules};
use passage_gateway::{
    geofence::Geofences,
    position::{AppEvent, Fix},
};
use passage_protocol::{GatewayId, InstallationId, Millis, Phase, Subject, Zone};

use super::{
    air::level,
    dice::{Dice, real, whole},
    plan::{Outing, Spot},
    report::Told,
    town::Town,
};
use crate::visit::stay::millis;

/// Standard deviation of the strength that an app tells: the mean of some seconds of ranging, dB.
const RANGING_DB: f64 = 2.5;
/// A stay that was inside stays inside for so long, however weak the beacon is heard (gateway/src/wake).
const INSIDE_FOR: i64 = 30 * 60_000;
/// iOS tells of an end so much later than it was; apps take it off again, as hub/protocol/app says.
const END_WAIT: i64 = 30_000;
/// Metres of a degree of latitude.
const DEGREE_M: f64 = 111_195.0;

/// What a phone sends, and when it arrives.
struct Word {
    arrives: Millis,
    what: What,
}

enum What {
    App(AppEvent),
    Fix(Fix),
}

/// What one outing's phone had the means to say.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Means {
    /// First and last word of the woken app about being inside.
    pub words: Option<(Millis, Millis)>,
    /// First and last fix inside that was finer than half the geofence.
    pub fixes: Option<(Millis, Millis)>,
}

/// Everything that the position gateway reports, and what each outing had the means to say.
pub(super) fn listen(town: &Town, outings: &[Outing]) -> (Vec<Told>, Vec<Means>) {
    let (mut words, mut means) = (Vec::new(), Vec::new());
    for (n, outing) in outings.iter().enumerate() {
        let mut had = Means::default();
        let person = &town.people[outing.person];
        if !outing.off && person.iphone {
            had.words = app_words(town, n, outing, &mut words);
        }
        if !outing.off && person.positions {
            had.fixes = fixes(town, n, outing, &mut words);
        }
        means.push(had);
    }
    words.sort_by_key(|word| word.arrives);
    (judged(town, words), means)
}

fn judged(town: &Town, words: Vec<Word>) -> Vec<Told> {
    let mut geofences = Geofences::new(&town.site, GeofenceRules::default(), town.site.dwell_marks());
    let gateway: GatewayId = "gw-position".parse().expect("letters and a dash are an id");
    let mut told = Vec::new();
    let mut minute = town.days[0];
    let mut tell = |changes: Vec<passage_gateway::Change>, arrives: Millis| {
        for change in changes {
            let shop = town.shops.iter().position(|s| s.store == change.store);
            let (Some(shop), Some(person)) = (shop, person(&change.subject)) else { continue };
            told.push(Told { arrives, person, shop, gateway: gateway.clone(), change });
        }
    };
    for word in words {
        // It looks at the time twice a minute.
        while minute < word.arrives {
            let mut changes = Vec::new();
            geofences.advance(minute, &mut changes);
            tell(changes, minute);
            minute = Millis(minute.0 + 30_000);
        }
        let mut changes = Vec::new();
        match &word.what {
            What::App(event) => geofences.app(event, word.arrives, &mut changes),
            What::Fix(fix) => {
                geofences.fix(fix, word.arrives, &mut changes);
            }
        }
        tell(changes, word.arrives);
    }
    let end = Millis(town.end().0 + 86_400_000);
    let mut changes = Vec::new();
    geofences.advance(end, &mut changes);
    tell(changes, end);
    told
}

fn installation(person: usize) -> InstallationId {
    format!("phone-{person:06}").parse().expect("letters, digits and a dash are an id")
}

fn person(subject: &Subject) -> Option<usize> {
    let Subject::Installation(id) = subject else { return None };
    id.as_str().strip_prefix("phone-")?.parse().ok()
}

/// The words of a woken app: it hears the shop's beacon as well as the shop would hear the phone.
fn app_words(town: &Town, n: usize, outing: &Outing, words: &mut Vec<Word>) -> Option<(Millis, Millis)> {
    let mut dice = Dice::of(town.seed, "app", n);
    let (phones, mean) = (&town.world.phones, level(&town.world.radio, outing.spot, &mut Dice::of(town.seed, "level", n)));
    // iOS wakes for what it hears at all, and on the pavement only if that lasts.
    let hears = mean > -95.0 && !dice.chance(phones.wake_lost) && (outing.spot != Spot::Pavement || dice.chance(0.5));
    if !hears {
        return None;
    }
    let limit = f64::from(PresenceRules::default().inside.leave_dbm);
    let (mut at, mut inside_until, mut last_zone) = (outing.from.0 + whole(dice.between(1.0, 12.0) * 1000.0), i64::MIN, Zone::Front);
    let mut last_word = at;
    let mut said: Option<(Millis, Millis)> = None;
    let mut say = |zone: &Zone, phase, at: i64, rssi: Option<f64>, wait: i64| {
        if *zone == Zone::In {
            said = Some((said.map_or(Millis(at), |said| said.0), Millis(at)));
        }
        let store = town.shops[outing.shop].store.clone();
        let event =
            AppEvent { installation: installation(outing.person), store, zone: zone.clone(), phase, at: Millis(at), rssi: rssi.map(dbm) };
        words.push(Word { arrives: Millis(at + wait), what: What::App(event) });
    };
    while at < outing.to.0 {
        let away = outing.out.is_some_and(|(from, to)| from.0 <= at && at <= to.0);
        if !away {
            let ranged = mean + RANGING_DB * dice.normal();
            let inside = at < inside_until || ranged >= limit;
            last_zone = if inside { Zone::In } else { Zone::Front };
            inside_until = if inside { at + INSIDE_FOR } else { inside_until };
            last_word = at;
            say(&last_zone, Phase::Enter, at, Some(ranged), whole(dice.between(0.5, 3.0) * 1000.0));
        }
        at += 1000 + dice.wait(phones.glance_every);
    }
    if !dice.chance(phones.exit_lost) {
        let noticed = outing.to.0 + dice.wait(phones.exit_delay);
        let left = last_word.max(noticed - END_WAIT);
        say(&last_zone, Phase::Exit, left, None, noticed - left + whole(dice.between(0.5, 3.0) * 1000.0));
    }
    said
}

/// A strength as phones tell it.
fn dbm(strength: f64) -> i8 {
    strength.round().clamp(-100.0, -20.0) as i8
}

/// The fixes of an outing, from some minutes before to some minutes after.
fn fixes(town: &Town, n: usize, outing: &Outing, words: &mut Vec<Word>) -> Option<(Millis, Millis)> {
    let mut dice = Dice::of(town.seed, "fix", n);
    let phones = &town.world.phones;
    let late = dice.chance(phones.late_fixes).then(|| outing.to.0 + 400_000 + whole(dice.between(5.0, 120.0) * 60_000.0));
    let every = millis(phones.fix_every).max(1000);
    let spot = spot_m(town, outing, &mut dice);
    let mut at = outing.from.0 - 400_000 + whole(dice.share() * real(every));
    let mut usable: Option<(Millis, Millis)> = None;
    while at < outing.to.0 + 400_000 {
        let is_there = outing.from.0 <= at && at <= outing.to.0 && !outing.out.is_some_and(|(from, to)| from.0 <= at && at <= to.0);
        let accuracy = (phones.accuracy_m * (0.5 * dice.normal()).exp()).clamp(3.0, 500.0);
        let away = real(outing.from.0.max(at) - at).max(real(at - outing.to.0)).max(0.0) / 1000.0;
        let place = (spot.0, spot.1 + 1.3 * away);
        let sigma = accuracy / 1.515;
        let east = place.0 + sigma * dice.normal();
        let north = place.1 + sigma * dice.normal();
        let shop = town.shops[outing.shop].at;
        let fix = Fix {
            installation: installation(outing.person),
            at: Millis(at),
            ahead_ms: 0,
            lat: shop.0 + north / DEGREE_M,
            lon: shop.1 + east / (DEGREE_M * shop.0.to_radians().cos()),
            accuracy_m: Some(accuracy),
            speed_kmh: None,
            away: None,
            fresh: false,
        };
        if is_there && accuracy <= phones.fence_m / 2.0 {
            usable = Some((usable.map_or(fix.at, |u| u.0), fix.at));
        }
        let arrives = late.unwrap_or(at + whole(dice.between(0.5, 5.0) * 1000.0));
        words.push(Word { arrives: Millis(arrives), what: What::Fix(fix) });
        at += whole(real(every) * dice.between(0.7, 1.3));
    }
    usable
}

/// Metres east and north of the middle of the shop.
fn spot_m(town: &Town, outing: &Outing, dice: &mut Dice) -> (f64, f64) {
    // Where one of ours is to the east, the premises next door are to the west.
    let side = if town.shops[outing.shop].wall.is_some_and(|other| other > outing.shop) { -1.0 } else { 1.0 };
    match outing.spot {
        Spot::Inside | Spot::Above => (dice.between(-7.0, 7.0), dice.between(-7.0, 7.0)),
        Spot::NextDoor => (side * town.world.phones.next_door_m, dice.between(-5.0, 5.0)),
        Spot::Pavement => (0.0, town.world.phones.fence_m.max(10.0)),
    }
}
