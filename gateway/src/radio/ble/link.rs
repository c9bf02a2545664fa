//! One connection to the message bus, on a thread and runtime of its own.
//!
//! What waits in btleplug is drained here at once, however busy the rest of the gateway is. And when the thread ends, everything of the
//! connection ends with it: its socket, the scan that BlueZ keeps for it, the calls that nobody answers, and the tasks of the libraries, of
//! which one panics when its stream is dropped on a dead bus.

use std::{collections::VecDeque, pin::Pin, sync::atomic::Ordering::Relaxed, time::Duration};

use btleplug::{api::CentralEvent, platform::PeripheralId};
use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::{
    sync::{mpsc, oneshot},
    time::{self, Instant},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Out, bytes,
    ladder::{Notice, Outcome},
    merge::{First, Merger, Part, SETTLED},
    pressure::Pressure,
    session::{self, Session, Trouble},
    watch::{Refused, Watch},
};

/// Senders whose first advert is asked for at the same time.
const QUESTIONS: usize = 16;
/// Senders whose question waits; more are counted as not read.
const WAITING: usize = 1024;

/// What the thread can be told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Find the adapter if it is not known yet, and start the scan.
    Start,
    /// Stop the scan.
    Stop,
    /// Restart the daemon.
    Daemon,
}

type Answer = Result<(), Trouble>;

/// The handle of the thread. Dropping it ends the connection.
pub(super) struct Link {
    orders: mpsc::Sender<(Order, oneshot::Sender<Answer>)>,
    /// What BlueZ and the bus tell unasked.
    pub notices: mpsc::UnboundedReceiver<Notice>,
    _stop: DropGuard,
}

impl Link {
    /// Starts the thread. Whether anything can be reached shows with the first order.
    pub fn open(adapter: Option<String>, out: Out) -> std::io::Result<Self> {
        let (orders, inbox) = mpsc::channel(1);
        let (told, notices) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let ended = stop.clone();
        std::thread::Builder::new().name("bluetooth".to_owned()).spawn(move || {
            // Without a runtime the thread ends, and the first order fails.
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(async {
                tokio::select! {
                    () = ended.cancelled() => {}
                    () = Line::new(adapter, out, told).run(inbox) => {}
                }
            });
        })?;
        Ok(Self { orders, notices, _stop: stop.drop_guard() })
    }

    /// Gives an order and waits for its end. The future does not borrow the link.
    pub fn order(&self, order: Order) -> impl Future<Output = Answer> + Send + use<> {
        let orders = self.orders.clone();
        async move {
            let (reply, answer) = oneshot::channel();
            let _ = orders.send((order, reply)).await;
            answer.await.unwrap_or_else(|_| Err(failed("the connection to the message bus is over")))
        }
    }
}

/// An order that is being carried out: it may bring a session along.
type Work = Pin<Box<dyn Future<Output = (Option<Session>, Vec<CentralEvent>, Answer)> + Send>>;

/// A question for the properties of a device that is on its way.
type Question = Pin<Box<dyn Future<Output = ([u8; 6], Option<First>)> + Send>>;

/// What lives on the thread.
struct Line {
    adapter: Option<String>,
    out: Out,
    told: mpsc::UnboundedSender<Notice>,
    session: Option<Session>,
    over: bool,
    merger: Merger,
    questions: FuturesUnordered<Question>,
    waiting: VecDeque<([u8; 6], PeripheralId)>,
    pressure: Pressure,
}

impl Line {
    fn new(adapter: Option<String>, out: Out, told: mpsc::UnboundedSender<Notice>) -> Self {
        let now = std::time::Instant::now();
        Self {
            adapter,
            out,
            told,
            session: None,
            over: false,
            merger: Merger::new(now),
            questions: FuturesUnordered::new(),
            waiting: VecDeque::new(),
            pressure: Pressure::new(now),
        }
    }

