//! The site as one gateway needs it: where its shops are, what it listens for, and when something is inside. No offers, texts, campaigns,
//! names of companies, or secrets.
//!
//! JSON, compressed (zlib), cut into parts; [`crate::site::SiteManifest`] says how many and signs their digest. A gateway ignores fields that it
//! does not know, so that hubs may be newer than gateways; what an older gateway must not ignore needs a new version.

use serde::{Deserialize, Serialize};

use crate::{FenceId, MAX_PAYLOAD, StaticBeacon, StoreId, WireError, check_version, site::MAX_PARTS};

/// Largest site before compression, in bytes.
pub const MAX_UNPACKED: usize = 16 << 20;
/// zlib's usual balance of size and time.
const LEVEL: u8 = 6;

/// The site of one gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// Protocol version.
    pub v: u8,
    /// The shop that the gateway hangs in; left out for a position gateway, which knows all shops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreId>,
    /// The brands of [`Self::stores`].
    pub brands: Vec<Brand>,
    /// One for a gateway in a shop, all of them for a position gateway.
    pub stores: Vec<Store>,
    /// Around these stores.
    pub geofences: Vec<Geofence>,
    /// When a beacon is in a radio zone.
    pub presence: Presence,
    /// When a position is inside a geofence.
    pub position: Position,
    /// Stays, in seconds, at which a dwell is reported; ascending.
    pub dwell_marks: Vec<u64>,
}

/// What the beacons of a brand look like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brand {
    /// Its id.
    pub id: String,
    /// UUID of the Android service data, 32 hex digits.
    pub service_uuid: String,
    /// The 11 fixed bytes of the iBeacon carrier, hex.
    pub ibeacon: String,
    /// The 6 fixed bytes of the service UUID carrier, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid_prefix: Option<String>,
    /// UUID of the beacon that wakes the app, 32 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_uuid: Option<String>,
    /// Registered cards and fobs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beacons: Vec<StaticBeacon>,
}

/// A shop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Store {
    /// Its id.
    pub id: StoreId,
    /// Id of its brand.
    pub brand: String,
    /// Longitude and latitude in degrees.
    pub at: [f64; 2],
    /// IANA zone.
    pub timezone: String,
    /// Opening hours in OSM syntax.
    pub hours: String,
}

/// A geofence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Geofence {
    /// Its id.
    pub id: FenceId,
    /// Its store.
    pub store: StoreId,
    /// `true`: passing by; `false`: inside the shop.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nearby: bool,
    /// Where.
    pub outline: Outline,
}

/// Where a geofence is. Positions are longitude and latitude in degrees, as in GeoJSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outline {
    /// All points within a distance.
    Circle {
        /// Middle.
        centre: [f64; 2],
        /// Metres.
        radius_m: f64,
    },
    /// The coordinates of a GeoJSON `MultiPolygon`: polygons of rings, the first one outside.
    Area(Vec<Vec<Vec<[f64; 2]>>>),
    /// All points within a distance of lines.
    Corridor {
        /// The middle of the way.
        lines: Vec<Vec<[f64; 2]>>,
        /// Metres to either side.
        buffer_m: f64,
    },
}

/// When a beacon is in one of the two radio zones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Zone `in`.
    pub inside: RadioZone,
    /// Zone `front`.
    pub front: RadioZone,
    /// Who is first heard so soon after a cold start may have been there before, milliseconds.
    pub settle_ms: u64,
    /// Most subjects that are remembered at once.
    pub max_subjects: u32,
}

/// One radio zone. Times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RadioZone {
    /// Median in dBm to enter.
    pub enter_dbm: i8,
    /// Median in dBm below which there is no evidence of a stay.
    pub leave_dbm: i8,
    /// Sightings needed to enter ...
    pub enter_sightings: u32,
    /// ... within this time.
    pub window_ms: u64,
    /// Gone when not heard for so long.
    pub silence_ms: u64,
    /// Gone when heard too weakly for so long.
    pub hold_ms: u64,
}

