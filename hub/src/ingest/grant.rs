//! How fast gateways may send from their backlogs. After an outage they all come back at once; what happens now must not wait behind what happened
//! then, so they share one rate. Pure: machine time comes in.

use std::{collections::BTreeMap, time::Duration};

use passage_config::HubConfig;
use passage_protocol::GatewayId;
use tokio::time::Instant;

/// A gateway that has sent nothing old for so long has nothing old any more, or is away.
const FRESH: Duration = Duration::from_secs(10);

/// The gateways that send from their backlogs at the moment.
#[derive(Debug, Default)]
pub(crate) struct Grant(BTreeMap<GatewayId, Instant>);

impl Grant {
    /// A gateway has a backlog, or has just sent from it.
    pub(crate) fn note(&mut self, gateway: &GatewayId, now: Instant) {
        self.0.insert(gateway.clone(), now);
    }

    /// Events per second for one gateway: `backlog_rate`, but no more than its share of `backlog_total`.
    pub(crate) fn rate(&mut self, config: &HubConfig, now: Instant) -> u32 {
        self.0.retain(|_, at| now.duration_since(*at) < FRESH);
        let sharing = u32::try_from(self.0.len()).unwrap_or(u32::MAX).max(1);
        config.backlog_rate.min(config.backlog_total / sharing).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> HubConfig {
        let text = "id = \"hub-1\"\ndatabase = \"sqlite:hub.db\"\nkey_file = \"hub.key\"\n[mqtt]\nhost = \"127.0.0.1\"\n\
                    [ingest]\nbacklog_rate = 50\nbacklog_total = 1000\n";
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hub.toml");
        let site = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/demo");
        std::fs::write(&file, format!("site = \"{site}\"\n{text}")).unwrap();
        passage_config::load_hub(&file).unwrap()
    }

    #[test]
    fn a_few_gateways_get_the_full_rate_and_many_share_what_the_hub_can_take() {
        let (mut grant, config, now) = (Grant::default(), config(), Instant::now());
        assert_eq!(grant.rate(&config, now), 50);
        for n in 0..100 {
            grant.note(&format!("gateway-{n}").parse().unwrap(), now);
        }
        assert_eq!(grant.rate(&config, now), 10);
        assert_eq!(grant.rate(&config, now + FRESH), 50, "who sends nothing old any more does not count");
        for n in 0..2_000 {
            grant.note(&format!("gateway-{n}").parse().unwrap(), now);
        }
        assert_eq!(grant.rate(&config, now), 1, "nobody is left without");
    }
}
