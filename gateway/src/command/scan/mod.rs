//! `passage-gateway scan`: what the installer looks at while the gateway is hung up and the thresholds are chosen.
//!
//! ```text
//! source --> Table (what was heard, zones by the gateway's own rules) --> Snapshot --> table on the terminal | JSON lines
//! ```

mod screen;
mod strangers;
mod table;
mod view;

use std::{
    io::{IsTerminal, Write as _},
    path::Path,
    time::Duration,
};

use anyhow::Context as _;
use passage_config::{GatewayConfig, Radio};
use passage_protocol::Clock;
use tokio::time::MissedTickBehavior;

use self::{
    screen::{Key, Screen},
    table::{Snapshot, Table},
    view::Sort,
};
use crate::{
    pipeline::{Opened, Played, open_source},
    radio::{Capture, Source},
};

/// The table is drawn so often.
const REDRAW: Duration = Duration::from_millis(250);

/// Listens to the configured radio, or to this machine's when none is configured.
pub(super) async fn scan(file: &Path, seconds: Option<u64>, json: bool) -> anyhow::Result<()> {
    let config = live(super::radio_or_ble(super::load(file)?))?;
    let Opened { source, .. } = open_source(&config, &Played::default()).await?.context("there is no radio to listen to")?;
    let table = Table::new(&config);
    let listening = Listening { source: Some(source), clock: config.clock.clone(), table };
    let end = async {
        match seconds {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    if is_table(json) { as_table(listening, end).await } else { as_lines(listening, end).await }
}

/// True when a table is shown: on a terminal, unless JSON is asked for.
pub(super) fn is_table(json: bool) -> bool {
    !json && std::io::stdout().is_terminal()
}

/// A capture plays from now on, at the speed at which it was recorded.
fn live(config: GatewayConfig) -> anyhow::Result<GatewayConfig> {
    let Radio::Replay(capture) = &config.radio else { return Ok(config) };
    let start = Capture::open(capture)?.flatten().next().map(|advert| advert.at).context("the capture holds no advert")?;
    Ok(GatewayConfig { clock: Clock::Scaled { start, anchor: Clock::System.now(), speed: 1.0 }, ..config })
}

/// A source and what it told so far.
struct Listening {
    /// `None` when it has ended.
    source: Option<Box<dyn Source>>,
    clock: Clock,
    table: Table,
}

impl Listening {
    /// Takes in what comes next; pends when the source has ended.
    async fn next(&mut self) {
        let Some(source) = &mut self.source else { return std::future::pending().await };
        let next = source.next().await;
        self.table.dropped(source.dropped());
        match next {
            Some(Ok(heard)) => self.table.hear(&heard),
            Some(Err(e)) => self.table.warn(e.to_string()),
            None => {
                self.source = None;
                self.table.end();
            }
        }
    }
}

impl Listening {
    /// What is to be shown now.
    fn snapshot(&mut self) -> Snapshot {
        let radio = self.source.as_ref().and_then(|source| source.vitals());
        self.table.radio(radio.map(|vitals| vitals.look()));
        self.table.snapshot(self.clock.now())
    }
}

async fn as_lines(mut listening: Listening, end: impl Future<Output = ()>) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + Duration::from_secs(1), Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut end = std::pin::pin!(end);
    loop {
        let is_over = tokio::select! {
            () = listening.next() => {
                if listening.source.is_some() {
                    continue;
                }
                true
            }
            _ = tick.tick() => false,
            () = &mut end => true,
            _ = tokio::signal::ctrl_c() => true,
        };
        let line = serde_json::to_string(&listening.snapshot())?;
        // Whoever reads may have seen enough.
        if writeln!(std::io::stdout(), "{line}").is_err() || is_over {
            return Ok(());
        }
    }
}

async fn as_table(mut listening: Listening, end: impl Future<Output = ()>) -> anyhow::Result<()> {
    let mut screen = Screen::open().context("the terminal cannot be used; try --json")?;
    let mut tick = tokio::time::interval(REDRAW);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut sort, mut held) = (Sort::default(), None);
    let mut end = std::pin::pin!(end);
    loop {
        tokio::select! {
            () = listening.next() => {}
            _ = tick.tick() => {
                let now = listening.snapshot();
                screen.draw(held.as_ref().unwrap_or(&now), sort, held.is_some())?;
            }
            key = screen.key() => match key {
                Key::Quit => return Ok(()),
                Key::Pause if held.is_some() => held = None,
                Key::Pause => held = Some(listening.snapshot()),
                Key::Sort => sort = sort.next(),
            },
            () = &mut end => return Ok(()),
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}
