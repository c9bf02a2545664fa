//! This machine's Bluetooth adapter, through BlueZ.
//!
//! ```text
//! BlueZ's signals -> listen (own thread) -> signal -> senders -> queue -> the listener      adverts
//! scan <-> ladder: what to do about a silence;  scan -> link (own thread) -> session (btleplug), watch      calls
//! ```
//!
//! btleplug finds the adapter and starts and stops the scan. What is heard is read from the signals of BlueZ themselves ([`signal`]), because
//! btleplug's events cost several questions each and lose the first advert of an address. BlueZ falls silent without an error when its daemon,
//! the adapter or the bus goes away: [`ladder`] says what to do then, and `scan` does it.

use std::sync::{Arc, atomic::Ordering::Relaxed};

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
mod listen;
pub mod pressure;
mod scan;
pub mod senders;
mod session;
pub mod signal;
mod watch;

use scan::Scan;
use senders::Heard as FromAir;

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
        let out = Out { sender, vitals: Arc::clone(&vitals), clock };
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
        self.vitals.dropped.load(Relaxed)
    }

    fn vitals(&self) -> Option<Arc<Vitals>> {
        Some(Arc::clone(&self.vitals))
    }
}

/// The writing end of the queue. It never waits, because what waits grows old in the message bus instead.
#[derive(Clone)]
struct Out {
    sender: mpsc::Sender<Result<Advert, RadioError>>,
    vitals: Arc<Vitals>,
    clock: Clock,
}

impl Out {
    fn heard(&self, heard: Option<FromAir>) {
        match heard {
            Some(FromAir::Advert(advert)) => {
                self.vitals.adverts.fetch_add(1, Relaxed);
                if self.sender.try_send(Ok(advert)).is_err() {
                    self.vitals.dropped.fetch_add(1, Relaxed);
                }
            }
            Some(FromAir::Empty) => {
                self.vitals.empty.fetch_add(1, Relaxed);
            }
            None => {}
        }
    }

    /// How many wait in the queue.
    fn queued(&self) -> u64 {
        self.sender.max_capacity().saturating_sub(self.sender.capacity()) as u64
    }

    fn error(&self, error: RadioError) {
        // A full queue is a fault of its own, and counted.
        let _ = self.sender.try_send(Err(error));
    }

    async fn last_word(&self, error: RadioError) {
        let _ = self.sender.send(Err(error)).await;
    }
}