    async fn run(mut self, mut orders: mpsc::Receiver<(Order, oneshot::Sender<Answer>)>) {
        let (raw, mut notices) = mpsc::unbounded_channel();
        let mut watch = None;
        let mut work: Option<(Work, oneshot::Sender<Answer>)> = None;
        loop {
            let settle = Instant::now() + if self.merger.is_open() { SETTLED } else { Duration::from_secs(3600) };
            tokio::select! {
                order = orders.recv(), if work.is_none() => {
                    let Some((order, reply)) = order else { return };
                    work = Some((self.begin(order, &mut watch, &raw).await, reply));
                }
                (session, cached, answer) = finished(&mut work) => {
                    if let Some(session) = session {
                        self.take_over(session, cached);
                    }
                    if let Some((_, reply)) = work.take() {
                        let _ = reply.send(answer);
                    }
                }
                event = next(&mut self.session), if !self.over => match event {
                    Some(event) => self.take_in(event),
                    None => self.tell(Notice::BusGone),
                },
                Some((address, first)) = self.questions.next() => self.answered(address, first),
                Some((notice, adapter)) = notices.recv() => {
                    if self.concerns(notice, &adapter) {
                        self.tell(notice);
                    }
                }
                () = time::sleep_until(settle) => {
                    let merged = self.merger.settle(std::time::Instant::now());
                    self.out.merged(merged);
                }
            }
        }
    }

    /// Turns an order into work. The first one connects our own watch too.
    async fn begin(&self, order: Order, watch: &mut Option<std::sync::Arc<Watch>>, raw: &mpsc::UnboundedSender<(Notice, String)>) -> Work {
        if watch.is_none() {
            match time::timeout(session::ANSWER, Watch::open(raw.clone())).await {
                Ok(Ok(opened)) => *watch = Some(std::sync::Arc::new(opened)),
                Ok(Err(e)) => return ready(failed(&format!("the system message bus cannot be reached ({e})"))),
                Err(_) => return ready(failed("the system message bus does not answer")),
            }
        }
        let watch = watch.clone();
        let adapter = self.session.as_ref().map(|session| (session.adapter.clone(), session.name.clone()));
        let wanted = self.adapter.clone();
        Box::pin(async move {
            match (order, adapter) {
                (Order::Daemon, _) => (None, Vec::new(), restart(watch.as_deref()).await),
                (Order::Stop, None) => (None, Vec::new(), Ok(())),
                (Order::Stop, Some((adapter, name))) => {
                    let answer = session::stop(adapter).await;
                    (None, Vec::new(), with_state(answer, watch.as_deref(), &name).await)
                }
                (Order::Start, Some((adapter, name))) => {
                    let answer = session::start(adapter).await;
                    (None, Vec::new(), with_state(answer, watch.as_deref(), &name).await)
                }
                (Order::Start, None) => match Session::open(wanted).await {
                    Ok((session, cached)) => {
                        let answer = session::start(session.adapter.clone()).await;
                        let answer = with_state(answer, watch.as_deref(), &session.name).await;
                        (Some(session), cached, answer)
                    }
                    Err(trouble) => (None, Vec::new(), Err(trouble)),
                },
            }
        })
    }

    fn take_over(&mut self, session: Session, cached: Vec<CentralEvent>) {
        self.session = Some(session);
        for event in cached {
            if let CentralEvent::ServicesAdvertisement { id, services } = event
                && let Some(address) = bytes::address(&id.to_string())
            {
                self.merger.known(address, &services, std::time::Instant::now());
            }
        }
    }

    fn take_in(&mut self, event: CentralEvent) {
        let (id, part) = match event {
            CentralEvent::RssiUpdate { id, rssi } => (id, Part::Rssi(rssi)),
            CentralEvent::ManufacturerDataAdvertisement { id, manufacturer_data } => (id, Part::Manufacturer(manufacturer_data)),
            CentralEvent::ServiceDataAdvertisement { id, service_data } => (id, Part::Service(service_data)),
            CentralEvent::ServicesAdvertisement { id, services } => (id, Part::Services(services)),
            CentralEvent::DeviceDiscovered(id) => return self.ask(id),
            _ => return,
        };
        let Some(address) = bytes::address(&id.to_string()) else { return };
        let now = self.heard();
        let merged = self.merger.take(address, part, self.out.clock.now(), now);
        self.out.merged(merged);
    }

