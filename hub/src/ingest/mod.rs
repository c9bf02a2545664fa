//! Events from the broker into the database, each once, and the hubs' word back to the gateways that they are stored.
//!
//! [`Ingest`] holds six tasks: the link to the broker, the writer that commits batches, the step that advances progress and acks, two that tell
//! gateways what was taken back, and their site, and the one that feels whether the database answers. [`Parked`] gives unresolved events to members
//! who turn up later and forgets those that nobody claimed.

mod accept;
mod again;
mod batch;
mod denial;
mod grant;
pub mod keys;
mod link;
mod parked;
mod progress;
mod pulse;
mod site;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;
use passage_config::HubConfig;
use passage_protocol::{Clock, Millis, StoreId, Subject};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

pub use crate::store::progress::{Account, missing};
use crate::{
    identity::{MemberId, Resolver},
    store::{Db, StoreError},
};
pub use again::{AgainError, again};
pub use keys::HubKeys;
pub use parked::Parked;

/// What is known about a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A member who grants `presence` to the brand and entity of the store.
    Member(MemberId),
    /// Nobody yet; a table, member or link may still turn up within 48 h.
    Unknown,
    /// Somebody who does not grant `presence`: no row about her may be kept.
    Refused,
}

/// Tells who is behind a subject. The identity stage's [`Resolver`] does; tests have simpler ones.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// Who is behind `subject`, seen at `evidence` in `store`. In memory, no waiting.
    fn who(&self, subject: &Subject, evidence: Millis, store: &StoreId) -> Who;

    /// Keyed hash of a rotating id, by which it is noticed that one is in two places at once; `None` for other subjects.
    fn mark(&self, _subject: &Subject) -> Option<i64> {
        None
    }

    /// Brings the tables up to date. True if a subject that was unknown before may be known now.
    async fn refresh(&self, db: &Db, now: Millis) -> Result<bool, StoreError>;
}

#[async_trait]
impl Resolve for Resolver {
    fn who(&self, subject: &Subject, evidence: Millis, store: &StoreId) -> Who {
        match self.find(subject, evidence, store) {
            Some((member, true)) => Who::Member(member),
            Some((_, false)) => Who::Refused,
            None => Who::Unknown,
        }
    }

    fn mark(&self, subject: &Subject) -> Option<i64> {
        Self::mark(self, subject)
    }

    async fn refresh(&self, db: &Db, now: Millis) -> Result<bool, StoreError> {
        Self::refresh(self, db, now).await
    }
}

/// From the broker to the database and the ack back. Several hubs may run it on one database.
pub struct Ingest {
    /// Where events are stored.
    pub db: Db,
    /// What acks are signed with.
    pub keys: HubKeys,
    /// Broker, stores, batch and ack pace. The broker and the hub's id are read once.
    pub config: watch::Receiver<Arc<HubConfig>>,
    /// Business time.
    pub clock: Clock,
    /// Who is behind a subject.
    pub resolver: Arc<dyn Resolve>,
    /// Woken after each commit that made work.
    pub wake: Arc<Notify>,
}

impl std::fmt::Debug for Ingest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ingest").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl Ingest {
    /// Runs until `stop`. What is not committed then is not acked, and comes again.
    pub async fn run(self, stop: CancellationToken) {
        let config = self.config.borrow().clone();
        let outlet = link::Outlet::default();
        let (heard, messages) = mpsc::channel(usize::from(link::RECEIVE_MAXIMUM) * 2);
        let (touched, touches) = mpsc::channel(4096);
        let (able, is_able) = watch::channel(pulse::Able::YES);
        let link = link::Link {
            hub: config.id.clone(),
            boot: uuid::Uuid::new_v4().simple().to_string(),
            mqtt: config.mqtt.clone(),
            authority: self.keys.authority().clone(),
            share: self.keys.share().to_owned(),
            clock: self.clock.clone(),
            heard,
            outlet: outlet.clone(),
            able: is_able,
        };
        let writer = writer::Writer {
            db: self.db.clone(),
            config: self.config.clone(),
            clock: self.clock.clone(),
            resolver: self.resolver,
            messages,
            outlet: outlet.clone(),
            touched,
            able: able.clone(),
            wake: self.wake,
        };
        let pulse = pulse::Pulse { db: self.db.clone(), able };
        let denial = denial::Denial { db: self.db.clone(), keys: self.keys.clone(), clock: self.clock.clone(), outlet: outlet.clone() };
        let sites = site::Sites {
            db: self.db.clone(),
            keys: self.keys.clone(),
            config: self.config.clone(),
            clock: self.clock.clone(),
            outlet: outlet.clone(),
        };
        let progress = progress::Progress { db: self.db, keys: self.keys, config: self.config, clock: self.clock, touches, outlet };
        tokio::join!(
            link.run(stop.clone()),
            writer.run(stop.clone()),
            denial.run(stop.clone()),
            sites.run(stop.clone()),
            progress.run(stop.clone()),
            pulse.run(stop)
        );
    }
}
