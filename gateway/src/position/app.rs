//! The app's own word: `POST /v1/app/events`, and the beacons of a shop that a phone says it hears.
//!
//! Which beacons are a shop's is for [`ShopBeacons`] to say. A gateway knows none unless one is given to it.

use std::fmt;

use axum::{
    body::Bytes,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use passage_config::GatewayConfig;
use passage_protocol::{FenceId, InstallationId, Millis, Phase, StoreId, WakeId, Zone};
use serde::Deserialize;

use super::{
    AppEvent, Fate,
    desk::Turn,
    owntracks,
    places::Places,
    server::{Shared, Unread, complaint},
};
use crate::wake::{Proven, Woken};

/// A phone's word that it hears a beacon, or has stopped hearing it. Debug output hides whose.
#[derive(Clone, PartialEq, Eq)]
pub struct HeardBeacon {
    /// Whose phone.
    pub installation: InstallationId,
    /// Which beacon.
    pub woken: Woken,
    /// `enter` or `exit`; each further `enter` is evidence that she is still there.
    pub phase: Phase,
    /// When it was heard.
    pub at: Millis,
    /// When else it may have been: an OwnTracks app that ranges tells the time of its last position instead.
    pub or_at: Option<Millis>,
    /// When the word arrived.
    pub now: Millis,
}

impl fmt::Debug for HeardBeacon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeardBeacon {{ phase: {:?}, at: {}, .. }}", self.phase, self.at)
    }
}

/// Tells the beacons of our shops from all others.
pub trait ShopBeacons: Send + Sync {
    /// The shop, zone and time that a heard beacon proves.
    ///
    /// # Errors
    /// What becomes of the word instead: it is a stranger's beacon, or one of ours at another time.
    fn prove(&self, heard: &HeardBeacon) -> Result<Proven, Fate>;

    /// Another site is in force.
    fn reload(&self, _config: &GatewayConfig) {}

    /// True when an app that only names a shop is believed.
    fn believes_claims(&self) -> bool {
        true
    }
}

/// No beacon is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoBeacons;

impl ShopBeacons for NoBeacons {
    fn prove(&self, _: &HeardBeacon) -> Result<Proven, Fate> {
        Err(Fate::UnknownRegion)
    }
}

/// The event that a heard beacon of a shop is; a beacon of nobody's is none.
pub(super) fn event(heard: &HeardBeacon, beacons: &dyn ShopBeacons) -> Result<AppEvent, Fate> {
    let Proven { store, zone, at } = beacons.prove(heard)?;
    let rssi = heard.woken.rssi.and_then(|rssi| i8::try_from(rssi).ok());
    Ok(AppEvent { installation: heard.installation.clone(), store, zone, phase: heard.phase, at, rssi })
}

/// The app's own word, if it is good enough. A departure ends nothing but her own stay, and a geofence is the phone's own measurement.
pub(super) fn claim(event: AppEvent, beacons: &dyn ShopBeacons) -> Result<AppEvent, Fate> {
    let needs_proof = event.zone == Zone::In && event.phase == Phase::Enter;
    if needs_proof && !beacons.believes_claims() { Err(Fate::Claimed) } else { Ok(event) }
}

/// 32 hexadecimal digits, with or without dashes.
pub(super) fn uuid(text: &str) -> Option<[u8; 16]> {
    text.trim().parse::<uuid::Uuid>().ok().map(uuid::Uuid::into_bytes)
}

/// The beacon in the name of a region as the apps export it: `name:UUID:major:minor`, or `name:UUID` for any beacon with that UUID.
pub(super) fn region(desc: &str) -> Option<Woken> {
    let parts: Vec<&str> = desc.rsplitn(4, ':').collect();
    match parts[..] {
        [minor, major, id, _] if uuid(id).is_some() => {
            let id = Some(WakeId::new(major.trim().parse().ok()?, minor.trim().parse().ok()?));
            Some(Woken { uuid: uuid(parts[2])?, id, rssi: None })
        }
        [id, _, ..] => Some(Woken { uuid: uuid(id)?, id: None, rssi: None }),
        _ => None,
    }
}

