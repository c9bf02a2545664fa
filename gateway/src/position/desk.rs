//! Where the reports of both ways come together: whose turn it is, what they say, and on to the decider.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use passage_config::{GatewayConfig, GeofenceRules, Positions, Site};
use passage_protocol::{GatewayId, InstallationId, Millis};
use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{
    AppEvent, Counters, Fate, Intake,
    app::{HeardBeacon, ShopBeacons},
    circles::Circles,
    deny::DenyBook,
    group::{self, Group},
    intake::Admitted,
    owntracks::{self, Report},
    places::Places,
    sealing::Sealing,
};
use crate::pipeline::Input;

/// How long a commit may take. Machine time.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a desk is made of.
pub struct DeskParts<'a> {
    /// Stores and geofences.
    pub site: Arc<Site>,
    /// Of these, `far_m` and `max_accuracy_m` are used here.
    pub rules: &'a GeofenceRules,
    /// Secret and waypoints.
    pub positions: &'a Positions,
    /// Which beacons are a shop's.
    pub beacons: Arc<dyn ShopBeacons>,
    /// The gateways that share the work, if there are others.
    pub group: Option<Arc<Group>>,
    /// What was taken back.
    pub denied: Arc<DenyBook>,
    /// The decider.
    pub inputs: mpsc::Sender<Input>,
    /// What became of the reports.
    pub counters: Arc<Counters>,
}

/// Takes reports, however they came.
#[derive(Debug)]
pub struct Desk {
    intake: Intake,
    sealing: Option<Sealing>,
    circles: Option<RwLock<Circles>>,
    pub(super) group: Option<Arc<Group>>,
    pub(super) denied: Arc<DenyBook>,
    inputs: mpsc::Sender<Input>,
    counters: Arc<Counters>,
}

/// Whose turn an installation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    Ours,
    /// Another gateway's, at this address.
    Other(String),
    /// Not known yet.
    Unknown,
}

/// What became of a report, and what the app gets back.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) fate: Fate,
    /// It came encrypted, so the answer goes encrypted.
    pub(super) sealed: bool,
    /// Messages to the app.
    pub(super) messages: Vec<Value>,
}

/// A report that the decider has, and that is not committed yet.
pub(super) struct Handed {
    fate: Fate,
    admitted: Option<Admitted>,
    committed: oneshot::Receiver<()>,
}

impl Answer {
    pub(super) fn of(fate: Fate) -> Self {
        Self { fate, sealed: false, messages: Vec::new() }
    }
}

impl Desk {
    /// A desk with an empty memory.
    pub fn new(parts: DeskParts<'_>) -> Self {
        Self {
            circles: parts.positions.set_waypoints.then(|| RwLock::new(Circles::new(&parts.site))),
            intake: Intake::new(parts.site, parts.rules, parts.beacons),
            sealing: parts.positions.secret.clone().map(Sealing::new),
            group: parts.group,
            denied: parts.denied,
            inputs: parts.inputs,
            counters: parts.counters,
        }
    }

    /// Another site is in force.
    pub fn reload(&self, config: &GatewayConfig) {
        self.intake.reload(config);
        if let Some(circles) = &self.circles {
            circles.write().unwrap_or_else(PoisonError::into_inner).reload(&config.site);
        }
    }

    fn news(&self, who: &InstallationId, lat: f64, lon: f64, removes: bool) -> Option<Value> {
        self.circles.as_ref()?.read().unwrap_or_else(PoisonError::into_inner).news(who, lat, lon, removes)
    }

    pub(super) fn count(&self, fate: Fate) {
        self.counters.count(fate);
    }

    pub(super) fn places(&self) -> Arc<Places> {
        self.intake.places()
    }

    pub(super) fn turn(&self, who: &InstallationId) -> Turn {
        match self.turn_of(who) {
            group::Turn::Ours { .. } => Turn::Ours,
            group::Turn::Other(address) => Turn::Other(address),
            group::Turn::Unknown => Turn::Unknown,
        }
    }

    fn turn_of(&self, who: &InstallationId) -> group::Turn {
        self.group.as_ref().map_or(group::Turn::Ours { fresh: false }, |group| group.turn(who, Instant::now()))
    }

    /// Takes a payload of `who`, plain or encrypted, and waits until what follows from it is committed. `removes`: the app can be told to take
    /// out regions.
    pub(super) async fn take(&self, body: &[u8], who: &InstallationId, now: Millis, removes: bool) -> Answer {
        match self.intake.read(body, who, now) {
            Ok(Report::Sealed(data)) => {
                let Some(plain) = self.sealing.as_ref().and_then(|s| s.open(who, &data)) else { return Answer::of(Fate::Locked) };
                let answer = match self.intake.read(&plain, who, now) {
                    Ok(report) => self.report(report, removes).await,
                    Err(fate) => Answer::of(fate),
                };
                Answer { sealed: true, ..answer }
            }
            Ok(report) => self.report(report, removes).await,
            Err(fate) => Answer::of(fate),
        }
    }

    async fn report(&self, report: Report<'_>, removes: bool) -> Answer {
        match report {
            Report::Fix(fix, id) => {
                let (who, lat, lon) = (fix.installation.clone(), fix.lat, fix.lon);
                let fate = match self.admit(fix, id.as_deref()) {
                    Ok(admitted) => self.take_fix(admitted).await,
                    Err(fate) => fate,
                };
                let told = matches!(fate, Fate::Fix | Fate::Ahead | Fate::Far);
                let news = told.then(|| self.news(&who, lat, lon, removes)).flatten();
                Answer { fate, sealed: false, messages: news.into_iter().collect() }
            }
            Report::App(event) => Answer::of(self.take_claim(event).await),
            Report::Beacon(heard) => Answer::of(self.take_beacon(&heard).await),
            // Encrypted twice is nothing that an app sends.
            Report::Sealed(_) => Answer::of(Fate::Poison),
        }
    }

