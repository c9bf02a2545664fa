//! The one task that decides: it owns the machines, and what they say goes to the outbox as one batch with their state.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use passage_config::{GatewayConfig, Radio};
use passage_protocol::{Clock, Millis};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::Input;
use crate::{
    beacon::{Decoder, Sighting},
    clock::boot,
    geofence::Geofences,
    health::Health,
    outbox::{Batch, Outbox, OutboxError},
    position::{AppEvent, Fix},
    presence::{Presence, Steps},
    radio::{Heard, rate::Rate},
    site,
};

/// Strangers' adverts move only the position in the capture; it is written once for so many.
const LAZY_POSITION: u64 = 256;
/// Inputs that are taken from the queue at once.
const AT_ONCE: usize = Geofences::MOST_AHEAD;
/// The flag of a gateway that hears more of our beacons than it may remember.
const FULL: &str = "presence-full";

/// The machines of one gateway. All of it is pure; time comes in with the calls.
pub struct Machines {
    decoder: Decoder,
    presence: Option<Presence>,
    geofences: Geofences,
    /// Of a radio that stamps what it hears with the wall clock. A capture brings its own times.
    steps: Option<Steps>,
    sightings: u64,
    sightings_10s: Rate,
    replaying: bool,
    unwritten: u64,
}

impl std::fmt::Debug for Machines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Machines(..)")
    }
}

impl Machines {
    /// Machines that know nobody.
    pub fn new(config: &GatewayConfig) -> Self {
        let marks = config.dwell_marks.clone();
        Self {
            decoder: Decoder::new(&config.site),
            presence: config.store.clone().map(|store| Presence::new(store, config.presence, marks.clone())),
            geofences: Geofences::new(&config.site, config.geofence, marks),
            steps: matches!(config.radio, Radio::Ble(_)).then(Steps::default),
            sightings: 0,
            sightings_10s: Rate::default(),
            replaying: false,
            unwritten: 0,
        }
    }

    /// Machines as they were when the outbox was last written. A state that cannot be read is left out: its subject enters anew.
    pub fn restored(config: &GatewayConfig, saved: Vec<(String, Vec<u8>, Vec<u8>)>) -> Self {
        let mut machines = Self::new(config);
        for (machine, key, value) in saved {
            let result = match (machine.as_str(), &mut machines.presence) {
                ("presence", Some(presence)) => presence.restore(&key, &value).map_err(|e| e.to_string()),
                ("geofence", _) => machines.geofences.restore(&key, &value).map_err(|e| e.to_string()),
                _ => Ok(()),
            };
            if let Err(e) = result {
                tracing::warn!("{e}");
            }
        }
        machines
    }

    /// The same people with another site: who stays in a zone that is still there stays, stays in zones that are not end at their last evidence.
    pub fn reload(&mut self, config: &GatewayConfig, batch: &mut Batch) {
        let knew_nobody = self.decoder.is_empty();
        self.decoder = Decoder::new(&config.site);
        if let (Some(presence), Some(store)) = (&mut self.presence, &config.store) {
            if knew_nobody {
                // The first site: whoever is heard next may have been here all along.
                presence.listen_anew();
            }
            debug_assert!(store == presence.store(), "a gateway never changes its shop while it runs");
            presence.reload(config.presence, &config.dwell_marks);
            batch.saved.extend(presence.take_saved(self.replaying));
        }
        self.geofences.reload(&config.site, config.geofence, config.dwell_marks.clone(), &mut batch.changes);
        batch.saved.extend(self.geofences.take_saved(false));
    }

    /// What both clocks show, before anything that was stamped since is decided. If the wall clock was set, every stay moves with it.
    pub fn tell_time(&mut self, now: Millis, since_boot: Duration) {
        let (Some(steps), Some(presence)) = (&mut self.steps, &mut self.presence) else { return };
        if let Some(step) = steps.note(now, since_boot) {
            presence.set_clock(step);
            tracing::warn!("the clock of this machine was set by {} s; who is in the shop stays there", step / 1000);
        }
    }

