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
use passage_protocol::{FenceId, InstallationId, Millis, Phase, StoreId, Zone};
use serde::Deserialize;

use super::{
    AppEvent, Fate,
    desk::Turn,
    owntracks,
    places::Places,
    server::{Shared, Unread, complaint, read},
};

/// A beacon as a phone names it: the parts of an iBeacon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShopBeacon {
    /// 128-bit UUID, in the order in which it is written as text.
    pub uuid: [u8; 16],
    /// As the phone tells it.
    pub major: u16,
    /// As the phone tells it.
    pub minor: u16,
}

/// A phone's word that it hears a beacon, or has stopped hearing it. Debug output hides whose.
#[derive(Clone, PartialEq, Eq)]
pub struct HeardBeacon {
    /// Whose phone.
    pub installation: InstallationId,
    /// Which beacon.
    pub beacon: ShopBeacon,
    /// `enter` or `exit`; each further `enter` is evidence that she is still there.
    pub phase: Phase,
    /// dBm, when the phone tells it.
    pub rssi: Option<i16>,
    /// When.
    pub at: Millis,
}

impl fmt::Debug for HeardBeacon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeardBeacon {{ phase: {:?}, at: {}, .. }}", self.phase, self.at)
    }
}

/// Tells the beacons of our shops from all others.
pub trait ShopBeacons: Send + Sync {
    /// The store in which this beacon was on the air at `heard.at`; `None` for a stranger's beacon, and for one of ours at another time.
    fn store(&self, heard: &HeardBeacon) -> Option<StoreId>;
}

/// No beacon is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoBeacons;

impl ShopBeacons for NoBeacons {
    fn store(&self, _: &HeardBeacon) -> Option<StoreId> {
        None
    }
}

/// The event that a heard beacon of a shop is; a beacon of nobody's is none.
pub(super) fn event(heard: &HeardBeacon, beacons: &dyn ShopBeacons) -> Result<AppEvent, Fate> {
    let store = beacons.store(heard).ok_or(Fate::UnknownRegion)?;
    Ok(AppEvent { installation: heard.installation.clone(), store, zone: Zone::In, phase: heard.phase, at: heard.at })
}

/// 32 hexadecimal digits, with or without dashes.
pub(super) fn uuid(text: &str) -> Option<[u8; 16]> {
    text.trim().parse::<uuid::Uuid>().ok().map(uuid::Uuid::into_bytes)
}

/// The beacon in the name of a region as the apps export it: `name:UUID:major:minor`.
pub(super) fn region(desc: &str) -> Option<ShopBeacon> {
    let mut parts = desc.rsplit(':');
    let (minor, major, id) = (parts.next()?, parts.next()?, parts.next()?);
    Some(ShopBeacon { uuid: uuid(id)?, major: major.trim().parse().ok()?, minor: minor.trim().parse().ok()? })
}

/// What an app of the brand posts when a region or the shop's beacon woke it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    store: StoreId,
    phase: WordPhase,
    /// Milliseconds since 1970; now when it is left out.
    at: Option<Millis>,
    /// One of our geofences that the phone watches; the shop as a whole when it is left out.
    geofence: Option<FenceId>,
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
    let body = match read(body).await {
        Ok(body) => body,
        Err(Unread::TooLarge) => {
            shared.desk.count(Fate::Oversize);
            return complaint(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 256 KiB");
        }
        Err(Unread::Broken) => return complaint(StatusCode::BAD_REQUEST, "the body did not arrive"),
    };
    match shared.desk.turn(&who) {
        Turn::Ours => here(&shared, &body, who, now).await,
        elsewhere => shared.pass_on(elsewhere, &parts, body).await,
    }
}

async fn here(shared: &Shared, body: &Bytes, who: InstallationId, now: Millis) -> Response {
    let event = match word(shared.desk.places(), body, who, now) {
        Ok(event) => event,
        Err((fate, why)) => {
            shared.desk.count(fate);
            return complaint(StatusCode::BAD_REQUEST, why);
        }
    };
    let fate = shared.desk.take_event(event).await;
    shared.desk.count(fate);
    if fate == Fate::Busy { StatusCode::SERVICE_UNAVAILABLE.into_response() } else { StatusCode::NO_CONTENT.into_response() }
}

fn word(places: &Places, body: &[u8], who: InstallationId, now: Millis) -> Result<AppEvent, (Fate, &'static str)> {
    const SHAPE: &str =
        "send {\"store\": id, \"phase\": \"enter\" or \"exit\", \"at\": milliseconds, if not now, \"geofence\": id, if one}";
    let word: Word = serde_json::from_slice(body).map_err(|_| (Fate::Poison, SHAPE))?;
    let name = word.geofence.as_ref().map_or(word.store.as_str(), FenceId::as_str);
    let known = places.named(name).filter(|(store, zone)| *store == word.store && (*zone == Zone::In) == word.geofence.is_none());
    let (store, zone) = known.ok_or((Fate::UnknownRegion, "no such store here, or the geofence is not one of that store"))?;
    let at = word.at.map_or(Ok(now), |at| owntracks::plausible(at, now));
    let at = at.map_err(|fate| (fate, "`at` is not within the last 3 days; it is milliseconds since 1970"))?;
    let phase = match word.phase {
        WordPhase::Enter => Phase::Enter,
        WordPhase::Exit => Phase::Exit,
    };
    Ok(AppEvent { installation: who, store, zone, phase, at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_of_a_beacon_is_read_from_its_name() {
        let want = ShopBeacon { uuid: *b"\xf7\x82\x6d\xa6\x4f\xa2\x4e\x98\x80\x24\xbc\x5b\x71\xe0\x89\x3e", major: 1, minor: 700 };
        assert_eq!(region("-Shop:F7826DA6-4FA2-4E98-8024-BC5B71E0893E:1:700"), Some(want));
        assert_eq!(region("My:Shop:f7826da64fa24e988024bc5b71e0893e:1:700"), Some(want));
        for name in
            ["", "Main@WestWing", "a:b:c", "Shop:F7826DA6-4FA2-4E98-8024-BC5B71E0893E:1:70000", "F7826DA6-4FA2-4E98-8024-BC5B71E0893E"]
        {
            assert_eq!(region(name), None, "{name}");
        }
    }
}
