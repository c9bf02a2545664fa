//! Counters and flags of a running gateway. The state message and the tests read them.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
};

use passage_protocol::MAX_COMMANDS;
use uuid::Uuid;

use crate::{
    position::Counters,
    radio::{Vitals, vitals::Look},
};

/// What happened since the start; shared by all tasks.
#[derive(Debug, Default)]
pub struct Health {
    /// Events that got a seq.
    pub sent_total: AtomicU64,
    /// Changes that were handed over and are not committed yet.
    pub uncommitted: AtomicU64,
    /// Envelopes published.
    pub envelopes: AtomicU64,
    /// Acks that a pinned key signed and that were applied.
    pub acks: AtomicU64,
    /// Acks that no pinned key signed. Not zero means that somebody else writes to our topics.
    pub forged_acks: AtomicU64,
    /// Acks for another gateway or epoch.
    pub foreign_acks: AtomicU64,
    /// Revision of the hub's site that is in force; 0 when the site came from files, or none has come yet.
    pub site_revision: AtomicU64,
    /// Manifests and sites that were not taken.
    pub site_refused: AtomicU64,
    /// Commands that were carried out.
    pub commands: AtomicU64,
    /// Commands that were not: forged, for another gateway, expired, repeated, or nothing that this gateway can do.
    pub commands_refused: AtomicU64,
    /// Broken records and radio faults.
    pub radio_errors: AtomicU64,
    /// Adverts that the radio heard and dropped because the gateway could not keep up.
    pub adverts_dropped: AtomicU64,
    /// Adverts of our own beacons.
    pub sightings: AtomicU64,
    /// Those of the last full 10 s.
    pub sightings_10s: AtomicU64,
    /// Beacons of ours that are remembered now, in a zone or not.
    pub subjects: AtomicU64,
    /// Beacons that never came into a zone and were forgotten early, because there were too many.
    pub candidates_dropped: AtomicU64,
    /// Stays that were closed early, because there were too many.
    pub stays_cut: AtomicU64,
    /// How often the wall clock was set while the gateway ran.
    pub clock_steps: AtomicU64,
    /// Connections to the broker that came up.
    pub connections: AtomicU64,
    /// What became of the positions and reports of apps, and of the positions that were decided on.
    pub positions: Arc<Counters>,
    /// How the radio does, once a source that has one is open.
    pub radio: RadioVitals,
    flags: Mutex<BTreeSet<&'static str>>,
    answers: Mutex<VecDeque<Uuid>>,
}

/// The vitals of the radio of the moment: a restart of the radio brings new ones.
#[derive(Debug, Default)]
pub struct RadioVitals(Mutex<Option<Arc<Vitals>>>);

impl RadioVitals {
    /// Those of the radio that is open now.
    pub fn set(&self, vitals: Arc<Vitals>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(vitals);
    }

    /// How the radio that is open now does; `None` where there is none.
    pub fn look(&self) -> Option<Look> {
        self.get().map(|vitals| vitals.look())
    }

    fn get(&self) -> Option<Arc<Vitals>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Health {
    /// Raises or lowers a flag that a person should look at.
    pub fn flag(&self, name: &'static str, raised: bool) {
        let mut flags = self.flags.lock().unwrap_or_else(PoisonError::into_inner);
        if raised {
            flags.insert(name);
        } else {
            flags.remove(name);
        }
    }

    /// A command was taken: our state says so from now on. Of too many, the first are forgotten.
    pub fn answer(&self, command: Uuid) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if !answers.contains(&command) {
            answers.push_back(command);
            let surplus = answers.len().saturating_sub(MAX_COMMANDS);
            answers.drain(..surplus);
        }
    }

    /// The commands that were taken last.
    pub fn answers(&self) -> Vec<Uuid> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    /// True while the flag is raised.
    pub fn has_flag(&self, name: &'static str) -> bool {
        self.flags.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    /// The raised flags in alphabetical order.
    pub fn flags(&self) -> Vec<String> {
        let mut raised = self.flags.lock().unwrap_or_else(PoisonError::into_inner).clone();
        raised.extend(self.radio.get().iter().flat_map(|radio| radio.flags()).filter_map(|(name, raised)| raised.then_some(name)));
        raised.into_iter().map(str::to_owned).collect()
    }
}