    /// The counters and flags of the machines.
    pub fn tell_health(&mut self, health: &Health, since_boot: Duration) {
        health.sightings.store(self.sightings, Ordering::Relaxed);
        health.sightings_10s.store(self.sightings_10s.note(since_boot, self.sightings), Ordering::Relaxed);
        health.positions.judge(&self.geofences);
        let Some(presence) = &self.presence else { return };
        let counts = presence.counts();
        health.subjects.store(presence.subjects() as u64, Ordering::Relaxed);
        health.candidates_dropped.store(counts.candidates_dropped, Ordering::Relaxed);
        health.stays_cut.store(counts.stays_cut, Ordering::Relaxed);
        health.clock_steps.store(counts.clock_steps, Ordering::Relaxed);
        let was_full = health.has_flag(FULL);
        let is_full = presence.is_full(was_full);
        if is_full && !was_full {
            tracing::warn!(
                "more beacons of ours are in reach than `max_subjects` in [presence] allows; who was not heard for longest is forgotten.                  Mend: raise it, or look who floods the radio with ids"
            );
        }
        if is_full != was_full {
            health.flag(FULL, is_full);
        }
    }

    fn on_time(&self, stamp: Millis) -> Millis {
        self.steps.map_or(stamp, |steps| steps.on_time(stamp))
    }

    /// One advert. What is due before it happens first, so that a capture gives the same decisions at any speed.
    pub fn heard(&mut self, heard: &Heard, batch: &mut Batch) {
        self.replaying |= heard.position.is_some();
        let at = self.on_time(heard.advert.at);
        if let Some(presence) = &mut self.presence {
            presence.advance(at, &mut batch.changes);
            for sighting in self.decoder.sightings(&heard.advert) {
                self.sightings += 1;
                presence.sight(&Sighting { at, ..sighting }, &mut batch.changes);
            }
            batch.saved = presence.take_saved(self.replaying);
        }
        self.unwritten += 1;
        if !batch.is_empty() || self.unwritten >= LAZY_POSITION {
            batch.replay_position = heard.position;
            self.unwritten = 0;
        }
    }

    /// The radio has nothing older than `at` any more.
    pub fn quiet(&mut self, at: Millis, batch: &mut Batch) {
        let at = self.on_time(at);
        if let Some(presence) = &mut self.presence {
            presence.advance(at, &mut batch.changes);
            batch.saved.extend(presence.take_saved(self.replaying));
        }
    }

    /// One position. Its sender is told that we have it, and will not send it again: so all of its effect is saved.
    pub fn fix(&mut self, fix: &Fix, now: Millis, batch: &mut Batch) {
        self.geofences.fix(fix, now, &mut batch.changes);
        batch.saved.extend(self.geofences.take_saved(true));
    }

    /// Lets the processor fetch what deciding the fixes among these inputs will read. Decides nothing.
    pub fn call_for(&self, inputs: &[Input]) {
        let fixes = inputs.iter().filter_map(|input| if let Input::Fix(fix, _) = input { Some(fix) } else { None });
        self.geofences.call_for(fixes);
    }

    /// The app's own word, as [`Machines::fix`].
    pub fn app(&mut self, event: &AppEvent, now: Millis, batch: &mut Batch) {
        self.geofences.app(event, now, &mut batch.changes);
        batch.saved.extend(self.geofences.take_saved(true));
    }

    /// Everything that a lazy save has left out so far; for an orderly stop.
    pub fn rest(&mut self, batch: &mut Batch) {
        batch.saved.extend(self.presence.as_mut().map(Presence::rest).unwrap_or_default());
        batch.saved.extend(self.geofences.take_saved(true));
    }

    /// Time passes for the positions.
    pub fn pass(&mut self, now: Millis, batch: &mut Batch) {
        self.geofences.advance(now, &mut batch.changes);
        batch.saved.extend(self.geofences.take_saved(false));
    }
}

