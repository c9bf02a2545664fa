//! The shop's wake beacon on the air: keeps one advertisement at BlueZ, with the id of the window.
//!
//! btleplug only listens, so this speaks to `org.bluez.LEAdvertisingManager1` itself, over a connection of its own. After any fault the
//! connection is dropped, with which BlueZ forgets the advertisement, and everything begins anew.

mod line;

use std::{sync::Arc, time::Duration};

use passage_config::WakeBeacon;
use passage_protocol::Clock;
use tokio_util::sync::CancellationToken;

use self::line::{Line, Registered};
use crate::{
    health::Health,
    wake::{Schedule, Turn},
};

/// Raised while the beacon is not on the air.
pub const FLAG: &str = "wake-not-advertised";

/// How often a clock that only its driver moves is looked at.
const STEPPED: Duration = Duration::from_millis(200);

/// What is wrong and how to mend it. No text holds an address, a key or an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the wake beacon is not on the air, so no app wakes near this shop: {what}. Mend: {mend}")]
pub struct Fault {
    what: String,
    mend: &'static str,
}

/// The task that keeps the beacon on the air.
#[derive(Debug)]
pub struct Advertiser {
    /// What to advertise.
    pub beacon: WakeBeacon,
    /// Address or name (`hci1`) of the adapter; the first that can advertise when it is left out.
    pub adapter: Option<String>,
    /// Address of the message bus; the system's when it is left out.
    pub bus: Option<String>,
    /// Business time, which the windows follow.
    pub clock: Clock,
    /// When to change.
    pub schedule: Schedule,
    /// Where a beacon that is not on the air is told.
    pub health: Arc<Health>,
}

/// What is on the air.
struct Air {
    turn: Turn,
    registered: Registered,
}

impl Advertiser {
    /// Advertises until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            () = self.keep() => {}
            // Dropping the connection takes the advertisement off the air.
            () = stop.cancelled() => {}
        }
    }

    async fn keep(&mut self) {
        let (mut line, mut air, mut told) = (None, None, None);
        loop {
            match self.step(&mut line, &mut air).await {
                Ok(()) => {
                    if told.take().is_some() {
                        tracing::info!("the wake beacon is on the air again");
                    }
                    self.health.flag(FLAG, false);
                    rest(self.schedule.well().min(self.until_next(&air)), line.as_mut()).await;
                }
                Err(fault) => {
                    self.health.flag(FLAG, true);
                    if told.as_ref() != Some(&fault) {
                        tracing::warn!("{fault}");
                        told = Some(fault);
                    }
                    // A new connection tells when BlueZ comes back.
                    (line, air) = (Line::open(self.bus.as_deref()).await.ok(), None);
                    rest(self.schedule.fault(), line.as_mut()).await;
                }
            }
        }
    }

    /// Brings what is on the air to what should be.
    async fn step(&self, line: &mut Option<Line>, air: &mut Option<Air>) -> Result<(), Fault> {
        let line = match line {
            Some(line) => line,
            None => line.insert(Line::open(self.bus.as_deref()).await?),
        };
        let turn = self.schedule.turn(self.clock.now());
        if let Some(on) = air.take() {
            match line.is_on_air(&on.registered).await? {
                true if on.turn == turn => {
                    *air = Some(on);
                    return Ok(());
                }
                true => line.unregister(&on.registered).await?,
                false => line.forget(&on.registered),
            }
        }
        let frame = self.beacon.key.id(turn.window).frame(&self.beacon.uuid, self.beacon.power);
        let registered = line.register(self.adapter.as_deref(), turn.window, frame).await?;
        *air = Some(Air { turn, registered });
        Ok(())
    }

    fn until_next(&self, air: &Option<Air>) -> Duration {
        let next = air.as_ref().and_then(|air| self.clock.machine_time_until(air.turn.until));
        next.unwrap_or(STEPPED)
    }
}

/// Waits; not longer than until BlueZ comes, goes, or takes the advertisement off the air.
async fn rest(wait: Duration, line: Option<&mut Line>) {
    let changed = async {
        match line {
            Some(line) => line.changed().await,
            None => std::future::pending().await,
        }
    };
    // A moment for a daemon that has just come; and a bus that is gone must not be asked in a loop.
    tokio::select! {
        () = tokio::time::sleep(wait) => {}
        () = changed => tokio::time::sleep(Duration::from_millis(100)).await,
    }
}
