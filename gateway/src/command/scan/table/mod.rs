//! What was heard, as it is shown. Time comes with the calls.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use passage_config::{GatewayConfig, Radio};
use passage_protocol::{Millis, Phase, Rid, StaticBeacon, Subject, Zone};
use serde::Serialize;

use super::strangers::Strangers;
use crate::{
    beacon::Decoder,
    outbox::Batch,
    pipeline::Machines,
    radio::{Heard, vitals::Look},
};

/// Most beacons that are shown; of more, the one that was silent for longest is forgotten.
const MOST: usize = 500;
/// A beacon that is in no zone is forgotten after this silence.
const FORGOTTEN: Duration = Duration::from_secs(300);
/// Adverts per second are counted over this time.
const RATE: Duration = Duration::from_secs(10);
/// Most strengths that a median is taken of.
const SAMPLES: usize = 128;
/// With nothing heard for so long, something is wrong: a chip that filters duplicates is silent for 10.4 s.
const SILENT: Duration = Duration::from_secs(15);
/// So many warnings are shown.
const WARNINGS: usize = 3;

/// The beacons that the radio hears.
pub(super) struct Table {
    gateway: String,
    source: String,
    window: Duration,
    decoder: Decoder,
    machines: Machines,
    rows: BTreeMap<Subject, Row>,
    strangers: Strangers,
    adverts: VecDeque<Millis>,
    heard: u64,
    last: Option<Millis>,
    dropped: u64,
    radio: Option<Look>,
    warnings: VecDeque<String>,
    has_store: bool,
    ended: bool,
    began: Option<Millis>,
}

/// One beacon.
struct Row {
    last: Millis,
    rssi: i8,
    recent: VecDeque<(Millis, i8)>,
    count: u64,
    is_in: bool,
    is_in_front: bool,
}

/// What is shown at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Snapshot {
    /// Business time, milliseconds since 1970.
    pub at: Millis,
    pub gateway: String,
    /// Where the adverts come from.
    pub source: String,
    /// `listening`, `silent`, `wedged` or `ended`.
    pub state: &'static str,
    /// All adverts so far, and in each of the last ten seconds.
    pub adverts: u64,
    pub per_second: f64,
    /// Adverts of strangers, and of about how many addresses.
    pub strangers: u64,
    pub stranger_addresses: u64,
    /// Adverts that the gateway could not take in time.
    pub dropped: u64,
    /// How this machine's radio does; `None` for other sources.
    pub radio: Option<Look>,
    pub warnings: Vec<String>,
    pub beacons: Vec<Beacon>,
}

/// One of our beacons at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Beacon {
    /// `app`, `card` or another kind of registered beacon.
    pub kind: String,
    /// Enough of its id to tell it from its neighbours.
    pub id: String,
    /// `in`, `front` or `none`, by the gateway's own rules.
    pub zone: &'static str,
    /// dBm, over the window of the rules.
    pub rssi_median: i8,
    pub rssi_last: i8,
    /// Since its last advert.
    pub age_ms: i64,
    pub per_second: f64,
    pub adverts: u64,
}

impl Table {
    /// An empty table for a gateway.
    pub fn new(config: &GatewayConfig) -> Self {
        Self {
            gateway: config.id.to_string(),
            source: source_of(&config.radio),
            window: config.presence.inside.window,
            decoder: Decoder::new(&config.site),
            machines: Machines::new(config),
            rows: BTreeMap::new(),
            strangers: Strangers::default(),
            adverts: VecDeque::new(),
            heard: 0,
            last: None,
            dropped: 0,
            radio: None,
            warnings: VecDeque::new(),
            has_store: config.store.is_some(),
            ended: false,
            began: None,
        }
    }

    /// Takes in an advert.
    pub fn hear(&mut self, heard: &Heard) {
        let advert = &heard.advert;
        self.heard += 1;
        self.last = Some(advert.at);
        self.began.get_or_insert(advert.at);
        self.adverts.push_back(advert.at);
        self.forget_adverts(advert.at);
        let ours: Vec<_> = self.decoder.sightings(advert).collect();
        if ours.is_empty() {
            self.strangers.hear(advert.address);
        }
        for sighting in ours {
            self.make_room(&sighting.subject);
            let row = self.rows.entry(sighting.subject).or_insert_with(|| Row::new(sighting.at));
            row.hear(sighting.at, sighting.rssi, self.window);
        }
        let mut batch = Batch::default();
        self.machines.heard(heard, &mut batch);
        self.apply(&batch);
    }

    /// What went wrong with the source.
    pub fn warn(&mut self, what: String) {
        self.warnings.retain(|known| *known != what);
        if self.warnings.len() >= WARNINGS {
            self.warnings.pop_front();
        }
        self.warnings.push_back(what);
    }

    /// So many adverts were dropped so far.
    pub fn dropped(&mut self, dropped: u64) {
        self.dropped = dropped;
    }

    /// How the radio does.
    pub fn radio(&mut self, look: Option<Look>) {
        self.radio = look;
    }

    /// The source has ended.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Lets time pass up to `now` and shows what there is.
    pub fn snapshot(&mut self, now: Millis) -> Snapshot {
        self.began.get_or_insert(now);
        let mut batch = Batch::default();
        self.machines.quiet(now, &mut batch);
        self.apply(&batch);
        self.rows.retain(|_, row| row.is_in || row.is_in_front || now.since(row.last) <= millis(FORGOTTEN));
        self.forget_adverts(now);
        let beacons = self.rows.iter().map(|(subject, row)| row.show(subject, now, self.window)).collect();
        let (state, warnings) = (self.state(now), self.all_warnings(now));
        Snapshot {
            at: now,
            gateway: self.gateway.clone(),
            source: self.source.clone(),
            state,
            adverts: self.heard,
            per_second: rate(self.adverts.len(), self.began.map_or(0, |began| now.since(began))),
            strangers: self.strangers.adverts,
            stranger_addresses: self.strangers.about(),
            dropped: self.dropped,
            radio: self.radio,
            warnings,
            beacons,
        }
    }

