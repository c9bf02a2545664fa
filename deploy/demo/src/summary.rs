//! What the day came to.

use anyhow::Result;
use passage_hub::{ingest, report};

use crate::{day, system::System};

/// Prints the summary; false when an event is missing.
pub async fn print(system: &System) -> Result<bool> {
    let hub = system.hub();
    let accounts = ingest::missing(&hub.db).await?;
    let sent = system.events_sent();
    println!("\n== Summary of the day ==\n\nevents by gateway");
    println!("  {:<28} {:>8} {:>8} {:>8} {:>8}", "gateway", "sent", "stored", "gone", "missing");
    let mut complete = true;
    for (gateway, sent) in &sent {
        let of = accounts.iter().filter(|a| a.gateway == *gateway);
        let (mut stored, mut gone) = (0, 0);
        for account in of {
            stored += account.stored;
            gone += account.gone.iter().map(|g| g.range.count()).sum::<u64>();
        }
        let missing = sent.saturating_sub(stored);
        complete &= missing == 0;
        println!("  {:<28} {sent:>8} {stored:>8} {gone:>8} {missing:>8}", gateway.as_str());
    }
    println!();
    let span = report::Span { from: day::clock_time("00:00:00")?, to: day::clock_time("23:59:59")? };
    let config = hub.config.borrow().clone();
    println!("{}", report::summary(&hub.db, &config, span).await?);
    Ok(complete)
}
