//! The worker: due shards, one after the other, each in small transactions. Any number of hubs run it side by side.

use std::{sync::Arc, time::Duration};

use passage_config::HubConfig;
use passage_protocol::{Clock, Millis};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    identity::{Keyring, MemberId},
    notice::{Notice, Notices},
    offer::step::Step,
    store::{
        Db, StoreError,
        work::{self, Todo},
    },
};

/// Most rows of one transaction.
const ROWS: u32 = 200;
/// After so long a transaction takes no further member.
const LONG: Duration = Duration::from_millis(20);
/// After so long it takes none if somebody waits for the writer: events are made durable first.
const SHORT: Duration = Duration::from_millis(5);
/// How often it looks without being woken, in machine time.
const POLL: Duration = Duration::from_millis(100);
/// Wait after the database failed, in machine time.
const PAUSE: Duration = Duration::from_millis(500);
/// Work that failed so often runs alone, and is parked when it fails again.
const ALONE: i64 = 2;

/// Turns due work into visits, decisions and planned messages.
#[derive(Debug)]
pub struct Worker {
    /// The coordinator.
    pub db: Db,
    /// For send keys and the hold-out.
    pub keyring: Keyring,
    /// The configuration in force.
    pub config: watch::Receiver<Arc<HubConfig>>,
    /// Business time.
    pub clock: Clock,
    /// For people who watch.
    pub notices: Notices,
    /// Rung when there is new work.
    pub wake: Arc<Notify>,
    /// Rings the sender when there may be a new message.
    pub planned: Arc<Notify>,
}

impl Worker {
    /// Works until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let wait = match self.step().await {
                Ok(0) => POLL,
                Ok(done) => {
                    metrics::counter!(crate::health::WORKED).increment(u64::try_from(done).unwrap_or(u64::MAX));
                    Duration::ZERO
                }
                Err(e) => {
                    tracing::warn!(error = %e, "work stopped at the database; trying again");
                    PAUSE
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Does one round over all shards that are due now; returns how many pieces of work were done or parked.
    pub async fn step(&self) -> Result<usize, StoreError> {
        let config = self.config.borrow().clone();
        let now = self.clock.now();
        let mut done = 0;
        for shard in work::due_shards(&self.db, now).await? {
            done += self.shard(shard, &config, now).await?;
        }
        Ok(done)
    }

    async fn shard(&self, shard: i64, config: &HubConfig, now: Millis) -> Result<usize, StoreError> {
        let mut tx = self.db.begin().await?;
        if !work::lock_shard(&mut tx, shard).await? {
            return Ok(0);
        }
        let todos = work::take(&mut tx, shard, now, ROWS).await?;
        let (poor, good): (Vec<Todo>, Vec<Todo>) = todos.into_iter().partition(|t| t.failures >= ALONE);
        let mut step = Step::begin(&mut tx, config, &self.keyring, now, &good).await?;
        let (started, mut done) = (Instant::now(), 0);
        for (member, group) in by_member(good) {
            let most = if self.db.is_awaited() { SHORT } else { LONG };
            if done > 0 && started.elapsed() > most {
                break;
            }
            // Read under the lock: she may have turned out to be another one since the event came in.
            if work::hand_over(&mut tx, member, &group).await? {
                done += group.len();
                continue;
            }
            if let Err(error) = step.run(&mut tx, member, &group).await {
                // The whole transaction is lost; what was good in it is done again in the next round.
                tx.roll_back().await?;
                return self.failed(&group, error, now).await;
            }
            done += group.len();
        }
        let notices = step.finish(&mut tx).await?;
        tx.commit().await?;
        self.tell(notices);
        for todo in poor {
            done += self.alone(shard, &todo, config, now).await?;
        }
        Ok(done)
    }

    /// Notes a failure of the work itself. A failure of the database is nobody's fault and goes up.
    async fn failed(&self, group: &[Todo], error: StoreError, now: Millis) -> Result<usize, StoreError> {
        if error.is_transient() {
            return Err(error);
        }
        tracing::warn!(%error, rows = group.len(), "work failed; it will be tried again");
        let mut tx = self.db.begin().await?;
        for todo in group {
            work::fail(&mut tx, todo, now).await?;
        }
        tx.commit().await?;
        Ok(group.len())
    }

    /// Tries work that failed twice in a transaction of its own, and parks it if it fails there too.
    async fn alone(&self, shard: i64, todo: &Todo, config: &HubConfig, now: Millis) -> Result<usize, StoreError> {
        let mut tx = self.db.begin().await?;
        if !work::lock_shard(&mut tx, shard).await? {
            return Ok(0);
        }
        let one = std::slice::from_ref(todo);
        if work::hand_over(&mut tx, todo.member, one).await? {
            tx.commit().await?;
            return Ok(1);
        }
        let mut step = Step::begin(&mut tx, config, &self.keyring, now, one).await?;
        match step.run(&mut tx, todo.member, one).await {
            Ok(()) => {
                let notices = step.finish(&mut tx).await?;
                tx.commit().await?;
                self.tell(notices);
            }
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => {
                tx.roll_back().await?;
                tracing::error!(%error, kind = todo.kind.word(), reference = todo.reference, "work fails even alone and was parked");
                let mut tx = self.db.begin().await?;
                work::park(&mut tx, todo, &error.to_string(), now).await?;
                tx.commit().await?;
            }
        }
        Ok(1)
    }

    fn tell(&self, notices: Vec<Notice>) {
        if !notices.is_empty() {
            self.planned.notify_one();
        }
        notices.into_iter().for_each(|n| self.notices.tell(n));
    }
}

/// The work of each member, members in the order of their oldest work.
fn by_member(todos: Vec<Todo>) -> Vec<(MemberId, Vec<Todo>)> {
    let mut groups: Vec<(MemberId, Vec<Todo>)> = Vec::new();
    for todo in todos {
        match groups.iter_mut().find(|(m, _)| *m == todo.member) {
            Some((_, group)) => group.push(todo),
            None => groups.push((todo.member, vec![todo])),
        }
    }
    groups
}