    /// The first advert of a sender comes without strength and payload: BlueZ is asked for them once.
    fn ask(&mut self, id: PeripheralId) {
        self.heard();
        let Some(address) = bytes::address(&id.to_string()) else { return };
        if self.waiting.len() >= WAITING {
            self.out.vitals.unread.fetch_add(1, Relaxed);
            return;
        }
        self.waiting.push_back((address, id));
        self.ask_next();
    }

    fn ask_next(&mut self) {
        let Some(adapter) = self.session.as_ref().map(|session| &session.adapter) else { return };
        while self.questions.len() < QUESTIONS
            && let Some((address, id)) = self.waiting.pop_front()
        {
            let adapter = adapter.clone();
            self.questions.push(Box::pin(async move { (address, session::first(adapter, id).await) }));
        }
    }

    fn answered(&mut self, address: [u8; 6], first: Option<First>) {
        match first {
            Some(first) => {
                let merged = self.merger.first(address, first, self.out.clock.now(), std::time::Instant::now());
                self.out.merged(merged);
            }
            None => {
                self.out.vitals.unread.fetch_add(1, Relaxed);
            }
        }
        self.ask_next();
    }

    /// A live event: the radio hears.
    fn heard(&mut self) -> std::time::Instant {
        let now = std::time::Instant::now();
        self.out.heard.fetch_add(1, Relaxed);
        if self.pressure.is_overrun(now) {
            self.tell(Notice::Overrun);
        }
        now
    }

    /// What happens to another adapter than ours is no concern, but a new one may be the wanted one.
    fn concerns(&self, notice: Notice, adapter: &str) -> bool {
        match notice {
            Notice::PoweredOff | Notice::PoweredOn | Notice::AdapterGone => {
                self.session.as_ref().is_none_or(|session| session.name == adapter)
            }
            _ => true,
        }
    }

    /// The session of a dead bus is kept until the thread ends: its stream must not be dropped while tasks still run.
    fn tell(&mut self, notice: Notice) {
        self.over |= notice == Notice::BusGone;
        let _ = self.told.send(notice);
    }
}

/// Pends while there is nothing to wait for.
async fn finished(work: &mut Option<(Work, oneshot::Sender<Answer>)>) -> (Option<Session>, Vec<CentralEvent>, Answer) {
    match work {
        Some((work, _)) => work.await,
        None => std::future::pending().await,
    }
}

async fn next(session: &mut Option<Session>) -> Option<CentralEvent> {
    match session {
        Some(session) => session.event().await,
        None => std::future::pending().await,
    }
}

fn ready(trouble: Trouble) -> Work {
    Box::pin(std::future::ready((None, Vec::new(), Err(trouble))))
}

/// `InProgress` means different things while the adapter says that it scans, and while it does not.
async fn with_state(answer: Answer, watch: Option<&Watch>, adapter: &str) -> Answer {
    match (answer, watch) {
        (Err(Trouble { outcome: Outcome::InProgress { .. }, what, mend }), Some(watch)) => {
            let discovering = watch.discovering(adapter).await;
            Err(Trouble { outcome: Outcome::InProgress { discovering }, what, mend })
        }
        (answer, _) => answer,
    }
}

async fn restart(watch: Option<&Watch>) -> Answer {
    let Some(watch) = watch else { return Err(failed("the system message bus cannot be reached")) };
    watch.restart_daemon().await.map_err(|refused| {
        let (outcome, why) = match refused {
            Refused::Denied(why) => (Outcome::Denied, why),
            Refused::Failed(why) => (Outcome::Failed, why),
        };
        let mend = "run `systemctl restart bluetooth`; to let the gateway do so itself, install deploy/systemd/50-passage-gateway.rules";
        Trouble { outcome, what: format!("the Bluetooth daemon must be restarted, and systemd does not do so ({why})"), mend }
    })
}

fn failed(what: &str) -> Trouble {
    let mend = "start it and BlueZ with `systemctl start dbus bluetooth`; in a container, mount /run/dbus";
    Trouble { outcome: Outcome::Failed, what: what.to_owned(), mend }
}