    /// Notes who came into a zone and who left one.
    fn apply(&mut self, batch: &Batch) {
        for change in &batch.changes {
            let Some(row) = self.rows.get_mut(&change.subject) else { continue };
            let is_there = change.phase != Phase::Exit;
            match change.zone {
                Zone::In => row.is_in = is_there,
                Zone::Front => row.is_in_front = is_there,
                Zone::Fence(_) => {}
            }
        }
    }

    fn make_room(&mut self, newcomer: &Subject) {
        if self.rows.len() < MOST || self.rows.contains_key(newcomer) {
            return;
        }
        let oldest = self.rows.iter().min_by_key(|(_, row)| row.last).map(|(subject, _)| subject.clone());
        if let Some(oldest) = oldest {
            self.rows.remove(&oldest);
        }
    }

    fn forget_adverts(&mut self, now: Millis) {
        while self.adverts.front().is_some_and(|at| now.since(*at) > millis(RATE)) {
            self.adverts.pop_front();
        }
    }

    fn silence(&self, now: Millis) -> i64 {
        self.last.or(self.began).map_or(0, |last| now.since(last))
    }

    fn state(&self, now: Millis) -> &'static str {
        if self.ended {
            "ended"
        } else if self.radio.is_some_and(|radio| radio.wedged) {
            "wedged"
        } else if self.silence(now) >= millis(SILENT) {
            "silent"
        } else {
            "listening"
        }
    }

    fn all_warnings(&self, now: Millis) -> Vec<String> {
        let mut all: Vec<String> = self.warnings.iter().cloned().collect();
        if self.state(now) == "silent" {
            all.push(format!("nothing was heard for {} s. Mend: `passage-gateway doctor` looks for the reason", self.silence(now) / 1000));
        }
        if self.dropped > 0 {
            all.push(format!("{} adverts were dropped because this machine is too slow. Mend: look what else runs here", self.dropped));
        }
        if !self.has_store {
            all.push("there are no zones without a store. Mend: set `store` in gateway.toml".to_owned());
        }
        all
    }
}

impl Row {
    fn new(at: Millis) -> Self {
        Self { last: at, rssi: 0, recent: VecDeque::new(), count: 0, is_in: false, is_in_front: false }
    }

    fn hear(&mut self, at: Millis, rssi: i8, window: Duration) {
        self.last = self.last.max(at);
        self.rssi = rssi;
        self.count += 1;
        self.recent.push_back((at, rssi));
        while self.recent.len() > SAMPLES || self.recent.front().is_some_and(|(first, _)| at.since(*first) > millis(window)) {
            self.recent.pop_front();
        }
    }

    fn show(&self, subject: &Subject, now: Millis, window: Duration) -> Beacon {
        let within = |time: Duration| self.recent.iter().filter(move |(at, _)| now.since(*at) <= millis(time));
        let mut strengths: Vec<i8> = within(window).map(|(_, rssi)| *rssi).collect();
        strengths.sort_unstable();
        let (kind, id) = label(subject);
        Beacon {
            kind,
            id,
            zone: if self.is_in {
                "in"
            } else if self.is_in_front {
                "front"
            } else {
                "none"
            },
            rssi_median: strengths.get(strengths.len().saturating_sub(1) / 2).copied().unwrap_or(self.rssi),
            rssi_last: self.rssi,
            age_ms: now.since(self.last).max(0),
            per_second: rate(within(RATE).count(), millis(RATE)),
            adverts: self.count,
        }
    }
}

/// Kind and short id of a beacon. Of a rotating id the first four digits: enough to follow it for its 15 minutes, too few to look it up.
fn label(subject: &Subject) -> (String, String) {
    match subject {
        Subject::Rid { rid: Rid(bytes), .. } => ("app".to_owned(), hex::encode(bytes.get(..2).unwrap_or_default())),
        // A registered card is the shop's own; its number helps to find it.
        Subject::Beacon(StaticBeacon::IBeacon { major, minor, .. } | StaticBeacon::AltBeacon { major, minor, .. }) => {
            ("card".to_owned(), format!("{major}/{minor}"))
        }
        Subject::Beacon(StaticBeacon::EddystoneUid { instance, .. }) => ("card".to_owned(), instance.clone()),
        Subject::Installation(_) => ("installation".to_owned(), String::new()),
    }
}

fn source_of(radio: &Radio) -> String {
    match radio {
        Radio::None => "nothing".to_owned(),
        Radio::Ble(ble) => format!("Bluetooth adapter {}", ble.adapter.as_deref().unwrap_or("(the first one)")),
        Radio::Replay(file) => format!("capture {}", file.display()),
        Radio::Simulate { seed, phones } => format!("{phones} virtual phones, seed {seed}"),
    }
}

/// Events per second over the last ten seconds, or since the start.
#[expect(clippy::cast_precision_loss, reason = "small numbers for people")]
fn rate(count: usize, since_start_ms: i64) -> f64 {
    let seconds = since_start_ms.clamp(1_000, millis(RATE)) as f64 / 1000.0;
    (count as f64 / seconds * 10.0).round() / 10.0
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
