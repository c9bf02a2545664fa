//! From a source of adverts to the decider.

use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::Duration,
};

use async_trait::async_trait;
use futures::future::BoxFuture;
use passage_protocol::{Clock, Millis};
use tokio::{
    sync::{Notify, mpsc},
    time,
};
use tokio_util::sync::CancellationToken;

use super::Input;
use crate::{
    health::Health,
    radio::{Heard, RadioError, Source},
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
    gave_up: bool,
    restart: Option<Restart>,
}

/// How the radio is opened anew when somebody asks for it.
pub struct Restart {
    /// Notified when it should be.
    pub wish: Arc<Notify>,
    /// Opens it.
    pub open: Box<dyn Fn() -> Reopening + Send + Sync>,
}

/// A source that is being opened; `None` when there is none any more.
pub type Reopening = BoxFuture<'static, Result<Option<Box<dyn Source>>, RadioError>>;

/// What stands in the place of a radio that is being opened anew: the old one must have let go of the adapter before.
struct Between;

#[async_trait]
impl Source for Between {
    async fn next(&mut self) -> Option<Result<Heard, RadioError>> {
        None
    }
}

impl Listener {
    /// From `source` to `inputs`.
    pub fn new(source: Box<dyn Source>, inputs: mpsc::Sender<Input>, clock: Clock, health: Arc<Health>) -> Self {
        Self { source, inputs, clock, health, gave_up: false, restart: None }
    }

    /// The same, with a way to open the source anew.
    #[must_use]
    pub fn restarting(self, restart: Option<Restart>) -> Self {
        Self { restart, ..self }
    }

    /// Listens until `stop`. When the source ends, time goes on, so that the last stays are closed. When the radio has given up, the gateway
    /// stops, so that its service manager starts it anew.
    pub async fn run(mut self, stop: CancellationToken) {
        if let Some(radio) = self.source.vitals() {
            self.health.radio.set(radio);
        }
        tokio::select! {
            () = self.listen() => {}
            () = stop.cancelled() => return,
        }
        if self.gave_up {
            return stop.cancel();
        }
        tracing::info!("the source of adverts has ended");
        tokio::select! {
            () = pass_time(&self.inputs, &self.clock) => {}
            () = stop.cancelled() => {}
        }
    }

    async fn listen(&mut self) {
        loop {
            // Leaving `next` in the middle loses no advert.
            let next = tokio::select! {
                biased;
                () = wished(self.restart.as_ref()) => {
                    self.reopen().await;
                    continue;
                }
                next = next_or_quiet(self.source.as_mut(), &self.inputs, &self.clock) => next,
            };
            self.note_dropped();
            let input = match next {
                None => return,
                Some(Ok(heard)) => {
                    self.health.flag("radio-silent", false);
                    Input::Heard(heard)
                }
                Some(Err(e)) => {
                    self.broken(&e);
                    if matches!(e, RadioError::GaveUp(_)) {
                        self.gave_up = true;
                        return;
                    }
                    continue;
                }
            };
            if self.inputs.send(input).await.is_err() {
                return;
            }
        }
    }

    /// Opens the radio anew. If that fails, the process is what is left to start anew.
    async fn reopen(&mut self) {
        let Some(restart) = &self.restart else { return };
        tracing::info!("the radio is opened anew");
        self.source = Box::new(Between);
        self.source = match (restart.open)().await {
            Ok(Some(source)) => source,
            Ok(None) => return,
            Err(e) => Box::new(Broken(Some(RadioError::GaveUp(e.to_string())))),
        };
        if let Some(radio) = self.source.vitals() {
            self.health.radio.set(radio);
        }
    }

    /// What the radio had to drop is told; the flag stays, because the stays of that time may be short.
    fn note_dropped(&self) {
        let dropped = self.source.dropped();
        if self.health.adverts_dropped.swap(dropped, Ordering::Relaxed) == 0 && dropped > 0 {
            self.health.flag("radio-overrun", true);
            tracing::warn!(
                "the gateway cannot keep up with its radio and drops adverts. Mend: look whether the disk or the processor is too slow"
            );
        }
    }

