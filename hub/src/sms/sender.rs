//! Takes planned messages, checks everything again, and hands them to the provider.
//!
//! claim with a lease -> wait for the rate -> check and commit `writing` -> write the bytes -> record the outcome. A crash after `writing` leaves a
//! row that becomes `unknown`; it is never sent again.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, stream::FuturesUnordered};
use passage_config::model::HubConfig;
use passage_protocol::{Clock, HubId, Millis};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    identity::{
        Keyring,
        page::{self, Bound},
    },
    notice::{Notice, Notices, What},
    sms::{
        Msisdn, Outcome, Provider, Submit,
        check::{LOOK_BACK, check},
        inbound,
        provider::{Event, Incoming},
        receipt,
        state::{self, Step},
    },
    store::{
        Db, StoreError,
        message::{self, Claimed, Details, Touched},
        people,
    },
};

/// How long a claim holds, machine time: another hub takes over what a hub that hangs had claimed. With [`SWEEP`] that is within 5 s.
const CLAIM: Duration = Duration::from_secs(4);
/// Longest wait for the agreed rate before a claim is given back.
const READY: Duration = Duration::from_secs(2);
/// How long `writing` holds, machine time; longer than the longest way to an outcome. Then the message is unknown, and nobody takes it over.
const WRITING: Duration = Duration::from_secs(90);
/// Longest wait for an outcome.
const OUTCOME: Duration = Duration::from_secs(60);
/// How often the table is read when nothing wakes the sender.
const POLL: Duration = Duration::from_millis(100);
/// How often leases and deadlines are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// Why the sender does not work.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The clock is played, and the provider reaches real phones.
    #[error("this hub does not run on the system's clock, so it only talks to SMS providers on this machine")]
    NotLocal,
}

/// The sending stage.
#[derive(Debug, Clone)]
pub struct Sender {
    /// Messages.
    pub db: Db,
    /// Opens numbers.
    pub keyring: Keyring,
    /// As it is now.
    pub config: watch::Receiver<Arc<HubConfig>>,
    /// Business time.
    pub clock: Clock,
    /// Who watches.
    pub notices: Notices,
    /// The way out.
    pub provider: Arc<dyn Provider>,
    /// Rung when a message was planned.
    pub wake: Arc<Notify>,
    /// Name of this hub; claims carry it.
    pub hub: HubId,
}

impl Sender {
    /// Sends until `stop`; then takes no more, waits for the answers that are out, and closes the link.
    ///
    /// # Errors
    /// Only [`SendError::NotLocal`]: what goes wrong later is logged and tried again.
    pub async fn run(self, stop: CancellationToken) -> Result<(), SendError> {
        self.allowed()?;
        let unlink = CancellationToken::new();
        let sending = async {
            // Fails only when the process ends.
            let _ = tokio::task::spawn_blocking(Msisdn::prepare).await;
            self.recover().await;
            self.send_until(&stop).await;
            unlink.cancel();
        };
        tokio::join!(sending, self.listen_until(&unlink), self.provider.run(unlink.clone()));
        Ok(())
    }

    /// One round: sweeps, sends what is due, takes in what came back. Returns how many things it did. For the demo and tests; the provider's own
    /// [`Provider::run`] is then the caller's.
    ///
    /// # Errors
    /// The database, or a provider that must not be used on this clock.
    pub async fn step(&self) -> Result<usize, SendError> {
        self.allowed()?;
        let mut done = self.sweep().await?;
        if self.provider.is_up() {
            let claimed = self.claim(self.provider.window()).await?;
            done += claimed.len();
            claimed.into_iter().map(|m| self.send(m)).collect::<FuturesUnordered<_>>().collect::<Vec<()>>().await;
        }
        while let Some(incoming) = self.provider.try_next().await {
            self.take_in(incoming).await;
            done += 1;
        }
        Ok(done)
    }

    /// Gives back what this hub held when it was killed; what it was writing becomes unknown. Call once, before the first [`Sender::step`].
    ///
    /// # Errors
    /// The database.
    pub async fn recover_once(&self) -> Result<(), SendError> {
        let mut tx = self.db.begin().await?;
        let lost = message::release_lost(&mut tx, self.hub.as_str(), wall(), true).await?;
        tx.commit().await?;
        if !lost.is_empty() {
            tracing::warn!(
                messages = lost.len(),
                "the hub ended while it was sending; these messages are unknown now and are not repeated"
            );
        }
        receipt::tell(&self.notices, self.clock.now(), lost);
        Ok(())
    }