/// Feeds the machines and hands on what they decide.
#[derive(Debug)]
pub struct Decider {
    /// The machines.
    pub machines: Machines,
    /// Where decisions go.
    pub outbox: Outbox,
    /// From the radio, the position server, and a driver.
    pub inputs: mpsc::Receiver<Input>,
    /// The site of the moment; it is committed before it is seen here.
    pub site: site::Live,
    /// Business time.
    pub clock: Clock,
    /// Counters and flags.
    pub health: Arc<Health>,
}

impl Decider {
    /// Decides until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let stepped = matches!(self.clock, Clock::Stepped(_));
        let mut inputs = Vec::with_capacity(AT_ONCE);
        let mut tick = tokio::time::interval(Duration::from_millis(200));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            let done = tokio::select! {
                count = self.inputs.recv_many(&mut inputs, AT_ONCE) => match count {
                    0 => return,
                    _ => self.decide_all(&mut inputs, stepped).await,
                },
                Ok(()) = self.site.changed() => self.change_site().await,
                _ = tick.tick(), if !stepped => self.pass().await,
                () = stop.cancelled() => break,
            };
            if done.is_err() {
                tracing::error!("the outbox has ended; nothing can be decided any more");
                stop.cancel();
                return;
            }
        }
        self.finish(stepped).await;
    }

    /// Decides what was handed in before the stop and saves what a lazy save has left out.
    async fn finish(mut self, stepped: bool) {
        self.inputs.close();
        while let Some(input) = self.inputs.recv().await {
            if self.decide(input, stepped).await.is_err() {
                return;
            }
        }
        let mut batch = Batch::default();
        self.machines.rest(&mut batch);
        let _ = self.submit(batch, false, None).await;
    }

    /// Decides what has come in, in its order.
    async fn decide_all(&mut self, inputs: &mut Vec<Input>, stepped: bool) -> Result<(), OutboxError> {
        self.machines.call_for(inputs);
        for input in inputs.drain(..) {
            self.decide(input, stepped).await?;
        }
        Ok(())
    }

    async fn decide(&mut self, input: Input, stepped: bool) -> Result<(), OutboxError> {
        let now = self.clock.now();
        let since_boot = boot::since();
        self.machines.tell_time(now, since_boot);
        let mut batch = Batch::default();
        let reply = match input {
            Input::Heard(heard) => {
                self.machines.heard(&heard, &mut batch);
                None
            }
            Input::Quiet(at) => {
                self.machines.quiet(at, &mut batch);
                None
            }
            Input::Fix(fix, reply) => {
                self.machines.fix(&fix, now, &mut batch);
                Some(reply)
            }
            Input::App(event, reply) => {
                self.machines.app(&event, now, &mut batch);
                Some(reply)
            }
            Input::Advance(reply) => {
                self.machines.quiet(now, &mut batch);
                self.machines.pass(now, &mut batch);
                Some(reply)
            }
        };
        self.machines.tell_health(&self.health, since_boot);
        // On a stepped clock the driver waits for every answer: a fuller group would never come.
        let flush = stepped && reply.is_some();
        self.submit(batch, flush, reply).await
    }

    async fn change_site(&mut self) -> Result<(), OutboxError> {
        let site = self.site.borrow_and_update().clone();
        let mut batch = Batch::default();
        self.machines.reload(&site.config, &mut batch);
        self.submit(batch, false, None).await
    }

    /// A tick of a clock that runs by itself.
    async fn pass(&mut self) -> Result<(), OutboxError> {
        let mut batch = Batch::default();
        self.machines.pass(self.clock.now(), &mut batch);
        self.submit(batch, false, None).await
    }

    async fn submit(&self, batch: Batch, flush: bool, reply: Option<oneshot::Sender<()>>) -> Result<(), OutboxError> {
        if batch.is_empty() && reply.is_none() {
            return Ok(());
        }
        self.outbox.submit(batch, flush, reply).await
    }
}
