//! A load generator: many gateways in one process, each with an outbox and an uplink of its own, whose events are made up. What it measures is what
//! a shop would see: when an event was durable here, and when a hub had it so that it was deleted.

mod certified;
mod event;
mod tally;

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use passage_config::{GatewayConfig, Radio};
use passage_protocol::{InstallationId, Invitation};
use serde::Serialize;
use tokio::{sync::oneshot, task::JoinSet, time};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Keeper,
    health::Health,
    outbox::{Batch, Outbox},
    pipeline::{Gateway, GatewayHandle},
};
pub use certified::invitations;
use event::Story;
pub use tally::Quantiles;
use tally::{Tally, Waiting};

/// Events of one batch while an outbox is filled.
const BATCH: u64 = 64;
/// Live events are handed over in steps of this.
const TICK: Duration = Duration::from_millis(10);

/// What the fleet does.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many gateways; their ids are the configured one with a number.
    pub gateways: u32,
    /// Events that each holds before it connects.
    pub backlog: u64,
    /// How long before now these happened, business time.
    pub age: Duration,
    /// Live events a second of each, once all are connected.
    pub rate: f64,
    /// How long live events happen.
    pub live: Duration,
    /// Longest wait until all outboxes are empty.
    pub within: Duration,
    /// Who comes and goes; strangers with rotating ids when there is nobody.
    pub subjects: Vec<InstallationId>,
    /// By which each gets a certificate of its own; none: they connect as the pattern does.
    pub invitations: Vec<Invitation>,
}

/// What came of it. Times are machine time, in milliseconds or seconds as the name says.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Gateways.
    pub gateways: u32,
    /// Events that got a seq, backlog included.
    pub events: u64,
    /// Of these, deleted because a hub has them.
    pub deleted: u64,
    /// From the first connection until the last event was deleted, or the wait was over.
    pub seconds: f64,
    /// Deleted events a second.
    pub per_second: f64,
    /// From the hand-over of a live event until it was durable here.
    pub durable_ms: Quantiles,
    /// From the hand-over of a live event until it was deleted.
    pub deleted_ms: Quantiles,
    /// Envelopes that were published, repetitions included.
    pub envelopes: u64,
}

/// Runs the plan with `config` as the pattern of each gateway, and tells what came of it.
///
/// # Errors
/// A gateway that cannot enrol, an outbox that cannot be opened, or a gateway that does not start.
pub async fn run(config: &GatewayConfig, plan: &Plan) -> anyhow::Result<Outcome> {
    let members: Vec<GatewayConfig> = (1..=plan.gateways).map(|n| member(config, n)).collect::<Result<_, _>>()?;
    let members = certified::certify(members, &plan.invitations).await?;
    for config in members.iter().filter(|_| plan.backlog > 0) {
        fill(config, plan).await.with_context(|| format!("the outbox of {} cannot be filled", config.id))?;
    }
    let (stop, started) = (CancellationToken::new(), Instant::now());
    let mut tasks = JoinSet::new();
    for config in members {
        let handle = Gateway::start(config.clone(), None, stop.clone()).await?;
        tasks.spawn(live(handle, config, plan.clone(), started));
    }
    let (mut tally, mut handles) = (Tally::default(), Vec::new());
    while let Some(one) = tasks.join_next().await {
        let (one, handle) = one?;
        tally.add(one);
        handles.push(handle);
    }
    stop.cancel();
    for handle in handles {
        handle.join().await;
    }
    Ok(tally.outcome(plan))
}

/// The `n`th gateway: its own name and its own folder; no radio and no positions.
fn member(config: &GatewayConfig, n: u32) -> anyhow::Result<GatewayConfig> {
    let id = format!("{}-{n}", config.id).parse().context("the id of the pattern is too long for a number behind it")?;
    let data = config.data.join(format!("fleet-{n}"));
    Ok(GatewayConfig { id, data, radio: Radio::None, position_listen: None, ..config.clone() })
}