    fn broken(&self, e: &RadioError) {
        self.health.radio_errors.fetch_add(1, Ordering::Relaxed);
        if matches!(e, RadioError::Adapter(_) | RadioError::GaveUp(_)) {
            self.health.flag("radio-silent", true);
        }
        tracing::warn!("{e}");
    }
}

/// A radio that could not be opened anew says so, and is over.
struct Broken(Option<RadioError>);

#[async_trait]
impl Source for Broken {
    async fn next(&mut self) -> Option<Result<Heard, RadioError>> {
        self.0.take().map(Err)
    }
}

async fn wished(restart: Option<&Restart>) {
    match restart {
        Some(restart) => restart.wish.notified().await,
        None => std::future::pending().await,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A radio that has dropped something and then ends.
    struct Overrun;

    #[async_trait::async_trait]
    impl Source for Overrun {
        async fn next(&mut self) -> Option<Result<Heard, RadioError>> {
            None
        }

        fn dropped(&self) -> u64 {
            3
        }
    }

    #[tokio::test]
    async fn what_a_radio_drops_is_counted_and_flagged() {
        let (inputs, _inbox) = mpsc::channel(1);
        let health = Arc::new(Health::default());
        let clock = Clock::stepped(Millis(0));
        Listener::new(Box::new(Overrun), inputs, clock, Arc::clone(&health)).listen().await;
        assert_eq!(health.adverts_dropped.load(Ordering::Relaxed), 3);
        assert_eq!(health.flags(), ["radio-overrun"]);
    }

    /// A radio that has heard something once and then gives up.
    struct Spent(Vec<RadioError>);

    #[async_trait::async_trait]
    impl Source for Spent {
        async fn next(&mut self) -> Option<Result<Heard, RadioError>> {
            self.0.pop().map(Err)
        }
    }

    /// A radio that never ends.
    struct Endless(Arc<std::sync::atomic::AtomicU64>);

    impl Drop for Endless {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[async_trait::async_trait]
    impl Source for Endless {
        async fn next(&mut self) -> Option<Result<Heard, RadioError>> {
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn a_radio_is_opened_anew_on_demand_after_the_old_one_has_let_go() {
        let (inputs, _inbox) = mpsc::channel(1);
        let (open, wish, stop) = (Arc::new(std::sync::atomic::AtomicU64::new(1)), Arc::new(Notify::new()), CancellationToken::new());
        let opened = Arc::new(Notify::new());
        let restart = Restart {
            wish: Arc::clone(&wish),
            open: Box::new({
                let (open, opened) = (Arc::clone(&open), Arc::clone(&opened));
                move || {
                    let (open, opened) = (Arc::clone(&open), Arc::clone(&opened));
                    Box::pin(async move {
                        assert_eq!(open.fetch_add(1, Ordering::SeqCst), 0, "two at a time");
                        opened.notify_one();
                        Ok(Some(Box::new(Endless(open)) as Box<dyn Source>))
                    })
                }
            }),
        };
        let first = Box::new(Endless(Arc::clone(&open)));
        let listener = Listener::new(first, inputs, Clock::stepped(Millis(0)), Arc::default()).restarting(Some(restart));
        let running = tokio::spawn(listener.run(stop.clone()));
        for _ in 0..3 {
            wish.notify_one();
            opened.notified().await;
        }
        stop.cancel();
        running.await.unwrap();
        assert_eq!(open.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_radio_that_has_given_up_stops_the_gateway_and_any_other_fault_does_not() {
        for (fault, stops) in [(RadioError::GaveUp("x".into()), true), (RadioError::Adapter("x".into()), false)] {
            let (inputs, inbox) = mpsc::channel(1);
            drop(inbox);
            let stop = CancellationToken::new();
            let source = Box::new(Spent(vec![fault]));
            let clock = Clock::System;
            Listener::new(source, inputs, clock, Arc::default()).run(stop.clone()).await;
            assert_eq!(stop.is_cancelled(), stops);
        }
    }
}
