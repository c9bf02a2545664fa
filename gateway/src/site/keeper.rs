//! Follows manifests: collects, checks, commits, and puts in force.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use passage_config::GatewayConfig;
use passage_protocol::{GatewayId, sign::Pinned, site::SiteManifest};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use super::{Collected, Collector, Held, InForce, NONE_YET, Piece, REFUSED, Refusal, judge, last_good};
use crate::{
    health::Health,
    outbox::{Batch, Outbox, OutboxError},
};

/// Parts that were not all there after this are asked for again ...
const FIRST_ASK: Duration = Duration::from_secs(20);
/// ... and again, doubling up to this.
const LAST_ASK: Duration = Duration::from_secs(3600);
/// Refusals are warned of at most so often; the others are told to who asks for more (`RUST_LOG=debug`).
const WARN_EVERY: Duration = Duration::from_secs(10);

/// Keeps the site of the hub. What it says goes to everybody who watches.
#[derive(Debug)]
pub struct Keeper {
    own: GatewayConfig,
    pinned: Pinned,
    outbox: Outbox,
    health: Arc<Health>,
    live: watch::Sender<Arc<InForce>>,
    /// Wakes the uplink, so that it says what changed.
    state: Arc<Notify>,
    /// Makes the uplink connect anew: the broker then hands out again what it retains.
    again: Arc<Notify>,
    collector: Collector,
    /// What is complete and waits for the commit before it.
    ready: Option<(Box<SiteManifest>, Vec<u8>)>,
    committing: Option<JoinHandle<Result<InForce, Failure>>>,
    ask: Option<Instant>,
    patience: Duration,
    warned: Option<Instant>,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Outbox(#[from] OutboxError),
}

impl Keeper {
    /// A keeper of the site that `live` shows now. `state` wakes who tells our state, `again` who connects.
    pub fn new(
        pinned: Pinned,
        outbox: Outbox,
        health: Arc<Health>,
        live: watch::Sender<Arc<InForce>>,
        state: Arc<Notify>,
        again: Arc<Notify>,
    ) -> Self {
        let own = live.borrow().config.clone();
        health.site_revision.store(live.borrow().revision, Ordering::Relaxed);
        health.flag(NONE_YET, own.site_from_hub && live.borrow().is_empty());
        Self {
            own,
            pinned,
            outbox,
            health,
            live,
            state,
            again,
            collector: Collector::default(),
            ready: None,
            committing: None,
            ask: None,
            patience: FIRST_ASK,
            warned: None,
        }
    }

    fn id(&self) -> &GatewayId {
        &self.own.id
    }

    /// What was published as our manifest. An empty message means that the hub lists this gateway no more: the last good site stays.
    pub fn manifest(&mut self, payload: &[u8]) {
        if payload.is_empty() || !self.own.site_from_hub {
            return;
        }
        let live = self.live.borrow().clone();
        match judge(payload, self.id(), &self.pinned, Held { revision: live.revision, sha256: &live.sha256 }) {
            Ok(Some(manifest)) => {
                self.ask.get_or_insert_with(|| Instant::now() + self.patience);
                let collected = self.collector.want(manifest);
                self.collected(collected);
            }
            Ok(None) => {
                self.collector.forget();
                self.settle();
            }
            Err(why) => self.refuse(&why),
        }
    }

    /// A part of some revision.
    pub fn part(&mut self, piece: Piece) {
        // The broker hands out the parts of the site in force on every connection.
        if !self.own.site_from_hub || (piece.revision == self.live.borrow().revision && !self.collector.is_waiting()) {
            return;
        }
        let collected = self.collector.take(piece);
        self.collected(collected);
    }

    fn collected(&mut self, collected: Collected) {
        match collected {
            Collected::Waiting => {}
            Collected::Complete(manifest, packed) => {
                self.ready = Some((manifest, packed));
                self.begin_commit();
            }
            Collected::Damaged(revision) => self.refuse(&Refusal::Damaged(revision)),
        }
    }

    /// Reads what is complete and writes it to the disk, in a task of its own: neither may hold up the uplink.
    fn begin_commit(&mut self) {
        if self.committing.is_some() {
            return;
        }
        let Some((manifest, packed)) = self.ready.take() else { return };
        let (own, outbox) = (self.own.clone(), self.outbox.clone());
        self.committing = Some(tokio::spawn(async move {
            let in_force = InForce::of_bundle(&own, manifest.revision, &manifest.sha256, &packed)?;
            let saved = last_good::entries(&manifest, packed);
            outbox.append(Batch { saved, ..Batch::default() }).await?;
            Ok(in_force)
        }));
    }

    /// Waits for what happens by itself: the end of a commit, or of our patience. Never ends when nothing can happen.
    pub async fn pass(&mut self) {
        let patience = async {
            match self.ask {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let committed = async {
            match &mut self.committing {
                Some(task) => task.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = patience => self.ask_again(),
            result = committed => {
                self.committing = None;
                match result {
                    Ok(Ok(in_force)) => self.put_in_force(in_force),
                    Ok(Err(Failure::Refused(why))) => self.refuse(&why),
                    // The outbox is closed: the gateway stops.
                    Ok(Err(Failure::Outbox(_))) | Err(_) => {}
                }
                self.begin_commit();
            }
        }
    }

    fn put_in_force(&mut self, in_force: InForce) {
        let site = &in_force.config.site;
        tracing::info!("site revision {} is in force: {} stores, {} geofences", in_force.revision, site.stores.len(), site.geofences.len());
        self.health.site_revision.store(in_force.revision, Ordering::Relaxed);
        self.health.flag(NONE_YET, in_force.is_empty());
        self.live.send_replace(Arc::new(in_force));
        self.settle();
        self.state.notify_one();
    }

    /// All is well: what is published is what is in force.
    fn settle(&mut self) {
        (self.ask, self.patience) = (None, FIRST_ASK);
        if self.health.has_flag(REFUSED) {
            self.health.flag(REFUSED, false);
            self.state.notify_one();
        }
    }

    fn refuse(&mut self, why: &Refusal) {
        self.health.site_refused.fetch_add(1, Ordering::Relaxed);
        // Whoever floods us with rubbish must not flood the log too.
        if self.warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            self.warned = Some(Instant::now());
            tracing::warn!("a site was refused, the one in force stays: {why}");
        } else {
            tracing::debug!("a site was refused: {why}");
        }
        if !self.health.has_flag(REFUSED) {
            self.health.flag(REFUSED, true);
            self.state.notify_one();
        }
    }

    fn ask_again(&mut self) {
        self.ask = None;
        if !self.collector.is_waiting() {
            return;
        }
        tracing::info!("not all parts of the newest site have come; the broker is asked for them again");
        self.patience = (self.patience * 2).min(LAST_ASK);
        self.ask = Some(Instant::now() + self.patience);
        self.again.notify_one();
    }
}
