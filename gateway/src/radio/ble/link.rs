//! The connections to the message bus, on a thread and runtime of their own. When the thread ends, everything of them ends with it: the
//! sockets, the scan that BlueZ keeps for them, the calls that nobody answers, and the tasks of the libraries.

use std::{pin::Pin, sync::Arc};

use tokio::{
    sync::{mpsc, oneshot},
    time,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Out,
    ladder::{Notice, Outcome},
    session::{self, Session, Trouble},
    watch::{Refused, Watch},
};

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
        let line = Line { adapter, out, told, watch: None, session: None };
        std::thread::Builder::new().name("bluetooth".to_owned()).spawn(move || {
            // Without a runtime the thread ends, and the first order fails.
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(async {
                tokio::select! {
                    () = ended.cancelled() => {}
                    () = line.run(inbox) => {}
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
type Work = Pin<Box<dyn Future<Output = (Option<Session>, Answer)> + Send>>;

/// What lives on the thread.
struct Line {
    adapter: Option<String>,
    out: Out,
    told: mpsc::UnboundedSender<Notice>,
    watch: Option<Arc<Watch>>,
    session: Option<Session>,
}

impl Line {
    async fn run(mut self, mut orders: mpsc::Receiver<(Order, oneshot::Sender<Answer>)>) {
        let (raw, mut notices) = mpsc::unbounded_channel();
        let mut work: Option<(Work, oneshot::Sender<Answer>)> = None;
        loop {
            tokio::select! {
                order = orders.recv(), if work.is_none() => {
                    let Some((order, reply)) = order else { return };
                    work = Some((self.begin(order, &raw).await, reply));
                }
                (session, answer) = finished(&mut work) => {
                    self.session = session.or(self.session.take());
                    if let Some((_, reply)) = work.take() {
                        let _ = reply.send(answer);
                    }
                }
                Some((notice, adapter)) = notices.recv() => {
                    if self.concerns(notice, &adapter) {
                        let _ = self.told.send(notice);
                    }
                }
            }
        }
    }

    /// Turns an order into work. The first one connects our own watch too.
    async fn begin(&mut self, order: Order, raw: &mpsc::UnboundedSender<(Notice, String)>) -> Work {
        let watch = match &self.watch {
            Some(watch) => Arc::clone(watch),
            None => match time::timeout(session::ANSWER, Watch::open(raw.clone())).await {
                Ok(Ok(opened)) => Arc::clone(self.watch.insert(Arc::new(opened))),
                Ok(Err(e)) => return ready(failed(&format!("the system message bus cannot be reached ({e})"))),
                Err(_) => return ready(failed("the system message bus does not answer")),
            },
        };
        match (order, &self.session) {
            (Order::Daemon, _) => Box::pin(async move { (None, restart(&watch).await) }),
            (Order::Stop, None) => Box::pin(std::future::ready((None, Ok(())))),
            (Order::Stop, Some(session)) => {
                let (adapter, name) = (session.adapter.clone(), session.name.clone());
                Box::pin(async move { (None, with_state(session::stop(adapter).await, &watch, &name).await) })
            }
            (Order::Start, Some(session)) => {
                let (adapter, name) = (session.adapter.clone(), session.name.clone());
                Box::pin(async move { (None, with_state(session::start(adapter).await, &watch, &name).await) })
            }
            (Order::Start, None) => {
                let opening = Session::open(self.adapter.clone(), self.out.clone(), self.told.clone());
                Box::pin(async move {
                    match opening.await {
                        Ok(session) => {
                            let answer = session::start(session.adapter.clone()).await;
                            let answer = with_state(answer, &watch, &session.name).await;
                            (Some(session), answer)
                        }
                        Err(trouble) => (None, Err(trouble)),
                    }
                })
            }
        }
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
}

/// Pends while there is nothing to wait for.
async fn finished(work: &mut Option<(Work, oneshot::Sender<Answer>)>) -> (Option<Session>, Answer) {
    match work {
        Some((work, _)) => work.await,
        None => std::future::pending().await,
    }
}

fn ready(trouble: Trouble) -> Work {
    Box::pin(std::future::ready((None, Err(trouble))))
}

/// `InProgress` means different things while the adapter says that it scans, and while it does not.
async fn with_state(answer: Answer, watch: &Watch, adapter: &str) -> Answer {
    match answer {
        Err(Trouble { outcome: Outcome::InProgress { .. }, what, mend }) => {
            let discovering = watch.discovering(adapter).await;
            Err(Trouble { outcome: Outcome::InProgress { discovering }, what, mend })
        }
        answer => answer,
    }
}

async fn restart(watch: &Watch) -> Answer {
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
