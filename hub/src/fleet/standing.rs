//! Asks the broker whether a machine that was put out may still write: only the broker knows which rights it goes by.
//!
//! A hub issues itself what that machine would present, connects with it, and publishes where nobody reads. That a certificate comes in proves
//! nothing, because mosquitto reads its list of revoked ones at the start alone; a refused word does.

use std::time::Duration;

use passage_config::{Fleet, Mqtt, Tls};
use passage_protocol::fleet::Machine;
use rumqttc::v5::{
    AsyncClient, Event, EventLoop, Incoming, MqttOptions,
    mqttbytes::{QoS, v5::PubAckReason},
};
use tokio::time::{Instant, sleep, timeout};

use super::{Authority, broker::probe, machine_ms};

/// For one answer of the broker.
const ANSWER: Duration = Duration::from_secs(8);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(500);

/// What the broker makes of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It may write nothing.
    Out,
    /// It may write still.
    In,
    /// The broker did not say; why.
    Unknown(String),
}

/// Asks once.
pub async fn standing(fleet: &Fleet, authority: &Authority, machine: &Machine) -> Standing {
    let options = match options(fleet, authority, machine) {
        Ok(options) => options,
        Err(why) => return Standing::Unknown(why),
    };
    let (client, events) = AsyncClient::new(options, 4);
    match timeout(ANSWER, ask(client, events, &probe(&machine.to_string()))).await {
        Ok(standing) => standing,
        Err(_) => Standing::Unknown("it did not answer in time".into()),
    }
}

/// Asks until it is out, or `patience` is over: a hub that writes the broker's files does so every 2 s, and mosquitto takes them in a moment later. Asks
/// only once when the files are brought to the broker by hand.
pub async fn out_within(patience: Duration, fleet: &Fleet, authority: &Authority, machine: &Machine) -> Standing {
    let end = Instant::now() + if fleet.broker_files.is_some() { patience } else { Duration::ZERO };
    loop {
        let standing = standing(fleet, authority, machine).await;
        if standing == Standing::Out || Instant::now() + PAUSE > end {
            return standing;
        }
        sleep(PAUSE).await;
    }
}

fn options(fleet: &Fleet, authority: &Authority, machine: &Machine) -> Result<MqttOptions, String> {
    let identity = authority.in_place_of(machine, machine_ms()).map_err(|e| e.to_string())?;
    let mut mqtt = Mqtt::plain(&fleet.broker, fleet.port);
    (mqtt.tls, mqtt.transport) = (Some(Tls::Fleet), fleet.transport.clone());
    let client = format!("passage-probe-{:016x}", rand::random::<u64>());
    let mut options = passage_transport::options(&mqtt, &client, Some(&identity)).map_err(|e| e.to_string())?;
    options.set_clean_start(true);
    Ok(options)
}

async fn ask(client: AsyncClient, mut events: EventLoop, topic: &str) -> Standing {
    let mut is_connected = false;
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                is_connected = true;
                if client.try_publish(topic, QoS::AtLeastOnce, false, "may it?").is_err() {
                    return Standing::Unknown("the question could not be sent".into());
                }
            }
            Ok(Event::Incoming(Incoming::PubAck(ack))) => {
                return match ack.reason {
                    PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Standing::In,
                    _ => Standing::Out,
                };
            }
            // Some brokers end the connection of one who writes what he may not.
            Ok(Event::Incoming(Incoming::Disconnect(_))) if is_connected => return Standing::Out,
            Ok(_) => {}
            Err(why) => return Standing::Unknown(why.to_string()),
        }
    }
}
