//! Hands out adverts that are known in advance when their time has come.

use std::time::Duration;

use async_trait::async_trait;
use passage_protocol::Clock;

use super::{Advert, Heard, RadioError, Source};

/// Longest sleep before the clock is read again, because the wall clock can be set.
const NAP: Duration = Duration::from_secs(1);

/// A source over adverts in the order of their time.
///
/// An advert is handed out when the clock has reached its time. On a stepped clock it is handed out at once: whoever steps that clock decides.
pub struct Paced<I: Iterator<Item = Result<Advert, RadioError>>> {
    items: I,
    next: Option<Result<Advert, RadioError>>,
    position: u64,
    replays: bool,
    clock: Clock,
}

impl<I: Iterator<Item = Result<Advert, RadioError>>> Paced<I> {
    /// A source that gives positions, because `items` give the same again after a restart.
    pub fn replayed(items: I, clock: Clock) -> Self {
        Self { items, next: None, position: 0, replays: true, clock }
    }

    /// A source whose adverts are gone once they were handed out.
    pub fn live(items: I, clock: Clock) -> Self {
        Self { replays: false, ..Self::replayed(items, clock) }
    }

    /// Leaves out everything up to and including `position`, as [`Heard::position`] gave it before a restart. Returns how far it came: less
    /// when the source is shorter.
    pub fn skip(&mut self, position: u64) -> u64 {
        while self.position < position && self.take().is_some() {}
        self.position
    }

    fn peek(&mut self) -> Option<&Result<Advert, RadioError>> {
        if self.next.is_none() {
            self.next = self.items.next();
        }
        self.next.as_ref()
    }

    fn take(&mut self) -> Option<Result<Advert, RadioError>> {
        let item = self.next.take().or_else(|| self.items.next())?;
        self.position += 1;
        Some(item)
    }
}

#[async_trait]
impl<I: Iterator<Item = Result<Advert, RadioError>> + Send> Source for Paced<I> {
    async fn next(&mut self) -> Option<Result<Heard, RadioError>> {
        // The item stays in `self.next` while this sleeps, so that a cancelled call loses nothing.
        while let Some(Ok(advert)) = self.peek() {
            let at = advert.at;
            match self.clock.machine_time_until(at) {
                Some(wait) if !wait.is_zero() => tokio::time::sleep(wait.min(NAP)).await,
                _ => break,
            }
        }
        let item = self.take()?;
        let position = self.replays.then_some(self.position);
        Some(item.map(|advert| Heard { advert, position }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use passage_protocol::Millis;

    fn advert(at: i64) -> Result<Advert, RadioError> {
        Ok(Advert { at: Millis(at), address: [0; 6], rssi: -60, data: Vec::new() })
    }

    fn broken() -> Result<Advert, RadioError> {
        Err(RadioError::Record { number: 2, offset: 9, why: "test".into() })
    }

    #[tokio::test]
    async fn a_stepped_clock_is_never_waited_for() {
        let mut source = Paced::replayed(vec![advert(1), advert(i64::MAX / 2)].into_iter(), Clock::stepped(Millis(0)));
        assert_eq!(source.next().await.unwrap().unwrap().position, Some(1));
        assert_eq!(source.next().await.unwrap().unwrap().position, Some(2));
        assert!(source.next().await.is_none());
    }

    #[tokio::test]
    async fn a_call_that_is_cancelled_while_it_waits_loses_nothing() {
        let now = Clock::System.now();
        let clock = Clock::Scaled { start: Millis(0), anchor: now, speed: 1.0 };
        let mut source = Paced::replayed(vec![advert(0), advert(3_600_000)].into_iter(), clock);
        source.next().await.unwrap().unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(20), source.next()).await.is_err());
        assert_eq!(source.take(), Some(advert(3_600_000)));
    }

    #[tokio::test]
    async fn a_restart_goes_on_behind_the_position_and_broken_records_count() {
        let items = || vec![advert(1), broken(), advert(3), advert(4)].into_iter();
        let mut source = Paced::replayed(items(), Clock::stepped(Millis(0)));
        let mut positions = Vec::new();
        while let Some(item) = source.next().await {
            positions.push(item.ok().map(|heard| (heard.advert.at.0, heard.position.unwrap())));
        }
        assert_eq!(positions, [Some((1, 1)), None, Some((3, 3)), Some((4, 4))]);

        let mut again = Paced::replayed(items(), Clock::stepped(Millis(0)));
        assert_eq!(again.skip(3), 3);
        assert_eq!(again.next().await.unwrap().unwrap().position, Some(4));
        assert_eq!(again.skip(99), 4, "the source is shorter");
    }
}
