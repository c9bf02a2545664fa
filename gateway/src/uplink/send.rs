//! One envelope: what goes into it, and what becomes of an event that fits into none.

use std::{sync::atomic::Ordering, time::Duration};

use passage_protocol::{Envelope, Gone, MAX_PAYLOAD, Seq, SeqRange, Topic};

use super::{
    Uplink,
    session::{Flying, Session},
};
use crate::outbox::Picked;

/// Room that an envelope needs beside its events and gone records.
const FRAME: usize = 512;
/// Most hubs that a repeated envelope is meant for.
const MAX_COPIES: usize = 5;
/// Room for a gone record.
const RECORD: usize = 80;
/// A broker that takes less than this cannot be served: it is no event's fault.
const LEAST_PACKET: usize = 4 * 1024;
/// Raised while the broker takes no packet of the size that an event needs.
const SMALL_PACKETS: &str = "broker-packets-too-small";
/// After an error, nothing is sent for so long.
const ERROR_PAUSE: Duration = Duration::from_secs(1);
/// When the broker cannot be served, it is asked again after this.
const HOPELESS_PAUSE: Duration = Duration::from_secs(60);

impl Session<'_> {
    /// Sends one envelope; false when there is none to send now.
    pub(super) async fn send(&mut self, now: Duration) -> bool {
        let limit = self.limit();
        if limit < LEAST_PACKET {
            self.cannot_be_served(now);
            return false;
        }
        self.up.health.flag(SMALL_PACKETS, false);
        let gone = self.some_answers(limit);
        let picked = match self.pick(&gone, limit, now).await {
            Some(picked) if !(picked.events.is_empty() && gone.is_empty()) => picked,
            _ => {
                self.owe(gone);
                return false;
            }
        };
        let (envelope, payload) = self.fitting(picked, gone.clone(), limit);
        let seqs: Vec<Seq> = envelope.events.iter().map(|e| e.seq).collect();
        if payload.len() > limit {
            self.owe(gone);
            if let [seq] = seqs[..] {
                self.up.bury(seq, "larger than an envelope may be").await;
            }
            return true;
        }
        let (topic, copies) = (Topic::Event(self.up.id.clone()), self.copies(&seqs));
        if !self.publish(&topic, false, payload.clone(), Flying::Envelope { seqs: seqs.clone(), gone }) {
            self.owe(envelope.gone);
            self.not_before = now + Duration::from_millis(20);
            return false;
        }
        for _ in 0..copies {
            self.publish(&topic, false, payload.clone(), Flying::Other);
        }
        if let Some(window) = self.phase.window() {
            window.sent(&seqs, now);
        }
        self.up.health.envelopes.fetch_add(1, Ordering::Relaxed);
        self.last_envelope = Some(now);
        true
    }

    /// How often an envelope is sent besides the first time. Brokers deal out to the hubs in turn, and one of them may hang: what one has left without
    /// an answer goes to as many as there are. The database tells copies apart.
    fn copies(&mut self, seqs: &[Seq]) -> usize {
        let is_repeated = self.phase.window().is_some_and(|window| window.is_repeated(seqs));
        if is_repeated { self.hubs_online().clamp(1, MAX_COPIES) - 1 } else { 0 }
    }

    /// Most bytes of a payload: ours, and what the broker takes less the topic and the header.
    fn limit(&self) -> usize {
        let header = Topic::Event(self.up.id.clone()).to_string().len() + 32;
        MAX_PAYLOAD.min(self.max_packet.saturating_sub(header))
    }

    fn cannot_be_served(&mut self, now: Duration) {
        self.up.health.flag(SMALL_PACKETS, true);
        tracing::error!(
            "the broker takes packets of at most {} bytes, and an event may need more; events are held. Mend: raise its limit to 128 KiB (mosquitto: \
             max_packet_size)",
            self.max_packet
        );
        self.not_before = now + HOPELESS_PAUSE;
    }

    /// Takes as many of the owed records as an envelope has room for beside events.
    fn some_answers(&mut self, limit: usize) -> Vec<Gone> {
        let room = (limit / 2).saturating_sub(FRAME) / RECORD;
        let rest = self.answers.split_off(room.min(self.answers.len()));
        std::mem::replace(&mut self.answers, rest)
    }

    fn owe(&mut self, gone: Vec<Gone>) {
        let later = std::mem::replace(&mut self.answers, gone);
        self.answers.extend(later);
    }

    /// The events that are due; `None` when they cannot be read, or have just gone.
    async fn pick(&mut self, gone: &[Gone], limit: usize, now: Duration) -> Option<Picked> {
        let ranges = {
            let ledger = self.up.outbox.ledger();
            self.phase.window()?.next(ledger.held(), ledger.next(), now)
        };
        if ranges.is_empty() {
            return Some(Picked::default());
        }
        let room = limit.saturating_sub(FRAME + gone.len() * RECORD).min(self.sieve.bytes());
        match self.up.outbox.read(&ranges, room).await {
            Ok(picked) if !(picked.events.is_empty() && gone.is_empty()) => Some(picked),
            other => {
                if let Err(e) = other {
                    tracing::warn!("{e}");
                }
                self.not_before = now + ERROR_PAUSE;
                None
            }
        }
    }

    /// The envelope with as many of the events as fit, and its bytes.
    fn fitting(&self, picked: Picked, gone: Vec<Gone>, limit: usize) -> (Envelope, Vec<u8>) {
        let mut envelope = Envelope {
            sent_at: self.up.keeper.clock().now(),
            sent_mono: self.up.outbox.mono(),
            synced: picked.events.is_empty() || picked.synced,
            events: picked.events,
            gone,
            ..Envelope::new(self.up.id.clone(), self.epoch.clone(), self.up.boot.clone())
        };
        let mut payload = envelope.to_vec();
        while payload.len() > limit && envelope.events.len() > 1 {
            envelope.events.truncate(envelope.events.len() / 2);
            payload = envelope.to_vec();
        }
        (envelope, payload)
    }
}

impl Uplink {
    /// Makes a dead letter of an event that can never be delivered.
    pub(super) async fn bury(&self, seq: Seq, why: &'static str) {
        tracing::error!(
            "event {seq} cannot be delivered ({why}); it becomes a dead letter. Mend: look at it with `passage-gateway outbox export --dead`, and report it"
        );
        if let Err(e) = self.outbox.bury(SeqRange { from: seq, to: seq }, why).await {
            tracing::warn!("event {seq} could not be put aside yet: {e}");
        }
    }
}
