//! Somebody who may write to the broker.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rumqttc::v5::{AsyncClient, Event, MqttOptions, mqttbytes::QoS, mqttbytes::v5::Packet};

use super::eventually;

/// Publishes whatever it is given.
pub struct Publisher {
    client: AsyncClient,
    sent: AtomicUsize,
    taken: Arc<AtomicUsize>,
}

impl Publisher {
    pub fn connect(port: u16) -> Self {
        let mut options = MqttOptions::new(format!("publisher-{}", uuid::Uuid::now_v7().simple()), "127.0.0.1", port);
        options.set_keep_alive(Duration::from_secs(5));
        options.set_max_packet_size(Some(1024 * 1024));
        let (client, mut events) = AsyncClient::new(options, 1000);
        let taken = Arc::new(AtomicUsize::new(0));
        let count = taken.clone();
        tokio::spawn(async move {
            while let Ok(event) = events.poll().await {
                if matches!(event, Event::Incoming(Packet::PubAck(_))) {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Self { client, sent: AtomicUsize::new(0), taken }
    }

    /// With QoS 1.
    pub async fn publish(&self, topic: &str, retain: bool, payload: impl Into<Vec<u8>>) {
        self.client.publish(topic, QoS::AtLeastOnce, retain, payload.into()).await.unwrap();
        self.sent.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits until the broker has taken everything.
    pub async fn settle(&self) {
        let all = || async { (self.taken.load(Ordering::SeqCst) >= self.sent.load(Ordering::SeqCst)).then_some(()) };
        eventually("the broker's receipts", Duration::from_secs(60), all).await;
    }
}
