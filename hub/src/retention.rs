//! Forgets what is past its retention, every hour. Several hubs may do so at once.

use std::{sync::Arc, time::Duration};

use passage_config::{HubConfig, model::Retention as Windows};
use passage_protocol::{Clock, Millis};
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    privacy::erase::forget_quiet,
    store::{
        Db, StoreError, counter,
        people::{self, activity},
        prune::prune,
        retention::{Cuts, count, forget},
    },
};

/// Machine time between two looks.
const EVERY: Duration = Duration::from_secs(3600);

/// Keys of events stay for so long at least, in business time, and no shorter than the events: twice as long as outboxes hold events by default. An
/// event that comes later still counts once.
const KEYS: Duration = Duration::from_secs(60 * 86_400);

/// The stage.
#[derive(Debug)]
pub struct Retention {
    /// What grows old.
    pub db: Db,
    /// As it is now.
    pub config: watch::Receiver<Arc<HubConfig>>,
    /// Business time.
    pub clock: Clock,
}

impl Retention {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(every.tick()).await.is_some() {
            match self.step().await {
                Ok(forgotten) => {
                    for (what, rows) in forgotten.into_iter().filter(|(_, rows)| *rows > 0) {
                        tracing::info!(what, rows, "forgot what is past its retention");
                    }
                }
                Err(error) => tracing::warn!(%error, "what is past its retention could not be forgotten; trying again in an hour"),
            }
        }
    }

    /// Forgets what is too old now; returns what went from where.
    ///
    /// # Errors
    /// The database.
    pub async fn step(&self) -> Result<Vec<(&'static str, u64)>, StoreError> {
        let (now, keep) = (self.clock.now(), self.config.borrow().retention);
        let day = Duration::from_secs(86_400);
        let cuts = Cuts {
            events: now - keep.events,
            visits: now - keep.visits,
            refused: now - keep.refused,
            counter: now - counter::KEPT,
            pages: now - day,
            erased: now - 2 * day,
            ended: now - 30 * day,
            audit: now - keep.audit,
            now,
        };
        let (cookies, links) = self.cookies(now, &keep).await?;
        let mut tx = self.db.begin().await?;
        let mut forgotten = forget(&mut tx, cuts).await?;
        tx.commit().await?;
        let members = forget_quiet(&self.db, now - keep.members, now).await?;
        forgotten.extend([("cookies", cookies), ("links of cookies", links), ("members without activity", members)]);
        let mut tx = self.db.begin().await?;
        count(&mut tx, now, &forgotten).await?;
        tx.commit().await?;
        forgotten.push(("event keys", prune(&self.db, now, keep.events.max(KEYS)).await?));
        Ok(forgotten)
    }

    /// Forgets whose cookies were that nobody uses any more, after what these rows and those that go next tell of members is noted.
    async fn cookies(&self, now: Millis, keep: &Windows) -> Result<(u64, u64), StoreError> {
        let mut tx = self.db.begin().await?;
        people::changes(&mut tx).await?;
        activity::note(&mut tx, now - keep.visits, now - keep.cookies).await?;
        let gone = activity::purge_cookies(&mut tx, now - keep.cookies).await?;
        tx.commit().await?;
        Ok(gone)
    }
}
