//! Keeps a scan alive: BlueZ falls silent without an error when its daemon, the adapter or the bus goes away.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use btleplug::api::{Central as _, CentralEvent, CentralState, Peripheral as _};
use tokio::{sync::Semaphore, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{
    BleRadio, Out, RadioError,
    merge::{self, Strengths},
    session::{Session, fault},
};

/// Devices whose first advert is asked for at the same time; in a crowd, the rest wait for their second advert.
const QUESTIONS: usize = 8;
/// Longest wait between two attempts to end a silence.
const PATIENCE: Duration = Duration::from_secs(300);
/// Attempts after which the silence is reported.
const REPORT_AFTER: u32 = 3;

/// The task behind a [`super::Ble`].
pub(super) struct Scan {
    session: Session,
    options: BleRadio,
    out: Out,
    strengths: Strengths,
    questions: Arc<Semaphore>,
    watchdog: Watchdog,
}

impl Scan {
    pub fn new(session: Session, options: BleRadio, out: Out) -> Self {
        let watchdog = Watchdog::new(options.restart_after, Instant::now());
        Self { session, options, out, strengths: Strengths::default(), questions: Arc::new(Semaphore::new(QUESTIONS)), watchdog }
    }

    /// Scans until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut look = tokio::time::interval(Duration::from_secs(1));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                event = self.session.event() => match event {
                    Some(event) => self.take_in(event).await,
                    None => self.revive(true).await,
                },
                _ = look.tick() => {
                    if self.watchdog.is_due(Instant::now()) {
                        self.revive(false).await;
                    }
                }
            }
        }
        self.session.stop().await;
    }

    async fn take_in(&mut self, event: CentralEvent) {
        let now = Instant::now();
        match event {
            CentralEvent::StateUpdate(CentralState::PoweredOn) => self.revive(false).await,
            CentralEvent::RssiUpdate { id, rssi } => {
                self.watchdog.alive(now);
                if let Some(address) = merge::address(&id.to_string()) {
                    self.strengths.heard(address, rssi, now);
                }
            }
            CentralEvent::ManufacturerDataAdvertisement { id, manufacturer_data } => {
                self.payload(&id.to_string(), merge::manufacturer_data(&manufacturer_data), now);
            }
            CentralEvent::ServiceDataAdvertisement { id, service_data } => {
                self.payload(&id.to_string(), merge::service_data(&service_data), now);
            }
            CentralEvent::DeviceDiscovered(id) => {
                self.watchdog.alive(now);
                self.ask(id);
            }
            _ => {}
        }
    }

    fn payload(&mut self, device: &str, data: Vec<u8>, now: Instant) {
        self.watchdog.alive(now);
        let Some(address) = merge::address(device) else { return };
        if let Some(rssi) = self.strengths.of(address, now) {
            self.out.advert(address, rssi, data);
        }
    }

    /// The first advert of an address comes without its strength and payload: asks for them once, beside the stream of events.
    fn ask(&self, id: btleplug::platform::PeripheralId) {
        let Ok(permit) = Arc::clone(&self.questions).try_acquire_owned() else { return };
        let (adapter, out) = (self.session.adapter.clone(), self.out.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let Ok(peripheral) = adapter.peripheral(&id).await else { return };
            let Ok(Some(first)) = peripheral.properties().await else { return };
            // Without a strength it is only remembered by BlueZ, not heard.
            let Some(rssi) = first.rssi.and_then(|rssi| i8::try_from(rssi).ok()) else { return };
            let mut data = merge::manufacturer_data(&first.manufacturer_data);
            data.extend(merge::service_data(&first.service_data));
            if !data.is_empty() {
                out.advert(first.address.into_inner(), rssi, data);
            }
        });
    }

    /// Starts the scan again; with a new connection when the old one is over or starting again has not helped.
    async fn revive(&mut self, is_over: bool) {
        let attempt = self.watchdog.attempt(Instant::now());
        tracing::info!(attempt, "the radio is silent, starting the scan again");
        let started = if is_over || attempt >= REPORT_AFTER {
            // Without the pause, a bus that is gone would be asked as fast as it can refuse.
            tokio::time::sleep(Duration::from_secs(1)).await;
            Session::open(self.options.adapter.as_deref()).await.map(|session| self.session = session)
        } else {
            self.session.start().await
        };
        if let Some(error) = report(started, attempt, self.watchdog.silent_for(Instant::now())) {
            self.out.error(error);
        }
        self.watchdog.started(Instant::now());
    }
}

/// A silence is reported once, when starting again has failed or has not helped for a while.
fn report(started: Result<(), RadioError>, attempt: u32, silent: Duration) -> Option<RadioError> {
    match started {
        _ if attempt != REPORT_AFTER => None,
        Err(e) => Some(e),
        Ok(()) => Some(fault(
            format!("the radio has heard nothing for {} s, although its scan was started again {attempt} times", silent.as_secs()),
            "if somebody's phone is near, run `systemctl restart bluetooth`; if the adapter is USB, plug it in anew",
        )),
    }
}

/// Decides when a silence has lasted too long. After each attempt that did not help it waits twice as long.
struct Watchdog {
    silence: Duration,
    heard: Instant,
    started: Instant,
    attempts: u32,
}

impl Watchdog {
    fn new(silence: Duration, now: Instant) -> Self {
        Self { silence, heard: now, started: now, attempts: 0 }
    }

    fn alive(&mut self, now: Instant) {
        self.heard = now;
        self.attempts = 0;
    }

    fn is_due(&self, now: Instant) -> bool {
        let wait = self.silence.saturating_mul(1 << self.attempts.min(10)).min(PATIENCE.max(self.silence));
        now.duration_since(self.heard.max(self.started)) >= wait
    }

    /// Counts an attempt and gives its number.
    fn attempt(&mut self, now: Instant) -> u32 {
        self.attempts = self.attempts.saturating_add(1);
        self.started = now;
        self.attempts
    }

    fn started(&mut self, now: Instant) {
        self.started = now;
    }

    fn silent_for(&self, now: Instant) -> Duration {
        now.duration_since(self.heard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_waits_longer_after_each_attempt_and_forgets_them_at_the_first_event() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut watchdog = Watchdog::new(Duration::from_secs(15), start);
        assert!(!watchdog.is_due(at(14)));
        assert!(watchdog.is_due(at(15)));
        assert_eq!(watchdog.attempt(at(15)), 1);
        assert!(!watchdog.is_due(at(44)));
        assert!(watchdog.is_due(at(45)));
        assert_eq!(watchdog.attempt(at(45)), 2);
        for _ in 0..40 {
            watchdog.attempt(at(100));
        }
        assert!(!watchdog.is_due(at(399)) && watchdog.is_due(at(400)), "never longer than five minutes");
        watchdog.alive(at(400));
        assert!(!watchdog.is_due(at(414)) && watchdog.is_due(at(415)));
    }

    #[test]
    fn a_silence_is_reported_once_and_in_words() {
        let silent = Duration::from_secs(105);
        assert_eq!(report(Ok(()), 1, silent), None);
        assert_eq!(report(Ok(()), 4, silent), None);
        let text = report(Ok(()), 3, silent).unwrap().to_string();
        assert!(text.contains("105 s") && text.contains("Mend:"), "{text}");
    }
}