/// What an app of the brand posts when a region or the shop's beacon woke it: `wake`, or `store`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    /// What it heard of a shop's beacon.
    wake: Option<WakeWord>,
    /// The shop, as the app believes.
    store: Option<StoreId>,
    phase: Option<WordPhase>,
    /// Milliseconds since 1970; now when it is left out.
    at: Option<Millis>,
    /// One of our geofences that the phone watches; the shop as a whole when it is left out.
    geofence: Option<FenceId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WakeWord {
    uuid: String,
    major: Option<u16>,
    minor: Option<u16>,
    /// dBm.
    rssi: Option<i16>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum WordPhase {
    Enter,
    Exit,
}

/// `POST /v1/app/events`. The app is ours, so a wrong body is told as such.
pub(super) async fn app_event(State(shared): State<Shared>, request: Request) -> Response {
    let now = shared.clock.now();
    let Some(who) = shared.door.admit(request.headers(), request.uri(), now) else { return shared.denied() };
    let (parts, body) = request.into_parts();
    let body = match shared.read(body).await {
        Ok(body) => body,
        Err(Unread::TooLarge) => {
            shared.desk.count(Fate::Oversize);
            return complaint(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 256 KiB");
        }
        Err(Unread::Broken) => return shared.not_stored(),
    };
    match shared.desk.turn(&who) {
        Turn::Ours => here(&shared, &body, who, now).await,
        elsewhere => shared.pass_on(elsewhere, &parts, body).await,
    }
}

async fn here(shared: &Shared, body: &Bytes, who: InstallationId, now: Millis) -> Response {
    let fate = match word(&shared.desk.places(), body, who, now) {
        Ok(Told::Heard(heard)) => shared.desk.take_beacon(&heard).await,
        Ok(Told::Claim(event)) => shared.desk.take_claim(event).await,
        Err((fate, why)) => {
            shared.desk.count(fate);
            return complaint(StatusCode::BAD_REQUEST, why);
        }
    };
    shared.desk.count(fate);
    match fate {
        Fate::Busy => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Fate::Claimed => complaint(StatusCode::BAD_REQUEST, "a shop must be proven here: send what the app heard of its beacon as `wake`"),
        // Nobody learns by trying whether an id is good.
        _ => StatusCode::NO_CONTENT.into_response(),
    }
}

/// What a word is about.
enum Told {
    Heard(HeardBeacon),
    Claim(AppEvent),
}

type Wrong = (Fate, &'static str);

fn word(places: &Places, body: &[u8], who: InstallationId, now: Millis) -> Result<Told, Wrong> {
    const SHAPE: Wrong = (
        Fate::Poison,
        "send {\"wake\": {\"uuid\", \"major\", \"minor\", \"rssi\" in dBm, if known}} or {\"store\": id, \"geofence\": id, if one}, with \
         \"phase\": \"enter\" or \"exit\", and \"at\": milliseconds, if not now",
    );
    let word: Word = serde_json::from_slice(body).map_err(|_| SHAPE)?;
    let at = word.at.map_or(Ok(now), |at| owntracks::plausible(at, now));
    let at = at.map_err(|fate| (fate, "`at` is not within the last 3 days; it is milliseconds since 1970"))?;
    let phase = word.phase.map(|phase| match phase {
        WordPhase::Enter => Phase::Enter,
        WordPhase::Exit => Phase::Exit,
    });
    match (word.wake, word.store) {
        (Some(wake), None) if word.geofence.is_none() => {
            let woken = wake.woken().ok_or(SHAPE)?;
            let phase = phase.unwrap_or(Phase::Enter);
            Ok(Told::Heard(HeardBeacon { installation: who, woken, phase, at, or_at: None, now }))
        }
        (None, Some(store)) => {
            let name = word.geofence.as_ref().map_or(store.as_str(), FenceId::as_str);
            let known = places.named(name).filter(|(s, zone)| *s == store && (*zone == Zone::In) == word.geofence.is_none());
            let (store, zone) = known.ok_or((Fate::UnknownRegion, "no such store here, or the geofence is not one of that store"))?;
            Ok(Told::Claim(AppEvent { installation: who, store, zone, phase: phase.ok_or(SHAPE)?, at, rssi: None }))
        }
        _ => Err(SHAPE),
    }
}

impl WakeWord {
    /// `None` when the UUID is none, or only one of major and minor is given.
    fn woken(&self) -> Option<Woken> {
        let id = match (self.major, self.minor) {
            (Some(major), Some(minor)) => Some(WakeId::new(major, minor)),
            (None, None) => None,
            _ => return None,
        };
        Some(Woken { uuid: uuid(&self.uuid)?, id, rssi: self.rssi.filter(|rssi| *rssi < 0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_of_a_beacon_is_read_from_its_name() {
        let uuid = *b"\xf7\x82\x6d\xa6\x4f\xa2\x4e\x98\x80\x24\xbc\x5b\x71\xe0\x89\x3e";
        let want = Woken { uuid, id: Some(WakeId::new(1, 700)), rssi: None };
        assert_eq!(region("-Shop:F7826DA6-4FA2-4E98-8024-BC5B71E0893E:1:700"), Some(want.clone()));
        assert_eq!(region("Shop:F7826DA6-4FA2-4E98-8024-BC5B71E0893E"), Some(Woken { id: None, ..want.clone() }));
        assert_eq!(region("My:Shop:f7826da64fa24e988024bc5b71e0893e:1:700"), Some(want));
        for name in
            ["", "Main@WestWing", "a:b:c", "Shop:F7826DA6-4FA2-4E98-8024-BC5B71E0893E:1:70000", "F7826DA6-4FA2-4E98-8024-BC5B71E0893E"]
        {
            assert_eq!(region(name), None, "{name}");
        }
    }
}
