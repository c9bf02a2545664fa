//! What the files mean once they are read and checked. Everything here is already valid; nothing here parses.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use chrono_tz::Tz;
use geo::{MultiPolygon, Point};
use passage_protocol::{Clock, FenceId, GatewayId, HubId, Millis, StaticBeacon, StoreId};

use crate::hours::{DayWindow, Hours};

/// What gateways and hubs share: who speaks, where the shops are, what marketers want.
#[derive(Debug, Clone)]
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
}

/// How gateways recognise the brand's beacons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Namespace {
    /// 128-bit UUID of the Android service data, in the order in which it is written as text.
    pub service_uuid: [u8; 16],
    /// The 11 fixed bytes of the iBeacon carrier.
    pub ibeacon: [u8; 11],
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
    /// Polygons with holes; valid, oriented, closed.
    Area(MultiPolygon<f64>),
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

/// When an offer is considered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// The visit has its first evidence in zone `in` or a geofence of kind `store`.
    Enter,
    /// The dwell of the visit reaches this.
    Dwell(Duration),
    /// The member entered a geofence of kind `nearby`.
    Near,
}

/// Who an offer is for; every condition that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct Audience {
    /// Was exposed to a campaign before.
    pub exposed: Option<Exposed>,
    /// Looked at a product again and again and did not buy it.
    pub viewed_not_bought: Option<ViewedNotBought>,
}

/// At least `at_least` exposures to `campaign` within `within` before the trigger.
#[derive(Debug, Clone)]
pub struct Exposed {
    /// Key of [`Site::campaigns`].
    pub campaign: String,
    /// Look-back.
    pub within: Duration,
    /// How many.
    pub at_least: u32,
}

/// Views of one sku on at least `min_days` store-local days, at least `min_views` in all, and no purchase of that sku.
#[derive(Debug, Clone)]
pub struct ViewedNotBought {
    /// Look-back.
    pub within: Duration,
    /// Views.
    pub min_views: u32,
    /// Different days.
    pub min_days: u32,
    /// Only products of this category.
    pub category: Option<String>,
}

/// An SMS that a marketer configured.
#[derive(Debug, Clone)]
pub struct Offer {
    /// File name without its ending.
    pub id: String,
    /// As people read it.
    pub name: String,
    /// Only live offers are evaluated.
    pub live: bool,
    /// Key of [`Site::brands`].
    pub brand: String,
    /// Where; never empty.
    pub stores: Vec<StoreId>,
    /// When.
    pub on: Trigger,
    /// For whom.
    pub audience: Audience,
    /// minijinja text. Variables: `store.name`, `product.name`, `product.size`, `product.price`, `brand`, `stop`. Checked at load.
    pub text: String,
    /// Replace characters outside GSM-7 by their nearest ones instead of paying for UCS-2.
    pub transliterate: bool,
    /// Refused when a rendering needs more parts.
    pub max_parts: u8,
    /// Highest wins when several offers fit one trigger; ties by id.
    pub priority: u8,
    /// Share of members (0 to 1) that never get it and are compared.
    pub holdout: f64,
    /// Days and times in which it may be sent, inside the hard bounds.
    pub window: DayWindow,
    /// How long after the trigger bytes may still leave.
    pub deadline: Duration,
    /// How long the SMSC may try.
    pub validity: Duration,
    /// Credited campaign when a visit or purchase follows the SMS.
    pub campaign: Option<String>,
}

impl Offer {
    /// True if the text uses what the member viewed or bought, so that `personalise` is needed.
    pub fn is_personal(&self) -> bool {
        self.audience.viewed_not_bought.is_some() || self.text.contains("product.")
    }
}

/// How many messages one member and one destination may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Store-local day.
    pub per_day: u32,
    /// 7 days back.
    pub per_week: u32,
    /// 30 days back.
    pub per_month: u32,
}

/// When a stay is a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}

/// How far back a touch of each kind may be credited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Clicks.
    pub click: Duration,
    /// Engaged views.
    pub engaged: Duration,
    /// Views.
    pub view: Duration,
    /// QR codes and calls.
    pub qr_call: Duration,
    /// Clicks in mails and SMS, and delivered SMS.
    pub message: Duration,
}

/// `hub.toml`.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// Name of this hub process.
    pub id: HubId,
    /// `sqlite:PATH` or `postgres://...`.
    pub database: String,
    /// File with the hub's secret key, made at the first start. It stands apart from the database.
    pub key_file: PathBuf,
    /// Broker.
    pub mqtt: Mqtt,
    /// Address of the API, for example `127.0.0.1:8080`.
    pub api: std::net::SocketAddr,
    /// Loopback address of the console.
    pub console: std::net::SocketAddr,
    /// Where business time comes from.
    pub clock: Clock,
    /// Bearer tokens of sources of touchpoints, by name.
    pub api_tokens: BTreeMap<String, Secret>,
    /// How SMS leave.
    pub sms: Sms,
    /// Defaults of offers.
    pub caps: Caps,
    /// Hard bounds of the sender: nothing leaves outside of them.
    pub hard_window: DayWindow,
    /// When a stay is a visit.
    pub visit: VisitRules,
    /// Windows of attribution.
    pub windows: Windows,
    /// Rows below so many members are withheld in reports.
    pub k: u32,
    /// Least time between two acks to one gateway.
    pub ack_every: Duration,
    /// Longest wait of ingest for a fuller batch.
    pub batch_within: Duration,
    /// Events per second that a gateway may send from its backlog.
    pub backlog_rate: u32,
    /// Region for phone numbers without a country code.
    pub phone_region: String,
    /// Files to import at start, in this order.
    pub imports: Imports,
    /// Everything that marketers edit.
    pub site: Arc<Site>,
}

