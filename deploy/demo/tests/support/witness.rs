//! Records every byte that crosses the broker.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use rumqttc::v5::{AsyncClient, Event, MqttOptions, mqttbytes::QoS, mqttbytes::v5::Packet};

/// A topic and a payload.
pub type Message = (String, Vec<u8>);

/// Messages in the order of their arrival.
#[derive(Clone, Default)]
pub struct Witness(Arc<Mutex<Vec<Message>>>);

impl Witness {
    /// Listens to everything from now on, over broker restarts too.
    pub async fn start(port: u16) -> Self {
        let witness = Self::default();
        let heard = witness.0.clone();
        let (ready, mut is_ready) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                let mut options = MqttOptions::new("witness", "127.0.0.1", port);
                options.set_keep_alive(Duration::from_secs(5));
                options.set_max_packet_size(Some(1024 * 1024));
                let (client, mut events) = AsyncClient::new(options, 100);
                client.subscribe("#", QoS::AtLeastOnce).await.unwrap();
                loop {
                    match events.poll().await {
                        Ok(Event::Incoming(Packet::SubAck(_))) => {
                            let _ = ready.try_send(());
                        }
                        Ok(Event::Incoming(Packet::Publish(p))) => {
                            let topic = String::from_utf8_lossy(&p.topic).into_owned();
                            heard.lock().unwrap().push((topic, p.payload.to_vec()));
                        }
                        Ok(_) => {}
                        Err(_) => break,
                    }
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        is_ready.recv().await.unwrap();
        witness
    }

    pub fn messages(&self) -> Vec<Message> {
        self.0.lock().unwrap().clone()
    }

    /// All payloads as one text.
    pub fn everything(&self) -> String {
        self.messages().iter().map(|(t, p)| format!("{t} {}\n", String::from_utf8_lossy(p))).collect()
    }
}
