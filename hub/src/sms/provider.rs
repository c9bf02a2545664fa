//! What every way out must be able to do: take one message, and tell what comes back.

use std::fmt;

use async_trait::async_trait;
use passage_config::model::Sms;
use passage_protocol::Clock;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::sms::{Msisdn, Sandbox, smpp::Smpp};

/// One message on its way out.
#[derive(Debug, Clone)]
pub struct Submit {
    /// Our reference.
    pub id: Uuid,
    /// Alphanumeric sender or short code.
    pub from: String,
    /// Where to.
    pub to: Msisdn,
    /// What.
    pub text: String,
    /// Milliseconds that the provider may try.
    pub validity_ms: i64,
}

/// What became of a submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Taken; the provider's id of each part.
    Accepted {
        /// In the order of the parts.
        ids: Vec<String>,
    },
    /// Answered with an error: it was not taken.
    Refused {
        /// As the provider numbers it.
        code: u32,
        /// The same message may be taken later.
        retryable: bool,
    },
    /// No byte of it was written.
    NotSent,
    /// Written, and no answer came. Nobody can know; it is never repeated.
    Unknown,
}

/// How a message ended, as a receipt tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The phone has it.
    Delivered,
    /// It will never arrive.
    Failed,
    /// Its validity was over.
    Expired,
}

impl Fate {
    /// The word in the database.
    pub fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }

    /// Reads the word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Delivered, Self::Failed, Self::Expired].into_iter().find(|f| f.word() == word)
    }
}

/// A delivery receipt with a final state.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The id as the receipt writes it, in the form of [`smsc_id`].
    pub smsc_id: String,
    /// The same id read in the other base, where providers mix them.
    pub other_id: Option<String>,
    /// The phone, if the receipt names it.
    pub from: Option<Msisdn>,
    /// How it ended.
    pub fate: Fate,
    /// The provider's error code, if there is one.
    pub reason: Option<String>,
}

/// A message that a phone sent to us.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The phone.
    pub from: Msisdn,
    /// The number that it wrote to: a STOP number.
    pub to: String,
    /// What. Never logged, never stored.
    pub text: String,
}

/// What comes in.
#[derive(Debug, Clone)]
pub enum Event {
    /// A message ended.
    Receipt(Receipt),
    /// Somebody wrote.
    Reply(Reply),
}

/// An event that wants to be confirmed: the provider hears `true` only after its effect is committed, and keeps it otherwise.
#[derive(Debug)]
pub struct Incoming {
    /// What.
    pub event: Event,
    /// Where to confirm. Dropping it means that the event was not taken.
    pub done: oneshot::Sender<bool>,
}

/// The form in which provider ids are compared: some write the same id with other case and leading zeros.
pub fn smsc_id(text: &str) -> String {
    let trimmed = text.trim().trim_start_matches('0');
    if trimmed.is_empty() { "0".to_owned() } else { trimmed.to_ascii_lowercase() }
}

/// A way out for SMS.
#[async_trait]
pub trait Provider: Send + Sync + fmt::Debug {
    /// Keeps the link up until `stop`. The default has no link.
    async fn run(&self, stop: CancellationToken) {
        stop.cancelled().await;
    }

    /// True if nothing leaves this machine. On a clock that is not the system's, only such providers are used.
    fn is_local(&self) -> bool;

    /// How many messages may be without an answer at a time.
    fn window(&self) -> usize;

    /// True while messages can be taken.
    fn is_up(&self) -> bool;

    /// Waits until one more message may be written by the agreed rate.
    async fn ready(&self);

    /// Hands over one message. Dropping the future does not take it back.
    async fn submit(&self, submit: &Submit) -> Outcome;

    /// The next thing that comes in.
    async fn next(&self) -> Option<Incoming>;

    /// The next thing that has already come in.
    async fn try_next(&self) -> Option<Incoming>;
}

/// Most incoming events that wait; beyond, the provider is asked to bring them again.
const INBOX: usize = 256;

/// What came in and waits for the sender.
#[derive(Debug)]
pub(super) struct Inbox {
    put: mpsc::Sender<Incoming>,
    take: Mutex<mpsc::Receiver<Incoming>>,
}

impl Default for Inbox {
    fn default() -> Self {
        let (put, take) = mpsc::channel(INBOX);
        Self { put, take: Mutex::new(take) }
    }
}

impl Inbox {
    /// Puts an event; the receiver hears whether it was taken. A full inbox drops it, which says "not taken".
    pub(super) fn put(&self, event: Event) -> oneshot::Receiver<bool> {
        let (done, taken) = oneshot::channel();
        // When the inbox is full the event goes with its `done`, and the provider keeps it.
        let _ = self.put.try_send(Incoming { event, done });
        taken
    }

    /// Puts an event and waits for room.
    pub(super) async fn put_when_free(&self, event: Event) -> oneshot::Receiver<bool> {
        let (done, taken) = oneshot::channel();
        // The receiving half lives as long as this inbox.
        let _ = self.put.send(Incoming { event, done }).await;
        taken
    }

    pub(super) async fn next(&self) -> Option<Incoming> {
        self.take.lock().await.recv().await
    }

    pub(super) async fn try_next(&self) -> Option<Incoming> {
        self.take.lock().await.try_recv().ok()
    }
}

/// A provider that must not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{host}' is not on this machine, and real phones must not get messages of a day that is played; use clock = \"system\" or 127.0.0.1"
)]
pub struct NotLocal {
    /// The configured host.
    pub host: String,
}

/// The provider of a config.
///
/// # Errors
/// On any clock but the system's, a provider outside loopback.
pub fn from_config(sms: &Sms, region: &str, clock: &Clock) -> Result<std::sync::Arc<dyn Provider>, NotLocal> {
    Ok(match sms {
        Sms::Sandbox => std::sync::Arc::new(Sandbox::default()),
        Sms::Smpp(smpp) => {
            let provider = Smpp::new(smpp.clone(), region);
            if !clock.is_system() && !provider.is_local() {
                return Err(NotLocal { host: smpp.host.clone() });
            }
            std::sync::Arc::new(provider)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_compared_without_case_and_leading_zeros() {
        assert_eq!(smsc_id("00A1f"), "a1f");
        assert_eq!(smsc_id(" 000 "), "0");
    }

    #[tokio::test]
    async fn a_full_inbox_says_that_it_did_not_take_the_event() {
        let inbox = Inbox::default();
        let receipt = Receipt { smsc_id: "1".into(), other_id: None, from: None, fate: Fate::Delivered, reason: None };
        let waiting: Vec<_> = (0..INBOX).map(|_| inbox.put(Event::Receipt(receipt.clone()))).collect();
        assert!(inbox.put(Event::Receipt(receipt)).await.is_err());
        assert_eq!(waiting.len(), INBOX);
    }
}
