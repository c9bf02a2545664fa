//! The JSON that the OwnTracks apps send, with their habits: fields that are left out, strings for numbers, keys of any kind.

mod label;
mod location;
mod payload;
mod value;

use std::borrow::Cow;

use passage_protocol::{InstallationId, Millis, Phase, WakeId};
use serde::Deserialize;

pub(crate) use self::{
    label::Label,
    location::{Location, plausible},
};
use self::{location::seconds, payload::Payload, value::Loose};
use super::{
    AppEvent, Fate, Fix,
    app::{self, HeardBeacon},
    places::Places,
};
use crate::wake::Woken;

/// What a payload tells.
#[derive(Debug)]
pub enum Report<'a> {
    /// A position, and the app's own name of the message if it gives one.
    Fix(Fix, Option<Cow<'a, str>>),
    /// The phone's own word about one of our places.
    App(AppEvent),
    /// The phone hears, or no longer hears, a beacon that hangs somewhere.
    Beacon(HeardBeacon),
    /// Base64 of an encrypted payload.
    Sealed(Cow<'a, str>),
}

/// The two keys that are read of a payload that must be encrypted. Nothing else of it is looked at.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "_type", borrow, default)]
    kind: Loose<'a>,
    #[serde(borrow, default)]
    data: Loose<'a>,
}

/// Where a payload is understood: places, and how coarse a fix may be that a phone's word rests on.
pub(super) struct Ground<'a> {
    pub(super) places: &'a Places,
    pub(super) max_accuracy_m: f64,
}

/// Reads one payload of `who` that arrived at `now`. What does not go on has a fate instead.
pub(super) fn decode<'a>(bytes: &'a [u8], who: &InstallationId, now: Millis, ground: &Ground<'_>) -> Result<Report<'a>, Fate> {
    let mut payload = Payload::default();
    payload.fill(bytes)?;
    match payload.kind.text().ok_or(Fate::Poison)? {
        "location" => location(&mut payload, who, now),
        "transition" => transition(&payload, who, now, ground),
        "beacon" => beacon(&payload, who, now),
        "encrypted" => match payload.data {
            Loose::Text(data) => Ok(Report::Sealed(data)),
            _ => Err(Fate::Poison),
        },
        // Regions that somebody made in the app are private places, and are dropped like the rest.
        "lwt" | "waypoint" | "waypoints" | "status" | "steps" | "card" | "cmd" | "dump" | "configuration" => Err(Fate::Ignored),
        _ => Err(Fate::Unknown),
    }
}

/// The content of a payload that must be encrypted. A plain one is refused unread.
pub(crate) fn sealed(bytes: &[u8]) -> Result<Cow<'_, str>, Fate> {
    let envelope: Envelope<'_> = parse(bytes)?;
    match (envelope.kind.text(), envelope.data) {
        (Some("encrypted"), Loose::Text(data)) => Ok(data),
        (Some("encrypted"), _) | (None, _) => Err(Fate::Poison),
        (Some(_), _) => Err(Fate::Plain),
    }
}

/// Looks once whether all is UTF-8 rather than at each text. Texts that nobody reads may be anything.
fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Fate> {
    match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(bytes),
    }
    .map_err(|_| Fate::Poison)
}

fn location<'a>(payload: &mut Payload<'a>, who: &InstallationId, now: Millis) -> Result<Report<'a>, Fate> {
    let location = Location::of(payload)?;
    let fix = location.fix(who.clone(), now)?;
    let id = if let Loose::Text(id) = std::mem::take(&mut payload.id) { Some(id) } else { None };
    Ok(Report::Fix(fix, id))
}

/// Transitions name a region by the id of one of our stores or geofences, or by the `tst` that we gave it. Their coordinates are not read: they say
/// where the phone was, and 0/0 when it did not know.
fn transition(payload: &Payload<'_>, who: &InstallationId, now: Millis, ground: &Ground<'_>) -> Result<Report<'static>, Fate> {
    let phase = match payload.event.text() {
        Some("enter") => Phase::Enter,
        Some("leave") => Phase::Exit,
        _ => return Err(Fate::Poison),
    };
    let by_beacon = payload.t.text() == Some("b");
    if by_beacon && let Some(woken) = payload.desc.text().and_then(app::region) {
        let at = measured(&payload.tst, now)?;
        return Ok(Report::Beacon(HeardBeacon { installation: who.clone(), woken, phase, at, or_at: None, now }));
    }
    // A word that rests on a coarse fix says no more than the fix does, in either direction.
    if !by_beacon && payload.acc.number().is_some_and(|m| m > ground.max_accuracy_m) {
        return Err(Fate::Vague);
    }
    let named = payload.rid.text().and_then(|name| ground.places.named(name));
    let named = named.or_else(|| ground.places.made_at(payload.wtst.whole()?));
    let named = named.or_else(|| ground.places.named(payload.desc.text()?));
    let (store, zone) = named.ok_or(Fate::UnknownRegion)?;
    Ok(Report::App(AppEvent { installation: who.clone(), store, zone, phase, at: measured(&payload.tst, now)?, rssi: None }))
}

/// What an iPhone tells while it ranges a beacon.
fn beacon(payload: &Payload<'_>, who: &InstallationId, now: Millis) -> Result<Report<'static>, Fate> {
    let uuid = payload.uuid.text().and_then(app::uuid);
    let (Some(uuid), Some(major), Some(minor)) = (uuid, payload.major.whole(), payload.minor.whole()) else { return Err(Fate::Ignored) };
    // iOS says 0 when it does not know the strength.
    let woken = Woken { uuid, id: Some(WakeId::new(major, minor)), rssi: payload.rssi.whole().filter(|rssi| *rssi < 0) };
    // `tst` is the time of the last position, which may be long ago; beacons are told as they are heard.
    let or_at = Some(measured(&payload.tst, now)?);
    Ok(Report::Beacon(HeardBeacon { installation: who.clone(), woken, phase: Phase::Enter, at: now, or_at, now }))
}

/// The time of measuring.
fn measured(tst: &Loose<'_>, now: Millis) -> Result<Millis, Fate> {
    plausible(seconds(tst)?, now)
}