/// Puts the backlog on disk, as an outage would have done.
async fn fill(config: &GatewayConfig, plan: &Plan) -> anyhow::Result<()> {
    let health = Arc::new(Health::default());
    let bounds = passage_config::Outbox { commit_within: Duration::ZERO, ..config.outbox };
    let (outbox, writer) = Outbox::open(&config.data, &bounds, Keeper::new(config.clock.clone()), health).await?;
    let writer = tokio::spawn(writer.run(CancellationToken::new()));
    let mut story = Story::new(&config.id, store(config)?, &plan.subjects);
    let begin = config.clock.now() - plan.age;
    let is_old = plan.age > Duration::ZERO;
    let mut left = plan.backlog;
    while left > 0 {
        let count = left.min(BATCH);
        let changes = (0..count).map(|_| story.next(begin, is_old)).collect();
        outbox.submit(Batch { changes, ..Batch::default() }, true, None).await?;
        left -= count;
    }
    outbox.close().await;
    writer.await?;
    Ok(())
}

fn store(config: &GatewayConfig) -> anyhow::Result<passage_protocol::StoreId> {
    let first = || config.site.stores.keys().next().cloned();
    config.store.clone().or_else(first).context("the pattern names no store. Mend: set `store` in its file")
}

/// One gateway: hands live events over for as long as the plan says, then waits until everything is deleted.
async fn live(handle: GatewayHandle, config: GatewayConfig, plan: Plan, started: Instant) -> (Tally, GatewayHandle) {
    let mut tally = Tally { events: plan.backlog, ..Tally::default() };
    let outbox = handle.outbox();
    while !outbox.is_open() || !outbox.ledger().is_known() {
        time::sleep(TICK).await;
    }
    let (mut waiting, mut durable) = (Waiting::from(outbox.ledger().next()), JoinSet::new());
    let mut story = store(&config).ok().map(|store| Story::new(&config.id, store, &plan.subjects));
    let (mut progress, mut tick) = (outbox.progress(), time::interval(TICK));
    tick.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    let (begin, mut told) = (Instant::now(), 0_u64);
    while begin.elapsed() < plan.live || (!outbox.is_empty() && begin.elapsed() < plan.live + plan.within) {
        tokio::select! {
            _ = tick.tick() => {
                while told < due(&plan, begin) && let Some(story) = &mut story {
                    let (done, is_done) = oneshot::channel();
                    let batch = Batch { changes: vec![story.next(config.clock.now(), false)], ..Batch::default() };
                    let given = waiting.given();
                    if outbox.submit(batch, false, Some(done)).await.is_err() {
                        break;
                    }
                    told += 1;
                    durable.spawn(async move { is_done.await.ok().map(|()| given.elapsed()) });
                }
            }
            _ = progress.changed() => {
                let ledger = outbox.ledger();
                waiting.settle(|seq| ledger.held().contains(seq) || seq >= ledger.next(), &mut tally.took);
            }
        }
        while let Some(done) = durable.try_join_next() {
            tally.durable.extend(done.ok().flatten());
        }
    }
    tally.events += told;
    tally.deleted = tally.events.saturating_sub(outbox.ledger().held().count());
    tally.elapsed = started.elapsed();
    tally.envelopes = handle.health.envelopes.load(Ordering::Relaxed);
    (tally, handle)
}

/// How many live events are to have happened by now.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive count of events")]
fn due(plan: &Plan, begin: Instant) -> u64 {
    (begin.elapsed().min(plan.live).as_secs_f64() * plan.rate) as u64
}

/// The installations that a file names, one a line.
///
/// # Errors
/// The file, or a line that is no installation.
pub fn subjects(file: &Path) -> anyhow::Result<Vec<InstallationId>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let line = |line: &str| line.trim().parse().with_context(|| format!("a line of {} is no installation", file.display()));
    text.lines().filter(|l| !l.trim().is_empty()).map(line).collect()
}
