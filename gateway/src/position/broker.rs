//! The broker side: encrypted reports of the apps, the states of the other position gateways, and the deny list. A connection of its own, so that a
//! flood of reports cannot hold up the acks of the outbox.
//!
//! The broker keeps the session of a gateway that is alone: what the apps publish while it is away, or what it has not committed yet, comes when it is
//! back. It may then be too old to trigger anything, and still completes the record. In a group the others take over instead. A retained report is the
//! broker's copy of an old one and never counts.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, future::BoxFuture, stream::FuturesOrdered};
use passage_config::Mqtt;
use passage_protocol::{Clock, GatewayId, GatewayState, InstallationId, Topic, sign::Pinned};
use tokio::{sync::oneshot, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Fate,
    desk::{Desk, Handed},
};
use crate::{
    outbox::{Batch, Outbox},
    uplink::link::{Link, LinkEvent, LinkOptions, Receipt, Session},
};

/// Longest pause between two tries to connect.
const MAX_PAUSE: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// How long the broker keeps the session of a gateway that is away.
const KEPT: Duration = Duration::from_secs(3600);
/// How long a lost connection waits for the commits of what came over it. Machine time.
const LAST_COMMITS: Duration = Duration::from_secs(5);
/// What the apps put behind user and device.
const SUFFIXES: [&str; 4] = ["event", "beacon", "waypoint", "waypoints"];

/// The end of what a message begins: its receipt, and whether the broker may forget it.
type Taking<'a> = BoxFuture<'a, (Option<Receipt>, bool)>;

/// Listens on the broker for everything that has to do with positions.
#[derive(Debug)]
pub struct Broker {
    /// This gateway.
    pub id: GatewayId,
    /// Broker.
    pub mqtt: Mqtt,
    /// First levels of the apps' topics; `None`: reports are not taken from the broker.
    pub topic: Option<String>,
    /// The hubs whose deny lists count.
    pub pinned: Pinned,
    /// Business time.
    pub clock: Clock,
    /// Where reports go.
    pub desk: Arc<Desk>,
    /// Keeps the deny list.
    pub outbox: Outbox,
}

impl Broker {
    /// Connects, and connects again, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let (mut pause, mut told) = (FIRST_PAUSE, false);
        while !stop.is_cancelled() {
            let Some((why, worked)) = self.session(&stop).await else { return };
            if worked {
                (pause, told) = (FIRST_PAUSE, false);
            }
            if !told {
                tracing::warn!("no connection to the broker for positions: {why}; it is tried again");
                told = true;
            }
            let wait = pause.mul_f64(0.5 + rand::random::<f64>() / 2.0);
            pause = (pause * 2).min(MAX_PAUSE);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// One connection; why it ended, and whether it ever stood. `None` after the stop.
    async fn session(&self, stop: &CancellationToken) -> Option<(String, bool)> {
        let mut link = Link::connect(&self.options());
        let mut worked = false;
        // MQTT wants its messages acknowledged in their order.
        let mut taken = FuturesOrdered::<Taking<'_>>::new();
        loop {
            let event = tokio::select! {
                event = link.event() => event,
                Some((receipt, kept)) = taken.next() => match receipt {
                    Some(receipt) if kept => {
                        link.acknowledge(receipt);
                        continue;
                    }
                    Some(_) => return Some(("a report could not be stored; the broker sends it again".into(), worked)),
                    None => continue,
                },
                () = stop.cancelled() => {
                    link.disconnect().await;
                    return None;
                }
            };
            match event {
                LinkEvent::Subscribed => {
                    worked = true;
                    if let Some(group) = &self.desk.group {
                        group.subscribed(Instant::now());
                    }
                }
                LinkEvent::Message { topic, payload, retained, receipt } => tokio::select! {
                    taking = self.message(&topic, &payload, retained, receipt) => taken.push_back(taking),
                    () = stop.cancelled() => {}
                },
                LinkEvent::Lost(why) => {
                    let _ = timeout(LAST_COMMITS, async { while taken.next().await.is_some() {} }).await;
                    return Some((why, worked));
                }
                LinkEvent::Connected { .. } | LinkEvent::Answered(..) => {}
            }
        }
    }

    fn options(&self) -> LinkOptions {
        let mut topics = vec![Topic::all_denied(&self.id)];
        if let Some(group) = &self.desk.group {
            topics.extend(group.members().map(|id| Topic::State(id.clone()).to_string()));
        }
        if let Some(topic) = &self.topic {
            topics.push(format!("{topic}/+/+"));
            topics.extend(SUFFIXES.map(|suffix| format!("{topic}/+/+/{suffix}")));
        }
        let session = self.topic.as_ref().and_then(|_| self.desk.session(&self.id)).map(|name| Session { name, expiry: KEPT });
        LinkOptions { mqtt: self.mqtt.clone(), client: format!("{}-positions", self.id), will: None, topics, session }
    }

    async fn message(&self, topic: &str, payload: &[u8], retained: bool, receipt: Option<Receipt>) -> Taking<'_> {
        let at_once = |kept: bool| -> Taking<'_> { Box::pin(std::future::ready((receipt, kept))) };
        match topic.parse() {
            Ok(Topic::State(gateway)) => self.state(&gateway, payload),
            Ok(Topic::SiteDeny(gateway, _)) if gateway == self.id => {
                if let Some(committed) = self.deny(payload).await {
                    return Box::pin(async move { (receipt, committed.await.is_ok()) });
                }
            }
            Ok(_) => {}
            Err(_) => match self.report(topic, payload, retained).await {
                Ok(handed) => {
                    return Box::pin(async move {
                        let fate = self.desk.settle(handed).await;
                        self.desk.count(fate);
                        (receipt, fate != Fate::Busy)
                    });
                }
                Err(fate) => {
                    self.desk.count(fate);
                    return at_once(fate != Fate::Busy);
                }
            },
        }
        at_once(true)
    }

