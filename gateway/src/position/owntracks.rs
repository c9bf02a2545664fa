//! The JSON that the OwnTracks apps send, with their habits: fields that are left out, strings for numbers, keys of any kind.

use passage_protocol::{InstallationId, Millis, Phase};
use serde::{Deserialize, de::IgnoredAny};

use super::{AppEvent, Fate, Fix, places::Places};

/// A report that goes on to the decider.
pub(super) enum Report {
    /// A position.
    Fix(Fix),
    /// The phone's own word.
    App(AppEvent),
}

/// The few keys that are read. All others, pictures too, are skipped without being kept.
#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "_type")]
    kind: Option<Loose>,
    lat: Option<Loose>,
    lon: Option<Loose>,
    tst: Option<Loose>,
    acc: Option<Loose>,
    vel: Option<Loose>,
    t: Option<Loose>,
    event: Option<Loose>,
    desc: Option<Loose>,
    rid: Option<Loose>,
}

/// A value that should be a number or a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Loose {
    Number(f64),
    Text(String),
    Other(IgnoredAny),
}

impl Loose {
    fn number(&self) -> Option<f64> {
        match self {
            Self::Number(n) => Some(*n),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Other(_) => None,
        }
        .filter(|n: &f64| n.is_finite())
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Reads one payload of `who` that arrived at `now`. What does not go on has a fate instead.
pub(super) fn decode(bytes: &[u8], who: &InstallationId, now: Millis, places: &Places) -> Result<Report, Fate> {
    let payload: Payload = serde_json::from_slice(bytes).map_err(|_| Fate::Poison)?;
    match text(payload.kind.as_ref()).ok_or(Fate::Poison)? {
        "location" => location(&payload, who, now).map(Report::Fix),
        "transition" => transition(&payload, who, now, places).map(Report::App),
        "beacon" | "lwt" | "waypoint" | "waypoints" | "status" | "steps" | "card" | "cmd" | "dump" | "configuration" => Err(Fate::Ignored),
        _ => Err(Fate::Unknown),
    }
}

fn location(payload: &Payload, who: &InstallationId, now: Millis) -> Result<Fix, Fate> {
    // A ping repeats the last known place as a sign of life; it is evidence of nothing.
    if text(payload.t.as_ref()) == Some("p") {
        return Err(Fate::Ignored);
    }
    // Android leaves out a coordinate that is exactly 0.
    let (lat, lon) = match (&payload.lat, &payload.lon) {
        (None, None) => return Err(Fate::Poison),
        (lat, lon) => (coordinate(lat.as_ref())?, coordinate(lon.as_ref())?),
    };
    if !(-90.0..=90.0).contains(&lat) || !(-180.0..=180.0).contains(&lon) {
        return Err(Fate::Poison);
    }
    Ok(Fix {
        installation: who.clone(),
        at: measured(payload.tst.as_ref(), now)?,
        lat,
        lon,
        accuracy_m: number(payload.acc.as_ref()).filter(|m| *m > 0.0),
        speed_kmh: number(payload.vel.as_ref()).filter(|v| *v >= 0.0),
        away: None,
    })
}

fn coordinate(value: Option<&Loose>) -> Result<f64, Fate> {
    value.map_or(Ok(0.0), |v| v.number().ok_or(Fate::Poison))
}

/// Transitions name a region by the id of one of our stores or geofences, in `rid` or `desc`. Their coordinates are not read.
fn transition(payload: &Payload, who: &InstallationId, now: Millis, places: &Places) -> Result<AppEvent, Fate> {
    let phase = match text(payload.event.as_ref()) {
        Some("enter") => Phase::Enter,
        Some("leave") => Phase::Exit,
        _ => return Err(Fate::Poison),
    };
    let names = [payload.rid.as_ref(), payload.desc.as_ref()];
    let named = names.into_iter().filter_map(text).find_map(|name| places.named(name));
    let (store, zone) = named.ok_or(Fate::UnknownRegion)?;
    Ok(AppEvent { installation: who.clone(), store, zone, phase, at: measured(payload.tst.as_ref(), now)? })
}

/// Seconds since 1970 to the time of measuring.
fn measured(tst: Option<&Loose>, now: Millis) -> Result<Millis, Fate> {
    let seconds = number(tst).filter(|s| *s >= 1.0 && *s < 1e11).ok_or(Fate::Poison)?;
    #[expect(clippy::cast_possible_truncation, reason = "bounded in the line above")]
    let at = Millis((seconds * 1000.0).round() as i64);
    plausible(at, now)
}

/// A time a little ahead is taken as now; one far ahead or long past is refused.
pub(super) fn plausible(at: Millis, now: Millis) -> Result<Millis, Fate> {
    const AHEAD_MS: i64 = 120_000;
    const FAR_AHEAD_MS: i64 = 86_400_000;
    const LONG_PAST_MS: i64 = 72 * 3_600_000;
    match at.since(now) {
        ahead if ahead > FAR_AHEAD_MS => Err(Fate::Future),
        ahead if ahead > AHEAD_MS => Ok(now),
        ahead if ahead < -LONG_PAST_MS => Err(Fate::Old),
        _ => Ok(at),
    }
}

fn number(value: Option<&Loose>) -> Option<f64> {
    value.and_then(Loose::number)
}

fn text(value: Option<&Loose>) -> Option<&str> {
    value.and_then(Loose::text)
}
