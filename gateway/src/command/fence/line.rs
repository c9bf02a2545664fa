//! One line of a file of OwnTracks locations: the place as a gateway reads it, and what the file says of whose it is and when it came.

use passage_protocol::{InstallationId, Millis};
use serde_json::{Map, Value};

use crate::position::{
    Fate, Fix,
    owntracks::{Location, plausible},
};

/// What a line says.
pub(super) struct Report {
    /// The installation, as the file names it.
    pub(super) who: String,
    /// When it arrived: the line tells, else as it was measured.
    pub(super) arrived: Millis,
    location: Location,
}

/// Why a line is no fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Skipped {
    /// Not a location that can be read, or of another time than it can be.
    Poison,
    /// A sign of life, or something else than a location.
    Ignored,
}

impl Report {
    /// Reads a line.
    pub(super) fn read(line: &[u8]) -> Result<Self, Skipped> {
        let location = Location::read(line)?;
        let map: Map<String, Value> = serde_json::from_slice(line).map_err(|_| Skipped::Poison)?;
        let arrived = millis(&map, "received_at").or_else(|| millis(&map, "created_at")).unwrap_or(location.at);
        Ok(Self { who: installation(&map), arrived, location })
    }

    /// The fix of an installation for a gateway whose clock shows `now`.
    pub(super) fn fix(&self, installation: InstallationId, now: Millis) -> Result<Fix, Skipped> {
        Ok(self.location.fix(installation, plausible(self.location.at, now)?))
    }
}

impl From<Fate> for Skipped {
    fn from(fate: Fate) -> Self {
        if fate == Fate::Ignored { Self::Ignored } else { Self::Poison }
    }
}

/// `installation`, else user and device out of `owntracks/user/device`, else `tid`.
fn installation(map: &Map<String, Value>) -> String {
    let topic = || text(map, "topic").map(|topic| topic.trim_start_matches("owntracks/"));
    text(map, "installation").or_else(topic).or_else(|| text(map, "tid")).unwrap_or("phone").to_owned()
}

fn text<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    map.get(key)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

fn number(map: &Map<String, Value>, key: &str) -> Option<f64> {
    match map.get(key)? {
        Value::Number(n) => n.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|n| n.is_finite())
}

/// Seconds since 1970; none before the first and none after the year 5000.
#[expect(clippy::cast_possible_truncation, reason = "bounded")]
fn millis(map: &Map<String, Value>, key: &str) -> Option<Millis> {
    number(map, key).filter(|s| *s >= 1.0 && *s < 1e11).map(|seconds| Millis((seconds * 1000.0).round() as i64))
}
