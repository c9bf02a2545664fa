//! What the day came to.

use anyhow::Result;
use passage_hub::{
    ingest::{self, Account},
    report,
};
use passage_protocol::GatewayId;

use crate::{day, system::System};

/// What became of the events of one gateway.
#[derive(Debug)]
struct Events {
    gateway: GatewayId,
    sent: u64,
    stored: u64,
    gone: u64,
}

impl Events {
    /// Adds up all epochs of the gateway.
    fn of(gateway: GatewayId, sent: u64, accounts: &[Account]) -> Self {
        let mut events = Self { gateway, sent, stored: 0, gone: 0 };
        for account in accounts.iter().filter(|a| a.gateway == events.gateway) {
            events.stored += account.stored;
            events.gone += account.gone.iter().map(|g| g.range.count()).sum::<u64>();
        }
        events
    }

    fn missing(&self) -> u64 {
        self.sent.saturating_sub(self.stored)
    }
}

/// Every event is stored, once. An event that a gateway gave up is missing like any other.
fn is_complete(events: &[Events]) -> bool {
    events.iter().all(|e| e.stored == e.sent)
}

/// Prints the summary; false when an event is missing.
pub async fn print(system: &System) -> Result<bool> {
    let hub = system.hub();
    let accounts = ingest::missing(&hub.db).await?;
    println!("\n== Summary of the day ==\n\nevents by gateway");
    println!("  {:<28} {:>8} {:>8} {:>8} {:>8}", "gateway", "sent", "stored", "gone", "missing");
    let events: Vec<Events> = system.events_sent().into_iter().map(|(gateway, sent)| Events::of(gateway, sent, &accounts)).collect();
    for e in &events {
        println!("  {:<28} {:>8} {:>8} {:>8} {:>8}", e.gateway.as_str(), e.sent, e.stored, e.gone, e.missing());
    }
    let complete = is_complete(&events);
    if !complete {
        println!("  not every event that a gateway made is stored exactly once: the exit code will say so too");
    }
    println!();
    let span = report::Span { from: day::clock_time("00:00:00")?, to: day::clock_time("23:59:59")? };
    let config = hub.config.borrow().clone();
    println!("{}", report::summary(&hub.db, &config, span).await?);
    Ok(complete)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(sent: u64, stored: u64, gone: u64) -> Events {
        Events { gateway: "gw-lyon".parse().unwrap(), sent, stored, gone }
    }

    #[test]
    fn a_day_is_complete_when_every_event_is_stored_once() {
        assert!(is_complete(&[events(0, 0, 0), events(7, 7, 0)]));
    }

    #[test]
    fn one_missing_event_of_one_gateway_fails_the_day() {
        let day = [events(7, 7, 0), events(9, 8, 0)];
        assert!(!is_complete(&day));
        assert_eq!(day[1].missing(), 1);
    }

    #[test]
    fn an_event_that_was_given_up_is_missing() {
        assert!(!is_complete(&[events(9, 8, 1)]));
    }

    #[test]
    fn an_event_that_is_stored_twice_fails_the_day() {
        assert!(!is_complete(&[events(7, 8, 0)]));
    }
}
