//! This machine's Bluetooth adapter, through BlueZ.
//!
//! ```text
//! btleplug events -> link (own thread) -> merge -> queue -> the listener      adverts
//! watch (own bus connection) -> link -> scan <-> ladder                       what to do about a silence
//! ```
//!
//! btleplug gives events, not adverts: the strength and the payload of one advert come one after the other, and the first advert of an
//! address comes without either. [`merge`] makes adverts of them again. BlueZ falls silent without an error when its daemon, the adapter or the
//! bus goes away: [`ladder`] says what to do then, and `scan` does it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use async_trait::async_trait;
use passage_config::BleRadio;
use passage_protocol::Clock;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Advert, Heard, RadioError, Source, Vitals};

pub mod advertise;
pub mod bytes;
pub mod devices;
pub mod ladder;
mod link;
pub mod merge;
pub mod pressure;
pub mod rate;
mod scan;
mod session;
mod watch;

use merge::Merged;
use scan::Scan;

/// Adverts that wait for the decider; more are dropped and counted.
const QUEUE: usize = 4096;

/// A source of what the adapter hears. Dropping it ends the scan.
pub struct Ble {
    heard: mpsc::Receiver<Result<Advert, RadioError>>,
    vitals: Arc<Vitals>,
    _stop: DropGuard,
}

impl Ble {
    /// Finds the adapter and starts to scan. The error says what is missing and how to mend it.
    pub async fn open(options: BleRadio, clock: Clock) -> Result<Self, RadioError> {
        let (sender, heard) = mpsc::channel(QUEUE);
        let vitals = Arc::new(Vitals::default());
        let out = Out { sender, vitals: Arc::clone(&vitals), heard: Arc::default(), clock };
        let stop = CancellationToken::new();
        tokio::spawn(Scan::open(options, out).await?.run(stop.clone()));
        Ok(Self { heard, vitals, _stop: stop.drop_guard() })
    }
}

#[async_trait]
impl Source for Ble {
    async fn next(&mut self) -> Option<Result<Heard, RadioError>> {
        let item = self.heard.recv().await?;
        Some(item.map(|advert| Heard { advert, position: None }))
    }

    fn dropped(&self) -> u64 {
        self.vitals.lost()
    }

    fn vitals(&self) -> Option<Arc<Vitals>> {
        Some(Arc::clone(&self.vitals))
    }
}

/// The writing end of the queue. It never waits, because what waits grows old inside btleplug instead.
#[derive(Clone)]
struct Out {
    sender: mpsc::Sender<Result<Advert, RadioError>>,
    vitals: Arc<Vitals>,
    /// Events of senders, whatever they carry: a sign of life of the radio.
    heard: Arc<AtomicU64>,
    clock: Clock,
}

impl Out {
    fn merged(&self, merged: Option<Merged>) {
        match merged {
            Some(Merged::Advert(advert)) => {
                self.vitals.adverts.fetch_add(1, Relaxed);
                if self.sender.try_send(Ok(advert)).is_err() {
                    self.vitals.dropped.fetch_add(1, Relaxed);
                }
            }
            Some(Merged::Empty) => {
                self.vitals.empty.fetch_add(1, Relaxed);
            }
            None => {}
        }
    }

    fn error(&self, error: RadioError) {
        // A full queue is a fault of its own, and counted.
        let _ = self.sender.try_send(Err(error));
    }

    async fn last_word(&self, error: RadioError) {
        let _ = self.sender.send(Err(error)).await;
    }
}
