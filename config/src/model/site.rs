//! What gateways and hubs share: who speaks, where the shops are, what is sold, when a stay is a visit.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chrono_tz::Tz;
use geo::{Area as _, BoundingRect as _, Haversine, MultiLineString, MultiPolygon, Point, line_measures::LengthMeasurable as _};
use passage_protocol::{FenceId, GatewayId, Millis, StaticBeacon, StoreId};

use super::{
    gateway::{GeofenceRules, PresenceRules},
    offer::{Offer, Trigger},
    touch::TouchRules,
};
use crate::hours::Hours;

/// What gateways and hubs share: who speaks, where the shops are, what marketers want.
#[derive(Debug, Clone, Default)]
pub struct Site {
    /// SHA-256 over all files that were read, as hex. Decisions record it.
    pub revision: String,
    /// By id.
    pub brands: BTreeMap<String, Brand>,
    /// By id.
    pub stores: BTreeMap<StoreId, Store>,
    /// By id.
    pub geofences: BTreeMap<FenceId, Geofence>,
    /// By id.
    pub campaigns: BTreeMap<String, Campaign>,
    /// By id.
    pub offers: BTreeMap<String, Offer>,
    /// By sku.
    pub products: BTreeMap<String, Product>,
    /// The gateways that get their site from the hub, by id.
    pub gateways: BTreeMap<GatewayId, SiteGateway>,
    /// When a stay is a visit. Gateways take their dwell marks from it.
    pub visit: VisitRules,
    /// Members who work in a store, by their codes; what gateways get does not hold it.
    pub staff: BTreeMap<StoreId, BTreeSet<String>>,
    /// What may be told of contacts with the brand.
    pub touch: TouchRules,
}

impl Site {
    /// True if this article is of a category that never leaves.
    pub fn is_sensitive(&self, sku: &str) -> bool {
        !self.touch.sensitive.is_empty() && self.products.get(sku).is_some_and(|p| self.touch.sensitive.contains(&p.category))
    }

    /// The dwells that gateways report, in rising order: 2, 5 and 10 minutes and then doubling up to 4 hours, the least dwells of a visit, and
    /// the dwells that offers wait for.
    pub fn dwell_marks(&self) -> Vec<Duration> {
        let mut marks: BTreeSet<Duration> = [2, 5, 10, 20, 40, 80, 160, 240].map(|minutes| Duration::from_secs(minutes * 60)).into();
        marks.extend([self.visit.min_dwell_beacon, self.visit.min_dwell_position]);
        marks.extend(self.offers.values().filter(|o| o.live).filter_map(|o| match o.on {
            Trigger::Dwell(after) => Some(after),
            Trigger::Enter | Trigger::Near => None,
        }));
        marks.into_iter().filter(|m| !m.is_zero()).collect()
    }
}

/// A gateway that gets its site from the hub.
#[derive(Debug, Clone, PartialEq)]
pub struct SiteGateway {
    /// The shop it hangs in, which is all that it gets; `None` for a position gateway, which gets every shop.
    pub store: Option<StoreId>,
    /// When a beacon is inside.
    pub presence: PresenceRules,
    /// When a position is inside.
    pub geofence: GeofenceRules,
}

/// Who speaks to the member.
#[derive(Debug, Clone)]
pub struct Brand {
    /// File name without its ending.
    pub id: String,
    /// As people read it.
    pub name: String,
    /// Legal controllers by id: the brand itself, franchisees.
    pub entities: BTreeMap<String, String>,
    /// What its app advertises.
    pub namespace: Namespace,
    /// Who an SMS comes from.
    pub sender: Sender,
    /// Cards and fobs that count although they do not rotate.
    pub beacons: Vec<StaticBeacon>,
    /// UUID of the iBeacon that wakes the brand's app near its shops; `None` when the shops advertise none.
    pub wake_uuid: Option<[u8; 16]>,
}

/// How gateways recognise the brand's beacons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Namespace {
    /// 128-bit UUID of the Android service data, in the order in which it is written as text.
    pub service_uuid: [u8; 16],
    /// The 11 fixed bytes of the iBeacon carrier.
    pub ibeacon: [u8; 11],
    /// The 6 fixed bytes of the service UUID carrier, which start the UUID as it is written. `None`: the app does not use it.
    pub uuid_prefix: Option<[u8; 6]>,
}

/// Sender of the brand's SMS.
#[derive(Debug, Clone)]
pub struct Sender {
    /// At most 11 characters, at least one letter.
    pub name: String,
    /// Where STOP goes, for example `36111`.
    pub stop_number: String,
}

/// A shop.
#[derive(Debug, Clone)]
pub struct Store {
    /// File name without its ending.
    pub id: StoreId,
    /// As people read it.
    pub name: String,
    /// Key of [`Site::brands`].
    pub brand: String,
    /// Key of [`Brand::entities`].
    pub entity: String,
    /// For reports and offers.
    pub region: String,
    /// For reports and offers.
    pub tags: Vec<String>,
    /// Longitude and latitude in degrees.
    pub at: Point<f64>,
    /// IANA zone.
    pub timezone: Tz,
    /// Opening hours, closed on public holidays.
    pub hours: Arc<Hours>,
}

/// What a geofence is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FenceKind {
    /// Inside the shop.
    Store,
    /// Passing by.
    Nearby,
}

/// An area around a store.
#[derive(Debug, Clone)]
pub struct Geofence {
    /// `properties.id` of the feature.
    pub id: FenceId,
    /// The store that it belongs to.
    pub store: StoreId,
    /// Inside or passing by.
    pub kind: FenceKind,
    /// Where.
    pub shape: Shape,
}

