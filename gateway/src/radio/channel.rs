//! Adverts that another task hands in: the demo's phones, and tests.

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::{Advert, Heard, RadioError, Source};

/// The receiving end of a channel of adverts. It ends when all senders are gone.
pub struct ChannelSource {
    adverts: mpsc::Receiver<Advert>,
}

impl ChannelSource {
    /// A source and the sender that feeds it; at most `bound` adverts wait in between.
    pub fn new(bound: usize) -> (mpsc::Sender<Advert>, Self) {
        let (sender, adverts) = mpsc::channel(bound.max(1));
        (sender, Self { adverts })
    }
}

#[async_trait]
impl Source for ChannelSource {
    async fn next(&mut self) -> Option<Result<Heard, RadioError>> {
        let advert = self.adverts.recv().await?;
        Some(Ok(Heard { advert, position: None }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use passage_protocol::Millis;

    #[tokio::test]
    async fn a_channel_hands_out_what_was_sent_and_ends_with_its_senders() {
        let (sender, mut source) = ChannelSource::new(4);
        let advert = Advert { at: Millis(5), address: [0; 6], rssi: -60, data: vec![2, 1, 6] };
        sender.send(advert.clone()).await.unwrap();
        drop(sender);
        assert_eq!(source.next().await, Some(Ok(Heard { advert, position: None })));
        assert_eq!(source.next().await, None);
    }
}
