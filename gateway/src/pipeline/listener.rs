//! From a source of adverts to the decider.

use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::Duration,
};

use passage_protocol::{Clock, Millis};
use tokio::{sync::mpsc, time};
use tokio_util::sync::CancellationToken;

use super::Input;
use crate::{
    health::Health,
    radio::{RadioError, Source},
};

/// A source that has nothing for so long has nothing yet; a capture that is being read answers sooner.
const SILENT: Duration = Duration::from_millis(50);

/// Reads a source and tells the decider what was heard, and up to when nothing was.
pub struct Listener {
    /// Where the adverts come from.
    pub source: Box<dyn Source>,
    /// To the decider.
    pub inputs: mpsc::Sender<Input>,
    /// Business time.
    pub clock: Clock,
    /// Counters and flags.
    pub health: Arc<Health>,
}

impl Listener {
    /// Listens until `stop`. When the source ends, time goes on, so that the last stays are closed.
    pub async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            () = self.listen() => {}
            () = stop.cancelled() => return,
        }
        tracing::info!("the source of adverts has ended");
        tokio::select! {
            () = pass_time(&self.inputs, &self.clock) => {}
            () = stop.cancelled() => {}
        }
    }

    async fn listen(&mut self) {
        loop {
            let next = next_or_quiet(self.source.as_mut(), &self.inputs, &self.clock).await;
            let input = match next {
                None => return,
                Some(Ok(heard)) => {
                    self.health.flag("radio-silent", false);
                    Input::Heard(heard)
                }
                Some(Err(e)) => {
                    self.broken(&e);
                    continue;
                }
            };
            if self.inputs.send(input).await.is_err() {
                return;
            }
        }
    }

    fn broken(&self, e: &RadioError) {
        self.health.radio_errors.fetch_add(1, Ordering::Relaxed);
        if matches!(e, RadioError::Adapter(_)) {
            self.health.flag("radio-silent", true);
        }
        tracing::warn!("{e}");
    }
}

/// Lets time pass for a source that has ended.
async fn pass_time(inputs: &mpsc::Sender<Input>, clock: &Clock) {
    let mut tick = time::interval(Duration::from_millis(200));
    loop {
        tick.tick().await;
        if !matches!(clock, Clock::Stepped(_)) && inputs.send(Input::Quiet(clock.now())).await.is_err() {
            return;
        }
    }
}

/// The next advert. While there is none, says up to when that is so: a time that was read before the source was asked, and found it with nothing
/// to hand out. A stepped clock passes time through its driver instead.
async fn next_or_quiet(
    source: &mut dyn Source,
    inputs: &mpsc::Sender<Input>,
    clock: &Clock,
) -> Option<Result<crate::radio::Heard, RadioError>> {
    let mut next = pin!(source.next());
    let mut asked_before: Option<Millis> = None;
    loop {
        let now = clock.now();
        let polled = std::future::poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await;
        if let Poll::Ready(heard) = polled {
            return heard;
        }
        // Only the second empty answer counts: the first may only mean that a file is being read.
        if let Some(quiet) = asked_before
            && !matches!(clock, Clock::Stepped(_))
            && inputs.send(Input::Quiet(quiet)).await.is_err()
        {
            return None;
        }
        asked_before = Some(now);
        tokio::select! {
            heard = next.as_mut() => return heard,
            () = time::sleep(SILENT) => {}
        }
    }
}
