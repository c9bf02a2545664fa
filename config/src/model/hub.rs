//! What one hub process needs to know.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use passage_protocol::{Clock, HubId, PositionSecret};

use super::{Fleet, Identity, Mqtt, Site, VisitRules, Web};
use crate::hours::DayWindow;

/// What the members' apps may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppRules {
    /// Age in years from which an app may ask for `presence`: 18, or 15 where the brand answers for it.
    pub presence_from: u8,
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

/// How far back a touch of each kind may be credited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Clicks.
    pub click: Duration,
    /// Engaged views.
    pub engaged: Duration,
    /// Views, and opened mails.
    pub view: Duration,
    /// QR codes and calls.
    pub qr_call: Duration,
    /// Clicks in mails and SMS. Having been sent one earns nothing.
    pub message: Duration,
}

/// How long the hub remembers. Unresolved events are forgotten after 48 h whatever is written here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Events of members, counted from their arrival.
    pub events: Duration,
    /// Visits, touchpoints, purchases, messages, and decisions to send.
    pub visits: Duration,
    /// Decisions not to send.
    pub refused: Duration,
    /// Members without any activity of their own, with all that is known of them.
    pub members: Duration,
    /// Cookies, and the links that say whose they are, counted from the last time that somebody identified herself with it.
    pub cookies: Duration,
    /// Who looked at what is known of a member.
    pub audit: Duration,
}

/// A language of a member's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// French.
    Fr,
    /// English.
    En,
}

/// The page where a member sees her data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberPage {
    /// How members reach the API from outside, without a slash at the end; the `url` of `[web]` if `[page]` has none. `None`: there are no links.
    pub url: Option<String>,
    /// How long a link in an SMS opens it.
    pub life: Duration,
    /// The language of a brand, for members whose browser asks for none that the page has; French for brands that are not named.
    pub languages: BTreeMap<String, Language>,
}

impl Default for MemberPage {
    fn default() -> Self {
        Self { url: None, life: Duration::from_secs(30 * 86_400), languages: BTreeMap::new() }
    }
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
    /// Where gateways enrol; `None`: not here.
    pub fleet: Option<Fleet>,
    /// Address of the API, for example `127.0.0.1:8080`.
    pub api: std::net::SocketAddr,
    /// Loopback address of the console.
    pub console: std::net::SocketAddr,
    /// Address of the metrics for Prometheus; none are served when left out.
    pub metrics: Option<std::net::SocketAddr>,
    /// Where business time comes from.
    pub clock: Clock,
    /// Bearer tokens of sources of touchpoints, by name.
    pub api_tokens: BTreeMap<String, Secret>,
    /// How web sites and tags reach this hub, and what each token may do.
    pub web: Web,
    /// Common secret with the position gateways; with it, enrolment tells each app its key for encrypted reports.
    pub position_secret: Option<PositionSecret>,
    /// What the members' apps may do.
    pub app: AppRules,
    /// Where members see their data.
    pub page: MemberPage,
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
    /// How long the hub remembers.
    pub retention: Retention,
    /// Rows below so many members are withheld in reports.
    pub k: u32,
    /// Least time between two acks to one gateway.
    pub ack_every: Duration,
    /// Longest wait of ingest for a fuller batch.
    pub batch_within: Duration,
    /// Events per second that a gateway may send from its backlog.
    pub backlog_rate: u32,
    /// Events per second that all gateways together may send from their backlogs.
    pub backlog_total: u32,
    /// Region for phone numbers without a country code.
    pub phone_region: String,
    /// Which keys join people, and what never does.
    pub identity: Identity,
    /// Files to import at start, in this order.
    pub imports: Imports,
    /// Folder of the files that marketers edit: beside `hub.toml`, or where its key `site` says.
    pub site_dir: PathBuf,
    /// Number of the applied revision that `site` is of; 0 while it is of the files beside `hub.toml`.
    pub applied: i64,
    /// Everything that marketers edit.
    pub site: Arc<Site>,
}

impl HubConfig {
    /// What is no mistake and still not what most people want, one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.identity.third_party_cookies && self.identity.own_sites(&self.web).is_empty() {
            let what = "no site is known as the brands' own, so every cookie counts as a third party's and is tied to nobody";
            warnings.push(format!(
                "{what}. Mend: name the sites under [web] or [identity] of hub.toml, for example sites = [\"maison.example\"]"
            ));
        }
        warnings
    }
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

/// A text that does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}
