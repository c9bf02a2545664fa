//! One bound link: submits go out within the window, answers and deliveries come in. It owns the socket; when it ends, what was written and not
//! answered is unknown, and what was not written is known to be not sent.

use std::{collections::HashMap, time::Duration};

use futures::{SinkExt as _, StreamExt as _, stream::FuturesUnordered};
use passage_config::model::MessageIds;
use rusmpp::{
    Command, CommandId, CommandStatus, Pdu,
    pdus::{BindTransceiver, DeliverSm, DeliverSmResp, SubmitSm},
};
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot},
    time::{Instant, interval, timeout},
};
use tokio_util::{codec::Framed, sync::CancellationToken};

use crate::sms::{
    provider::{Inbox, Outcome},
    smpp::{
        frame::{Codec, Frame, FrameError},
        pdu,
    },
};

/// Machine times of a link.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Longest wait for an answer.
    pub response: Duration,
    /// Silence after which the peer is asked whether it is there.
    pub enquire: Duration,
    /// Wait before the second connect; doubles up to [`Times::back_off_most`].
    pub back_off: Duration,
    /// Longest wait before a connect.
    pub back_off_most: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            response: Duration::from_secs(10),
            enquire: Duration::from_secs(30),
            back_off: Duration::from_secs(1),
            back_off_most: Duration::from_secs(30),
        }
    }
}

/// Answers missing in a row after which the link is given up.
const MUTE: u32 = 5;

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The socket or the framing.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// The peer closed it.
    #[error("the SMSC closed the link")]
    Closed,
    /// The peer did not answer.
    #[error("the SMSC does not answer")]
    Mute,
    /// The login was refused.
    #[error("the SMSC refused the login with {0:#04x}; check system_id and password")]
    Refused(u32),
    /// We were asked to end.
    #[error("ended")]
    Ended,
}

/// The one who waits for an outcome. Dropped without one, it says what is known: not sent, or unknown once bytes may have left.
#[derive(Debug)]
pub struct Waiter {
    to: Option<oneshot::Sender<Outcome>>,
    written: bool,
}

impl Waiter {
    pub(super) fn new(to: oneshot::Sender<Outcome>) -> Self {
        Self { to: Some(to), written: false }
    }

    fn tell(mut self, outcome: Outcome) {
        if let Some(to) = self.to.take() {
            // Nobody waits any more: the message is unknown already.
            let _ = to.send(outcome);
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if let Some(to) = self.to.take() {
            let _ = to.send(if self.written { Outcome::Unknown } else { Outcome::NotSent });
        }
    }
}

/// A part that wants to be written.
#[derive(Debug)]
pub struct Order {
    /// What.
    pub pdu: Box<SubmitSm>,
    /// Who waits.
    pub waiter: Waiter,
}

/// Logs in.
///
/// # Errors
/// Why there is no link.
pub async fn bind(socket: TcpStream, login: BindTransceiver, times: Times) -> Result<Framed<TcpStream, Codec>, LinkError> {
    let mut link = Framed::new(socket, Codec);
    let answer = async {
        link.send(Command::new(CommandStatus::EsmeRok, 1, login)).await?;
        loop {
            match link.next().await.ok_or(LinkError::Closed)?? {
                Frame::Command(c) if c.id() == CommandId::BindTransceiverResp => return Ok(u32::from(c.status())),
                Frame::Command(c) if c.id() == CommandId::GenericNack => return Ok(u32::from(c.status()).max(1)),
                Frame::Unreadable { id: 0x8000_0009, .. } => return Err(LinkError::Refused(0)),
                _ => {}
            }
        }
    };
    match timeout(times.response, answer).await.map_err(|_| LinkError::Mute)?? {
        0 => Ok(link),
        code => Err(LinkError::Refused(code)),
    }
}

/// What a link works with.
#[derive(Debug)]
pub struct Session<'a> {
    pub(super) link: Framed<TcpStream, Codec>,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) inbox: &'a Inbox,
    pub(super) window: usize,
    pub(super) times: Times,
    pub(super) ids: MessageIds,
    pub(super) region: &'a str,
}

struct Pending {
    waiter: Waiter,
    until: Instant,
}

