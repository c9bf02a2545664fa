//! One location, as the apps write it: the same for a gateway that takes it and for a file that is played.

use passage_protocol::{InstallationId, Millis};

use super::{Payload, value::Loose};
use crate::position::{Fate, Fix};

/// What a location says, before anybody asks whose it is and when it came. No Debug: it is a place of a person.
pub(crate) struct Location {
    /// When the phone measured it.
    pub(crate) at: Millis,
    lat: f64,
    lon: f64,
    accuracy_m: Option<f64>,
    speed_kmh: Option<f64>,
}

impl Location {
    /// Reads a payload that should be a location; all other kinds are [`Fate::Ignored`].
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Fate> {
        let mut payload = Payload::default();
        payload.fill(bytes)?;
        if payload.kind.text().ok_or(Fate::Poison)? == "location" { Self::of(&payload) } else { Err(Fate::Ignored) }
    }

    pub(super) fn of(payload: &Payload<'_>) -> Result<Self, Fate> {
        // A ping repeats the last known place as a sign of life; it is evidence of nothing.
        if payload.t.text() == Some("p") {
            return Err(Fate::Ignored);
        }
        // Android leaves out a coordinate that is exactly 0.
        if payload.lat.is_absent() && payload.lon.is_absent() {
            return Err(Fate::Poison);
        }
        let (lat, lon) = (coordinate(&payload.lat)?, coordinate(&payload.lon)?);
        if !(-90.0..=90.0).contains(&lat) || !(-180.0..=180.0).contains(&lon) {
            return Err(Fate::Poison);
        }
        Ok(Self {
            at: seconds(&payload.tst)?,
            lat,
            lon,
            accuracy_m: payload.acc.number().filter(|m| *m > 0.0),
            speed_kmh: payload.vel.number().filter(|v| *v >= 0.0),
        })
    }

    /// The fix of an installation that arrived at `now`.
    pub(crate) fn fix(&self, installation: InstallationId, now: Millis) -> Result<Fix, Fate> {
        let Self { lat, lon, accuracy_m, speed_kmh, .. } = *self;
        let at = plausible(self.at, now)?;
        let ahead_ms = u32::try_from(self.at.since(at)).unwrap_or(0);
        Ok(Fix { installation, at, ahead_ms, lat, lon, accuracy_m, speed_kmh, away: None, fresh: false })
    }
}

fn coordinate(value: &Loose<'_>) -> Result<f64, Fate> {
    if value.is_absent() { Ok(0.0) } else { value.number().ok_or(Fate::Poison) }
}

/// Seconds since 1970; none before the first and none after the year 5000.
pub(super) fn seconds(tst: &Loose<'_>) -> Result<Millis, Fate> {
    let seconds = tst.number().filter(|s| *s >= 1.0 && *s < 1e11).ok_or(Fate::Poison)?;
    #[expect(clippy::cast_possible_truncation, reason = "bounded in the line above")]
    Ok(Millis((seconds * 1000.0).round() as i64))
}

/// A time a little ahead is taken as now; one far ahead or long past is refused.
pub(crate) fn plausible(at: Millis, now: Millis) -> Result<Millis, Fate> {
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