/// The outline of a geofence. WGS 84, longitude first.
#[derive(Debug, Clone)]
pub enum Shape {
    /// All points within `radius_m` metres of `centre`.
    Circle {
        /// Middle.
        centre: Point<f64>,
        /// Metres.
        radius_m: f64,
    },
    /// Polygons with holes; valid, oriented, closed. What crosses longitude 180 is cut there into parts (RFC 7946, 3.1.9).
    Area(MultiPolygon<f64>),
    /// All points within `buffer_m` metres of `lines`. What crosses longitude 180 is cut there into parts.
    Corridor {
        /// The middle of the way.
        lines: MultiLineString<f64>,
        /// Metres to either side.
        buffer_m: f64,
    },
}

impl Shape {
    /// Radius in metres of the circle with its area; right to some percent, for areas of the size of a shop or a town.
    pub fn radius_m(&self) -> f64 {
        /// Metres of a degree of latitude on the mean sphere.
        const DEGREE_M: f64 = 111_195.0;
        let squares = |area: f64, lat: f64| area * DEGREE_M * DEGREE_M * lat.to_radians().cos();
        let area_m2 = match self {
            Self::Circle { radius_m, .. } => return *radius_m,
            Self::Area(area) => {
                let lat = area.bounding_rect().map_or(0.0, |b| b.center().y);
                squares(area.unsigned_area(), lat)
            }
            Self::Corridor { lines, buffer_m } => {
                let length_m: f64 = lines.iter().map(|line| line.length(&Haversine)).sum();
                2.0 * buffer_m * length_m + std::f64::consts::PI * buffer_m * buffer_m
            }
        };
        (area_m2 / std::f64::consts::PI).sqrt()
    }
}

/// A digital campaign whose exposures arrive as touchpoints.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// File name without its ending; the `campaign` of a touchpoint.
    pub id: String,
    /// As people read it.
    pub name: String,
    /// `social`, `paid-search`, `email`, ...
    pub channel: String,
    /// First instant.
    pub starts: Millis,
    /// First instant after it.
    pub ends: Millis,
    /// Whose advertising it is, if the file says so: consents of others do not count for its links, codes and pixels.
    pub company: Option<Company>,
}

/// A brand and one of its legal controllers, to whom members consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Company {
    /// Key of [`Site::brands`].
    pub brand: String,
    /// Key of [`Brand::entities`].
    pub entity: String,
}

/// An article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Stock keeping unit.
    pub sku: String,
    /// As it may stand in an SMS.
    pub name: String,
    /// For reports and offers.
    pub category: String,
    /// Cents of a euro.
    pub price_cents: i64,
}

/// When a stay is a visit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VisitRules {
    /// Dwell by beacon.
    pub min_dwell_beacon: Duration,
    /// Dwell by position alone.
    pub min_dwell_position: Duration,
    /// A gap up to this belongs to the visit and counts.
    pub gap_counted: Duration,
    /// A gap up to this belongs to the visit and does not count; a longer one starts a new visit.
    pub gap_joined: Duration,
    /// Longer visits are suspect.
    pub max_visit: Duration,
    /// Minutes outside opening hours that still count.
    pub hours_grace: Duration,
    /// Whether somebody who was heard was inside.
    pub score: ScoreRules,
    /// Whose stays are those of staff or residents.
    pub regulars: RegularRules,
    /// When stays in two stores contradict each other.
    pub contradictions: ContradictionRules,
}

/// How evidence adds up to the log-odds that somebody who was heard was inside: from 0 on she was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreRules {
    /// Mean of the radio's medians over the `enter_dbm` of the gateway, dB, at which inside and outside are as likely.
    pub radio_above_db: f64,
    /// The same of what a woken app heard of the shop's beacon; a fainter word is no evidence by itself either.
    pub app_above_db: f64,
    /// Log-odds of each dB more.
    pub per_db: f64,
    /// Most log-odds that radio or app can give for or against.
    pub most: f64,
    /// Log-odds of a position that says inside while radio or app hear her.
    pub position: f64,
    /// Log-odds of an app's word that does not say how loud.
    pub app_unmeasured: f64,
    /// After so long without a word, what radio, app or counter said counts half for where she is now.
    pub half_life_radio: Duration,
    /// The same of positions, which come minutes apart.
    pub half_life_position: Duration,
}

/// Whose stays in one store, over the last weeks, are those of somebody who works or lives there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegularRules {
    /// Stays of so long ago are looked at.
    pub window: Duration,
    /// The label holds for so long after the last stay that speaks for it.
    pub holds: Duration,
    /// Staff: this dwell in a day ...
    pub staff_day: Duration,
    /// ... on so many days of a week.
    pub staff_days: u32,
    /// Staff: this dwell in a week.
    pub staff_week: Duration,
    /// Staff: so long inside outside opening hours ...
    pub closed_least: Duration,
    /// ... on so many days.
    pub closed_days: u32,
    /// Staff: more than so many stays in a day ...
    pub stays_a_day: u32,
    /// ... on so many days.
    pub busy_days: u32,
    /// Resident: this dwell in a day, or this percentage of the closed hours ...
    pub resident_day: Duration,
    /// ... percent ...
    pub resident_percent: u32,
    /// ... on so many days.
    pub resident_days: u32,
}

/// When stays of one member in two stores cannot both be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContradictionRules {
    /// Stores farther apart than this, in metres, are distant.
    pub distant_m: u32,
    /// Nobody travels faster between distant stores, km/h.
    pub fastest_kmh: u32,
    /// The clocks of gateways may differ by so much.
    pub clocks: Duration,
    /// Stores closer than this, in metres, may hear each other's visitors.
    pub next_door_m: u32,
    /// So much quieter than next door, in dB, is through the wall.
    pub next_door_db: u32,
}