impl Session<'_> {
    /// Works until the link breaks or `stop`.
    pub async fn run(mut self, stop: CancellationToken) -> LinkError {
        match self.work(&stop).await {
            Ok(()) => LinkError::Ended,
            Err(error) => error,
        }
    }

    async fn work(&mut self, stop: &CancellationToken) -> Result<(), LinkError> {
        let mut pending: HashMap<u32, Pending> = HashMap::new();
        let mut confirming = FuturesUnordered::new();
        let mut sequence = 1_u32;
        let mut heard = Instant::now();
        let mut asked = false;
        let mut unanswered = 0_u32;
        let mut tick = interval((self.times.response / 20).clamp(Duration::from_millis(20), Duration::from_millis(250)));
        loop {
            tokio::select! {
                () = stop.cancelled() => return self.unbind(next(&mut sequence)).await,
                Some(order) = self.orders.recv(), if pending.len() < self.window => {
                    let number = next(&mut sequence);
                    self.write_order(number, order, &mut pending).await?;
                }
                frame = self.link.next() => {
                    let frame = frame.ok_or(LinkError::Closed)??;
                    (heard, asked) = (Instant::now(), false);
                    match frame {
                        Frame::Command(command) => {
                            if answers_submit(&command, &mut pending) {
                                unanswered = 0;
                            } else if let Some(confirm) = self.request(*command).await? {
                                confirming.push(confirm);
                            }
                        }
                        Frame::Unreadable { id, sequence } => self.refuse(id, sequence).await?,
                    }
                }
                Some((number, taken)) = confirming.next() => self.confirm(number, taken).await?,
                _ = tick.tick() => {
                    unanswered += give_up(&mut pending);
                    if unanswered >= MUTE || (asked && heard.elapsed() > self.times.enquire + self.times.response) {
                        return Err(LinkError::Mute);
                    }
                    if !asked && heard.elapsed() > self.times.enquire {
                        asked = true;
                        self.write(Command::new(CommandStatus::EsmeRok, next(&mut sequence), Pdu::EnquireLink)).await?;
                    }
                }
            }
        }
    }

    async fn write_order(&mut self, number: u32, order: Order, pending: &mut HashMap<u32, Pending>) -> Result<(), LinkError> {
        let Order { pdu, mut waiter } = order;
        waiter.written = true;
        pending.insert(number, Pending { waiter, until: Instant::now() + self.times.response });
        self.write(Command::new(CommandStatus::EsmeRok, number, *pdu)).await
    }

    /// A peer that does not read must not hold the session for ever.
    async fn write(&mut self, command: Command) -> Result<(), LinkError> {
        timeout(self.times.response, self.link.send(command)).await.map_err(|_| LinkError::Mute)?.map_err(LinkError::Frame)
    }

    /// Answers what the SMSC asks. A delivery is confirmed later, by the returned future, when its effect is committed.
    async fn request(&mut self, command: Command) -> Result<Option<impl Future<Output = (u32, bool)> + use<>>, LinkError> {
        let number = command.sequence_number();
        match command.pdu() {
            Some(Pdu::DeliverSm(delivery)) => return Ok(Some(self.take(number, delivery))),
            Some(Pdu::EnquireLink) => self.write(Command::new(CommandStatus::EsmeRok, number, Pdu::EnquireLinkResp)).await?,
            Some(Pdu::Unbind) => {
                self.write(Command::new(CommandStatus::EsmeRok, number, Pdu::UnbindResp)).await?;
                return Err(LinkError::Closed);
            }
            // Answers that come too late, and notifications that we do not use.
            _ if u32::from(command.id()) & 0x8000_0000 != 0 => {}
            Some(Pdu::AlertNotification(_)) => {}
            _ => self.refuse(u32::from(command.id()), number).await?,
        }
        Ok(None)
    }

    fn take(&self, number: u32, delivery: &DeliverSm) -> impl Future<Output = (u32, bool)> + use<> {
        let taken = pdu::delivered(delivery, self.ids, self.region).map(|event| self.inbox.put(event));
        async move {
            match taken {
                Some(taken) => (number, taken.await.unwrap_or(false)),
                // Nothing that we act on; keeping it would bring it again for ever.
                None => (number, true),
            }
        }
    }

    async fn confirm(&mut self, number: u32, taken: bool) -> Result<(), LinkError> {
        // 0x64: a temporary error; the SMSC brings it again.
        let status = if taken { CommandStatus::EsmeRok } else { CommandStatus::from(0x64) };
        self.write(Command::new(status, number, DeliverSmResp::default())).await
    }

    async fn refuse(&mut self, id: u32, number: u32) -> Result<(), LinkError> {
        if id & 0x8000_0000 != 0 {
            tracing::warn!(command = format_args!("{id:#010x}"), "the SMSC sent an answer that cannot be read");
            return Ok(());
        }
        tracing::warn!(command = format_args!("{id:#010x}"), "the SMSC sent a PDU that cannot be read or is not for us; refused");
        self.write(Command::new(CommandStatus::EsmeRinvcmdid, number, Pdu::GenericNack)).await
    }

    async fn unbind(&mut self, number: u32) -> Result<(), LinkError> {
        self.write(Command::new(CommandStatus::EsmeRok, number, Pdu::Unbind)).await?;
        let gone = async {
            while let Some(Ok(frame)) = self.link.next().await
                && !is_unbind_resp(&frame)
            {}
        };
        // The link ends either way.
        let _ = timeout(Duration::from_secs(1), gone).await;
        Ok(())
    }
}

fn is_unbind_resp(frame: &Frame) -> bool {
    matches!(frame, Frame::Command(c) if c.id() == CommandId::UnbindResp)
}

fn next(sequence: &mut u32) -> u32 {
    *sequence = if *sequence >= 0x7FFF_FFFF { 1 } else { *sequence + 1 };
    *sequence
}

/// True if the PDU answers one of our submits.
fn answers_submit(command: &Command, pending: &mut HashMap<u32, Pending>) -> bool {
    if !matches!(command.id(), CommandId::SubmitSmResp | CommandId::GenericNack) {
        return false;
    }
    let Some(Pending { waiter, .. }) = pending.remove(&command.sequence_number()) else { return false };
    let code = u32::from(command.status());
    waiter.tell(match (code, command.pdu()) {
        (0, Some(Pdu::SubmitSmResp(resp))) => Outcome::Accepted { ids: vec![resp.message_id().as_str().to_owned()] },
        // "Everything is well" without an id: it was taken, or it was not.
        (0, _) => Outcome::Unknown,
        (code, _) => Outcome::Refused { code, retryable: pdu::is_retryable(code) },
    });
    true
}

/// Gives up the submits whose answer is overdue.
fn give_up(pending: &mut HashMap<u32, Pending>) -> u32 {
    let now = Instant::now();
    let before = pending.len();
    pending.retain(|_, p| p.until > now);
    u32::try_from(before - pending.len()).unwrap_or(u32::MAX)
}
