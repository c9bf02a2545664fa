//! One line of a file of OwnTracks locations.

use passage_protocol::{InstallationId, Millis};
use serde_json::{Map, Value};

use crate::position::Fix;

/// What a line says.
pub(super) struct Report {
    /// The installation, as the file names it.
    pub(super) who: String,
    /// When it arrived, if the line tells.
    pub(super) arrived: Option<Millis>,
    /// When it was measured.
    pub(super) at: Millis,
    lat: f64,
    lon: f64,
    accuracy_m: Option<f64>,
    speed_kmh: Option<f64>,
}

/// Why a line is no fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Skipped {
    /// Not a location that can be read.
    Poison,
    /// A sign of life, or something else than a location.
    Ignored,
}

impl Report {
    /// Reads a line. Numbers may stand in quotes; a coordinate that is left out is 0, as Android means it.
    pub(super) fn read(line: &[u8]) -> Result<Self, Skipped> {
        let map: Map<String, Value> = serde_json::from_slice(line).map_err(|_| Skipped::Poison)?;
        match text(&map, "_type") {
            Some("location") => {}
            Some(_) => return Err(Skipped::Ignored),
            None => return Err(Skipped::Poison),
        }
        if text(&map, "t") == Some("p") {
            return Err(Skipped::Ignored);
        }
        let coordinate = |key| if map.contains_key(key) { number(&map, key) } else { Some(0.0) };
        let (lat, lon) = (coordinate("lat").ok_or(Skipped::Poison)?, coordinate("lon").ok_or(Skipped::Poison)?);
        let placed = map.contains_key("lat") || map.contains_key("lon");
        if !placed || lat.abs() > 90.0 || lon.abs() > 180.0 {
            return Err(Skipped::Poison);
        }
        Ok(Self {
            who: installation(&map),
            arrived: millis(&map, "received_at").or_else(|| millis(&map, "created_at")),
            at: millis(&map, "tst").ok_or(Skipped::Poison)?,
            lat,
            lon,
            accuracy_m: number(&map, "acc").filter(|m| *m > 0.0),
            speed_kmh: number(&map, "vel").filter(|v| *v >= 0.0),
        })
    }

    /// The fix of an installation.
    pub(super) fn fix(&self, installation: InstallationId, at: Millis) -> Fix {
        let Self { lat, lon, accuracy_m, speed_kmh, .. } = *self;
        Fix { installation, at, lat, lon, accuracy_m, speed_kmh, away: None, fresh: false }
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
