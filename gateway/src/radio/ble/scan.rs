//! Keeps a scan alive: does what the ladder says, and tells it what has become of it.

use std::{
    future::pending,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    BleRadio, Out, RadioError,
    ladder::{Action, Ladder, Outcome, Times},
    link::{Link, Order},
    session::Trouble,
};
use crate::radio::rate::Rate;

/// How often the ladder is asked.
const TICK: Duration = Duration::from_millis(100);
/// How often the log tells how the radio does.
const TELL: Duration = Duration::from_secs(3600);
/// An order is a handful of calls that are limited to 5 s each; connecting to a frozen bus is not limited by itself.
const ORDER: Duration = Duration::from_secs(15);

type Running = Pin<Box<dyn Future<Output = Result<(), Trouble>> + Send>>;

/// The task behind a [`super::Ble`].
pub(super) struct Scan {
    options: BleRadio,
    out: Out,
    link: Option<Link>,
    ladder: Ladder,
    begun: Instant,
    running: Option<(Action, Running)>,
    /// What had been heard when the ladder was told last, and when that was.
    heard: u64,
    heard_at: Instant,
    rate: Rate,
    trouble: Option<Trouble>,
    silent: bool,
    /// When the log told last how the radio does.
    told_at: Instant,
}

impl Scan {
    /// Connects and starts to scan. The error says what is missing and how to mend it.
    pub async fn open(options: BleRadio, out: Out) -> Result<Self, RadioError> {
        let times = Times { silence: options.restart_after, give_up: options.exit_after };
        let begun = Instant::now();
        let mut scan = Self {
            ladder: Ladder::new(times),
            options,
            out,
            link: None,
            begun,
            running: None,
            heard: 0,
            heard_at: begun,
            rate: Rate::default(),
            trouble: None,
            silent: false,
            told_at: begun,
        };
        let outcome = match scan.order(Action::Session).await {
            Ok(()) => Outcome::Done,
            // What a daemon that was just killed has left behind; the ladder waits it out.
            Err(Trouble { outcome: busy @ Outcome::InProgress { .. }, .. }) => busy,
            Err(trouble) => return Err(RadioError::Adapter(trouble.to_string())),
        };
        scan.begun = Instant::now();
        scan.ladder = Ladder::opened(times, outcome);
        Ok(scan)
    }