    fn admit(&self, fix: super::Fix, id: Option<&str>) -> Result<Admitted, Fate> {
        let fresh = match self.turn_of(&fix.installation) {
            group::Turn::Ours { fresh } => fresh,
            // It changed hands since the request was let in.
            _ => return Err(Fate::Busy),
        };
        let who = fix.installation.clone();
        let admitted = self.intake.admit(fix, id, fresh);
        // Somebody who is far from every store is known to be outside, here as well.
        if let (Err(Fate::Far), Some(group)) = (&admitted, &self.group) {
            group.taken(&who);
        }
        admitted
    }

    async fn take_fix(&self, admitted: Admitted) -> Fate {
        let fix = admitted.fix.clone();
        if !self.submit(|done| Input::Fix(fix, done)).await {
            return Fate::Busy;
        }
        self.taken(&admitted);
        fate_of(&admitted.fix)
    }

    fn taken(&self, admitted: &Admitted) {
        self.intake.taken(admitted);
        if let Some(group) = &self.group {
            group.taken(&admitted.fix.installation);
        }
    }

    /// Takes the app's own word that it is somewhere.
    pub(super) async fn take_claim(&self, event: AppEvent) -> Fate {
        match self.intake.claim(event) {
            Ok(event) => self.take_event(event).await,
            Err(fate) => fate,
        }
    }

    /// Takes what the app heard of a beacon.
    pub(super) async fn take_beacon(&self, heard: &HeardBeacon) -> Fate {
        match self.intake.beacon(heard) {
            Ok(event) => self.take_event(event).await,
            Err(fate) => fate,
        }
    }

    async fn take_event(&self, event: AppEvent) -> Fate {
        if self.submit(|done| Input::App(event, done)).await { Fate::App } else { Fate::Busy }
    }

    /// Hands an input to the decider and waits for its commit. False: nothing is promised, the app must send again.
    async fn submit(&self, input: impl FnOnce(oneshot::Sender<()>) -> Input) -> bool {
        let (done, committed) = oneshot::channel();
        if self.inputs.try_send(input(done)).is_err() {
            return false;
        }
        matches!(timeout(PATIENCE, committed).await, Ok(Ok(())))
    }

    /// The name of this gateway's session at the broker. None in a group: the others take over at once, and would report the same again.
    pub(super) fn session(&self, gateway: &GatewayId) -> Option<String> {
        if self.group.is_some() { None } else { self.sealing.as_ref()?.session(gateway) }
    }

    /// Takes a payload that came over the broker from the topic of `who`, and hands it to the decider. Only encrypted ones are taken; a full queue is
    /// waited for, because nobody would send it again.
    pub(super) async fn take_sealed(&self, payload: &[u8], who: &InstallationId, now: Millis) -> Result<Handed, Fate> {
        if self.denied.has_ended(who) {
            return Err(Fate::Denied);
        }
        let group::Turn::Ours { .. } = self.turn_of(who) else { return Err(Fate::Foreign) };
        let data = owntracks::sealed(payload)?;
        let plain = self.sealing.as_ref().and_then(|s| s.open(who, &data)).ok_or(Fate::Locked)?;
        self.hand_on(self.intake.read(&plain, who, now)?).await
    }

    async fn hand_on(&self, report: Report<'_>) -> Result<Handed, Fate> {
        let (done, committed) = oneshot::channel();
        let (input, admitted, fate) = match report {
            Report::Fix(fix, id) => {
                let admitted = self.admit(fix, id.as_deref())?;
                let (fix, fate) = (admitted.fix.clone(), fate_of(&admitted.fix));
                (Input::Fix(fix, done), Some(admitted), fate)
            }
            Report::App(event) => (Input::App(self.intake.claim(event)?, done), None, Fate::App),
            Report::Beacon(heard) => (Input::App(self.intake.beacon(&heard)?, done), None, Fate::App),
            Report::Sealed(_) => return Err(Fate::Poison),
        };
        self.inputs.send(input).await.map_err(|_| Fate::Busy)?;
        Ok(Handed { fate, admitted, committed })
    }

    /// Waits until what follows from a report is committed. [`Fate::Busy`]: it never will be.
    pub(super) async fn settle(&self, handed: Handed) -> Fate {
        if handed.committed.await.is_err() {
            return Fate::Busy;
        }
        if let Some(admitted) = &handed.admitted {
            self.taken(admitted);
        }
        handed.fate
    }

    /// The text of an answer to `who`: what the app takes for "delivered".
    pub(super) fn text(&self, answer: &Answer, who: &InstallationId) -> String {
        let plain = Value::Array(answer.messages.clone()).to_string();
        let sealed = self.sealing.as_ref().filter(|_| answer.sealed).and_then(|s| s.seal(who, plain.as_bytes()));
        sealed.unwrap_or(plain)
    }
}

/// What becomes of a fix that is committed.
fn fate_of(fix: &super::Fix) -> Fate {
    if fix.ahead_ms > 0 { Fate::Ahead } else { Fate::Fix }
}

impl std::fmt::Debug for Circles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Circles(..)")
    }
}