    fn allowed(&self) -> Result<(), SendError> {
        if self.clock.is_system() || self.provider.is_local() { Ok(()) } else { Err(SendError::NotLocal) }
    }

    async fn recover(&self) {
        while let Err(error) = self.recover_once().await {
            tracing::error!(%error, "cannot read the messages that were being sent; trying again");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn send_until(&self, stop: &CancellationToken) {
        // Tasks of their own: a send that holds the one writer of SQLite must not wait for this loop, which may wait for the writer.
        let mut out = JoinSet::new();
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut swept: Option<Instant> = None;
        while !stop.is_cancelled() {
            if swept.is_none_or(|at| at.elapsed() >= SWEEP) {
                swept = Some(Instant::now());
                self.logged(self.sweep().await);
            }
            let room = self.provider.window().saturating_sub(out.len());
            if room > 0 && self.provider.is_up() {
                for message in self.logged(self.claim(room).await) {
                    let sender = self.clone();
                    out.spawn(async move { sender.send(message).await });
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.wake.notified() => {}
                Some(_) = out.join_next() => {}
                _ = poll.tick() => {}
            }
        }
        while out.join_next().await.is_some() {}
    }

    async fn listen_until(&self, unlink: &CancellationToken) {
        loop {
            tokio::select! {
                () = unlink.cancelled() => return,
                Some(incoming) = self.provider.next() => self.take_in(incoming).await,
            }
        }
    }

    /// An error of the database is no reason to end: the next round tries again.
    fn logged<T: Default>(&self, result: Result<T, StoreError>) -> T {
        result.unwrap_or_else(|error| {
            if error.is_transient() {
                tracing::warn!(%error, "messages wait for the database");
            } else {
                tracing::error!(%error, "messages cannot be read or written");
            }
            T::default()
        })
    }

    /// Ends what is too late, frees what a dead hub held, and matches receipts that came early.
    async fn sweep(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let mut touched = Vec::new();
        if message::any_stale(&self.db, now, wall()).await? {
            let mut tx = self.db.begin().await?;
            touched.extend(message::release_lost(&mut tx, self.hub.as_str(), wall(), false).await?);
            touched.extend(message::overdue(&mut tx, now).await?);
            tx.commit().await?;
        }
        if message::any_waiting(&self.db).await? {
            let mut tx = self.db.begin().await?;
            touched.extend(receipt::apply_waiting(&mut tx, None, now).await?);
            message::sweep_receipts(&mut tx, now - receipt::KEEP).await?;
            tx.commit().await?;
        }
        let count = touched.len();
        receipt::tell(&self.notices, now, touched);
        Ok(count)
    }

    async fn claim(&self, limit: usize) -> Result<Vec<Claimed>, StoreError> {
        if !message::any_due(&self.db, wall()).await? {
            return Ok(Vec::new());
        }
        let mut tx = self.db.begin().await?;
        let claimed = message::claim(&mut tx, self.hub.as_str(), wall(), wall() + CLAIM, limit).await?;
        tx.commit().await?;
        Ok(claimed)
    }

    /// One claimed message, from the last checks to the recorded outcome.
    async fn send(&self, message: Claimed) {
        if timeout(READY, self.provider.ready()).await.is_err() {
            self.logged(self.give_back(&message).await);
            return;
        }
        let submit = match self.begin_writing(&message).await {
            Ok(Some(submit)) => submit,
            Ok(None) => return,
            Err(error) => {
                // Nothing left: the claim ends with its lease.
                self.logged::<()>(Err(error));
                return;
            }
        };
        let outcome = timeout(OUTCOME, self.provider.submit(&submit)).await.unwrap_or(Outcome::Unknown);
        self.record(&message, &submit, &outcome).await;
    }

    async fn give_back(&self, message: &Claimed) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        message::transition(&mut tx, message.id, Step::Release, &Details { now: self.clock.now(), ..Details::default() }).await?;
        tx.commit().await
    }

    /// Checks everything again and commits `writing`; `None` when the message must not leave or is not ours any more.
    async fn begin_writing(&self, message: &Claimed) -> Result<Option<Submit>, StoreError> {
        let config = self.config.borrow().clone();
        let mut tx = self.db.begin().await?;
        if !message::held(&mut tx, message.id, self.hub.as_str()).await? {
            return Ok(None);
        }
        let now = self.clock.now();
        let profile = people::profile(&mut tx, message.member, &message.brand, &message.entity).await?;
        let past = message::past(&mut tx, message.member, &message.destination, now - LOOK_BACK).await?;
        let (step, reason, submit) = match check(now, message, profile.as_ref(), &past, &config) {
            Err(stop) => (stop.step(), Some(stop.word().to_owned()), None),
            Ok(()) => match self.open(message, &config.phone_region) {
                Some(submit) => (Step::Write, None, Some(submit)),
                None => (Step::Fail, Some("the number cannot be opened".to_owned()), None),
            },
        };
        let touched =
            message::transition(&mut tx, message.id, step, &Details { now, reason, writing_until: wall() + WRITING, ..Details::default() })
                .await?;
        tx.commit().await?;
        if submit.is_none() {
            receipt::tell(&self.notices, now, touched);
        }
        Ok(submit)
    }

    fn open(&self, message: &Claimed, region: &str) -> Option<Submit> {
        let plain = self.keyring.open_number(message.sealed_for, &message.sealed).ok()?;
        let to = Msisdn::parse(std::str::from_utf8(&plain).ok()?, region)?;
        let text =
            page::signed(&self.keyring, &message.text, &Bound { member: message.member, brand: &message.brand, entity: &message.entity });
        Some(Submit { id: message.id, from: message.sender.clone(), to, text, validity_ms: message.validity_ms })
    }

    /// Records an outcome. If the database stays away, the row stays in `writing` and becomes unknown when its lease is over.
    async fn record(&self, message: &Claimed, submit: &Submit, outcome: &Outcome) {
        for pause in [0, 100, 500, 2000, 5000] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let now = self.clock.now();
            match self.record_once(message, outcome, now).await {
                Ok(touched) => {
                    self.tell(submit, outcome, touched, now);
                    return;
                }
                Err(error) => self.logged::<()>(Err(error)),
            }
        }
    }

    async fn record_once(&self, message: &Claimed, outcome: &Outcome, now: Millis) -> Result<Vec<Touched>, StoreError> {
        let attempts = message.attempts + 1;
        let (step, reason) = state::after(outcome, attempts);
        let next_try = (step == Step::Retry).then(|| wall() + state::wait(attempts, rand::random()));
        let mut tx = self.db.begin().await?;
        let mut touched: Vec<Touched> =
            message::transition(&mut tx, message.id, step, &Details { now, reason, next_try, ..Details::default() })
                .await?
                .into_iter()
                .collect();
        if let Outcome::Accepted { ids } = outcome {
            message::save_parts(&mut tx, message.id, ids, now).await?;
            touched.extend(receipt::apply_waiting(&mut tx, Some(message.id), now).await?);
        }
        tx.commit().await?;
        Ok(touched)
    }

    /// Tells what was recorded, with the time of the record: by now a stepped clock may have been set further.
    fn tell(&self, submit: &Submit, outcome: &Outcome, touched: Vec<Touched>, now: Millis) {
        let mut touched = touched.into_iter();
        match (outcome, touched.next()) {
            (Outcome::Accepted { .. }, Some(t)) => {
                let what = What::SmsHandedOver(submit.text.clone());
                self.notices.tell(Notice { at: now, store: Some(t.store), member: Some(t.member), what });
            }
            (_, first) => receipt::tell(&self.notices, now, first),
        }
        receipt::tell(&self.notices, now, touched);
    }

    async fn take_in(&self, incoming: Incoming) {
        let now = self.clock.now();
        let taken = match &incoming.event {
            Event::Receipt(r) => receipt::handle(&self.db, &self.keyring, r, now, &self.notices).await,
            Event::Reply(reply) => {
                let config = self.config.borrow().clone();
                inbound::handle(&self.db, &self.keyring, &config, reply, now, &self.notices).await.map(|_| ())
            }
        };
        let ok = taken.is_ok();
        self.logged(taken);
        // The provider may be gone; it will bring the event again.
        let _ = incoming.done.send(ok);
    }
}

/// Machine time in the form in which leases and next tries are kept.
fn wall() -> Millis {
    Clock::System.now()
}