/// CSV files that `passage-hub import` and the demo read. Paths are absolute.
#[derive(Debug, Clone, Default)]
pub struct Imports {
    /// Members with their consents.
    pub crm: Option<PathBuf>,
    /// Touchpoints.
    pub touchpoints: Option<PathBuf>,
    /// Till tickets.
    pub tills: Option<PathBuf>,
}

/// How SMS leave.
#[derive(Debug, Clone)]
pub enum Sms {
    /// Nothing leaves; messages end as delivered in the sandbox, and replies can be played in.
    Sandbox,
    /// SMPP 3.4.
    Smpp(Smpp),
}

/// One SMPP bind.
#[derive(Debug, Clone)]
pub struct Smpp {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Login.
    pub system_id: String,
    /// Password.
    pub password: Secret,
    /// Most submits without an answer; also the most messages whose fate can be unknown after a crash.
    pub window: u16,
    /// Submits per second.
    pub rate: u32,
    /// How message ids are written in receipts.
    pub message_ids: MessageIds,
}

/// Base of message ids in receipts, compared with the answer to a submit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageIds {
    /// The same text.
    AsIs,
    /// Hexadecimal in the receipt, decimal in the answer.
    HexInReceipt,
    /// Decimal in the receipt, hexadecimal in the answer.
    DecInReceipt,
}

/// A broker.
#[derive(Debug, Clone)]
pub struct Mqtt {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Login, if the broker asks for one.
    pub user: Option<String>,
    /// Password, if the broker asks for one.
    pub password: Option<Secret>,
}

/// A text that does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// `gateway.toml`.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Name of this gateway, as in its certificate.
    pub id: GatewayId,
    /// The shop it hangs in; `None` for a position gateway.
    pub store: Option<StoreId>,
    /// Folder of the outbox.
    pub data: PathBuf,
    /// Broker.
    pub mqtt: Mqtt,
    /// Public keys of the hubs, base64.
    pub hub_keys: Vec<String>,
    /// Where business time comes from.
    pub clock: Clock,
    /// Where adverts come from.
    pub radio: Radio,
    /// When a beacon is inside.
    pub presence: PresenceRules,
    /// Address for OwnTracks and app events, if this gateway takes positions.
    pub position_listen: Option<std::net::SocketAddr>,
    /// When a position is inside.
    pub geofence: GeofenceRules,
    /// Bounds of the outbox.
    pub outbox: Outbox,
    /// Stores, geofences, namespaces, and the offers' dwell marks.
    pub site: Arc<Site>,
}

/// Where adverts come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Radio {
    /// No radio: a position gateway.
    None,
    /// This machine's Bluetooth adapter.
    Ble,
    /// A capture: btsnoop, or JSON lines. Plays at its own time stamps against the gateway's clock.
    Replay(PathBuf),
    /// Seeded virtual phones.
    Simulate {
        /// Same seed, same day.
        seed: u64,
        /// How many.
        phones: u32,
    },
}

/// Thresholds of the two radio zones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PresenceRules {
    /// Zone `in`.
    pub inside: RadioZone,
    /// Zone `front`.
    pub front: RadioZone,
    /// Sightings needed to enter.
    pub enter_sightings: u32,
    /// ... within this time, over which the median is taken too.
    pub window: Duration,
    /// Silence after which the subject has left.
    pub silence: Duration,
}

/// One radio zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RadioZone {
    /// Median in dBm at which a subject comes in.
    pub enter_dbm: i8,
    /// Median in dBm below which it leaves.
    pub leave_dbm: i8,
}

/// When a position is inside a geofence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeofenceRules {
    /// Enter at this probability or more.
    pub enter_p: f64,
    /// Leave at this probability or less ...
    pub exit_p: f64,
    /// ... held for so many fixes ...
    pub exit_fixes: u32,
    /// ... or for so long.
    pub exit_after: Duration,
    /// Fixes with a larger radius decide nothing.
    pub max_accuracy_m: f64,
    /// Older fixes than this are late.
    pub reorder: Duration,
    /// Silence after which a stay is closed at its last evidence.
    pub silence: Duration,
    /// Fixes farther than this from every store are dropped at decode, metres.
    pub far_m: f64,
}

/// Bounds of the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outbox {
    /// Longest wait before a group is committed; also the most that a power cut can cost.
    pub commit_within: Duration,
    /// Oldest rows are evicted above this.
    pub max_bytes: u64,
    /// Older rows are evicted.
    pub max_age: Duration,
}
