//! SMPP 3.4 as a transceiver. The session is our own; only the codec is a library, and it stays inside this folder.

mod frame;
mod pdu;
mod rate;
mod session;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use passage_config::model::Smpp as Config;
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

pub use session::Times;

use crate::sms::provider::{Inbox, Incoming, Outcome, Provider, Submit};
use rate::Bucket;
use session::{LinkError, Order, Session, Waiter};

/// A link to one SMSC, kept up by [`Provider::run`].
#[derive(Debug)]
pub struct Smpp {
    config: Config,
    region: String,
    times: Times,
    inbox: Inbox,
    link: watch::Sender<Option<mpsc::Sender<Order>>>,
    bucket: Mutex<Bucket>,
}

impl Smpp {
    /// A link that is not up yet. `region` reads numbers without a country code.
    pub fn new(config: Config, region: &str) -> Self {
        let bucket = Mutex::new(Bucket::new(config.rate, Instant::now()));
        let link = watch::Sender::new(None);
        Self { config, region: region.to_owned(), times: Times::default(), inbox: Inbox::default(), link, bucket }
    }

    /// The same with other machine times.
    #[must_use]
    pub fn with_times(mut self, times: Times) -> Self {
        self.times = times;
        self
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let mut addresses: Vec<SocketAddr> = tokio::net::lookup_host((self.config.host.as_str(), self.config.port)).await?.collect();
        if self.is_local() {
            // Whatever the name means today, a provider that counts as local stays on this machine.
            addresses.retain(|a| a.ip().is_loopback());
        }
        let socket = timeout(self.times.response, TcpStream::connect(addresses.as_slice())).await??;
        socket.set_nodelay(true)?;
        Ok(socket)
    }

    async fn one_link(&self, stop: &CancellationToken) -> LinkError {
        let Some(login) = pdu::bind(&self.config) else { return LinkError::Refused(0x0F) };
        let socket = match self.connect().await {
            Ok(socket) => socket,
            Err(error) => return LinkError::Frame(error.into()),
        };
        let link = match session::bind(socket, login, self.times).await {
            Ok(link) => link,
            Err(error) => return error,
        };
        let window = self.window();
        let (put, orders) = mpsc::channel(window);
        self.link.send_replace(Some(put));
        tracing::info!(host = %self.config.host, port = self.config.port, "bound to the SMSC");
        let session =
            Session { link, orders, inbox: &self.inbox, window, times: self.times, ids: self.config.message_ids, region: &self.region };
        let ended = session.run(stop.clone()).await;
        self.link.send_replace(None);
        ended
    }

    async fn submit_part(&self, pdu: rusmpp::pdus::SubmitSm) -> Outcome {
        let Some(link) = self.link.borrow().clone() else { return Outcome::NotSent };
        let (to, outcome) = oneshot::channel();
        // An order that the session never takes is dropped with its waiter, which then says "not sent".
        let _ = link.send(Order { pdu: Box::new(pdu), waiter: Waiter::new(to) }).await;
        let outcome = outcome.await.unwrap_or(Outcome::Unknown);
        if matches!(outcome, Outcome::Refused { code, .. } if pdu::is_throttle(code)) {
            self.bucket.lock().unwrap_or_else(PoisonError::into_inner).throttled(Instant::now());
        }
        outcome
    }

    fn token(&self) -> Result<(), Duration> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now())
    }
}

#[async_trait]
impl Provider for Smpp {
    async fn run(&self, stop: CancellationToken) {
        let mut wait = self.times.back_off;
        while !stop.is_cancelled() {
            let began = Instant::now();
            let ended = tokio::select! {
                ended = self.one_link(&stop) => ended,
                // The link itself ends on `stop` with an unbind; a connect that hangs does not.
                () = async { stop.cancelled().await; tokio::time::sleep(Duration::from_secs(2)).await } => LinkError::Ended,
            };
            self.link.send_replace(None);
            if stop.is_cancelled() {
                break;
            }
            if began.elapsed() > self.times.back_off_most {
                wait = self.times.back_off;
            }
            if matches!(ended, LinkError::Refused(_)) {
                // Another try with the same login helps nobody soon.
                wait = self.times.back_off_most;
            }
            tracing::warn!(host = %self.config.host, port = self.config.port, reason = %ended, "no link to the SMSC; trying again");
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(wait.mul_f64(0.5 + rand::random::<f64>() / 2.0)) => {}
            }
            wait = (wait * 2).min(self.times.back_off_most);
        }
    }

    fn is_local(&self) -> bool {
        self.config.host == "localhost" || self.config.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    fn window(&self) -> usize {
        usize::from(self.config.window.max(1))
    }

    fn is_up(&self) -> bool {
        self.link.borrow().is_some()
    }

    async fn ready(&self) {
        while let Err(wait) = self.token() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Parts go one after the other, each after the answer to the one before. When a later part is not taken, the message cannot be repeated as a
    /// whole: it is refused for good, or unknown.
    async fn submit(&self, submit: &Submit) -> Outcome {
        // 0x0A: a source address that is none.
        let Some(parts) = pdu::submits(submit) else { return Outcome::Refused { code: 0x0A, retryable: false } };
        let mut ids: Vec<String> = Vec::new();
        for part in parts {
            if !ids.is_empty() {
                self.ready().await;
            }
            match self.submit_part(part).await {
                Outcome::Accepted { ids: one } => ids.extend(one),
                outcome if ids.is_empty() => return outcome,
                Outcome::Refused { code, .. } => return Outcome::Refused { code, retryable: false },
                _ => return Outcome::Unknown,
            }
        }
        Outcome::Accepted { ids }
    }

    async fn next(&self) -> Option<Incoming> {
        self.inbox.next().await
    }

    async fn try_next(&self) -> Option<Incoming> {
        self.inbox.try_next().await
    }
}