    fn state(&self, gateway: &GatewayId, payload: &[u8]) {
        if let Some(group) = &self.desk.group {
            let online = GatewayState::from_slice(payload).is_ok_and(|s| s.gateway == *gateway && s.online);
            group.heard(gateway, online, Instant::now());
        }
    }

    /// Puts a deny list in force. What it gives is answered when it is on the disk, which is not put off.
    async fn deny(&self, payload: &[u8]) -> Option<oneshot::Receiver<()>> {
        match self.desk.denied.take(payload, &self.id, &self.pinned, self.clock.now()) {
            Ok(saved) if saved.is_empty() => None,
            // It holds in memory from now on; a disk that refuses is told by the outbox.
            Ok(saved) => {
                let (done, committed) = oneshot::channel();
                let _ = self.outbox.submit(Batch { saved, ..Batch::default() }, true, Some(done)).await;
                Some(committed)
            }
            Err(why) => {
                tracing::warn!("a deny list was ignored: {why}");
                None
            }
        }
    }

    async fn report(&self, topic: &str, payload: &[u8], retained: bool) -> Result<Handed, Fate> {
        let who = self.topic.as_deref().and_then(|prefix| user(prefix, topic)).ok_or(Fate::Unknown)?;
        if retained {
            return Err(Fate::Retained);
        }
        // An empty message takes a retained one away.
        if payload.is_empty() {
            return Err(Fate::Ignored);
        }
        self.desk.take_sealed(payload, &who, self.clock.now()).await
    }
}

/// The installation in `prefix/user/device` or `prefix/user/device/suffix`. The apps' users may write it with capitals.
fn user(prefix: &str, topic: &str) -> Option<InstallationId> {
    let mut levels = topic.strip_prefix(prefix)?.strip_prefix('/')?.split('/');
    let (user, device, suffix) = (levels.next()?, levels.next()?, levels.next());
    if device.is_empty() || levels.next().is_some() || suffix.is_some_and(|s| !SUFFIXES.contains(&s)) {
        return None;
    }
    user.to_ascii_lowercase().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_of_a_topic_is_the_installation() {
        let name = |topic| user("owntracks", topic).map(String::from);
        assert_eq!(name("owntracks/Jane/s5").as_deref(), Some("jane"));
        assert_eq!(name("owntracks/i-01/22A67880/event").as_deref(), Some("i-01"));
        for topic in
            ["owntracks/jane", "owntracks/jane/s5/cmd", "owntracks/jane/s5/event/x", "other/jane/s5", "owntracks//s5", "owntracks/jane/"]
        {
            assert_eq!(name(topic), None, "{topic}");
        }
    }
}
