//! Advances each gateway's progress and publishes signed acks. Runs beside the writer; what it misses it says with the next ack.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use passage_config::HubConfig;
use passage_protocol::{Ack, Clock, GatewayId, Topic};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{HubKeys, grant::Grant, link::Outlet};
use crate::store::{
    Db, StoreError,
    progress::{self as table, Standing},
};

/// Most gateways in one transaction.
const AT_ONCE: usize = 32;

/// A gateway that waits for an ack.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Touch {
    pub(crate) gateway: GatewayId,
    pub(crate) epoch: String,
    /// It said hello, and publishes nothing before it has its answer.
    pub(crate) hello: bool,
    /// It works off a backlog.
    pub(crate) backlog: bool,
}

type Key = (GatewayId, String);

/// The step that acks.
pub(crate) struct Progress {
    pub(crate) db: Db,
    pub(crate) keys: HubKeys,
    pub(crate) config: watch::Receiver<Arc<HubConfig>>,
    pub(crate) clock: Clock,
    pub(crate) touches: mpsc::Receiver<Touch>,
    pub(crate) outlet: Outlet,
}

/// When which gateway may get its next ack. Machine time: it bounds traffic.
#[derive(Debug, Default)]
struct Pace(BTreeMap<Key, Entry>);

#[derive(Debug, Clone, Copy)]
struct Entry {
    waiting: bool,
    not_before: Instant,
}

impl Pace {
    fn note(&mut self, touch: Touch, now: Instant) {
        let entry = self.0.entry((touch.gateway, touch.epoch)).or_insert(Entry { waiting: true, not_before: now });
        entry.waiting = true;
        if touch.hello {
            entry.not_before = now;
        }
    }

    fn next(&self) -> Option<Instant> {
        self.0.values().filter(|entry| entry.waiting).map(|entry| entry.not_before).min()
    }

    /// Those whose turn has come. They are on hold for `every` from now.
    fn due(&mut self, now: Instant, every: Duration) -> Vec<Key> {
        self.0.retain(|_, entry| entry.waiting || entry.not_before > now);
        let mut due = Vec::new();
        for (key, entry) in self.0.iter_mut().filter(|(_, entry)| entry.waiting && entry.not_before <= now).take(AT_ONCE) {
            *entry = Entry { waiting: false, not_before: now + every };
            due.push(key.clone());
        }
        due
    }

    /// The ack did not get out; it is due again after its pause.
    fn again(&mut self, key: &Key) {
        if let Some(entry) = self.0.get_mut(key) {
            entry.waiting = true;
        }
    }
}

impl Progress {
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let (mut pace, mut grant) = (Pace::default(), Grant::default());
        loop {
            let turn = async {
                match pace.next() {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                touch = self.touches.recv() => {
                    let Some(touch) = touch else { return };
                    let mut next = Some(touch);
                    while let Some(touch) = next {
                        if touch.backlog {
                            grant.note(&touch.gateway, Instant::now());
                        }
                        pace.note(touch, Instant::now());
                        next = self.touches.try_recv().ok();
                    }
                }
                () = turn => {}
            }
            let config = self.config.borrow().clone();
            let due = pace.due(Instant::now(), config.ack_every);
            if !due.is_empty() {
                let rate = grant.rate(&config, Instant::now());
                self.ack(&due, rate, &mut pace).await;
            }
        }
    }

    async fn ack(&self, due: &[Key], rate: u32, pace: &mut Pace) {
        let standings = match self.advance(due).await {
            Ok(standings) => standings,
            Err(e) => {
                warn!(error = %e, "progress could not be advanced; acks wait");
                due.iter().for_each(|key| pace.again(key));
                return;
            }
        };
        for (key, standing) in due.iter().zip(standings) {
            let done = match standing {
                Some(standing) if standing.forked => true,
                Some(standing) => {
                    let more = standing.more;
                    self.say(key, standing, rate) && !more
                }
                // Another hub is just doing it, but it may not have seen our commit.
                None => false,
            };
            if !done {
                pace.again(key);
            }
        }
    }

    async fn advance(&self, due: &[Key]) -> Result<Vec<Option<Standing>>, StoreError> {
        let mut tx = self.db.begin().await?;
        let mut standings = Vec::with_capacity(due.len());
        for (gateway, epoch) in due {
            standings.push(table::advance(&mut tx, gateway, epoch, self.clock.now()).await?);
        }
        tx.commit().await?;
        Ok(standings)
    }

    fn say(&self, (gateway, epoch): &Key, standing: Standing, rate: u32) -> bool {
        let ack = Ack::signed_at(
            Some(self.clock.now()),
            gateway.clone(),
            epoch.clone(),
            standing.max,
            standing.missing,
            rate,
            self.keys.signing(),
        );
        metrics::counter!(crate::health::ACKS).increment(1);
        self.outlet.publish(&Topic::Ack(gateway.clone()), false, ack.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_millis(200);

    fn touch(hello: bool) -> Touch {
        Touch { gateway: "gateway-1".parse().unwrap(), epoch: "e".to_owned(), hello, backlog: false }
    }

    #[test]
    fn the_first_ack_is_immediate_and_the_next_waits_its_turn() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.note(touch(false), now);
        assert_eq!(pace.due(now, EVERY).len(), 1);
        pace.note(touch(false), now);
        assert!(pace.due(now, EVERY).is_empty());
        assert_eq!(pace.next(), Some(now + EVERY));
        assert_eq!(pace.due(now + EVERY, EVERY).len(), 1);
        assert_eq!(pace.next(), None);
    }

    #[test]
    fn a_hello_is_answered_at_once() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.note(touch(false), now);
        pace.due(now, EVERY);
        pace.note(touch(true), now);
        assert_eq!(pace.due(now, EVERY).len(), 1);
    }

    #[test]
    fn an_ack_that_did_not_get_out_is_due_again_and_quiet_gateways_are_forgotten() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.note(touch(false), now);
        let due = pace.due(now, EVERY);
        pace.again(&due[0]);
        assert_eq!(pace.due(now + EVERY, EVERY).len(), 1);
        assert!(pace.due(now + EVERY * 2, EVERY).is_empty());
        assert!(pace.0.is_empty());
    }
}