/// When a position is inside a geofence. Times in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Enter at this probability.
    pub enter_p: f64,
    /// Leave at this probability ...
    pub exit_p: f64,
    /// ... by so many fixes ...
    pub exit_fixes: u32,
    /// ... or for so long.
    pub exit_after_ms: u64,
    /// Coarser fixes decide nothing, metres.
    pub max_accuracy_m: f64,
    /// Radius of a fix that tells none, metres.
    pub untold_accuracy_m: f64,
    /// Fixes coarser than so many radii of a geofence say nothing about it.
    pub coarsest_radii: f64,
    /// Faster than this, nobody begins a stay, km/h.
    pub max_speed_kmh: f64,
    /// Fixes farther apart say nothing about speed.
    pub speed_within_ms: u64,
    /// A geofence between two fixes was crossed only if they are this close in time. Came later: who does not say it means the default.
    #[serde(default = "cross_within_ms", skip_serializing_if = "is_cross_within_ms")]
    pub cross_within_ms: u64,
    /// A jump is farther than this, metres ...
    pub jump_m: f64,
    /// ... and faster than this, km/h.
    pub jump_kmh: f64,
    /// A jump is believed when so many later fixes agree with it.
    pub jump_fixes: u32,
    /// Older evidence triggers nothing.
    pub fresh_ms: u64,
    /// Older fixes are late.
    pub reorder_ms: u64,
    /// Silence after which a stay is closed.
    pub silence_ms: u64,
    /// Fixes farther than this from every store are dropped, metres.
    pub far_m: f64,
    /// Fixes longer than this outside the opening hours are dropped.
    pub around_hours_ms: u64,
}

/// Five minutes.
fn cross_within_ms() -> u64 {
    300_000
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_cross_within_ms(ms: &u64) -> bool {
    *ms == cross_within_ms()
}

impl Bundle {
    /// The JSON form.
    pub fn to_vec(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The compressed form.
    ///
    /// # Errors
    /// It is larger than a gateway takes.
    pub fn pack(&self) -> Result<Vec<u8>, WireError> {
        let json = self.to_vec();
        let packed = miniz_oxide::deflate::compress_to_vec_zlib(&json, LEVEL);
        if json.len() > MAX_UNPACKED || packed.len() > MAX_PARTS as usize * MAX_PAYLOAD {
            return Err(WireError::TooLarge(json.len().max(packed.len())));
        }
        Ok(packed)
    }

    /// Reads the compressed form. It must not be believed unless a verified manifest names its digest.
    ///
    /// # Errors
    /// It is not what [`Self::pack`] makes, too large, or of a version that is not read here.
    pub fn unpack(packed: &[u8]) -> Result<Self, WireError> {
        let why = |why: &str| WireError::Malformed { what: "site", why: why.to_owned() };
        let json = miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(packed, MAX_UNPACKED)
            .map_err(|_| why("it cannot be decompressed to at most 16 MiB"))?;
        // The version first: of a later one, nothing else need be readable.
        let Version { v } = serde_json::from_slice(&json).map_err(|e| why(&crate::locate(&e)))?;
        check_version(v)?;
        serde_json::from_slice(&json).map_err(|e| why(&crate::locate(&e)))
    }
}

#[derive(Deserialize)]
struct Version {
    v: u8,
}

/// The parts of a packed site, in their order; there is at least one.
pub fn parts(packed: &[u8]) -> Vec<&[u8]> {
    if packed.is_empty() { vec![packed] } else { packed.chunks(MAX_PAYLOAD).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decompresses_to_more_than_a_site_may_have_is_refused_without_the_memory() {
        let bomb = miniz_oxide::deflate::compress_to_vec_zlib(&vec![b' '; MAX_UNPACKED + 1], 9);
        assert!(bomb.len() < MAX_PAYLOAD);
        assert!(Bundle::unpack(&bomb).is_err());
    }

    #[test]
    fn a_later_version_is_named_and_not_guessed_at() {
        let later = miniz_oxide::deflate::compress_to_vec_zlib(br#"{"v":2,"shops":[]}"#, 6);
        assert!(matches!(Bundle::unpack(&later), Err(WireError::Version(2))));
    }

    #[test]
    fn parts_are_as_large_as_a_message_and_join_to_the_whole() {
        let packed: Vec<u8> = (0..MAX_PAYLOAD * 2 + 7).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let cut = parts(&packed);
        assert_eq!(cut.iter().map(|p| p.len()).collect::<Vec<_>>(), [MAX_PAYLOAD, MAX_PAYLOAD, 7]);
        assert_eq!(cut.concat(), packed);
    }
}