    /// Scans until `stop`, or until only a new process can help.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(notice) = told(&mut self.link) => {
                    tracing::info!("the radio: {notice:?}");
                    self.ladder.notice(notice, self.begun.elapsed());
                }
                answer = finished(&mut self.running) => self.came_back(answer),
                _ = tick.tick() => {}
            }
            let is_back = self.listen();
            self.flags();
            if is_back || self.told_at.elapsed() >= TELL {
                self.tell();
            }
            if let Some(action) = self.ladder.poll(self.begun.elapsed()) {
                if action == Action::GiveUp {
                    return self.give_up().await;
                }
                self.act(action);
            }
        }
    }

    /// Tells the ladder when something was heard since it was told last; true when that has ended a silence.
    fn listen(&mut self) -> bool {
        let heard = self.out.vitals.heard();
        let adverts = self.out.vitals.adverts.load(Relaxed);
        let silence = self.heard_at.elapsed();
        self.note(adverts, if heard == self.heard { silence } else { Duration::ZERO });
        if heard == self.heard {
            return false;
        }
        let is_back = silence > self.options.restart_after;
        if is_back {
            tracing::info!("the radio hears again after {} s", silence.as_secs());
        }
        (self.heard, self.heard_at) = (heard, Instant::now());
        self.ladder.heard(self.begun.elapsed());
        is_back
    }

    /// What the state of the gateway tells besides the counters.
    fn note(&mut self, adverts: u64, silence: Duration) {
        let vitals = &self.out.vitals;
        vitals.last_10_s.store(self.rate.note(self.begun.elapsed(), adverts), Relaxed);
        vitals.silent_ms.store(u64::try_from(silence.as_millis()).unwrap_or(u64::MAX), Relaxed);
        vitals.queued.store(self.out.queued(), Relaxed);
    }

    /// What a technician finds in the log.
    fn tell(&mut self) {
        self.told_at = Instant::now();
        tracing::info!("the radio so far: {}", self.out.vitals.look());
    }

    fn act(&mut self, action: Action) {
        tracing::info!("the radio has been silent for {} s: {}", self.heard_at.elapsed().as_secs(), words(action));
        let rungs = &self.out.vitals.rungs;
        let counter: Option<&AtomicU64> = match action {
            Action::Start => Some(&rungs.start),
            Action::Stop => Some(&rungs.stop),
            Action::Session => Some(&rungs.session),
            Action::Daemon => Some(&rungs.daemon),
            Action::GiveUp => None,
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Relaxed);
        }
        let order = self.order(action);
        self.running = Some((action, order));
    }

    /// Begins an action. A new session leaves the old connection behind, with everything that hangs in it.
    fn order(&mut self, action: Action) -> Running {
        if action == Action::Session || self.link.is_none() {
            match Link::open(self.options.adapter.clone(), self.out.clone()) {
                Ok(link) => self.link = Some(link),
                Err(e) => return Box::pin(std::future::ready(Err(failed(format!("no thread for the radio can be started ({e})"))))),
            }
        }
        let order = match action {
            Action::Stop => Order::Stop,
            Action::Daemon if !self.options.restart_daemon => return Box::pin(std::future::ready(Err(forbidden()))),
            Action::Daemon => Order::Daemon,
            Action::Start | Action::Session | Action::GiveUp => Order::Start,
        };
        let Some(link) = &self.link else { return Box::pin(pending()) };
        let ordered = link.order(order);
        Box::pin(async move {
            timeout(ORDER, ordered)
                .await
                .unwrap_or_else(|_| Err(failed(format!("the message bus has not answered for {} s", ORDER.as_secs()))))
        })
    }

    fn came_back(&mut self, (action, answer): (Action, Result<(), Trouble>)) {
        let outcome = answer.as_ref().map_or_else(|trouble| trouble.outcome, |()| Outcome::Done);
        tracing::info!("{}: {outcome:?}", words(action));
        self.trouble = answer.err();
        if let (Action::Daemon, Some(trouble)) = (action, &self.trouble) {
            tracing::warn!("{trouble}");
        }
        self.ladder.outcome(outcome, self.begun.elapsed());
    }

    /// A silence is told once in words, and stands in the flags as long as it lasts.
    fn flags(&mut self) {
        let (silent, wedged) = (self.ladder.is_silent(), self.ladder.is_wedged());
        self.out.vitals.silent.store(silent, Relaxed);
        self.out.vitals.wedged.store(wedged, Relaxed);
        if silent && !self.silent && self.running.is_none() {
            self.out.error(RadioError::Adapter(self.report()));
            self.silent = true;
        }
        self.silent &= silent;
    }

    fn report(&self) -> String {
        match &self.trouble {
            Some(trouble) => trouble.to_string(),
            None => format!(
                "the radio has heard nothing for {} s, although its scan was started again. Mend: none if nobody is near; otherwise run \
                 `systemctl restart bluetooth`, and plug a USB adapter in anew",
                self.heard_at.elapsed().as_secs()
            ),
        }
    }

    async fn give_up(self) {
        let why = self.trouble.as_ref().map_or_else(String::new, |trouble| format!(": {trouble}"));
        let minutes = self.options.exit_after.as_secs() / 60;
        self.out
            .last_word(RadioError::GaveUp(format!("the radio could not be used for {minutes} min, the gateway starts anew{why}")))
            .await;
    }
}

async fn told(link: &mut Option<Link>) -> Option<super::ladder::Notice> {
    match link {
        Some(link) => link.notices.recv().await,
        None => pending().await,
    }
}

async fn finished(running: &mut Option<(Action, Running)>) -> (Action, Result<(), Trouble>) {
    let Some((action, order)) = running else { return pending().await };
    let (action, answer) = (*action, order.await);
    *running = None;
    (action, answer)
}

fn words(action: Action) -> &'static str {
    match action {
        Action::Start => "starting the scan",
        Action::Stop => "stopping the scan",
        Action::Session => "connecting anew",
        Action::Daemon => "restarting the Bluetooth daemon",
        Action::GiveUp => "giving up",
    }
}

fn failed(what: String) -> Trouble {
    Trouble { outcome: Outcome::Failed, what, mend: "run `systemctl restart dbus bluetooth`" }
}

fn forbidden() -> Trouble {
    Trouble {
        outcome: Outcome::Denied,
        what: "the Bluetooth daemon has lost track of its scan, and `restart_daemon` is false".to_owned(),
        mend: "run `systemctl restart bluetooth`",
    }
}
