//! What hubs tell a gateway apart from acks: its site, and commands. A task of its own, so that reading a large site holds up no ack.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use passage_protocol::{Clock, GatewayId, Topic, sign::Pinned, site::Action};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::commands::{Commands, NotObeyed};
use crate::{
    health::Health,
    outbox::{Batch, Outbox},
    site::{Keeper, Piece},
};

/// Messages that wait; parts have up to 64 KiB.
const WAITING: usize = 16;
/// Refused commands are warned of at most so often.
const WARN_EVERY: Duration = Duration::from_secs(10);
/// Commands that come again are answered at most so often; whoever repeats an old one must not make us talk without end.
const ANSWER_EVERY: Duration = Duration::from_secs(5);

/// The session's end: where messages go, and what comes back.
#[derive(Debug, Clone)]
pub struct Downlink {
    said: mpsc::Sender<(Topic, Vec<u8>)>,
    /// Somebody wants our state to be told at once.
    pub state: Arc<Notify>,
    /// Somebody wants the broker to hand out again what it retains.
    pub again: Arc<Notify>,
}

/// The other end.
pub type Said = mpsc::Receiver<(Topic, Vec<u8>)>;

impl Downlink {
    /// Both ends.
    pub fn new() -> (Self, Said) {
        let (said, words) = mpsc::channel(WAITING);
        (Self { said, state: Arc::default(), again: Arc::default() }, words)
    }

    /// The topics of all that is handed on; `site`: the site comes from the hub.
    pub(super) fn topics(id: &GatewayId, site: bool) -> Vec<String> {
        let mut topics = vec![Topic::Command(id.clone()).to_string()];
        if site {
            // The manifest first: what is retained is handed out in this order, and parts that somebody has asked for need no guess.
            topics.extend([Topic::SiteManifest(id.clone()).to_string(), Topic::all_site_parts(id)]);
        }
        topics
    }

    /// Hands a message on; waits while many are.
    pub(super) async fn hand_on(&self, topic: Topic, payload: Vec<u8>) {
        // Without the other end the gateway stops.
        let _ = self.said.send((topic, payload)).await;
    }
}

/// Follows the site and carries out commands.
#[derive(Debug)]
pub struct Follower {
    /// This gateway.
    pub id: GatewayId,
    /// The hubs whose word counts.
    pub pinned: Pinned,
    /// Business time.
    pub clock: Clock,
    /// Keeps what must outlive a restart.
    pub outbox: Outbox,
    /// Counters.
    pub health: Arc<Health>,
    /// Follows the site.
    pub keeper: Keeper,
    /// Which commands were taken.
    pub commands: Commands,
    /// Restarts the radio; `None` when there is none that could be.
    pub radio: Option<Arc<Notify>>,
    /// Wakes the uplink to tell our state.
    pub state: Arc<Notify>,
    /// When a refused command was last warned of.
    pub warned: Option<Instant>,
    /// When a command that came again was last answered.
    pub answered: Option<Instant>,
}

impl Follower {
    /// Listens until `stop`.
    pub async fn run(mut self, mut said: Said, stop: CancellationToken) {
        self.commands.taken().for_each(|id| self.health.answer(id));
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                word = said.recv() => match word {
                    Some((topic, payload)) => self.hear(topic, payload),
                    None => return,
                },
                () = self.keeper.pass() => {}
            }
        }
    }

    fn hear(&mut self, topic: Topic, payload: Vec<u8>) {
        match topic {
            Topic::SiteManifest(_) => self.keeper.manifest(&payload),
            Topic::SitePart(_, revision, part) => self.keeper.part(Piece { revision, part, bytes: payload }),
            Topic::Command(_) => self.command(&payload),
            _ => {}
        }
    }

    fn command(&mut self, payload: &[u8]) {
        match self.commands.take(payload, &self.id, &self.pinned, self.clock.now()) {
            Ok((id, action, saved)) => self.obey(id, action, saved),
            Err(NotObeyed::Repeated(id)) => self.answer_again(id),
            Err(why) => self.refuse(&why.to_string()),
        }
    }

    /// A hub that repeats a command has not heard that it was taken.
    fn answer_again(&mut self, id: Uuid) {
        tracing::debug!("a command came again: it was carried out before");
        self.health.commands_refused.fetch_add(1, Ordering::Relaxed);
        self.health.answer(id);
        if self.answered.is_none_or(|at| at.elapsed() >= ANSWER_EVERY) {
            self.answered = Some(Instant::now());
            self.state.notify_one();
        }
    }

    fn refuse(&mut self, why: &str) {
        self.health.commands_refused.fetch_add(1, Ordering::Relaxed);
        // Whoever floods us with commands must not flood the log too.
        if self.warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            self.warned = Some(Instant::now());
            tracing::warn!("a command was not carried out: {why}");
        } else {
            tracing::debug!("a command was not carried out: {why}");
        }
    }

    /// Carries out what is remembered on the disk, so that no restart carries it out twice. The answer follows with our next state.
    fn obey(&mut self, id: Uuid, action: Action, saved: Vec<crate::SavedState>) {
        let wish = match (&action, &self.radio) {
            (Action::ReportState, _) => Arc::clone(&self.state),
            (Action::RestartRadio, Some(radio)) => Arc::clone(radio),
            (Action::RestartRadio, None) => {
                self.health.answer(id);
                self.state.notify_one();
                return self.refuse("this gateway has no radio of its own to restart");
            }
        };
        let (outbox, health, state) = (self.outbox.clone(), Arc::clone(&self.health), Arc::clone(&self.state));
        tokio::spawn(async move {
            if outbox.append(Batch { saved, ..Batch::default() }).await.is_ok() {
                tracing::info!("command {action} is carried out");
                health.commands.fetch_add(1, Ordering::Relaxed);
                health.answer(id);
                wish.notify_one();
                state.notify_one();
            }
        });
    }
}
