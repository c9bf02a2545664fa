//! What one gateway process needs to know.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use passage_protocol::{Clock, GatewayId, PositionSecret, StoreId};

use super::{Mqtt, Site, Wake};

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
    /// Where the certificate is renewed: `https://host:port`, as enrolment wrote it.
    pub hub: Option<String>,
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
    /// The wake beacon: advertised in a shop, checked where apps report.
    pub wake: Wake,
    /// Which words of the app count.
    pub app_events: AppEvents,
    /// How positions arrive besides that, and who else takes them.
    pub positions: Positions,
    /// When a position is inside.
    pub geofence: GeofenceRules,
    /// Bounds of the outbox.
    pub outbox: Outbox,
    /// The site comes from the hub; until it has come, `site` is empty and the rules are the usual ones.
    pub site_from_hub: bool,
    /// Stores, geofences and namespaces.
    pub site: Arc<Site>,
    /// Stays at which a dwell is reported: [`Site::dwell_marks`].
    pub dwell_marks: Vec<Duration>,
}

/// Where adverts come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Radio {
    /// No radio: a position gateway.
    None,
    /// This machine's Bluetooth adapter.
    Ble(BleRadio),
    /// A capture: btsnoop, pcap, pcapng, or JSON lines. Plays at its own time stamps against the gateway's clock.
    Replay(PathBuf),
    /// Seeded virtual phones.
    Simulate {
        /// Same seed, same day.
        seed: u64,
        /// How many.
        phones: u32,
    },
}

/// How to listen with the machine's own Bluetooth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BleRadio {
    /// Address or name (`hci1`) of the adapter; the first one when it is left out.
    pub adapter: Option<String>,
    /// Silence after which the scan is started again. A chip that filters duplicates reports every 10.4 s: below 12 s it looks dead.
    pub restart_after: Duration,
    /// The gateway ends, so that its service manager starts it anew, when BlueZ or the message bus has refused every call for so long.
    /// Silence alone never ends it.
    pub exit_after: Duration,
    /// Whether a daemon that has lost track of its scan may be restarted (`bluetooth.service`, through systemd).
    pub restart_daemon: bool,
}

impl Default for BleRadio {
    fn default() -> Self {
        Self { adapter: None, restart_after: Duration::from_secs(15), exit_after: Duration::from_secs(600), restart_daemon: true }
    }
}

/// Which words of the app make events of the shop itself (zone `in`). Regions that the phone watches as geofences always do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppEvents {
    /// The app names the shop, and is believed.
    Claimed,
    /// The app repeats what the shop's wake beacon said at that time.
    Verified,
}

/// When a beacon is in one of the two radio zones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresenceRules {
    /// Zone `in`.
    pub inside: RadioZone,
    /// Zone `front`.
    pub front: RadioZone,
    /// Who is first heard so soon after a cold start may have been there before: she counts, and triggers nothing.
    pub settle: Duration,
    /// Most subjects that are remembered at once; beyond it, who never came into a zone is forgotten first.
    pub max_subjects: u32,
}

/// One radio zone. What `gateway.toml` says for both zones is written into each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RadioZone {
    /// Median in dBm at which a subject comes in.
    pub enter_dbm: i8,
    /// Median in dBm below which a sighting is no evidence of a stay.
    pub leave_dbm: i8,
    /// Sightings needed to enter ...
    pub enter_sightings: u32,
    /// ... within this time, over which the median is taken too.
    pub window: Duration,
    /// A subject that was not heard at all for so long has left.
    pub silence: Duration,
    /// A subject that is heard, but for so long only below `leave_dbm`, has left.
    pub hold: Duration,
}

impl PresenceRules {
    /// The longest time between the last evidence of a stay and the moment at which it is told as over.
    pub fn longest_wait(&self) -> Duration {
        [self.inside, self.front].into_iter().map(|zone| zone.silence.max(zone.hold)).max().unwrap_or_default()
    }
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
    /// Radius of a fix that tells none, metres.
    pub untold_accuracy_m: f64,
    /// A fix whose radius is more than so many times that of a geofence (of the circle with its area) says nothing about it.
    pub coarsest_radii: f64,
    /// Faster than this, nobody begins a stay, km/h.
    pub max_speed_kmh: f64,
    /// Two fixes say something about the speed between them only when they are this close in time.
    pub speed_within: Duration,
    /// Two fixes outside say that a geofence between them was crossed only when they are this close in time.
    pub cross_within: Duration,
    /// A jump is farther than this, metres ...
    pub jump_m: f64,
    /// ... and faster than this, km/h.
    pub jump_kmh: f64,
    /// A jump is believed when so many later fixes agree with it.
    pub jump_fixes: u32,
    /// Older evidence than this, on arrival, triggers nothing.
    pub fresh: Duration,
    /// Older fixes than this are late.
    pub reorder: Duration,
    /// Silence after which a stay is closed at its last evidence.
    pub silence: Duration,
    /// Fixes farther than this from every store are dropped at decode, metres.
    pub far_m: f64,
    /// Fixes longer than this before opening or after closing of every store near them are dropped at decode.
    pub around_hours: Duration,
}

/// How positions arrive, and which gateways share the work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Positions {
    /// Common secret with the hub, from which the key of each installation is derived; without it no `encrypted` payload can be opened.
    pub secret: Option<PositionSecret>,
    /// Take OwnTracks reports from the broker too; only encrypted ones.
    pub mqtt: bool,
    /// First levels of their topics, before the user and the device.
    pub topic: String,
    /// Tell the apps, in the answer to a position, which circles to watch by themselves.
    pub set_waypoints: bool,
    /// All gateways that share the installations among them, this one too, with `host:port` of their `position_listen`. Empty: this one alone.
    pub group: BTreeMap<GatewayId, String>,
}

impl Default for Positions {
    fn default() -> Self {
        Self { secret: None, mqtt: false, topic: "owntracks".to_owned(), set_waypoints: true, group: BTreeMap::new() }
    }
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
    /// After a reconnection, a backlog begins at a random moment within this, and within the time that it takes at the granted rate.
    pub backlog_spread: Duration,
}
