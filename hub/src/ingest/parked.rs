//! Events that nobody is known for: they wait, at most 48 h, for a table, member or link to turn up.

use std::{fmt, sync::Arc, time::Duration};

use passage_protocol::{Clock, Millis};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Resolve, Who};
use crate::store::{
    Db, StoreError, counter, ingest as table, retention,
    work::{self, Todo, TodoKind},
};

/// How long an unresolved event and a quarantined payload are kept, in business time.
const KEPT: Duration = Duration::from_secs(48 * 3600);
/// How often the tables are refreshed, in machine time.
const EVERY: Duration = Duration::from_millis(500);
/// A sweep although nothing new is known, in rounds: about a minute.
const ROUNDS: u32 = 120;
const PAGE: u32 = 500;

/// Refreshes the resolver, gives parked events to the members it then knows, and forgets what has waited for too long.
pub struct Parked {
    /// Where events are.
    pub db: Db,
    /// Who is behind a subject.
    pub resolver: Arc<dyn Resolve>,
    /// Business time.
    pub clock: Clock,
    /// Woken when events were given to members.
    pub wake: Arc<Notify>,
}

impl fmt::Debug for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parked")
    }
}

impl Parked {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut quiet_rounds = ROUNDS;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                outcome = self.round(&mut quiet_rounds) => if let Err(e) = outcome {
                    warn!(error = %e, "parked events could not be looked at; trying again");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    async fn round(&self, quiet_rounds: &mut u32) -> Result<(), StoreError> {
        let new = self.resolver.refresh(&self.db, self.clock.now()).await?;
        if new || *quiet_rounds >= ROUNDS {
            self.sweep().await?;
            // Once more in the next round after news: a batch may have been resolved just before the refresh and committed just after the sweep.
            *quiet_rounds = if new { ROUNDS } else { 0 };
        } else {
            *quiet_rounds += 1;
        }
        Ok(())
    }

    /// One refresh and one look at everything that is parked; returns how many events found their member.
    pub async fn step(&self) -> Result<u64, StoreError> {
        self.resolver.refresh(&self.db, self.clock.now()).await?;
        self.sweep().await
    }

    async fn sweep(&self) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let since = now - KEPT;
        let mut after = String::new();
        let mut assigned = 0;
        loop {
            let mut tx = self.db.begin_read().await?;
            let page = table::unresolved(&mut tx, since, &after, PAGE).await?;
            drop(tx);
            let Some(last) = page.last() else { break };
            after.clone_from(&last.id);
            assigned += self.assign(&page, now).await?;
        }
        let mut tx = self.db.begin().await?;
        let (events, payloads) = table::purge(&mut tx, since).await?;
        if events + payloads > 0 {
            retention::count(&mut tx, now, &[("unresolved events", events), ("quarantined payloads", payloads)]).await?;
        }
        let moments = counter::assign(&mut tx, now).await?;
        tx.commit().await?;
        if moments > 0 {
            self.wake.notify_one();
        }
        if events + payloads > 0 {
            info!(events, payloads, "forgot unresolved events and quarantined payloads after 48 h");
        }
        Ok(assigned)
    }

    async fn assign(&self, page: &[table::Unresolved], now: Millis) -> Result<u64, StoreError> {
        let verdict = |event: &table::Unresolved| self.resolver.who(&event.subject, event.evidence, &event.store);
        let known: Vec<_> = page.iter().map(|event| (event, verdict(event))).filter(|(_, who)| *who != Who::Unknown).collect();
        if known.is_empty() {
            return Ok(0);
        }
        let mut tx = self.db.begin().await?;
        let mut todos = Vec::new();
        for (event, who) in known {
            match who {
                Who::Member(member) if table::assign(&mut tx, &event.id, member, self.resolver.mark(&event.subject)).await? => {
                    todos.push(Todo::new(member, now, TodoKind::Event, &event.id));
                }
                Who::Refused => table::forget(&mut tx, &event.id).await?,
                _ => {}
            }
        }
        work::put_many(&mut tx, &todos).await?;
        tx.commit().await?;
        self.wake.notify_one();
        Ok(u64::try_from(todos.len()).unwrap_or(0))
    }
}
