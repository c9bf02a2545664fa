//! This machine's Bluetooth adapter, through BlueZ.
//!
//! btleplug gives events, not adverts: the strength and the payload of one advert come one after the other, and the first advert of an
//! address comes without either. [`merge`] makes adverts of them again; `scan` keeps the scan alive.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use passage_config::BleRadio;
use passage_protocol::Clock;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Advert, Heard, RadioError, Source};

pub mod advertise;
pub mod merge;
mod scan;
mod session;

use scan::Scan;
use session::Session;

/// Adverts that wait for the decider; more are dropped and counted.
const QUEUE: usize = 4096;

/// A source of what the adapter hears. Dropping it ends the scan.
pub struct Ble {
    heard: mpsc::Receiver<Result<Advert, RadioError>>,
    dropped: Arc<AtomicU64>,
    _stop: DropGuard,
}

impl Ble {
    /// Finds the adapter and starts to scan. The error says what is missing and how to mend it.
    pub async fn open(options: BleRadio, clock: Clock) -> Result<Self, RadioError> {
        let session = Session::open(options.adapter.as_deref()).await?;
        let (sender, heard) = mpsc::channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let stop = CancellationToken::new();
        let out = Out { sender, dropped: Arc::clone(&dropped), clock };
        tokio::spawn(Scan::new(session, options, out).run(stop.clone()));
        Ok(Self { heard, dropped, _stop: stop.drop_guard() })
    }
}

#[async_trait]
impl Source for Ble {
    async fn next(&mut self) -> Option<Result<Heard, RadioError>> {
        let item = self.heard.recv().await?;
        Some(item.map(|advert| Heard { advert, position: None }))
    }

    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// The writing end of the queue. It never waits, because what waits grows old inside btleplug instead.
#[derive(Clone)]
struct Out {
    sender: mpsc::Sender<Result<Advert, RadioError>>,
    dropped: Arc<AtomicU64>,
    clock: Clock,
}

impl Out {
    fn advert(&self, address: [u8; 6], rssi: i8, data: Vec<u8>) {
        self.put(Ok(Advert { at: self.clock.now(), address, rssi, data }));
    }

    fn error(&self, error: RadioError) {
        self.put(Err(error));
    }

    fn put(&self, item: Result<Advert, RadioError>) {
        if self.sender.try_send(item).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}
